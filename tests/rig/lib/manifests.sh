# The components' own manifests, byte for byte as upstream released them,
# laid out as a mirror: their public addresses without the scheme.

readonly RAW=raw.githubusercontent.com
readonly MULTUS_MODULE=gopkg.in/k8snetworkplumbingwg/multus-cni.v4

# Each line: component in modules/, module, file in the module, place in the mirror.
mirrored_manifests() {
    cat <<EOF
flannel github.com/flannel-io/flannel Documentation/kube-flannel.yml $RAW/flannel-io/flannel/v0.28.10/Documentation/kube-flannel.yml
multus $MULTUS_MODULE deployments/multus-daemonset.yml $RAW/k8snetworkplumbingwg/multus-cni/v4.3.0/deployments/multus-daemonset.yml
multus $MULTUS_MODULE deployments/multus-daemonset-thick.yml $RAW/k8snetworkplumbingwg/multus-cni/v4.3.0/deployments/multus-daemonset-thick.yml
ovs-cni github.com/k8snetworkplumbingwg/ovs-cni examples/ovs-cni.yml $RAW/k8snetworkplumbingwg/ovs-cni/v0.39.0/examples/ovs-cni.yml
EOF
}

fetch_manifests() {
    local component module file place source
    while read -r component module file place; do
        [[ ! -e $RIG_CACHE/manifests/$place ]] || continue
        source=$(module_directory "$component" "$module")
        install -D --mode=644 "$source/$file" "$RIG_CACHE/manifests/$place.part"
        mv "$RIG_CACHE/manifests/$place.part" "$RIG_CACHE/manifests/$place"
    done < <(mirrored_manifests)
}

# module_directory COMPONENT MODULE: downloads that one module, at the version
# of the component's go.mod, and prints where it is.
module_directory() {
    go -C "$RIG_DIR/modules/$1" mod download "$2" >&2
    go -C "$RIG_DIR/modules/$1" list -m -f '{{.Dir}}' "$2"
}
