# The day of `make soak`: stations do at its time what a plan says. A line of it: second, station's MAC, `join` or what names the
# server, and then host name of the station, or name, address and bytes of the server.
plan=/wifi/plan
SERVERS="$(busybox awk '$3 != "join" { print $4 "=" $5 }' $plan | sort -u | tr '\n' ' ')dns.example.org=203.0.113.53"
. /wifi/network.sh

step "up, Linux $(uname -r)"
network_up
servers_up
access_points_up
for i in wlan0 br-lan; do count_at $i; done
tcpdump -Z root -i wlan0 -U -w /out/short.pcap 'less 20' 2> /dev/null &
sensors wlan0 br-lan
radio=2
for mac in $(busybox awk '{ print $2 }' $plan | sort -u); do
    station "$mac" wlan$radio "$mac"
    count_peers "$mac"
    radio=$((radio + 1))
done

begin=$(date +%s)
while read -r second who what name address bytes; do
    wait_for=$((begin + second - $(date +%s)))
    [ $wait_for -le 0 ] || sleep $wait_for
    family=-4
    case $address in *:*) family=-6;; esac
    case $what in
    join)
        [ ! -e $RUN/"$who".pid ] || leave "$who"
        join "$who" 2412
        lease "$who" "$name"
        until_true 20 six "$who"
        ;;
    host) fetch "$who" host "$name" http://"$name"/500000 -r 0-"$bytes" $family;;
    quic) fetch "$who" quic "$name" https://"$name"/500000 -r 0-"$bytes" --http3-only $family;;
    *) fetch "$who" sni "$name" https://"$name"/500000 -r 0-"$bytes" $family;;
    esac < /dev/null
done < $plan

for who in $(busybox awk '{ print $2 }' $plan | sort -u); do
    in_ns "$who" nft -j list table netdev peers > /out/"$who".peers.json
    ip -n "$who" link set wlan0 down
done
scrape wlan0 br-lan
step "done"
