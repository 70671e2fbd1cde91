# shellcheck shell=bash
# What the virtual access point is made of: packages of one Debian suite, downloaded with apt's own client and unpacked below
# target/wifi. The machine that runs the test is not changed, may be of another suite, and needs no root for this.
#
# Road taken: an apt that has a folder of its own, so that the guest is the same wherever it is built. Road not taken: the host's
# packages, of which there would be as many guests as hosts; an image from elsewhere, which nobody could look into.

suite=trixie
kernel=linux-image-amd64
# The guest's programs by package. nginx and curl of this suite speak HTTP/3, and a ClientHello of theirs fills two packets.
guest=(
    busybox-static iproute2 iw nftables                  # the machine
    hostapd dnsmasq-base                                 # the access point
    wpasupplicant curl ca-certificates knot-dnsutils iputils-ping # the stations
    nginx libnginx-mod-stream openssl                    # the servers
    util-linux libpcap0.8t64 tcpdump                     # the sensor, and who checks on it
)

store=$PWD/target/wifi

say() { echo "wifi: $*" >&2; }
die() { say "$*"; exit 1; }

# Says in one sentence why it cannot be, for the test to repeat, and ends with 77: skipped.
cannot() { echo "$*"; exit 77; }

# The lists of the suite, from the mirror that this machine uses.
apt_ready() {
    local apt=$store/apt mirror
    export APT_CONFIG=$apt/apt.conf
    [ -e "$apt/ready" ] && return
    command -v apt-get dpkg-deb >/dev/null || cannot "its guest is made of Debian's packages, and there is no apt"
    mirror=$(env -u APT_CONFIG apt-get indextargets --format '$(ORIGIN) $(REPO_URI)' 2>/dev/null | sed -n '/security/!s/^Debian //p' | head -n 1)
    mkdir -p "$apt"/{etc/apt.conf.d,etc/preferences.d,state/lists/partial,cache/archives/partial}
    : > "$apt/status"
    cat > "$APT_CONFIG" <<C
Dir "$apt"; Dir::Etc "$apt/etc"; Dir::State "$apt/state"; Dir::State::status "$apt/status"; Dir::Cache "$apt/cache";
APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Sandbox::User "$(id -un)"; APT::Install-Recommends "false";
Acquire::Languages "none"; Debug::NoLocking "true";
C
    cat > "$apt/etc/sources.list" <<C
deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] ${mirror:-http://deb.debian.org/debian} $suite main
C
    say "the lists of $suite"
    apt-get -qq update >&2 || cannot "the package lists of Debian $suite cannot be fetched"
    touch "$apt/ready"
}

# fetch DIR PACKAGE...: these packages alone, as files in DIR.
fetch() {
    local dir=$1; shift
    rm -rf "$dir"; mkdir -p "$dir"
    (cd "$dir" && apt-get -qq download "$@" >&2) || cannot "packages of Debian $suite cannot be fetched: $*"
}

# The kernel and its modules: $kernel_at, $release.
kernel_ready() {
    kernel_at=$store/kernel
    if [ ! -e "$kernel_at/ready" ]; then
        apt_ready
        local image
        image=$(apt-cache depends "$kernel" | sed -n 's/.*Depends: \(linux-image-[0-9].*\)/\1/p' | head -n 1)
        say "the kernel, $image"
        [ -n "$image" ] || cannot "there is no kernel in Debian $suite"
        fetch "$kernel_at" "$image"
        dpkg-deb --fsys-tarfile "$kernel_at"/*.deb | tar -C "$kernel_at" -xf - --wildcards './boot/vmlinuz*' '*/lib/modules/*'
        rm "$kernel_at"/*.deb
        [ -e "$kernel_at/lib" ] || ln -s usr/lib "$kernel_at/lib"
        depmod -b "$kernel_at" "$(ls "$kernel_at/lib/modules")"
        touch "$kernel_at/ready"
    fi
    release=$(ls "$kernel_at/lib/modules")
}

# The guest's file system: $root.
root_ready() {
    root=$store/root
    local stamp
    stamp=$(echo "$suite ${guest[*]}" | sha256sum)
    [ "$(cat "$root.ready" 2>/dev/null)" = "$stamp" ] && return
    apt_ready
    say "the guest's programs"
    rm -rf "$root"; mkdir -p "$root"/usr/{bin,sbin,lib,lib64}
    for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
    apt-get -qq --download-only --yes install "${guest[@]}" >&2 || cannot "packages of Debian $suite cannot be fetched"
    for package in "$store"/apt/cache/archives/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -C "$root" -xf - --keep-directory-symlink --no-same-owner \
            --exclude './usr/share/doc*' --exclude './usr/share/man*' --exclude './usr/share/locale*' --exclude './usr/share/info*' \
            --exclude './usr/share/zoneinfo*' --exclude './usr/share/perl*' --exclude './usr/lib/x86_64-linux-gnu/perl*'
    done
    rm -f "$store"/apt/cache/archives/*.deb
    mkdir -p "$root"/{proc,sys,dev,run,tmp,out,root,etc/netns,var/lib/nginx,var/log/nginx}
    # What the packages' own scripts would have done, as far as it is needed.
    printf 'root:x:0:0::/root:/bin/sh\nwww-data:x:33:33::/:/bin/false\nsensor:x:900:900::/:/bin/false\n' > "$root/etc/passwd"
    printf 'root:x:0:\nwww-data:x:33:\nsensor:x:900:\n' > "$root/etc/group"
    # A root that is copied into memory for every start: the smaller the faster.
    [ -e "$root/bin/sh" ] || ln -s busybox "$root/bin/sh"
    echo "$stamp" > "$root.ready"
}
