//! Drift of what kvnet made: `plan` shows precisely that, and `up` corrects it.

use crate::kvnet::Kvnet;
use crate::networks::{check_node, first_configuration};
use crate::node::Node;

/// The default profile has no VLAN bridge.
const PROFILE: &str = "\
extends: default
ovs:
  bridges:
    - name: blue
      vlans:
        - {name: blue100, vlan: 100}
";
const INTRUDER: &str = r#"{"cniVersion": "1.0.0", "name": "intruder", "plugins": [{"type": "loopback"}]}"#;

pub fn story(node: &Node) {
    node.write("/root/vlan.yaml", PROFILE);
    let kvnet = Kvnet::new(node, &["--profile", "/root/vlan.yaml"]);
    kvnet.corrects(&["add VLAN bridge blue100 for VLAN 100 on blue"]);
    deleted_network(&kvnet);
    changed_vlan(&kvnet);
    intruder(&kvnet);
    changed_object(&kvnet);
}

fn deleted_network(kvnet: &Kvnet) {
    kvnet.node.sh("kubectl delete net-attach-def ovs-blue100");
    kvnet.corrects(&["create NetworkAttachmentDefinition default/ovs-blue100"]);
    check_node(kvnet.node);
}

fn changed_vlan(kvnet: &Kvnet) {
    kvnet.node.sh("ovs-vsctl set port blue100 tag=200");
    kvnet.corrects(&["change VLAN bridge blue100 to VLAN 100 on blue"]);
    assert_eq!(kvnet.node.sh("ovs-vsctl get port blue100 tag"), "100\n");
}

fn intruder(kvnet: &Kvnet) {
    let node = kvnet.node;
    node.write("/etc/cni/net.d/00-aaa.conflist", INTRUDER);
    assert_eq!(first_configuration(node), "00-aaa.conflist");
    let saved = "/etc/cni/net.d/00-aaa.conflist.kvnet-saved";
    kvnet.corrects(&[&format!("move /etc/cni/net.d/00-aaa.conflist to {saved}")]);
    assert_eq!(first_configuration(node), "00-multus.conf");
    assert_eq!(node.sh(&format!("cat {saved}")), INTRUDER);
    // `down` would put it back, and the node had none at the start.
    node.sh(&format!("rm {saved}"));
}

/// kvnet's own field, changed under kvnet's own name: no conflict, just fixed.
fn changed_object(kvnet: &Kvnet) {
    kvnet.node.sh("kubectl -n kube-system delete configmap multus-daemon-config");
    kvnet.corrects(&["create ConfigMap kube-system/multus-daemon-config"]);
}
