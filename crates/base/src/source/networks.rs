//! Network attachments: the objects around their CNI configurations.

use serde_json::{Value, json};

use crate::profile::{Network, Profile};

/// The `NetworkAttachmentDefinition` of a network; its CNI configuration is compact JSON with the keys in a fixed order.
///
/// Multus gives a configuration without `name` the name of the object, so kvnet leaves it out where it is not needed:
/// only the bridge plugin, whose addresses host-local files under that name, gets it, and flannel.
pub fn network_attachment(profile: &Profile, network: &Network, pod_network: &str) -> Value {
    let mut object = json!({
        "apiVersion": "k8s.cni.cncf.io/v1",
        "kind": "NetworkAttachmentDefinition",
        "metadata": {"name": network.name, "namespace": network.namespace},
        "spec": {"config": Value::Object(network.cni_config(pod_network)).to_string()},
    });
    let annotations = profile.annotations_of(network);
    if !annotations.is_empty() {
        object["metadata"]["annotations"] = json!(annotations);
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
            let object = network_attachment(&Profile::default(), &network(name, kind), "cbr0");
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
        let object = network_attachment(&Profile::default(), &network, "cbr0");
        assert_eq!(
            object["spec"]["config"],
            r#"{"cniVersion":"0.3.1","type":"ovs","bridge":"blue","trunk":[{"minID":100,"maxID":104},{"id":200}]}"#
        );
        let annotations = &object["metadata"]["annotations"];
        assert_eq!(*annotations, json!({"k8s.v1.cni.cncf.io/resourceName": "example.org/blue"}));
    }

    /// Which KubeVirt asks for in the VM's pod, so that it goes to a node with the bridge.
    #[test]
    fn an_attachment_to_a_bridge_of_the_profile_names_its_resource() {
        let mut profile = Profile::default();
        profile.ovs.bridges =
            serde_json::from_str(r#"[{"name": "blue", "vlans": [{"name": "blue100", "vlan": 100}]}]"#)
                .unwrap();
        let named = |profile: &Profile, network: &Network| {
            network_attachment(profile, network, "cbr0")["metadata"]["annotations"]
                ["k8s.v1.cni.cncf.io/resourceName"]
                .as_str()
                .map(str::to_owned)
        };
        let blue = Some("ovs-cni.network.kubevirt.io/blue".to_owned());
        for (kind, resource) in [
            (r#"{"kind": "ovs", "bridge": "blue", "vlan": 100}"#, blue.clone()),
            (
                r#"{"kind": "raw", "config": {"plugins": [{"type": "ovs", "bridge": "blue"}, {"type": "tuning"}]}}"#,
                blue,
            ),
            (r#"{"kind": "ovs", "bridge": "of-somebody"}"#, None),
            (r#"{"kind": "bridge", "bridge": "br0"}"#, None),
        ] {
            assert_eq!(named(&profile, &network("n", kind)), resource, "{kind}");
        }
        let mut own = network("n", r#"{"kind": "ovs", "bridge": "blue"}"#);
        own.annotations.insert("k8s.v1.cni.cncf.io/resourceName".into(), "example.org/blue".into());
        assert_eq!(named(&profile, &own).as_deref(), Some("example.org/blue"));
        profile.ovs_cni.version = "393d3ffa91a3".into();
        assert_eq!(named(&profile, &network("n", r#"{"kind": "ovs", "bridge": "blue"}"#)), None);
    }

    #[test]
    fn a_raw_configuration_is_taken_as_it_is() {
        let kind = r#"{"kind": "raw", "config": {"type": "macvlan", "master": "e\"0"}}"#;
        let object = network_attachment(&Profile::default(), &network("x", kind), "cbr0");
        assert_eq!(object["spec"]["config"], r#"{"type":"macvlan","master":"e\"0"}"#);
    }
}
