//! Network attachments: the objects, and the CNI configuration inside them.

use serde_json::{Map, Value, json};

use crate::profile::{Ipam, Network, NetworkKind};

/// Where flannel keeps its notes about NICs of attachments.
pub const FLANNEL_DATA: &str = "/var/lib/cni/flannel-attached";

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
        "spec": {"config": Value::Object(cni_config(network, pod_network)).to_string()},
    });
    if !network.annotations.is_empty() {
        object["metadata"]["annotations"] = json!(network.annotations);
    }
    object
}

/// The CNI configuration of a network; `pod_network` is the name of the pod network in its own CNI configuration.
///
/// A NIC on the pod network has its leases where all pods have theirs only under that name, and flannel forgets the lease of
/// a pod's first NIC when both keep their notes in one directory.
#[must_use]
pub fn cni_config(network: &Network, pod_network: &str) -> Map<String, Value> {
    match &network.kind {
        NetworkKind::Ovs { bridge, vlan, trunk, mtu, ipam, cni_version } => object([
            ("cniVersion", Some(json!(cni_version))),
            ("type", Some(json!("ovs"))),
            ("bridge", Some(json!(bridge))),
            ("vlan", vlan.map(Value::from)),
            ("trunk", (!trunk.is_empty()).then(|| json!(trunk))),
            ("mtu", mtu.map(Value::from)),
            ("ipam", ipam.as_ref().map(host_local)),
        ]),
        NetworkKind::Bridge { bridge, is_gateway, ipam, cni_version } => object([
            ("cniVersion", Some(json!(cni_version))),
            ("name", Some(json!(network.name))),
            ("type", Some(json!("bridge"))),
            ("bridge", Some(json!(bridge))),
            ("isGateway", is_gateway.then_some(json!(true))),
            ("ipam", ipam.as_ref().map(host_local)),
        ]),
        NetworkKind::Flannel { delegate, cni_version } => object([
            ("cniVersion", Some(json!(cni_version))),
            ("name", Some(json!(pod_network))),
            ("type", Some(json!("flannel"))),
            ("dataDir", Some(json!(FLANNEL_DATA))),
            ("delegate", (!delegate.is_empty()).then(|| Value::Object(delegate.clone()))),
        ]),
        NetworkKind::Raw { config } => config.clone(),
    }
}

fn host_local(ipam: &Ipam) -> Value {
    let text = |field: &Option<String>| field.as_ref().map(|text| json!(text));
    Value::Object(object([
        ("type", Some(json!("host-local"))),
        ("subnet", Some(json!(ipam.subnet))),
        ("rangeStart", text(&ipam.range_start)),
        ("rangeEnd", text(&ipam.range_end)),
        ("gateway", text(&ipam.gateway)),
        ("dataDir", text(&ipam.data_dir)),
    ]))
}

fn object<const N: usize>(fields: [(&str, Option<Value>); N]) -> Map<String, Value> {
    fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect()
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
