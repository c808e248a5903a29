# What a node of Kubernetes v1.11.3 has besides the others' parts: the images of that day and some small files.

# Images of today's components under the names of that day: their tags moved, or they cannot be had.
readonly FLANNEL_IMAGE_2018=quay.io/coreos/flannel:v0.10.0-amd64
readonly MULTUS_IMAGE_2018=docker.io/nfvpe/multus:2018
readonly OVS_CNI_IMAGE_2018=quay.io/kubevirt/ovs-cni-plugin:2018
readonly KUBEVIRT_2018=v0.8.0
readonly WORDS_2018=(
    "substituted in $KUBERNETES_2018: cloud providers and 13 kinds of volumes are cut out, 23 of 127 modules are of another revision"
    "substituted for 2018: etcd 3.6.5, CoreDNS 1.12.1, flannel 0.28.10, Multus 4.3.0 and ovs-cni 0.39.0 under the names of that day"
    "substituted for 2018: KubeVirt's three programs are stand-ins, no VM runs; crictl and etcdctl only say yes"
)

# is_2018 VERSION
is_2018() { [[ $1 == "$KUBERNETES_2018" ]]; }

# build_2018_parts: what only a node of that day has.
build_2018_parts() { plain_component OVS_CNI_2018 ovs-cni-2018; }

# node_files_2018 DIRECTORY: over those of every node. Nobody brought flannel's plugin along then but the package of plugins.
node_files_2018() {
    cp -a --no-preserve=ownership "$RIG_DIR/node/root-2018/." "$1"
    cp -l "$FLANNEL_PLUGIN/flannel-cni-plugin" "$1/opt/cni/bin/flannel"
}

# images_2018 LAYERS: a line for each image of the walkthrough, as pack-images.py takes them.
images_2018() {
    local layers=$1 own=$RIG_DIR/images-2018 name program
    echo "$FLANNEL_IMAGE_2018 $IMAGE_BASE,$layers/flannel -"

    layer "$layers/multus-2018" usr/src/multus-cni/bin "$MULTUS/multus"
    layer "$layers/multus-2018" . "$own/multus/entrypoint.sh"
    echo "$MULTUS_IMAGE_2018 $BUSYBOX,$layers/multus-2018 /entrypoint.sh"

    layer "$layers/ovs-cni-2018" . "$OVS_CNI_2018/ovscni2018=ovs" "$own/ovs-cni/entrypoint.sh"
    echo "$OVS_CNI_IMAGE_2018 $BUSYBOX,$layers/ovs-cni-2018 /entrypoint.sh"

    layer "$layers/kubectl-2018" bin "$KUBERNETES/kubectl"
    for name in virt-api virt-controller virt-handler; do
        program=$own/virt/$name
        [[ -e $program ]] || program=$own/virt/virt-idle
        layer "$layers/$name-2018" . "$program=$name"
        echo "docker.io/kubevirt/$name:$KUBEVIRT_2018 $BUSYBOX,$layers/kubectl-2018,$layers/$name-2018 /$name"
    done
}
