# The scenario of `make lab-wifi`: stations join, get addresses and names, fetch; one roams while it fetches, one comes back with
# another random MAC. Every step must succeed.
. /wifi/network.sh

step "up, Linux $(uname -r)"
network_up
servers_up
access_points_up
step "on the air"
for i in wlan0 wlan1 br-lan; do count_at $i; done
for i in wlan0 wlan1 br-lan; do tcpdump -Z root -i $i -U -s 2000 -w /tmp/$i.pcap 2> /out/tcpdump-$i.log & echo $! >> $RUN/tcpdump; done
sensors wlan0 wlan1 br-lan
for i in wlan0 wlan1 br-lan; do until_true 10 grep -q listening /out/tcpdump-$i.log; done

station pixel wlan2 00:00:5e:00:53:11
station iphone wlan3
station laptop wlan4 00:00:5e:00:53:13
for who in pixel iphone laptop; do count_peers $who; done
join pixel 2412
join iphone 2412 random
join laptop 2437
lease pixel Pixel-8 android-dhcp-14
lease iphone Annas-iPhone
lease laptop thinkpad

fetch pixel sni www.example.com https://www.example.com/100000
fetch iphone quic video.example.net https://video.example.net/500000 --http3-only
fetch iphone host shop.example.com http://shop.example.com/20000
until_true 20 six laptop
fetch laptop sni api.example.org https://api.example.org/20000 -6
fetch laptop sni api.example.org https://api.example.org/1000 -4
fetch laptop quic api.example.org https://api.example.org/1000 -4 --http3-only
in_ns laptop kdig +tls-ca=$RUN/cert.pem +tls-hostname=dns.example.org +short @203.0.113.53 hidden.example.com | grep -qx 203.0.113.99 || fail "DNS over TLS"
truth dot station=laptop mac="$(mac laptop)" origin=sni host=dns.example.org address=203.0.113.53
in_ns pixel ping -q -c 2 -i 0.2 echo.example.net > /dev/null || fail "ping"
truth ping station=pixel mac="$(mac pixel)" origin=dns host=echo.example.net address=198.51.100.77
in_ns pixel ping -q -c 3 -i 0.2 "$(address iphone)" > /dev/null || fail "from station to station of one access point"
in_ns laptop ping -q -c 3 -i 0.2 "$(address iphone)" > /dev/null || fail "from station to station of two"

step "pixel roams while it fetches"
fetch pixel sni www.example.com https://www.example.com/slow/50000 & slow=$!
sleep 1
roam pixel 2437 $TWO
wait $slow || fail "the download did not survive"

leave iphone
join iphone 2412 random
lease iphone Annas-iPhone
fetch iphone sni video.example.net https://video.example.net/20000

for who in pixel iphone laptop; do
    in_ns $who nft -j list table netdev peers > /out/$who.peers.json
    ip -n $who link set wlan0 down
done
scrape wlan0 wlan1 br-lan
kill $(cat $RUN/tcpdump); wait
cp /tmp/*.pcap /out/
step "done"
