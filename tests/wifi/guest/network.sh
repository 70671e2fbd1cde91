# The network that every scenario has: servers beyond a router, two access points of one network, stations. To be read by a shell.
#
# This machine is the router with the access points; `inet` and each station are network namespaces of their own, and a station's
# radio lives in its namespace.

PSK=$(printf '%064d' 5) # a key, so that no phrase has to be stretched into one
ONE=02:00:5e:00:53:01
TWO=02:00:5e:00:53:02
# Whoever brings others has said so before.
: "${SERVERS:=www.example.com=192.0.2.10 video.example.net=198.51.100.20 api.example.org=203.0.113.30 api.example.org=2001:db8:ff::30
    dns.example.org=203.0.113.53 shop.example.com=192.0.2.44 echo.example.net=198.51.100.77}"
RUN=/run/lab

step() { echo "$(cut -d' ' -f1 /proc/uptime) $*"; }
fail() { step "FAILED: $*"; exit 1; }

# truth KIND KEY=VALUE...: what was really done, as a line of JSON.
truth() {
    line=$(printf '{"time":%s,"kind":"%s"' "$(date +%s)" "$1"); shift
    for pair; do line="$line,\"${pair%%=*}\":\"${pair#*=}\""; done
    echo "$line}" >> /out/truth.jsonl
}

# until_true SECONDS COMMAND...: or it has failed.
until_true() {
    tries=$(($1 * 10)); shift
    until "$@" > /dev/null 2>&1; do
        tries=$((tries - 1)); [ $tries -gt 0 ] || fail "not in time: $*"
        sleep 0.1
    done
}

# The shell has smaller ones of its own.
ip() { /usr/sbin/ip "$@"; }
tc() { /usr/sbin/tc "$@"; }
in_ns() { ip netns exec "$@"; }

# The router's own side and the way to the servers, which is 20 ms long where the kernel can delay.
network_up() {
    mkdir -p $RUN
    : > /etc/resolv.conf
    echo 1 > /proc/sys/net/ipv4/ip_forward
    echo 1 > /proc/sys/net/ipv6/conf/all/forwarding
    ip netns add inet
    ip -batch - <<C
link set lo up
link add br-lan type bridge forward_delay 0
addr add 192.168.77.1/24 dev br-lan
addr add 2001:db8:77::1/64 dev br-lan nodad
link set br-lan up
link add wan0 type veth peer name up0 netns inet
addr add 192.0.2.1/30 dev wan0
addr add 2001:db8:fe::1/64 dev wan0 nodad
link set wan0 up
C
    ip -n inet -batch - <<C
link set lo up
addr add 192.0.2.2/30 dev up0
addr add 2001:db8:fe::2/64 dev up0 nodad
link set up0 up gso_max_segs 1
route add default via 192.0.2.1
route add default via 2001:db8:fe::1
C
    tc -n inet qdisc add dev up0 root netem delay 20ms || step "no delay: this kernel has none"
    for server in $SERVERS; do
        address=${server#*=}
        case $address in
        *:*) ip -n inet addr add "$address/128" dev lo nodad; ip route add "$address" via 2001:db8:fe::2;;
        *) ip -n inet addr add "$address/32" dev lo; ip route add "$address" via 192.0.2.2;;
        esac
    done 2> /dev/null # a second name of one address
}

# HTTP, HTTPS, HTTP/3 and DNS over TLS at every address. What each of them was asked is in servers.jsonl.
servers_up() {
    names=$(for server in $SERVERS; do echo "DNS:${server%%=*}"; done | sort -u | tr '\n' ,)
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=lab -addext "subjectAltName=${names%,}" \
        -keyout $RUN/key.pem -out $RUN/cert.pem 2> /dev/null || fail "no certificate"
    mkdir -p $RUN/body $RUN/nginx
    for size in 1000 20000 50000 100000 500000; do head -c $size /dev/zero | tr '\0' w > $RUN/body/$size; done
    cat > $RUN/nginx.conf <<C
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
user root;
pid $RUN/nginx.pid;
error_log /out/nginx.log;
events {}
http {
    log_format told escape=json '{"client":"\$remote_addr","server":"\$server_addr","sni":"\$ssl_server_name","http":"\$server_protocol",'
        '"host":"\$host","path":"\$uri","bytes":\$bytes_sent,"status":\$status}';
    access_log /out/servers.jsonl told;
    client_body_temp_path $RUN/nginx/1; proxy_temp_path $RUN/nginx/2; fastcgi_temp_path $RUN/nginx/3; uwsgi_temp_path $RUN/nginx/4; scgi_temp_path $RUN/nginx/5;
    ssl_certificate $RUN/cert.pem;
    ssl_certificate_key $RUN/key.pem;
    server {
        listen 80;
        listen [::]:80;
        listen 443 ssl;
        listen [::]:443 ssl;
        listen 443 quic reuseport;
        listen [::]:443 quic reuseport;
        http2 on;
        root $RUN/body;
        location /slow/ { alias $RUN/body/; limit_rate 15000; }
    }
}
stream {
    ssl_certificate $RUN/cert.pem;
    ssl_certificate_key $RUN/key.pem;
    server { listen 853 ssl; proxy_pass 203.0.113.53:53; }
}
C
    in_ns inet nginx -c $RUN/nginx.conf || fail "no servers"
    in_ns inet dnsmasq --no-resolv --no-hosts --listen-address 203.0.113.53 --bind-interfaces --pid-file=$RUN/inet.pid --user=root \
        --address /hidden.example.com/203.0.113.99 || fail "no resolver"
}

# access_points_up: each a BSS of the network "lab", and the bridge with names and addresses for whoever joins.
access_points_up() {
    ip link set wlan0 address $ONE
    ip link set wlan1 address $TWO
    for i in 0 1; do
        cat > $RUN/hostapd-$i.conf <<C
interface=wlan$i
bridge=br-lan
ctrl_interface=/run/hostapd
ssid=lab
hw_mode=g
beacon_int=1000
channel=$((1 + 5 * i))
wpa=2
wpa_key_mgmt=WPA-PSK
rsn_pairwise=CCMP
wpa_psk=$PSK
C
    done
    hostapd -B -t -f /out/hostapd.log $RUN/hostapd-0.conf $RUN/hostapd-1.conf > /dev/null || fail "no access point"
    for i in 0 1; do until_true 20 sh -c "hostapd_cli -p /run/hostapd -i wlan$i status | grep -q state=ENABLED"; done
    records=$(for server in $SERVERS; do echo "--host-record=${server%%=*},${server#*=}"; done)
    dnsmasq --interface br-lan --bind-interfaces --no-resolv --no-hosts --dhcp-authoritative --no-ping --user=root --pid-file=$RUN/lan.pid \
        --dhcp-range 192.168.77.50,192.168.77.150,48h --dhcp-range 2001:db8:77::,ra-only,64 --enable-ra --dhcp-leasefile=$RUN/leases \
        --log-queries --log-dhcp --log-facility=/out/dnsmasq.log $records || fail "no names and addresses"
}

# station NAME RADIO [MAC]: a station of its own with a radio that is off.
station() {
    ip netns add "$1"
    iw phy "$(cat /sys/class/net/"$2"/phy80211/name)" set netns name "$1" || fail "no radio for $1"
    ip -n "$1" link set lo up
    ip -n "$1" link set "$2" name wlan0
    [ -z "$3" ] || ip -n "$1" link set wlan0 address "$3"
    mkdir -p /etc/netns/"$1"
    : > /etc/netns/"$1"/resolv.conf
}

# join NAME FREQUENCY [random]: associates with the access point of that channel, with a new random MAC where that is said.
join() {
    cat > $RUN/"$1".conf <<C
ctrl_interface=$RUN/$1
network={
    ssid="lab"
    psk=$PSK
    key_mgmt=WPA-PSK
    scan_freq=$2
    ${3:+mac_addr=1}
}
C
    in_ns "$1" wpa_supplicant -B -t -f /out/"$1".log -P $RUN/"$1".pid -i wlan0 -D nl80211 -c $RUN/"$1".conf > /dev/null || fail "no supplicant"
    until_true 30 joined "$1"
    truth join station="$1" mac="$(mac "$1")" bssid="$(bssid "$1")"
    step "$1 joined as $(mac "$1")"
}
wpa() { of=$1; shift; in_ns "$of" wpa_cli -p $RUN/"$of" -i wlan0 "$@"; } # no `name`: the day has one
joined() { wpa "$1" status | grep -q '^wpa_state=COMPLETED'; }
bssid() { wpa "$1" status | sed -n 's/^bssid=//p'; }
mac() { ip -n "$1" -o link show dev wlan0 | sed 's/.*link.ether \([^ ]*\).*/\1/'; }
address() { ip -n "$1" -o -4 addr show dev wlan0 | sed 's/.*inet \([^/]*\).*/\1/'; }

# lease NAME HOSTNAME [VENDOR CLASS]
lease() {
    in_ns "$1" busybox udhcpc -f -q -n -t 10 -T 1 -i wlan0 -x "hostname:$2" ${3:+-V "$3"} -s /wifi/lease.sh > /out/"$1"-lease.log 2>&1 || fail "no address for $1"
    truth lease station="$1" mac="$(mac "$1")" address="$(address "$1")" hostname="$2"
}

# six NAME: has an IPv6 address that passed the check for duplicates.
six() { ip -n "$1" -o -6 addr show dev wlan0 scope global -tentative | grep -q inet6; }

# leave NAME
leave() {
    truth leave station="$1" mac="$(mac "$1")"
    wpa "$1" disconnect > /dev/null
    wpa "$1" terminate > /dev/null
    until_true 5 test ! -e $RUN/"$1".pid
    ip -n "$1" addr flush dev wlan0 scope global
    ip -n "$1" link set wlan0 down
    step "$1 left"
}

# roam NAME FREQUENCY BSSID: goes to the other access point.
roam() {
    wpa "$1" scan freq="$2" > /dev/null
    until_true 15 sh -c "/usr/sbin/ip netns exec $1 wpa_cli -p $RUN/$1 -i wlan0 scan_results | grep -q ^$3"
    wpa "$1" roam "$3" > /dev/null
    until_true 15 on "$1" "$3"
    truth roam station="$1" mac="$(mac "$1")" bssid="$3"
    step "$1 roamed"
}
on() { wpa "$1" status > $RUN/on-"$1"; grep -q "^bssid=$2" $RUN/on-"$1" && grep -q '^wpa_state=COMPLETED' $RUN/on-"$1"; }

# fetch NAME ORIGIN HOST URL [CURL'S OPTIONS]: a download; the origin is what names it for who looks on.
fetch() {
    who=$1; origin=$2; host=$3; url=$4; shift 4
    got=$(in_ns "$who" curl -sS --fail --cacert $RUN/cert.pem --max-time 60 -o /dev/null -w '%{size_download} %{remote_ip}' "$@" "$url") || fail "$who $url: $got"
    truth fetch station="$who" mac="$(mac "$who")" origin="$origin" host="$host" bytes="${got% *}" address="${got#* }"
    step "$who has $url"
}

# What the kernel itself counts at an interface of the router, frame by frame: for each MAC, and for each MAC with each address. What
# an access point sends on from station to station does not pass here on its way out; `count_peers` counts it. Frames to everybody
# (`in_group`, but for the one that tells that a station joined, of length 6) are sent on so too. A station
# keeps its association alive by headers with nothing behind (`in_empty`), as often as the access point asks for (IEEE 802.11-2020, 11.21.13).
count_at() {
    nft -f - <<C || fail "the kernel does not count at $1"
table netdev $1 {
    set in_from { type ether_addr; flags dynamic; size 64; counter; }
    set in_to { type ether_addr; flags dynamic; size 64; counter; }
    set in_group { type ether_addr; flags dynamic; size 64; counter; }
    set in_empty { type ether_addr; flags dynamic; size 64; counter; }
    set out_from { type ether_addr; flags dynamic; size 64; counter; }
    set out_to { type ether_addr; flags dynamic; size 64; counter; }
    set in_4 { type ether_addr . ipv4_addr; flags dynamic; size 1024; counter; }
    set in_6 { type ether_addr . ipv6_addr; flags dynamic; size 1024; counter; }
    set out_4 { type ether_addr . ipv4_addr; flags dynamic; size 1024; counter; }
    set out_6 { type ether_addr . ipv6_addr; flags dynamic; size 1024; counter; }
    chain in {
        type filter hook ingress device $1 priority 0;
        update @in_from { ether saddr }
        update @in_to { ether daddr }
        meta length 0 update @in_empty { ether saddr }
        ether type != 6 @ll,7,1 1 update @in_group { ether saddr }
        ether type ip update @in_4 { ether saddr . ip daddr }
        ether type ip6 update @in_6 { ether saddr . ip6 daddr }
    }
    chain out {
        type filter hook egress device $1 priority 0;
        update @out_from { ether saddr }
        update @out_to { ether daddr }
        ether type ip update @out_4 { ether daddr . ip saddr }
        ether type ip6 update @out_6 { ether daddr . ip6 saddr }
    }
}
C
}

# count_peers NAME: what a station gets for itself alone, by the sender's MAC.
count_peers() {
    in_ns "$1" nft -f - <<C || fail "the kernel does not count at $1"
table netdev peers {
    set from { type ether_addr; flags dynamic; size 64; counter; }
    chain in {
        type filter hook ingress device wlan0 priority 0;
        meta pkttype host update @from { ether saddr }
    }
}
C
}

# Where each sensor serves its pages, by interface.
port() {
    case $1 in wlan0) echo 9840;; wlan1) echo 9841;; *) echo 9842;; esac
}

# sensors INTERFACE...: the sensor, as a user that may capture and nothing else.
sensors() {
    mkdir -p /tmp/sensor
    chown 900:900 /tmp/sensor
    for i; do
        /usr/bin/setpriv --reuid 900 --regid 900 --clear-groups --no-new-privs --inh-caps -all,+net_raw --ambient-caps -all,+net_raw \
            --bounding-set -all,+net_raw /wifi/whither watch "$i" --listen 127.0.0.1:"$(port "$i")" --events /tmp/sensor/"$i".jsonl \
            --geoip /wifi/country.mmdb --buffer 8 > /out/sensor-"$i".log 2>&1 &
        echo $! > $RUN/sensor-"$i".pid
    done
    for i; do
        until_true 60 curl -sf http://127.0.0.1:"$(port "$i")"/-/ready
        grep -E '^(Uid|CapEff)' /proc/"$(cat $RUN/sensor-"$i".pid)"/status | tr '\n' ' '
        step "a sensor watches $i"
    done
}

# scrape INTERFACE...: what the sensors say at the end, when for a while nothing came past, and they end.
scrape() {
    until_true 30 quiet "$@"
    for i; do
        kill "$(cat $RUN/sensor-"$i".pid)"
        wait "$(cat $RUN/sensor-"$i".pid)" || fail "the sensor of $i ended with $?"
        cp /tmp/sensor/"$i".jsonl /out/"$i".events.jsonl
    done
}
quiet() {
    for i; do nft -j list table netdev "$i" > $RUN/"$i".before; done
    sleep 1
    for i; do
        curl -sf http://127.0.0.1:"$(port "$i")"/metrics > /out/"$i".metrics || fail "no metrics of $i"
        nft -j list table netdev "$i" > /out/"$i".counted.json
        cmp $RUN/"$i".before /out/"$i".counted.json || return 1
    done
}
