#!/bin/sh
# What udhcpc does with a lease, which is in the environment.
case $1 in
deconfig) /usr/sbin/ip -4 addr flush dev "$interface";;
bound | renew)
    /usr/sbin/ip addr replace "$ip/$mask" dev "$interface"
    /usr/sbin/ip route replace default via "${router%% *}"
    for server in $dns; do echo "nameserver $server"; done > /etc/resolv.conf
    ;;
esac
