#!/bin/bash
# machine.sh PROGRAM OUT [SCENARIO]: boots a Linux with virtual radios (mac80211_hwsim), runs a scenario of guest/ with this build
# of whither in it, and leaves what came of it in OUT. Ends as the scenario does; with 77 where this machine cannot, and says why.
#
# Road taken: an emulated machine with Debian's kernel, since hardly any kernel of a test machine has virtual radios or takes modules,
# and no right is needed for it. Its time is made of its instructions, and leaps while it has nothing to do: so it measures the same
# on a busy machine, nobody waits for a sleep, and a day takes as long as what happens in it. WIFI_PLAN=FILE is what a scenario has
# to do, WIFI_SECONDS when to give up. Road not taken: KVM, whose time is the machine's, and which fails where /dev/kvm is there and does
# not work; user-mode Linux, which is faster by ten times and has to be built for ten minutes.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/wifi/debian.sh

program=$1 out=$2 scenario=${3:-join}
seconds=${WIFI_SECONDS:-400} # it takes forty on two idle cores
emulator=qemu-system-x86_64
[ "$(uname -m)" = x86_64 ] || cannot "its guest runs programs of x86_64"
command -v "$emulator" > /dev/null || cannot "not installed: $emulator (\`make lab-wifi\` installs it)"
for tool in cpio depmod; do command -v $tool > /dev/null || cannot "not installed: $tool (\`make lab-wifi\` installs it)"; done

root_ready
work=$(mktemp -d "$store/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
rm -rf "$out"; mkdir -p "$out"
out=$(cd "$out" && pwd)

# A second archive goes over the root: the scenario, the program, the modules in the order of their loading.
mkdir -p "$work"/over/{wifi,modules}
cp tests/wifi/guest/init "$work/over/init"
chmod +x "$work/over/init"
cp tests/wifi/guest/*.sh "$work/over/wifi/"
chmod +x "$work/over/wifi/lease.sh"
cp tests/geoip/lab-country.mmdb "$work/over/wifi/country.mmdb"
[ -z "${WIFI_PLAN:-}" ] || cp "$WIFI_PLAN" "$work/over/wifi/plan"
strip -o "$work/over/wifi/whither" "$program"
: > "$work/over/modules/order"
kernel_ready
for module in virtio_pci 9pnet_virtio 9p veth bridge sch_netem nf_tables af_packet ccm mac80211_hwsim; do
    modprobe -d "$kernel_at" -S "$release" --show-depends $module 2>/dev/null | awk '$1 == "insmod" { print $2 }' || true
done | awk '!seen[$0]++' | while read -r path; do
    name=$(basename "$path" .xz)
    case $path in *.xz) xz -dc "$path" > "$work/over/modules/$name";; *) cp "$path" "$work/over/modules/$name";; esac
    echo "/modules/$name" >> "$work/over/modules/order"
done
echo radios=5 > "$work/over/modules/mac80211_hwsim.ko.options"
for part in "$root" "$work/over"; do (cd "$part" && find . | cpio -o -H newc -R 0:0 --quiet); done > "$work/initrd"

started=$SECONDS
timeout "$seconds" $emulator -M q35 -accel tcg -icount shift=1,sleep=off -cpu max -m 1024 -nodefaults -display none -no-reboot -serial "file:$out/console" \
    -kernel "$kernel_at"/boot/vmlinuz-* -initrd "$work/initrd" \
    -append "console=ttyS0 panic=-1 quiet mitigations=off random.trust_cpu=on wifi.scenario=$scenario" \
    -virtfs "local,path=$out,mount_tag=out,security_model=none" < /dev/null >&2 || true
say "the guest ran for $((SECONDS - started)) s; what came of it is in $out"
[ -e "$out/status" ] || die "the guest did not end within $seconds s: see $out/console and $out/log"
[ "$(cat "$out/status")" = 0 ] || { tail -n 5 "$out/log" >&2; die "the scenario failed"; }
