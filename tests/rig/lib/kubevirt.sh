# KubeVirt: its binaries from its Go modules, its images, and its manifests as
# a release has them. Only what runs with --kubevirt builds any of it.

readonly KUBEVIRT_VERSIONS=(v1.9.0 v1.5.0)
readonly DEFAULT_KUBEVIRT=v1.9.0
readonly KUBEVIRT_REGISTRY=quay.io/kubevirt
readonly KUBEVIRT_TOOLS=(libvirt-dev libnbd-dev pkg-config libcap2-bin mtools syslinux syslinux-common fdisk cpio kmod)
# KubeVirt's own images have libvirt 10 and qemu 9; this is the nearest Debian.
readonly LAUNCHER_SUITE=trixie
readonly LAUNCHER_PACKAGES=(
    libvirt-daemon libvirt-daemon-driver-qemu libvirt-clients qemu-system-x86 qemu-utils seabios ipxe-qemu ovmf
    swtpm swtpm-tools iproute2 iptables nftables procps ethtool genisoimage xorriso libcap2-bin acl util-linux
    e2fsprogs kmod psmisc findutils tar libnuma1 libnbd0
)
# virt-handler makes a placeholder of this type for a NIC that moved into a VM.
# The kernel of these machines has no such device; a bridge without ports does
# as well.
readonly PLACEHOLDER='s/nmstate[.]TypeDummy/nmstate.TypeBridge/'
readonly PLACEHOLDER_FILE=pkg/network/setup/netpod/netpod.go
readonly PLACEHOLDER_WORDS="substituted in KubeVirt: virt-handler's placeholder for a NIC of a VM is a bridge, not a dummy device"

# These modules are not to be had; what stands in for them fails, and kvnet's profile never gets there.
readonly STUB_WORDS="substituted in KubeVirt v1.9.0: libnbd (backups) and the API and client of virt-template (export) are stubs"

check_kubevirt_version() {
    [[ " ${KUBEVIRT_VERSIONS[*]} " == *" $1 "* ]] ||
        usage_error "KubeVirt '$1' cannot be built; these can: ${KUBEVIRT_VERSIONS[*]}"
}

# kubernetes_of KUBEVIRT: the version that a node gets for its sake: the newest that it works on and the rig can build.
kubernetes_of() {
    case $1 in
    v1.5.*) echo v1.32.2 ;;
    *) echo v1.37.2 ;;
    esac
}

# kubevirt_module VERSION: its module in modules/.
kubevirt_module() {
    case $1 in
    v1.5.*) echo kubevirt ;;
    *) echo "kubevirt-$(cut -d. -f1,2 <<<"${1#v}")" ;;
    esac
}

# say_substitutions KUBEVIRT...: what is not upstream's in these versions.
say_substitutions() {
    [[ $# -gt 0 ]] || return 0
    say "$PLACEHOLDER_WORDS"
    [[ " $* " != *" v1.9."* ]] || say "$STUB_WORDS"
}

# build_kubevirt_artefacts KUBERNETES KUBEVIRT...: sets the names of the artefacts that a node with these versions of
# KubeVirt needs besides the others; IMAGE_STORE is one with all images.
build_kubevirt_artefacts() {
    local kubernetes=$1
    shift
    [[ $# -gt 0 ]] || return 0
    install_packages "${KUBEVIRT_TOOLS[@]}"
    launcher_base LAUNCHER_BASE
    guest_disk GUEST_DISK
    for KUBEVIRT_VERSION in "$@"; do
        KUBEVIRT_MODULE=$(kubevirt_module "$KUBEVIRT_VERSION")
        kubevirt_component KUBEVIRT
        container_disk CONTAINER_DISK
        with_lock manifests kubevirt_manifests
        kubevirt_image_store IMAGE_STORE "$kubernetes"
    done
}

kubevirt_component() {
    local key
    key=$(hash_of "$(hash_of_tree "$RIG_DIR/modules/$KUBEVIRT_MODULE")" "$(go version)" "$PLACEHOLDER" "$PLACEHOLDER_FILE" \
        "$(declare -f build_kubevirt)")
    artefact "$1" "go-$KUBEVIRT_MODULE" "$key" build_kubevirt
}

build_kubevirt() {
    local directory=$1 module=$RIG_DIR/modules/$KUBEVIRT_MODULE work=$1/work
    mkdir "$work"
    # Go does not let an overlay replace a file of a module, so this is a copy.
    cp -r "$(kubevirt_source)" "$work/kubevirt"
    chmod -R u+w "$work/kubevirt"
    sed -i.upstream "$PLACEHOLDER" "$work/kubevirt/$PLACEHOLDER_FILE"
    ! cmp --silent "$work/kubevirt/$PLACEHOLDER_FILE"{,.upstream} || die "the placeholder of virt-handler is not where it was"
    # With the stubs beside them.
    cp -r "$module"/. "$work"
    go mod edit -replace "kubevirt.io/kubevirt=$work/kubevirt" "$work/go.mod"
    # virt-handler and virt-launcher need cgo.
    CGO_ENABLED=1 nice -n 5 go -C "$work" build -trimpath \
        -ldflags "-s -w -X kubevirt.io/client-go/version.gitVersion=$KUBEVIRT_VERSION" -o "$directory/" tool
    remove_tree "$work"
}

kubevirt_source() { module_directory "$KUBEVIRT_MODULE" kubevirt.io/kubevirt; }

# The file system that virt-handler and virt-launcher run in.
launcher_base() {
    artefact "$1" launcher-base "$(hash_of "$LAUNCHER_SUITE" "${LAUNCHER_PACKAGES[*]}" "$(declare -f build_launcher_base)")" \
        build_launcher_base
}

build_launcher_base() {
    local directory=$1 packages="${LAUNCHER_PACKAGES[*]}" suite
    suite=$(. /etc/os-release && echo "$VERSION_CODENAME")
    debian_sources | sed "s/ $suite/ $LAUNCHER_SUITE/" |
        mmdebstrap --quiet --mode=root --variant=essential --include="${packages// /,}" \
            --dpkgopt=path-exclude='/usr/share/doc/*' --dpkgopt=path-exclude='/usr/share/man/*' \
            --dpkgopt=path-exclude='/usr/share/locale/*' "$LAUNCHER_SUITE" "$directory" - >&2
    rm -rf "$directory"/var/cache/apt "$directory"/var/lib/apt "$directory"/usr/lib/modules
    find "$directory/var/log" -type f -delete
    # virt-handler writes through /proc/PID/root/var/run: an absolute link
    # would lead it into its own file system.
    ln -sfn ../run "$directory/var/run"
    printf '%s\n' root:x:0:0:root:/root:/bin/bash qemu:x:107:107::/home/qemu:/bin/bash \
        libvirt-qemu:x:64055:107::/var/lib/libvirt:/bin/false >"$directory/etc/passwd"
    printf '%s\n' root:x:0: qemu:x:107: libvirt-qemu:x:64055: >"$directory/etc/group"
    # KubeVirt starts libvirt's daemon for QEMU alone, Debian has the one for all.
    cp --remove-destination "$directory/usr/sbin/libvirtd" "$directory/usr/libexec/virtqemud"
    install --mode=755 "$RIG_DIR/node/virtqemud" "$directory/usr/sbin/virtqemud"
    ln -sfn ../bin/qemu-system-x86_64 "$directory/usr/libexec/qemu-kvm"
    mkdir -p "$directory"/usr/lib64/qemu-kvm "$directory/home/qemu"
    chown 107:107 "$directory/home/qemu"
}

# The program that serves a disk out of its image.
container_disk() {
    artefact "$1" "container-disk-$KUBEVIRT_VERSION" "$(hash_of "$(declare -f build_container_disk)")" build_container_disk
}

build_container_disk() {
    gcc -Os -static -o "$1/container-disk" "$(kubevirt_source)/cmd/container-disk-v2alpha/main.c"
}

# The operator's manifest and the one of its resource, in the places of a
# release, rendered by the module's own program.
kubevirt_manifests() {
    local source name work=$RIG_CACHE/manifest-work
    local place=$RIG_CACHE/manifests/github.com/kubevirt/kubevirt/releases/download/$KUBEVIRT_VERSION
    [[ ! -e $place/kubevirt-cr.yaml ]] || return 0
    source=$(kubevirt_source)
    mkdir -p "$place" "$work"
    for name in kubevirt-operator kubevirt-cr; do
        (
            cd "$source"
            "$KUBEVIRT/manifest-templator" --process-files --generated-manifests-dir=manifests/generated/ \
                --input-file="manifests/release/$name.yaml.in" >"$work/$name.yaml.in"
            "$KUBEVIRT/manifest-templator" --process-vars --container-prefix="$KUBEVIRT_REGISTRY" \
                --container-tag="$KUBEVIRT_VERSION" --image-pull-policy=IfNotPresent --infra-replicas=1 \
                --namespace=kubevirt --verbosity=2 --csv-namespace=placeholder --csv-version=0.0.0 \
                --package-name=kubevirt-dev --quay-repository=kubevirt --feature-gates= \
                --kubevirt-logo-path=assets/kubevirt_logo.png --input-file="$work/$name.yaml.in" >"$place/$name.yaml.part"
        )
        mv "$place/$name.yaml.part" "$place/$name.yaml"
    done
    remove_tree "$work"
}

# kubevirt_image_store VARIABLE KUBERNETES: IMAGE_STORE with this KubeVirt's images and the guest's disk besides.
kubevirt_image_store() {
    artefact "$1" "image-store-$KUBEVIRT_MODULE-$2" \
        "$(hash_of "$IMAGE_STORE" "$KUBEVIRT" "$LAUNCHER_BASE" "$CONTAINER_DISK" "$GUEST_DISK" "$GUEST_IMAGE" \
            "$KUBEVIRT_VERSION" "$(declare -f build_kubevirt_image_store kubevirt_image_list)")" \
        build_kubevirt_image_store "$IMAGE_STORE"
}

build_kubevirt_image_store() {
    local others=$1 store=$2 work=$RIG_CACHE/kubevirt-image-work
    remove_tree "$work"
    mkdir -p "$work/layers"
    kubevirt_image_list "$work/layers" >"$work/list"
    "$RIG_DIR/pack-images.py" "$work/images.tar" <"$work/list"
    rmdir "$store"
    copy_image_store "$others" "$store"
    import_images "$work/images.tar" "$store"
    remove_tree "$work"
}

# kubevirt_image_list LAYERS: as image_list.
kubevirt_image_list() {
    local layers=$1 source name
    source=$(kubevirt_source)
    mkdir -p "$layers/users/etc" "$layers/users/tmp"
    echo nonroot-user:x:1001:1001::/home/nonroot-user:/bin/bash >"$layers/users/etc/passwd"
    chmod 1777 "$layers/users/tmp"
    for name in operator api controller exportproxy; do
        # Deployed by itself since KubeVirt 1.9.
        [[ -e $KUBEVIRT/virt-$name ]] || continue
        layer "$layers/$name" usr/bin "$KUBEVIRT/virt-$name"
        # They are linked against the C library.
        echo "$KUBEVIRT_REGISTRY/virt-$name:$KUBEVIRT_VERSION $IMAGE_BASE,$layers/users,$layers/$name /usr/bin/virt-$name 1001"
    done

    layer "$layers/handler" usr/bin "$KUBEVIRT"/{virt-handler,virt-chroot}
    layer "$layers/handler" etc "$source/cmd/virt-handler/nsswitch.conf"
    echo "$KUBEVIRT_REGISTRY/virt-handler:$KUBEVIRT_VERSION $LAUNCHER_BASE,$layers/handler /usr/bin/virt-handler"

    layer "$layers/launcher" usr/bin "$KUBEVIRT"/virt-{launcher,launcher-monitor,freezer,probe,tail} \
        "$CONTAINER_DISK/container-disk" "$source/cmd/virt-launcher/node-labeller/node-labeller.sh"
    # Of KubeVirt 1.9 and later.
    [[ ! -e $KUBEVIRT/libvirt-hook-client ]] || layer "$layers/launcher" usr/bin "$KUBEVIRT/libvirt-hook-client"
    layer "$layers/launcher" etc "$source/cmd/virt-launcher/nsswitch.conf"
    layer "$layers/launcher" etc/libvirt "$source"/cmd/virt-launcher/{qemu,virtqemud}.conf
    layer "$layers/launcher" etc/libvirt/hooks "$source/cmd/virt-launcher/qemu"
    chmod -R u+w "$layers/launcher"
    chmod 755 "$layers/launcher/etc/libvirt/hooks/qemu" "$layers/launcher/usr/bin/node-labeller.sh"
    # Since KubeVirt 1.9 the launcher puts a hook of its own there, as this user.
    chown -R 107:107 "$layers/launcher/etc/libvirt/hooks"
    setcap cap_net_bind_service=+ep "$layers/launcher/usr/bin/virt-launcher-monitor"
    echo "$KUBEVIRT_REGISTRY/virt-launcher:$KUBEVIRT_VERSION $LAUNCHER_BASE,$layers/launcher /usr/bin/virt-launcher"

    mkdir -p "$layers/guest/disk"
    cp "$GUEST_DISK/disk.img" "$layers/guest/disk/disk.img"
    chown -R 107:107 "$layers/guest/disk"
    echo "$GUEST_IMAGE $layers/guest -"
}
