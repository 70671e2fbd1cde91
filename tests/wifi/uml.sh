#!/bin/bash
# Builds user-mode Linux with virtual radios from Debian's sources of the kernel and prints where it is: a Linux that is a plain
# process and whose time can be passed at will, so that a day ends in a minute. Debian's own has no wireless. Once, 8 minutes of a core.
set -euo pipefail
cd "$(dirname "$0")/../.."
. tests/wifi/debian.sh

at=$store/uml
if [ ! -x "$at/linux" ]; then
    apt_ready
    fetch "$at" linux-source-6.12
    cd "$at"
    say "user-mode Linux: unpacking"
    mkdir tree
    dpkg-deb --fsys-tarfile ./*.deb | tar -xOf - --wildcards './usr/src/linux-source-*.tar.xz' | tar -C tree --strip-components 1 -xJf -
    rm ./*.deb
    cd tree
    make -s ARCH=um defconfig >&2
    cat >> .config <<C
$(printf 'CONFIG_%s=y\n' EXPERT BLK_DEV_INITRD UML_TIME_TRAVEL_SUPPORT HOSTFS TMPFS TMPFS_XATTR DEVTMPFS OVERLAY_FS HIGH_RES_TIMERS NO_HZ_IDLE SECCOMP SECCOMP_FILTER SECURITY \
        SECURITYFS SECURITY_LANDLOCK NAMESPACES NET_NS USER_NS NET INET IPV6 UNIX PACKET NETDEVICES NET_CORE VETH BRIDGE DUMMY WIRELESS WLAN \
        CFG80211 MAC80211 MAC80211_HWSIM NET_SCHED NET_SCH_NETEM NETFILTER NETFILTER_INGRESS NETFILTER_EGRESS NF_TABLES \
        NF_TABLES_NETDEV NF_TABLES_INET CRYPTO_CCM CRYPTO_GCM CRYPTO_CMAC CRYPTO_CTR CRYPTO_AES IP_ADVANCED_ROUTER)
$(printf '# CONFIG_%s is not set\n' MODULES SOUND DEBUG_KERNEL FTRACE RD_BZIP2 RD_LZMA RD_XZ RD_LZO RD_LZ4 RD_ZSTD BTRFS_FS CFG80211_WEXT MAC80211_MESH CFG80211_REQUIRE_SIGNED_REGDB EXT4_FS BTRFS_FS XFS_FS \
        ISO9660_FS QUOTA BLK_DEV_UBD)
CONFIG_DEBUG_INFO_NONE=y
C
    make -s ARCH=um olddefconfig >&2
    for option in BLK_DEV_INITRD UML_TIME_TRAVEL_SUPPORT HOSTFS OVERLAY_FS MAC80211_HWSIM NETFILTER_EGRESS NET_SCH_NETEM; do
        grep -q "^CONFIG_$option=y" .config || die "the kernel does not take $option"
    done
    say "user-mode Linux: building; its log is $at/build.log"
    nice make -s ARCH=um -j"${UML_JOBS:-$(nproc)}" linux > ../build.log 2>&1 || { tail ../build.log >&2; exit 1; }
    strip -o ../linux linux
    cd .. && rm -rf tree
fi
echo "$at/linux"
