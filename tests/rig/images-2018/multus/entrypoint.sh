#!/bin/sh
# What the image of Multus v3.1 did when it started: its plugin, its way to the API server, and its configuration with flannel as
# the pod network, under a name that does not come first.
set -eu
cp -f /usr/src/multus-cni/bin/multus /host/opt/cni/bin/multus
account=/var/run/secrets/kubernetes.io/serviceaccount
mkdir -p /host/etc/cni/net.d/multus.d
umask 077
cat >/host/etc/cni/net.d/multus.d/multus.kubeconfig <<EOF
apiVersion: v1
kind: Config
current-context: multus
contexts: [{name: multus, context: {cluster: here, user: multus}}]
users: [{name: multus, user: {token: "$(cat $account/token)"}}]
clusters:
- name: here
  cluster:
    server: https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT
    certificate-authority-data: $(base64 -w 0 $account/ca.crt)
EOF
cat >/host/etc/cni/net.d/70-multus.conf <<EOF
{
  "name": "multus-cni-network",
  "type": "multus",
  "delegates": [{"type": "flannel", "name": "flannel.1", "delegate": {"isDefaultGateway": true}}],
  "kubeconfig": "/etc/cni/net.d/multus.d/multus.kubeconfig"
}
EOF
# Ends when it is told to, which a first process does not by itself.
trap exit TERM
sleep infinity &
wait
