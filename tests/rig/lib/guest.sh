# The guest's disk: syslinux, Debian's kernel for virtual machines, and an
# initramfs that is the whole system.

readonly GUEST_IMAGE=docker.io/library/kvnet-guest:1
readonly GUEST_KERNEL=linux-image-cloud-amd64
# What a VM of KubeVirt has: disks, NICs, a serial line; af_packet for DHCP.
readonly GUEST_MODULES=(virtio_pci virtio_blk virtio_net virtio_rng af_packet isofs vfat nls_cp437 nls_ascii)

guest_disk() {
    artefact "$1" guest-disk "$(hash_of "$BUSYBOX" "$(hash_of_tree "$RIG_DIR/guest")" "${GUEST_MODULES[*]}" \
        "$(declare -f build_guest_disk guest_kernel guest_initramfs guest_image)")" build_guest_disk
}

build_guest_disk() {
    local directory=$1 work=$1/work
    mkdir "$work"
    guest_kernel "$work/kernel"
    guest_initramfs "$work/kernel" "$work/tree" >"$work/initrd"
    guest_image "$work" "$directory/disk.img"
    remove_tree "$work"
}

# guest_kernel DIRECTORY: unpacks the kernel's package.
guest_kernel() {
    local directory=$1 package
    mkdir "$directory"
    package=$(apt-cache depends --no-recommends --no-suggests "$GUEST_KERNEL" | awk '$1 == "Depends:" { print $2; exit }')
    (cd "$directory" && apt-get download -o APT::Sandbox::User=root --quiet=2 "$package")
    dpkg-deb --extract "$directory"/*.deb "$directory"
    depmod --basedir "$directory" "$(ls "$directory/lib/modules")"
}

# guest_initramfs KERNEL TREE: prints the compressed archive.
guest_initramfs() {
    local kernel=$1 tree=$2 version module path
    version=$(ls "$kernel/lib/modules")
    cp -a "$BUSYBOX" "$tree"
    mkdir -p "$tree"/{proc,sys,dev,run,mnt,lib/modules,usr/share/udhcpc}
    install --mode=755 "$RIG_DIR/guest/init" "$tree/init"
    install --mode=755 "$RIG_DIR/guest/udhcpc" "$tree/usr/share/udhcpc/default.script"
    for module in "${GUEST_MODULES[@]}"; do
        # Some are built into the kernel.
        modprobe --dirname "$kernel" --set-version "$version" --show-depends "$module" 2>/dev/null
    done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r path; do
        cp "$path" "$tree/lib/modules/"
        basename "$path" >>"$tree/lib/modules/order"
    done
    (cd "$tree" && find . | LC_ALL=C sort | cpio --quiet --create --format=newc --owner=0:0) | gzip -9
}

# guest_image WORK IMAGE: one bootable FAT partition, without any loop device.
guest_image() {
    local work=$1 image=$2 offset=$((2048 * 512))
    truncate --size=64M "$image"
    echo 'start=2048, type=c, bootable' | sfdisk --quiet "$image"
    dd if=/usr/lib/syslinux/mbr/mbr.bin of="$image" bs=440 count=1 conv=notrunc status=none
    mformat -i "$image@@$offset" -F -T $((62 * 2048)) -v KVNET ::
    cp "$work"/kernel/boot/vmlinuz-* "$work/vmlinuz"
    printf '%s\n' 'DEFAULT guest' 'PROMPT 0' 'TIMEOUT 1' 'LABEL guest' '  LINUX vmlinuz' '  INITRD initrd' \
        '  APPEND console=ttyS0 quiet panic=1' >"$work/syslinux.cfg"
    mcopy -i "$image@@$offset" "$work/vmlinuz" "$work/initrd" "$work/syslinux.cfg" ::
    syslinux --install --offset "$offset" "$image"
}
