# The Go components, each built alone from its own go.mod in modules/.

# go_component VARIABLE NAME [SETTING=VALUE...] [-- GO-BUILD-FLAG...]: sets
# VARIABLE to a directory with the component's binaries.
go_component() {
    local variable=$1 name=$2 environment=() key
    shift 2
    while [[ $# -gt 0 && $1 != -- ]]; do
        environment+=("$1")
        shift
    done
    [[ $# -eq 0 ]] || shift
    key=$(hash_of "$(hash_of_tree "$RIG_DIR/modules/$name")" "$(go version)" "${environment[*]}" "$*")
    artefact "$variable" "go-$name" "$key" go_build "$name" "${environment[*]}" "$@"
}

# go_build NAME ENVIRONMENT GO-BUILD-FLAG... DIRECTORY
go_build() {
    local module=$RIG_DIR/modules/$1 settings directory=${*: -1} packages=tool
    local flags=("${@:3:$#-3}")
    read -ra settings <<<"$2"
    [[ ! -e $module/main.go ]] || packages=.
    env CGO_ENABLED=0 "${settings[@]}" nice -n 5 \
        go -C "$module" build -trimpath "${flags[@]}" -o "$directory/" "$packages"
}

# kubernetes_component VARIABLE VERSION: all of Kubernetes' own binaries.
# kubeadm reads the version that is linked into each of them.
kubernetes_component() {
    local version=$2 minor package=k8s.io/component-base/version
    if is_2018 "$version"; then
        kubernetes_2018_component "$1"
        return
    fi
    minor=$(minor_of "$version")
    go_component "$1" "kubernetes-1.$minor" -- -ldflags "-s -w \
        -X $package.gitVersion=$version -X $package.gitMajor=1 -X $package.gitMinor=$minor \
        -X $package.gitTreeState=clean -X $package.gitCommit=0000000000000000000000000000000000000000 \
        -X $package.buildDate=1970-01-01T00:00:00Z"
}

# flanneld needs cgo, and runs in an image whose C library is not this machine's.
flannel_component() {
    go_component "$1" flannel CGO_ENABLED=1 -- -tags osusergo,netgo \
        -ldflags "-s -w -extldflags -static -X github.com/flannel-io/flannel/pkg/version.Version=v0.28.10"
}

# containerd_component VARIABLE: a newer one than Debian's.
containerd_component() {
    go_component "$1" containerd-2 -- -tags no_btrfs \
        -ldflags "-s -w -X github.com/containerd/containerd/v2/version.Version=$CONTAINERD_VERSION"
}

plain_component() { go_component "$1" "$2" -- -ldflags '-s -w'; }

# The program of the pause image, from Kubernetes' own source.
pause_component() { artefact "$1" pause "$(hash_of "$(declare -f build_pause)")" build_pause; }

build_pause() {
    local source
    source=$(module_directory kubernetes-1.34 k8s.io/kubernetes)
    gcc -Os -static -DVERSION=rig -o "$1/pause" "$source/build/pause/linux/pause.c"
}
