# Nodes: each is a container with its own systemd, in its own network
# namespace. All that belongs to a node follows from its name, so that a node
# whose start was interrupted can still be removed.

readonly NODES=$RIG_CACHE/nodes
readonly CGROUPS=/sys/fs/cgroup
# Next to a group each single process of this machine counts 1024: with as much
# for a whole node, a few compilers would starve its API server.
readonly NODE_CPU_SHARES=10240

check_node_name() {
    [[ -n $1 ]] || usage_error "give the name of a node"
    [[ $1 =~ ^[a-z0-9]([a-z0-9-]{0,28}[a-z0-9])?$ ]] ||
        usage_error "'$1' is not a node name: up to 30 lower case letters, digits and hyphens"
}

check_node_address() {
    [[ -z $1 || $1 =~ ^10\.89\.[0-9]{1,3}\.[0-9]{1,3}$ && $1 != *.1 ]] ||
        usage_error "'$1' is not an address 10.89.N.N (10.89.N.1 is the router's)"
}

need_node() {
    check_node_name "$1"
    need_root
    node_runs "$1" || die "there is no running node '$1' ('rig list' lists them)"
}

node_directory() { echo "$NODES/$1"; }
node_root() { echo "$NODES/$1/root"; }
node_namespace() { echo "kvnet-rig-$1"; }
# Where the other end of the node's cable is.
node_uplink() { echo "kvnet-rig-$1-up"; }
node_address() { cat "$NODES/$1/address"; }

node_names() {
    [[ ! -d $NODES ]] || find "$NODES" -mindepth 1 -maxdepth 1 -type d -printf '%f\n' | sort
}

node_list() {
    local name state
    for name in $(node_names); do
        state=stopped
        ! node_runs "$name" || state=running
        printf '%s\t%s\t%s\t%s\n' "$name" "$state" \
            "$(cat "$NODES/$name/kubernetes" 2>/dev/null)" "$(cat "$NODES/$name/address" 2>/dev/null)"
    done
}

node_start() {
    local name=$1 version=$2 containerd=$3 kubevirts=$4 address=$5 init=$6 started=$SECONDS
    [[ ! -e $NODES/$name ]] || die "there is a node '$name' already ('rig stop $name' removes it)"
    with_lock build build_and_create "$name" "$version" "$containerd" "$kubevirts" "$address"
    # Half a node is of no use to anyone.
    # shellcheck disable=SC2064
    trap "say 'the start of $name failed'; node_stop '$name'" EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
    node_network_up "$name"
    node_boot "$name"
    say "$name has booted ($((SECONDS - started)) s)"
    if [[ $init == yes ]]; then
        node_init "$name"
        say "$name has a control plane ($((SECONDS - started)) s)"
    fi
    trap - EXIT INT TERM
}

# Under one lock, so that nothing removes the parts before the node uses them.
build_and_create() {
    build_all "$2" "$3" "$4"
    node_create "$1" "$2" "$5"
}

# node_create NAME VERSION ADDRESS: lays out the node's files.
node_create() {
    local name=$1 version=$2 address=${3:-$(free_address)} directory
    ! cat "$NODES"/*/address 2>/dev/null | grep -qxF "$address" || die "another node has the address $address"
    directory=$(node_directory "$name")
    mkdir -p "$directory"/{root,upper,work}
    echo "$address" >"$directory/address"
    echo "$version" >"$directory/kubernetes"
    copy_image_store "$IMAGE_STORE" "$directory/containerd"
    mount -t overlay "kvnet-rig-$name" "$directory/root" \
        -o "lowerdir=${CONTAINERD_FILES:+$CONTAINERD_FILES:}$NODE_FILES:$DEBIAN_NODE,upperdir=$directory/upper,workdir=$directory/work"
    node_configure "$name" "$directory/root"
}

# free_address: the first that no node has.
free_address() {
    local number taken
    taken=$(cat "$NODES"/*/address 2>/dev/null || true)
    for number in {0..250}; do
        if ! grep -q "^10\.89\.$number\." <<<"$taken"; then
            echo "10.89.$number.10"
            return
        fi
    done
    die "no address is free"
}

# Layers and blobs never change once they are written, so hard links will do;
# the two databases do change.
copy_image_store() {
    local database
    cp -al "$1" "$2"
    for database in io.containerd.metadata.v1.bolt/meta.db io.containerd.snapshotter.v1.overlayfs/metadata.db; do
        cp --remove-destination "$1/$database" "$2/$database"
    done
}

node_configure() {
    local name=$1 root=$2 address gateway
    address=$(node_address "$name")
    gateway=${address%.*}.1
    echo "$name" >"$root/etc/hostname"
    printf '127.0.0.1 localhost\n%s %s\n' "$address" "$name" >"$root/etc/hosts"
    # Nobody answers there; CoreDNS only insists that there be a name server.
    echo "nameserver $gateway" >"$root/etc/resolv.conf"
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
}

# node_network_up NAME: the node's network namespace and one cable into it.
# The cable's other end is a router without any other way out: it says so at
# once, where a lost packet would cost the sender half a minute.
node_network_up() {
    local name=$1 namespace uplink address
    namespace=$(node_namespace "$name") uplink=$(node_uplink "$name") address=$(node_address "$name")
    ip netns add "$namespace"
    ip netns add "$uplink"
    ip -n "$uplink" link add uplink type veth peer name eth0 netns "$namespace"
    ip -n "$uplink" link set lo up
    ip -n "$uplink" address add "${address%.*}.1/24" dev uplink
    ip -n "$uplink" link set uplink up
    nsenter --net="/run/netns/$uplink" sysctl --quiet --write net.ipv4.ip_forward=1
    ip -n "$namespace" link set lo up
    ip -n "$namespace" address add "$address/24" dev eth0
    ip -n "$namespace" link set eth0 up
    ip -n "$namespace" route add default via "${address%.*}.1"
    nsenter --net="/run/netns/$namespace" sysctl --quiet --write net.ipv4.ip_forward=1
    [[ ! -d /proc/sys/net/bridge ]] ||
        nsenter --net="/run/netns/$namespace" sysctl --quiet --write net.bridge.bridge-nf-call-iptables=1
}

node_network_down() {
    local namespace
    for namespace in $(node_namespace "$1") $(node_uplink "$1"); do
        [[ ! -e /run/netns/$namespace ]] || ip netns delete "$namespace"
    done
}

# node_boot NAME: starts the node's systemd and waits for containerd.
node_boot() {
    local name=$1 directory
    directory=$(node_directory "$name")
    (
        exec </dev/null >>"$directory/console.log" 2>&1
        echo "$BASHPID" >"$directory/pid"
        enter_cgroups "$name"
        # Writable /proc/sys and /sys for the kubelet and the CNI plugins; no
        # seccomp filter, or runc cannot make a session keyring.
        export SYSTEMD_NSPAWN_API_VFS_WRITABLE=yes SYSTEMD_SECCOMP=0
        # shellcheck disable=SC2046
        exec setsid systemd-nspawn --quiet --register=no --keep-unit --boot --console=pipe --private-users=no \
            --directory="$directory/root" --machine="$name" \
            --network-namespace-path="/run/netns/$(node_namespace "$name")" \
            --capability=all --system-call-filter='@keyring @mount @privileged bpf perf_event_open' \
            --resolv-conf=off --timezone=off --link-journal=no \
            --bind="$directory/containerd:/var/lib/containerd" $(device_options)
    ) &
    wait_until 60 "$name to boot" node_is_up "$name"
}

device_options() {
    local device
    for device in /dev/net/tun /dev/kmsg /dev/fuse /dev/kvm; do
        [[ ! -e $device ]] || echo "--bind=$device"
    done
}

# enter_cgroups NAME: moves the calling shell to the node's own cgroups.
enter_cgroups() {
    local hierarchy group
    for hierarchy in "$CGROUPS"/*/; do
        [[ -e $hierarchy/cgroup.procs ]] || continue
        group=$hierarchy/$(node_namespace "$1")
        mkdir -p "$group"
        if [[ -e $group/cpuset.cpus && -z $(<"$group/cpuset.cpus") ]]; then
            cat "$hierarchy/cpuset.cpus" >"$group/cpuset.cpus"
            cat "$hierarchy/cpuset.mems" >"$group/cpuset.mems"
        fi
        [[ ! -e $group/cpu.shares ]] || echo "$NODE_CPU_SHARES" >"$group/cpu.shares"
        echo "$BASHPID" >"$group/cgroup.procs"
    done
}

remove_cgroups() {
    local hierarchy
    for hierarchy in "$CGROUPS"/*/; do
        [[ ! -d $hierarchy/$(node_namespace "$1") ]] ||
            find "$hierarchy/$(node_namespace "$1")" -depth -type d -exec rmdir {} +
    done
}

# wait_until SECONDS WHAT COMMAND...: until COMMAND succeeds.
wait_until() {
    local limit=$((SECONDS + $1)) what=$2
    shift 2
    until "$@"; do
        ((SECONDS < limit)) || die "waited in vain for $what"
        sleep 0.1
    done
}

# The process id of the systemd-nspawn that runs the node, if it still does.
node_supervisor() {
    local pid
    pid=$(cat "$NODES/$1/pid" 2>/dev/null) || return
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -q "systemd-nspawn.* --machine=$1 " || return
    echo "$pid"
}

# The process id of the node's systemd.
node_leader() {
    local supervisor
    supervisor=$(node_supervisor "$1") || return
    pgrep --oldest --parent "$supervisor"
}

node_runs() { node_leader "$1" >/dev/null; }

node_is_up() {
    node_exec "$1" systemctl is-active --quiet containerd.service 2>/dev/null
}

node_exec() {
    local name=$1 leader
    shift
    leader=$(node_leader "$name") || return
    nsenter --target "$leader" --mount --uts --ipc --net --pid --cgroup --root --wd \
        env -i HOME=/root USER=root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
}

node_init() {
    local name=$1 version configuration=kubeadm.yaml options=()
    version=$(cat "$NODES/$name/kubernetes")
    if is_2018 "$version"; then
        configuration=kubeadm-2018.yaml
        options=(--ignore-preflight-errors=SystemVerification,Hostname,Swap,NumCPU)
    fi
    sed "s/@NAME@/$name/; s/@ADDRESS@/$(node_address "$name")/; s/@KUBERNETES@/$version/" \
        "$RIG_DIR/node/$configuration" | node_exec "$name" tee /root/kubeadm.yaml >/dev/null
    if ! node_exec "$name" kubeadm init --config /root/kubeadm.yaml "${options[@]}" >"$NODES/$name/kubeadm.log" 2>&1; then
        cat "$NODES/$name/kubeadm.log" >&2
        return 1
    fi
    node_exec "$name" install -D --mode=600 /etc/kubernetes/admin.conf /root/.kube/config
    # Until then pods cannot reach the API server, and some give up at once.
    wait_until 60 "kube-proxy on $name" node_has_services "$name"
}

node_has_services() { node_exec "$1" iptables-save --table nat 2>/dev/null | grep -q 10.96.0.1/32; }

node_copy() {
    local name=$1 source=$2 destination=$3
    [[ -e $source ]] || die "there is no '$source'"
    if [[ -d $source ]]; then
        tar --create --directory="$source" . |
            node_exec "$name" sh -euc 'mkdir -p "$1" && tar --extract --directory="$1"' copy "$destination"
        return
    fi
    [[ $destination != */ ]] || destination+=$(basename "$source")
    node_exec "$name" sh -euc 'cat >"$1" && chmod "$2" "$1"' \
        copy "$destination" "$(stat --format=%a "$source")" <"$source"
}

node_reboot() {
    local name=$1 mirrored=no
    [[ ! -e $NODES/$name/mirror.pid ]] || mirrored=yes
    node_exec "$name" systemctl reboot || true
    wait_until 120 "$name to shut down" node_is_down "$name"
    # A machine's interfaces and firewall do not outlive a reboot either.
    mirror_stop "$name"
    node_network_down "$name"
    remove_cgroups "$name"
    node_network_up "$name"
    node_boot "$name"
    [[ $mirrored == no ]] || node_mirror "$name"
    ! node_exec "$name" test -e /etc/kubernetes/admin.conf ||
        wait_until 120 "the API server of $name" node_serves "$name"
}

node_is_down() { ! node_supervisor "$1" >/dev/null; }

node_serves() { node_exec "$1" kubectl --kubeconfig /etc/kubernetes/admin.conf get --raw /healthz >/dev/null 2>&1; }

# node_mirror NAME [FOLDER]: serves the manifests, or a folder laid out like them, in the node's network namespace.
node_mirror() {
    local name=$1 served=${2:-$RIG_CACHE/manifests} directory
    directory=$(node_directory "$name")
    mirror_stop "$name"
    [[ $# -gt 1 ]] || with_lock manifests fetch_manifests
    echo "$served" >"$directory/mirror.folder"
    (
        exec </dev/null >>"$directory/mirror.log" 2>&1
        echo "$BASHPID" >"$directory/mirror.pid"
        exec setsid nsenter --net="/run/netns/$(node_namespace "$name")" \
            python3 -m http.server --bind 127.0.0.1 --directory "$served" "$MIRROR_PORT"
    ) &
    wait_until 60 "the mirror of $name" mirror_answers "$name"
    echo "http://127.0.0.1:$MIRROR_PORT"
}

mirror_runs() {
    local pid
    pid=$(cat "$NODES/$1/mirror.pid" 2>/dev/null) || return
    tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline" | grep -qF "http.server --bind 127.0.0.1 --directory $(cat "$NODES/$1/mirror.folder" 2>/dev/null)"
}

mirror_answers() {
    mirror_runs "$1" && nsenter --net="/run/netns/$(node_namespace "$1")" \
        bash -c "exec 3<>/dev/tcp/127.0.0.1/$MIRROR_PORT" 2>/dev/null
}

mirror_stop() {
    if mirror_runs "$1"; then
        kill "$(cat "$NODES/$1/mirror.pid")"
        wait_until 10 "the mirror of $1 to end" mirror_is_down "$1"
    fi
    rm -f "$NODES/$1/mirror.pid"
}

mirror_is_down() { ! mirror_runs "$1"; }

# node_stop NAME: works on any part of a node that there is.
node_stop() {
    local name=$1 directory leader supervisor
    directory=$(node_directory "$name")
    mirror_stop "$name"
    # With its first process the whole container ends.
    ! leader=$(node_leader "$name") || kill -KILL "$leader" 2>/dev/null || true
    if supervisor=$(node_supervisor "$name"); then
        wait_until 5 "$name to end" node_is_down "$name" || kill -KILL "$supervisor"
    fi
    wait_until 30 "the cgroups of $name" remove_cgroups "$name" 2>/dev/null
    node_network_down "$name"
    while mountpoint --quiet "$directory/root"; do umount --recursive "$directory/root"; done
    remove_tree "$directory"
    rm -rf "/run/systemd/nspawn/propagate/$name"
}
