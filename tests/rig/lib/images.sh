# What a node of one Kubernetes version is made of, besides Debian: its own
# files, and a containerd store in which all images are unpacked already.

readonly FLANNEL_IMAGE=ghcr.io/flannel-io/flannel:v0.28.10
readonly FLANNEL_PLUGIN_IMAGE=ghcr.io/flannel-io/flannel-cni-plugin:v1.9.1-flannel3
readonly MULTUS_IMAGE=ghcr.io/k8snetworkplumbingwg/multus-cni
readonly OVS_CNI_IMAGE=ghcr.io/k8snetworkplumbingwg/ovs-cni-plugin
readonly BUSYBOX_IMAGE=docker.io/library/busybox:1.37.0

# build_node_artefacts VERSION CONTAINERD: sets the names of all artefacts that
# a node needs, building those that are not there yet.
build_node_artefacts() {
    local version=$1
    debian_node DEBIAN_NODE
    debian_image_base IMAGE_BASE
    busybox_tree BUSYBOX
    pause_component PAUSE
    plain_component CNI_PLUGINS cni-plugins
    plain_component FLANNEL_PLUGIN flannel-cni-plugin
    plain_component MULTUS multus
    plain_component OVS_CNI ovs-cni
    flannel_component FLANNEL
    plain_component ETCD "$(module_beside "$version" etcd)"
    plain_component COREDNS "$(module_beside "$version" coredns)"
    kubernetes_component KUBERNETES "$version"
    OVS_CNI_2018=
    ! is_2018 "$version" || build_2018_parts
    node_files NODE_FILES "$version"
    containerd_files CONTAINERD_FILES "$2"
    image_store IMAGE_STORE "$version"
}

# module_beside VERSION COMPONENT: the module of a component that belongs to that Kubernetes.
module_beside() {
    if (($(minor_of "$1") < 36)); then
        echo "$2"
        return
    fi
    case $2 in
    etcd) echo etcd-3.7 ;;
    coredns) echo coredns-1.14 ;;
    esac
}

# node_files VARIABLE VERSION: the files that lie over Debian's.
node_files() {
    artefact "$1" "node-files-$2" \
        "$(hash_of "$KUBERNETES" "$CNI_PLUGINS" "$(hash_of_tree "$RIG_DIR/node/root")" "$(declare -f build_node_files)" \
            "$(! is_2018 "$2" || hash_of "$FLANNEL_PLUGIN" "$(hash_of_tree "$RIG_DIR/node/root-2018")")")" \
        build_node_files "$2"
}

build_node_files() {
    local version=$1 directory=$2 pause
    cp -a "$RIG_DIR/node/root/." "$directory"
    chown -R root:root "$directory"
    mkdir -p "$directory"/{usr/bin,opt/cni/bin,etc/cni/net.d,etc/kubernetes/manifests,root}
    ! is_2018 "$version" || node_files_2018 "$directory"
    pause=$(kubernetes_images "$version" | grep /pause:)
    sed -i "s,@PAUSE@,$pause," "$directory/etc/containerd/config.toml"
    cp -l "$KUBERNETES"/{kubeadm,kubectl,kubelet} "$directory/usr/bin"
    cp -l "$CNI_PLUGINS"/* "$directory/opt/cni/bin"
    systemctl --quiet --root="$directory" enable kubelet.service kvnet-rig-boot.service
}

# containerd_files VARIABLE RELEASE: what lies over all of these; nothing for 1, which is Debian's. A layer of its own, so
# that a node of any Kubernetes can have either.
containerd_files() {
    local -n files=$1
    files=
    [[ $2 != 1 ]] || return 0
    containerd_component CONTAINERD
    artefact "$1" "containerd-files-$2" "$(hash_of "$CONTAINERD" "$(declare -f build_containerd_files)")" build_containerd_files
}

build_containerd_files() {
    mkdir -p "$1/usr/bin"
    cp -l "$CONTAINERD"/* "$1/usr/bin"
}

# kubernetes_images VERSION: the images that kubeadm will ask for.
kubernetes_images() { "$KUBERNETES/kubeadm" config images list --kubernetes-version "$1" 2>/dev/null; }

# image_store VARIABLE VERSION: a /var/lib/containerd with all images.
image_store() {
    artefact "$1" "image-store-$2" \
        "$(hash_of "$DEBIAN_NODE" "$NODE_FILES" "$IMAGE_BASE" "$BUSYBOX" "$PAUSE" "$FLANNEL_PLUGIN" "$MULTUS" \
            "$OVS_CNI" "$FLANNEL" "$ETCD" "$COREDNS" "$(declare -f build_image_store image_list layer import_images)" \
            "$(! is_2018 "$2" || hash_of "$OVS_CNI_2018" "$(hash_of_tree "$RIG_DIR/images-2018")" "$(declare -f images_2018)")" \
            "$(sha256sum <"$RIG_DIR/pack-images.py")" \
            "$FLANNEL_IMAGE $FLANNEL_PLUGIN_IMAGE $MULTUS_IMAGE $OVS_CNI_IMAGE $BUSYBOX_IMAGE")" \
        build_image_store "$2"
}

build_image_store() {
    local version=$1 store=$2
    local work=$RIG_CACHE/image-work
    remove_tree "$work"
    mkdir -p "$work/layers"
    image_list "$version" "$work/layers" >"$work/list"
    "$RIG_DIR/pack-images.py" "$work/images.tar" <"$work/list"
    import_images "$work/images.tar" "$store"
    remove_tree "$work"
}

# image_list VERSION LAYERS: fills the directory LAYERS and prints a line for
# each image, as pack-images.py takes them.
image_list() {
    local version=$1 layers=$2 image name
    for image in $(kubernetes_images "$version"); do
        name=$(basename "${image%:*}")
        # Names of 2018 have the processor in them.
        name=${name%-amd64}
        case $name in
        kube-proxy)
            layer "$layers/$name" usr/local/bin "$KUBERNETES/$name"
            echo "$image $IMAGE_BASE,$layers/$name -"
            ;;
        kube-*)
            layer "$layers/$name" usr/local/bin "$KUBERNETES/$name"
            echo "$image $layers/$name -"
            ;;
        etcd)
            layer "$layers/$name" usr/local/bin "$ETCD/etcd"
            ! is_2018 "$version" || layer "$layers/$name" usr/local/bin "$RIG_DIR/images-2018/etcd/etcdctl"
            echo "$image $(! is_2018 "$version" || echo "$BUSYBOX,")$layers/$name -"
            ;;
        coredns)
            if is_2018 "$version"; then
                layer "$layers/$name" . "$COREDNS/coredns=coredns-1.12" "$RIG_DIR/images-2018/coredns/coredns"
                echo "$image $BUSYBOX,$layers/$name /coredns"
                continue
            fi
            layer "$layers/$name" . "$COREDNS/coredns"
            echo "$image $layers/$name /coredns"
            ;;
        pause)
            layer "$layers/$name" . "$PAUSE/pause"
            echo "$image $layers/$name /pause"
            ;;
        *) die "kubeadm wants an image that the rig does not know: $image" ;;
        esac
    done

    layer "$layers/flannel" opt/bin "$FLANNEL/flannel=flanneld" "$FLANNEL/install_conf=install-conf"
    echo "$FLANNEL_IMAGE $IMAGE_BASE,$layers/flannel /opt/bin/flanneld"
    layer "$layers/flannel-plugin" . "$FLANNEL_PLUGIN/flannel-cni-plugin=flannel"
    echo "$FLANNEL_PLUGIN_IMAGE $BUSYBOX,$layers/flannel-plugin -"

    layer "$layers/multus" . "$MULTUS/install_multus" "$MULTUS/thin_entrypoint"
    layer "$layers/multus" usr/src/multus-cni/bin "$MULTUS"/{install_multus,multus,multus-daemon,multus-shim,thin_entrypoint} \
        "$MULTUS/passthru-cni=passthru"
    echo "$MULTUS_IMAGE:v4.3.0,$MULTUS_IMAGE:snapshot $BUSYBOX,$layers/multus /thin_entrypoint"
    echo "$MULTUS_IMAGE:v4.3.0-thick,$MULTUS_IMAGE:snapshot-thick $IMAGE_BASE,$layers/multus /usr/src/multus-cni/bin/multus-daemon"

    layer "$layers/ovs-cni" . "$OVS_CNI/plugin=ovs" "$OVS_CNI/marker" \
        "$OVS_CNI/mirror-producer=ovs-mirror-producer" "$OVS_CNI/mirror-consumer=ovs-mirror-consumer"
    echo "$OVS_CNI_IMAGE:v0.39.0,$OVS_CNI_IMAGE:latest $BUSYBOX,$layers/ovs-cni -"

    echo "$BUSYBOX_IMAGE $BUSYBOX -"
    ! is_2018 "$version" || images_2018 "$layers"
}

# layer DIRECTORY FOLDER FILE[=NAME]...: puts the files into FOLDER of a layer.
layer() {
    local folder=$1/$2 file
    mkdir -p "$folder"
    for file in "${@:3}"; do
        cp "${file%=*}" "$folder/$(basename "${file##*=}")"
    done
}

# import_images ARCHIVE STORE: unpacks the images into STORE with the node's
# own containerd, so that a fresh node only needs a copy of it.
import_images() {
    systemd-nspawn --quiet --register=no --keep-unit --private-network --volatile=overlay --console=pipe \
        --directory="$DEBIAN_NODE" --machine=kvnet-rig-import \
        --bind="$2:/var/lib/containerd" --bind-ro="$1:/images.tar" \
        --bind-ro="$NODE_FILES/etc/containerd/config.toml:/etc/containerd/config.toml" \
        /bin/bash -euc '
            containerd >/tmp/log 2>&1 &
            until ctr version >/dev/null 2>&1; do
                kill -0 $! || { cat /tmp/log; exit 1; }
                sleep 0.1
            done
            ctr --namespace k8s.io images import /images.tar >/dev/null
            kill $!
            wait || true' </dev/null >&2
}
