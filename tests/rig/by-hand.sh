#!/bin/bash
# by-hand.sh NAME: what a careful expert would script with kubectl, apt-get and
# ovs-vsctl to get, on a fresh node of the rig, what kvnet sets up: flannel,
# Multus, Open vSwitch with a bridge, ovs-cni, networks, and two pods that
# reach each other on their second interface. It uses the components' own
# manifests, unchanged, does side by side what can go side by side, waits for
# conditions instead of sleeping, and ends at the first error. Prints the
# seconds it took.
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
}

pod() { # NAME
    cat <<EOF
---
apiVersion: v1
kind: Pod
metadata:
  name: $1
  annotations:
    k8s.v1.cni.cncf.io/networks: ovs-blue
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: busybox:1.37.0
    command: [sleep, infinity]
EOF
}

net1_address() { kubectl exec "$1" -- ip -4 -o address show dev net1 | awk '{ sub("/.*", "", $4); print $4 }'; }

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

{ pod blue-1 && pod blue-2; } | kubectl apply -f -
kubectl wait --for=condition=Ready pod/blue-1 pod/blue-2 --timeout=180s
step 'the pods are Ready'
kubectl exec blue-1 -- ping -c 3 -i 0.2 -W 2 -I net1 "$(net1_address blue-2)"
step 'done'
elapsed
echo
IN_THE_NODE
