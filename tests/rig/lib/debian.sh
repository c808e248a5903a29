# What comes from Debian's packages: the node's operating system, the base of
# the images, Open vSwitch for the node to install, busybox.

readonly BUILD_TOOLS=(mmdebstrap dpkg-dev systemd-container iproute2 util-linux gcc libc6-dev python3)
readonly NODE_PACKAGES=(
    systemd systemd-sysv dbus
    containerd runc
    ca-certificates conntrack ethtool iproute2 iptables iputils-ping ipset kmod nftables procps socat
)
readonly IMAGE_PACKAGES=(conntrack ethtool iproute2 iptables ipset kmod nftables)
# For the node to install by itself, with what they depend on.
readonly LATER_PACKAGES=(openvswitch-switch)
readonly LOCAL_APT=/var/lib/kvnet-rig/apt

install_build_tools() {
    command -v go >/dev/null || die "there is no Go on this machine"
    install_packages "${BUILD_TOOLS[@]}"
}

# install_packages PACKAGE...: those that this machine does not have yet.
install_packages() {
    local package missing=()
    for package in "$@"; do
        [[ $(dpkg-query --show --showformat '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] ||
            missing+=("$package")
    done
    refresh_apt_lists
    [[ ${#missing[@]} -gt 0 ]] || return 0
    say "installing ${missing[*]}"
    DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet=2 --no-install-recommends "${missing[@]}" >&2
}

refresh_apt_lists() {
    [[ -z $(debian_sources) ]] || return 0
    apt-get update --quiet=2 >&2
    [[ -n $(debian_sources) ]] || die "apt on this machine has no Debian sources"
}

# The machine's own Debian sources, one line each.
debian_sources() {
    apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
        'Created-By: Packages' 'Origin: Debian' 2>/dev/null | sort --unique
}

# debian_tree VARIANT PACKAGES HOOK-OPTION... DIRECTORY
debian_tree() {
    local variant=$1 packages=$2 directory=${*: -1}
    local hooks=("${@:3:$#-3}") suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debian_sources | mmdebstrap --quiet --mode=root --variant="$variant" --include="${packages// /,}" \
        --dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-exclude='/usr/share/man/*' \
        --dpkgopt=path-exclude='/usr/share/locale/*' \
        "${hooks[@]}" "$suite" "$directory" - >&2
}

# The node's operating system.
debian_node() {
    local key
    key=$(hash_of "${NODE_PACKAGES[*]}" "${LATER_PACKAGES[*]}" "$(declare -f build_debian_node debian_tree)")
    artefact "$1" debian-node "$key" build_debian_node
}

build_debian_node() {
    local directory=$1
    # shellcheck disable=SC2016
    debian_tree minbase "${NODE_PACKAGES[*]}" \
        --customize-hook='mkdir -p "$1/later/partial"' \
        --customize-hook='chroot "$1" apt-get install --yes --download-only -o Dir::Cache::archives=/later '"${LATER_PACKAGES[*]}" \
        "$directory"
    mkdir -p "$directory$LOCAL_APT"
    mv "$directory"/later/*.deb "$directory$LOCAL_APT"
    remove_tree "$directory/later"
    (cd "$directory$LOCAL_APT" && dpkg-scanpackages --multiversion . 2>/dev/null >Packages)
    rm -f "$directory"/etc/apt/sources.list.d/*
    echo "deb [trusted=yes] file:$LOCAL_APT ./" >"$directory/etc/apt/sources.list"
    chroot "$directory" apt-get update --quiet=2
    systemctl --quiet --root="$directory" enable containerd.service
    systemctl --quiet --root="$directory" mask apt-daily.timer apt-daily-upgrade.timer \
        dpkg-db-backup.timer e2scrub_all.timer fstrim.timer systemd-timesyncd.service
    rm -f "$directory/etc/machine-id" "$directory/etc/resolv.conf" "$directory/etc/hostname"
}

# The base of the images that need a shell.
debian_image_base() {
    artefact "$1" debian-image-base "$(hash_of "${IMAGE_PACKAGES[*]}" "$(declare -f debian_tree)")" \
        debian_tree essential "${IMAGE_PACKAGES[*]}"
}

# A root file system of busybox alone.
busybox_tree() {
    artefact "$1" busybox "$(hash_of "$(declare -f build_busybox_tree)")" build_busybox_tree
}

build_busybox_tree() {
    local directory=$1 applet
    local download=$directory/download
    mkdir -p "$download" "$directory"/{bin,etc,root,tmp,www}
    # apt drops its privileges for a download, unless told not to.
    (cd "$download" && apt-get download -o APT::Sandbox::User=root --quiet=2 busybox-static)
    dpkg-deb --extract "$download"/*.deb "$download/tree"
    install "$(find "$download/tree" -type f -path '*/bin/busybox')" "$directory/bin/busybox"
    remove_tree "$download"
    for applet in $("$directory/bin/busybox" --list); do
        [[ $applet == busybox ]] || ln -s busybox "$directory/bin/$applet"
    done
    echo 'root:x:0:0:root:/root:/bin/sh' >"$directory/etc/passwd"
    echo 'root:x:0:' >"$directory/etc/group"
    chmod 1777 "$directory/tmp"
}
