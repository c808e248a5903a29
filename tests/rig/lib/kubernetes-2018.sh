# Kubernetes v1.11.3, of September 2018, built with today's Go out of the modules alone. There was no go.mod in it: its
# vendor folder is filled from modules/kubernetes-1.11/vendor.list, and Go looks for packages as it did then (GOPATH).
# What is cut out, put over it, and changed for today's Go is in cut_2018, in modules/kubernetes-1.11/over, and in mend_2018.

readonly KUBERNETES_2018=v1.11.3
readonly SOURCES_2018=$RIG_DIR/modules/kubernetes-1.11
readonly PROGRAMS_2018=(kube-apiserver kube-controller-manager kube-scheduler kube-proxy kubeadm kubectl kubelet)
# The checksum database does not know this module of that day; vendor.list does.
readonly UNKNOWN_2018=github.com/evanphx/json-patch

# kubernetes_2018_component VARIABLE
kubernetes_2018_component() {
    artefact "$1" go-kubernetes-1.11 \
        "$(hash_of "$(hash_of_tree "$SOURCES_2018")" "$(go version)" "${PROGRAMS_2018[*]}" \
            "$(declare -f build_kubernetes_2018 lay_out_2018 take_2018 cut_2018 mend_2018 generate_2018 go_2018)")" \
        build_kubernetes_2018
}

# build_kubernetes_2018 DIRECTORY
build_kubernetes_2018() {
    local work=$RIG_CACHE/kubernetes-2018
    local tree=$work/src/k8s.io/kubernetes
    remove_tree "$work"
    lay_out_2018 "$work" "$tree"
    (
        cd "$tree"
        export GO111MODULE=off GOPATH=$work GOFLAGS=-buildvcs=false
        cut_2018
        mend_2018
        CGO_ENABLED=0 generate_2018 "$work"
        go_2018 "$1" "${PROGRAMS_2018[@]}"
    )
    remove_tree "$work"
}

# lay_out_2018 WORK TREE: the sources, and the packages that they need.
lay_out_2018() {
    local work=$1 tree=$2 path module sum _
    mkdir -p "$work/empty"
    grep -v '^#' "$SOURCES_2018/vendor.list" >"$work/list"
    # shellcheck disable=SC2046
    (cd "$work/empty" && GO111MODULE=on GOFLAGS=-mod=mod GONOSUMDB=$UNKNOWN_2018 \
        go mod download -json $(cut -d' ' -f2 "$work/list")) >"$work/modules.json"
    while read -r path module sum _; do
        take_2018 "$path" "$module" "$sum"
    done <"$work/list"
    cp -r "$SOURCES_2018/over/." "$tree"
}

# take_2018 IMPORT-PATH MODULE@VERSION CHECKSUM: puts one module into its place, inside of lay_out_2018.
take_2018() {
    local place=$tree/vendor/$1 record source link
    record=$(sed -n "\\|\"Path\": \"${2%@*}\"|,/^}/p" "$work/modules.json" | sed -n "/\"Version\": \"${2#*@}\"/,/^}/p")
    [[ $record == *"\"Sum\": \"$3\""* ]] || die "$2 is not what it was: $record"
    source=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$record")
    [[ $1 != k8s.io/kubernetes ]] || place=$tree
    mkdir -p "$(dirname "$place")"
    cp -r --no-preserve=mode,ownership "$source" "$place"
    [[ $1 == k8s.io/kubernetes ]] || return 0
    rm -rf "$tree/vendor"
    mkdir -p "$tree/vendor/k8s.io"
    for link in "$tree"/staging/src/k8s.io/*; do
        ln -s "../../staging/src/k8s.io/$(basename "$link")" "$tree/vendor/k8s.io/"
    done
}

# Clouds and other people's storage: thirty modules that no test has a use for.
cut_2018() {
    local storage='aws_ebs|azure_dd|azure_file|cinder|flocker|gce_pd|glusterfs|photon_pd|portworx|quobyte|scaleio|storageos|vsphere_volume'
    sed -i -E "/\"k8s.io\/kubernetes\/pkg\/volume\/($storage)\"/d; /\<($storage)\.ProbeVolumePlugins/d" \
        cmd/{kube-controller-manager,kubelet}/app/plugins.go
    sed -i '/cloudprovider\/providers"/d' cmd/{kube-controller-manager,kubelet}/app/plugins.go pkg/kubeapiserver/options/plugins.go
    sed -i -E '/pkg\/credentialprovider\/(aws|azure|gcp|rancher)"/d' cmd/kubelet/app/plugins.go
    sed -i -E -e '/pkg\/credentialprovider\/(azure|gcp)"/d' -e '/"(google-json-key|azure-container-registry-config)"/d' \
        -e 's/global := pflag.CommandLine/_ = pflag.CommandLine/' cmd/kubelet/app/options/globalflags.go
    sed -i '/client-go\/plugin\/pkg\/client\/auth"/d' cmd/kubectl/kubectl.go pkg/kubeapiserver/authenticator/config.go
    find pkg/cloudprovider/providers/gce plugin/pkg/admission/storage/persistentvolume/label -name '*.go' \
        ! -path "pkg/cloudprovider/providers/gce/gce.go" ! -name label.go -delete
}

# For today's Go, and for a package that moved.
mend_2018() {
    # The HTTP/2 of that day does not find back to an API server that was started again.
    sed -i 's/os.Getenv("DISABLE_HTTP2"); len/os.Getenv("DISABLE_HTTP2") + "1"; len/; /HTTP2 has been explicitly disabled/d' \
        staging/src/k8s.io/apimachinery/pkg/util/net/http.go
    # An alphabet must not have a letter twice any more.
    sed -i 's/0123456789__")/0123456789_-")/' vendor/github.com/ugorji/go/codec/gen.go
    # An empty value lies where the zero value lies, and was taken for null: custom resources with "" were refused.
    sed -i 's/if data == nil || reflect.DeepEqual(reflect.Zero(.*$/if data == nil {/' vendor/github.com/go-openapi/validate/type.go
    sed -i 's,^package inotify //.*,package inotify,' vendor/golang.org/x/exp/inotify/inotify_linux.go
}

# generate_2018 WORK: what the release's own build makes before it compiles.
generate_2018() {
    local packages
    go build -o "$1/openapi-gen" ./vendor/k8s.io/code-generator/cmd/openapi-gen
    packages=$(grep -rl --include='*.go' --exclude='*_test.go' '+k8s:openapi-gen=' pkg staging/src/k8s.io | xargs -n1 dirname |
        LC_ALL=C sort -u | grep -v 'code-generator\|sample-' |
        sed 's,^staging/src/,k8s.io/kubernetes/vendor/,; s,^pkg/,k8s.io/kubernetes/pkg/,' | paste -sd,)
    "$1/openapi-gen" --input-dirs "$packages" --output-package k8s.io/kubernetes/pkg/generated/openapi \
        --output-file-base zz_generated.openapi --go-header-file hack/boilerplate/boilerplate.go.txt
}

# go_2018 DIRECTORY PROGRAM...: kubelet alone needs cgo.
go_2018() {
    local directory=$1 program flags=-s package
    shift
    flags+=' -w'
    for package in k8s.io/kubernetes/pkg/version k8s.io/kubernetes/vendor/k8s.io/client-go/pkg/version; do
        flags+=" -X $package.gitVersion=$KUBERNETES_2018 -X $package.gitMajor=1 -X $package.gitMinor=11"
        flags+=" -X $package.gitTreeState=clean -X $package.gitCommit=0000000000000000000000000000000000000000"
        flags+=" -X $package.buildDate=1970-01-01T00:00:00Z"
    done
    for program in "$@"; do
        CGO_ENABLED=$([[ $program == kubelet ]] && echo 1 || echo 0) \
            nice -n 5 go build -trimpath -ldflags "$flags" -o "$directory/$program" "./cmd/$program"
    done
}
