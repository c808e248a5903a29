# Settings and helpers that every part of the rig uses.

readonly RIG_CACHE=${KVNET_RIG_CACHE:-/var/cache/kvnet-rig}
readonly KUBERNETES_VERSIONS=(v1.37.2 v1.36.3 v1.34.4 v1.32.2 v1.11.3)
readonly DEFAULT_KUBERNETES=v1.37.2
# The one that the sandbox's API server is held to.
readonly PARITY_KUBERNETES=v1.34.4
readonly CONTAINERD_VERSION=v2.4.2
readonly MIRROR_PORT=8099

say() { echo "rig: $*" >&2; }

die() {
    say "error: $*"
    exit 1
}

usage_error() {
    say "error: $*"
    say "'rig --help' lists the commands"
    exit 2
}

# option_value --option VALUE...: prints VALUE.
option_value() {
    [[ $# -ge 2 ]] || usage_error "$1 needs a value"
    echo "$2"
}

need_root() { [[ $EUID -eq 0 ]] || die "this command needs root"; }

check_kubernetes_version() {
    [[ " ${KUBERNETES_VERSIONS[*]} " == *" $1 "* ]] ||
        usage_error "Kubernetes '$1' cannot be built; these can: ${KUBERNETES_VERSIONS[*]}"
}

# containerd_of KUBERNETES: the release of containerd that a node of that version gets.
containerd_of() { if (($(minor_of "$1") < 36)); then echo 1; else echo 2; fi; }

# minor_of VERSION: 37 of v1.37.2.
minor_of() { cut -d. -f2 <<<"$1"; }

# with_lock NAME COMMAND...: runs COMMAND while no other rig holds that lock.
with_lock() {
    local name=$1 lock
    shift
    mkdir -p "$RIG_CACHE"
    exec {lock}>"$RIG_CACHE/$name.lock"
    if ! flock --nonblock "$lock"; then
        say "waiting for another rig ($name)"
        flock "$lock"
    fi
    "$@"
    exec {lock}>&-
}

# hash_of TEXT...: a short hash of all the arguments.
hash_of() { printf '%s\0' "$@" | sha256sum | cut -c1-16; }

# hash_of_tree DIRECTORY: a short hash of the files, their names and their modes.
hash_of_tree() {
    (cd "$1" && find . -type f -printf '%p %m\n' -exec sha256sum {} + | LC_ALL=C sort) |
        sha256sum | cut -c1-16
}

# artefact VARIABLE NAME KEY COMMAND...: sets VARIABLE to a directory of the
# cache that COMMAND filled; it is called, with that directory as its last
# argument, only when there is none for this key yet.
artefact() {
    local -n result=$1
    local name=$2 key=$3 started=$SECONDS
    shift 3
    result=$RIG_CACHE/artefacts/$name@$key
    if [[ -d $result ]]; then
        touch "$result"
        return
    fi
    say "building $name"
    remove_tree "$result.part"
    mkdir -p "$result.part"
    "$@" "$result.part"
    mv "$result.part" "$result"
    say "built $name in $((SECONDS - started)) s"
}
# Artefacts that nothing has asked for in a week, unless a node may be using them.
remove_old_artefacts() {
    local old
    [[ -z $(node_names) ]] || return 0
    find "$RIG_CACHE/artefacts" -mindepth 1 -maxdepth 1 -mtime +7 | while read -r old; do
        say "removing $(basename "$old"), unused for a week"
        remove_tree "$old"
    done
}

# Never crosses into another file system, whatever is mounted below.
remove_tree() { rm -rf --one-file-system -- "$1"; }
