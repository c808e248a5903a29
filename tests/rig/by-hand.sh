#!/bin/bash
# by-hand.sh NAME: what a careful expert would script with kubectl, apt-get and
# ovs-vsctl to get, on a fresh node of the rig, what kvnet sets up: flannel,
# Multus, Open vSwitch with a bridge, ovs-cni, the networks of the default
# profile, and the pods and checks of kvnet's verification. It uses the
# components' own manifests, unchanged, does side by side what can go side by
# side, waits for conditions instead of sleeping, and ends at the first error.
# Prints the seconds it took.
set -euo pipefail

if [[ $# -ne 1 || $1 == -* ]]; then
    echo "usage: by-hand.sh NAME" >&2
    exit 2
fi
rig=$(dirname "$(readlink -f "$0")")/rig
node=$1
mirror=$("$rig" manifests)

"$rig" copy "$node" "$mirror" /root/manifests
"$rig" exec "$node" bash -s "/root/manifests/raw.githubusercontent.com" <<'IN_THE_NODE'
set -euo pipefail
cd "$1"
started=$(date +%s%N)

elapsed() {
    local milliseconds=$((($(date +%s%N) - started) / 1000000))
    printf '%d.%03d s' $((milliseconds / 1000)) $((milliseconds % 1000))
}

step() { echo "$(elapsed): $*"; }

# wait_for COMMAND...: until it succeeds.
wait_for() {
    local limit=$((SECONDS + 180))
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < limit)) || { echo "waited in vain for: $*" >&2; return 1; }
        sleep 0.2
    done
}

open_vswitch() {
    if ! dpkg -s openvswitch-switch >/dev/null 2>&1; then
        DEBIAN_FRONTEND=noninteractive apt-get install -y openvswitch-switch </dev/null >/root/apt.log 2>&1 ||
            { cat /root/apt.log >&2; return 1; }
    fi
    ovs-vsctl --timeout=10 --may-exist add-br blue -- set bridge blue datapath_type=netdev
}

network() { # NAME CONFIGURATION
    kubectl apply -f - <<EOF
apiVersion: k8s.cni.cncf.io/v1
kind: NetworkAttachmentDefinition
metadata:
  name: $1
spec:
  config: '$2'
EOF
}

networks() {
    network ovs-blue '{"cniVersion": "0.4.0", "type": "ovs", "bridge": "blue",
        "ipam": {"type": "host-local", "subnet": "10.20.0.0/24"}}'
    network ovs-blue100 '{"cniVersion": "0.4.0", "type": "ovs", "bridge": "blue", "vlan": 100,
        "ipam": {"type": "host-local", "subnet": "10.20.100.0/24"}}'
    network ovs-blue-l2 '{"cniVersion": "0.4.0", "type": "ovs", "bridge": "blue"}'
    network flannel-network '{"cniVersion": "0.3.1", "type": "flannel", "delegate": {"isDefaultGateway": false}}'
    network a-bridge-network '{"cniVersion": "0.3.1", "name": "a-bridge-network", "type": "bridge", "bridge": "br0",
        "isGateway": true, "ipam": {"type": "host-local", "subnet": "192.168.5.0/24"}}'
}

pod() { # NAME NETWORK
    cat <<EOF
---
apiVersion: v1
kind: Pod
metadata:
  name: $1
  annotations:
    k8s.v1.cni.cncf.io/networks: $2
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.37.0
    command: [sleep, infinity]
EOF
}

net1_address() { kubectl exec "$1" -- ip -4 -o address show dev net1 | awk '{ sub("/.*", "", $4); print $4 }'; }

# has_address POD START: net1 has an address that starts so; with no START it has none.
has_address() {
    local address
    address=$(net1_address "$1")
    [[ -n ${2:-} && $address == "$2"* || -z ${2:-} && -z $address ]] || { echo "$1 has '$address'" >&2; return 1; }
}

# has_port POD TAG: its port on blue has that VLAN.
has_port() {
    local uid tag
    uid=$(kubectl get pod "$1" -o jsonpath='{.metadata.uid}')
    tag=$(ovs-vsctl --bare --columns=tag find Port external_ids:contPodUid="$uid" external_ids:contIface=net1)
    [[ $tag == "$2" ]] || { echo "the port of $1 has the tag '$tag'" >&2; return 1; }
}

has_no_tag() { has_port "$1" ''; }

reaches() { kubectl exec "$1" -- ping -c 1 -W 5 -I net1 "$(net1_address "$2")"; }

does_not_reach() { ! kubectl exec "$1" -- arping -I net1 -c 1 -w 1 "$(net1_address "$2")"; }

# together COMMAND-LINE...: all at the same time; fails when one fails.
together() {
    local line job jobs=()
    for line in "$@"; do
        $line >/dev/null &
        jobs+=("$!")
    done
    for job in "${jobs[@]}"; do wait "$job"; done
}

open_vswitch &
open_vswitch_job=$!

taint=node-role.kubernetes.io/control-plane
if kubectl get nodes -o jsonpath='{.items[*].spec.taints[*].key}' | grep -qw "$taint"; then
    kubectl taint nodes --all "$taint:NoSchedule-"
fi
kubectl apply -f flannel-io/flannel/v0.28.10/Documentation/kube-flannel.yml \
    -f k8snetworkplumbingwg/multus-cni/v4.3.0/deployments/multus-daemonset-thick.yml
kubectl wait --for=condition=Established crd/network-attachment-definitions.k8s.cni.cncf.io --timeout=60s
networks
step 'flannel, Multus and the networks are applied'

# Without a running Open vSwitch the marker would crash, and wait before its next try.
wait "$open_vswitch_job"
step 'Open vSwitch has its bridge'
kubectl apply -f k8snetworkplumbingwg/ovs-cni/v0.39.0/examples/ovs-cni.yml

# flannel's readiness probe comes seconds after it has done its work; this file is its work.
wait_for test -s /run/flannel/subnet.env
kubectl -n kube-system rollout status daemonset/kube-multus-ds --timeout=180s
kubectl wait --for=condition=Ready nodes --all --timeout=180s
step 'the node is Ready'
kubectl -n kube-system rollout status daemonset/ovs-cni-amd64 --timeout=180s
wait_for test -e /etc/cni/net.d/00-multus.conf
step 'ovs-cni and Multus are in place'

{
    pod walker a-bridge-network && pod flat flannel-network && pod bare ovs-blue-l2
    pod blue-1 ovs-blue && pod blue-2 ovs-blue && pod tagged-1 ovs-blue100 && pod tagged-2 ovs-blue100
} | kubectl apply -f -
kubectl wait --for=condition=Ready pod --all --timeout=180s
step 'the pods are Ready'
together 'has_address walker 192.168.5.' 'has_address flat 10.244.' 'has_address bare' \
    'has_address blue-1 10.20.0.' 'has_address blue-2 10.20.0.' \
    'has_address tagged-1 10.20.100.' 'has_address tagged-2 10.20.100.' \
    'has_no_tag bare' 'has_no_tag blue-1' 'has_no_tag blue-2' 'has_port tagged-1 100' 'has_port tagged-2 100' \
    'reaches blue-1 blue-2' 'reaches tagged-1 tagged-2' 'does_not_reach blue-1 tagged-1'
step 'done'
elapsed
echo
IN_THE_NODE
