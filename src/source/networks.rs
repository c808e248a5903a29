//! Network attachments: the objects around their CNI configurations.

use serde_json::{Value, json};

use crate::profile::Network;

/// The `NetworkAttachmentDefinition` of a network; its CNI configuration is compact JSON with the keys in a fixed order.
///
/// Multus gives a configuration without `name` the name of the object, so kvnet leaves it out where it is not needed:
/// only the bridge plugin, whose addresses host-local files under that name, gets it, and flannel.
#[must_use]
pub fn network_attachment(network: &Network, pod_network: &str) -> Value {
    let mut object = json!({
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": network.name, "namespace": network.namespace},
        "spec": {"config": Value::Object(network.cni_config(pod_network)).to_string()},
    });
    if !network.annotations.is_empty() {
        object["metadata"]["annotations"] = json!(network.annotations);
    }
    object
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(name: &str, kind: &str) -> Network {
        Network::new(name, serde_json::from_str(kind).unwrap())
    }

    #[test]
    fn the_networks_of_the_walkthrough_have_its_configuration() {
        for (name, kind, expected) in [
            (
                "a-bridge-network",
                r#"{"kind": "bridge", "bridge": "br0", "isGateway": true, "cniVersion": "0.3.0",
                    "ipam": {"subnet": "192.168.5.0/24", "dataDir": "/mnt/cluster-ipam"}}"#,
                r#"{"cniVersion":"0.3.0","name":"a-bridge-network","type":"bridge","bridge":"br0","isGateway":true,"ipam":{"type":"host-local","subnet":"192.168.5.0/24","dataDir":"/mnt/cluster-ipam"}}"#,
            ),
            (
                "flannel-network",
                r#"{"kind": "flannel", "cniVersion": "0.3.0", "delegate": {"isDefaultGateway": true}}"#,
                r#"{"cniVersion":"0.3.0","name":"cbr0","type":"flannel","dataDir":"/var/lib/cni/flannel-attached","delegate":{"isDefaultGateway":true}}"#,
            ),
            (
                "ovs-blue",
                r#"{"kind": "ovs", "bridge": "blue"}"#,
                r#"{"cniVersion":"0.3.1","type":"ovs","bridge":"blue"}"#,
            ),
            (
                "ovs-blue100",
                r#"{"kind": "ovs", "bridge": "blue100", "vlan": 100}"#,
                r#"{"cniVersion":"0.3.1","type":"ovs","bridge":"blue100","vlan":100}"#,
            ),
        ] {
            let object = network_attachment(&network(name, kind), "cbr0");
            assert_eq!(object["spec"]["config"], expected);
            assert_eq!(object["metadata"], json!({"name": name, "namespace": "default"}));
        }
    }

    #[test]
    fn trunks_and_annotations_reach_the_object() {
        let trunk =
            r#"{"kind": "ovs", "bridge": "blue", "trunk": [{"minID": 100, "maxID": 104}, {"id": 200}]}"#;
        let mut network = network("lan", trunk);
        network.annotations.insert("k8s.v1.cni.cncf.io/resourceName".into(), "example.org/blue".into());
        let object = network_attachment(&network, "cbr0");
        assert_eq!(
            object["spec"]["config"],
            r#"{"cniVersion":"0.3.1","type":"ovs","bridge":"blue","trunk":[{"minID":100,"maxID":104},{"id":200}]}"#
        );
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(*annotations, json!({"k8s.v1.cni.cncf.io/resourceName": "example.org/blue"}));
    }

    #[test]
    fn a_raw_configuration_is_taken_as_it_is() {
        let kind = r#"{"kind": "raw", "config": {"type": "macvlan", "master": "e\"0"}}"#;
        let object = network_attachment(&network("x", kind), "cbr0");
        assert_eq!(object["spec"]["config"], r#"{"type":"macvlan","master":"e\"0"}"#);
    }
}
