use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::{Value, json};

use super::*;
use crate::components::flannel::FLANNEL;
use crate::components::kubevirt::{KUBEVIRT, KUBEVIRT_CR};
use crate::components::multus::MULTUS;
use crate::components::ovs_cni::OVS_CNI;
use crate::components::vm::VM;
use crate::components::whereabouts::WHEREABOUTS;
use crate::manifest::parse_manifests;
use crate::profile::{Binding, CloudInit, FlannelBackend, MultusFlavour, VmInterface};

/// Those with a manifest of kvnet's own.
fn every() -> impl Iterator<Item = &'static Component> {
    ALL.iter().copied().filter(|component| **component != KUBEVIRT)
}

const EMULATED: RenderFacts = RenderFacts { emulation: true, single_node: true, image_volumes: true };
/// Ends strings, documents, template tags, comments and block scalars, where it is not encoded.
const HOSTILE: &str = "a\"'\n---\nkind: Evil\n...\n{{ x }}{% if y %}{# z #}\r\t#\u{85}\u{2028}\u{feff}\\: &a *b !!int | >\u{1f600}";

fn objects(component: &Component, profile: &Profile) -> Vec<Value> {
    (component.render)(profile, &Facts::default(), EMULATED).unwrap()
}

fn find<'a>(objects: &'a [Value], kind: &str) -> &'a Value {
    objects.iter().find(|object| object["kind"] == kind).unwrap()
}

fn two_nics() -> Profile {
    let interface = |name: &str, network: &str, binding| VmInterface {
        name: name.into(),
        network: network.into(),
        binding: Some(binding),
        mac_address: None,
    };
    let mut profile = Profile::default();
    profile.vm.interfaces = vec![
        interface("default", "pod", Binding::Masquerade),
        interface("blue", "default/ovs-blue", Binding::Bridge),
    ];
    profile.vm.cloud_init =
        CloudInit { user_data: "#cloud-config\n".into(), network_data: "version: 2\n".into() };
    profile
}

/// Puts the hostile text into every string of the profile that a template can reach.
fn hostile() -> Profile {
    let text = || HOSTILE.to_owned();
    let mut profile = two_nics();
    profile.cluster.pod_subnet = text();
    profile.cluster.cni_conf_dir = text();
    profile.cluster.cni_bin_dir = text();
    profile.flannel.namespace = text();
    profile.flannel.image = text();
    profile.flannel.cni_plugin_image = text();
    profile.flannel.conf_file = text();
    profile.multus.image = text();
    profile.multus.memory_limit = text();
    profile.multus.master_cni = text();
    profile.ovs_cni.image = text();
    profile.whereabouts.image = text();
    profile.kubevirt.namespace = text();
    profile.vm.name = text();
    profile.vm.namespace = text();
    profile.vm.image = text();
    profile.vm.memory = text();
    for interface in &mut profile.vm.interfaces {
        interface.name = text();
        interface.network = text();
    }
    profile.vm.cloud_init = CloudInit { user_data: text(), network_data: text() };
    profile
}

fn kinds(objects: &[Value]) -> Vec<String> {
    objects.iter().map(|object| object["kind"].to_string()).collect()
}

/// The paths of every field, with `*` for the elements of a list.
fn shape(value: &Value, path: &str, found: &mut std::collections::BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(name, field)| shape(field, &format!("{path}.{name}"), found));
        }
        Value::Array(items) => items.iter().for_each(|item| shape(item, &format!("{path}.*"), found)),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn hostile_values_stay_values() {
    for thick in [MultusFlavour::Thick, MultusFlavour::Thin] {
        for version in ["v1.9.0", "v0.8.0"] {
            let (mut plain, mut evil) = (two_nics(), hostile());
            for profile in [&mut plain, &mut evil] {
                profile.multus.flavour = thick;
                profile.kubevirt.version = version.into();
            }
            plain.vm.interfaces[0].network = "n".into();
            if version == "v0.8.0" {
                plain.vm.cloud_init.network_data.clear();
                evil.vm.cloud_init.network_data.clear();
            }
            for component in every() {
                let (expected, found) = (objects(component, &plain), objects(component, &evil));
                assert_eq!(kinds(&found), kinds(&expected));
                if *component != MULTUS && *component != VM {
                    let (mut left, mut right) = Default::default();
                    shape(&json!(expected), "", &mut left);
                    shape(&json!(found), "", &mut right);
                    assert_eq!(left, right, "{component:?}");
                }
            }
        }
    }
    let evil = hostile();
    let flannel = objects(&FLANNEL, &evil);
    assert_eq!(find(&flannel, "Namespace")["metadata"]["name"], HOSTILE);
    let net: Value =
        serde_json::from_str(find(&flannel, "ConfigMap")["data"]["net-conf.json"].as_str().unwrap()).unwrap();
    assert_eq!(net["Network"], HOSTILE);
    let secret = objects(&VM, &evil);
    let data = find(&secret, "Secret")["data"]["userdata"].as_str().unwrap().to_owned();
    assert_eq!(STANDARD.decode(data).unwrap(), HOSTILE.as_bytes());
    let daemon = objects(&MULTUS, &evil);
    let config: Value =
        serde_json::from_str(find(&daemon, "ConfigMap")["data"]["daemon-config.json"].as_str().unwrap())
            .unwrap();
    assert_eq!(config["multusMasterCNI"], HOSTILE);
}

/// What the type of the API does not know is lost on the way through it.
fn through<T: serde::de::DeserializeOwned + Serialize>(object: &Value) -> Value {
    json!(serde_json::from_value::<T>(object.clone()).unwrap())
}

#[test]
fn every_field_is_one_that_the_api_has() {
    use k8s_openapi::api::{apps::v1 as apps, core::v1 as core, rbac::v1 as rbac};
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1 as extensions;

    for flavour in [MultusFlavour::Thick, MultusFlavour::Thin] {
        let mut profile = two_nics();
        profile.multus.flavour = flavour;
        for object in every().flat_map(|component| objects(component, &profile)) {
            let back = match object["kind"].as_str().unwrap() {
                "Namespace" => through::<core::Namespace>(&object),
                "ClusterRole" => through::<rbac::ClusterRole>(&object),
                "ClusterRoleBinding" => through::<rbac::ClusterRoleBinding>(&object),
                "ServiceAccount" => through::<core::ServiceAccount>(&object),
                "ConfigMap" => through::<core::ConfigMap>(&object),
                "Secret" => through::<core::Secret>(&object),
                "DaemonSet" => through::<apps::DaemonSet>(&object),
                "CustomResourceDefinition" => through::<extensions::CustomResourceDefinition>(&object),
                "KubeVirt" | "VirtualMachineInstance" | "VirtualMachine" => continue,
                other => panic!("{other}"),
            };
            assert_eq!(back, object);
        }
    }
}

proptest::proptest! {
    #[test]
    fn any_text_comes_out_as_it_went_in(text in "\\PC*|[\\x00-\\x20{}%#:\"'\\\\\u{85}\u{2028}-]{0,40}") {
        let mut profile = Profile::default();
        profile.kubevirt.namespace.clone_from(&text);
        profile.ovs_cni.image.clone_from(&text);
        let found = objects(&KUBEVIRT_CR, &profile);
        proptest::prop_assert_eq!(found[0]["metadata"]["namespace"].as_str(), Some(text.as_str()));
        let found = objects(&OVS_CNI, &profile);
        let image = &find(&found, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["image"];
        proptest::prop_assert_eq!(image.as_str(), Some(text.as_str()));
    }
}

#[test]
fn objects_come_in_the_order_to_apply_them() {
    let order = |component| kinds(&objects(component, &two_nics())).join(" ").replace('"', "");
    assert_eq!(
        order(&FLANNEL),
        "Namespace ClusterRole ClusterRoleBinding ServiceAccount ConfigMap DaemonSet"
    );
    assert_eq!(
        order(&MULTUS),
        "CustomResourceDefinition ClusterRole ClusterRoleBinding ServiceAccount ConfigMap DaemonSet"
    );
    assert_eq!(order(&OVS_CNI), "ClusterRole ClusterRoleBinding ServiceAccount DaemonSet");
    assert_eq!(
        order(&WHEREABOUTS),
        "CustomResourceDefinition CustomResourceDefinition CustomResourceDefinition ClusterRole ClusterRoleBinding \
         ServiceAccount ConfigMap DaemonSet"
    );
    assert_eq!(order(&VM), "Secret VirtualMachineInstance");
}

#[test]
fn multus_waits_for_flannel_only_where_flannel_is_the_master() {
    let config = |profile: &Profile| -> Value {
        let objects = objects(&MULTUS, profile);
        serde_json::from_str(find(&objects, "ConfigMap")["data"]["daemon-config.json"].as_str().unwrap())
            .unwrap()
    };
    let mut profile = Profile::default();
    let found = config(&profile);
    assert_eq!(found["multusMasterCNI"], "10-flannel.conflist");
    assert_eq!(found["readinessindicatorfile"], "/host/run/flannel/subnet.env");
    assert_eq!(found.get("binDir"), None);

    profile.flannel.enabled = false;
    let found = config(&profile);
    assert_eq!((found.get("multusMasterCNI"), found.get("readinessindicatorfile")), (None, None));

    profile.multus.master_cni = "05-cilium.conflist".into();
    let found = config(&profile);
    assert_eq!(found["multusMasterCNI"], "05-cilium.conflist");
    assert_eq!(found.get("readinessindicatorfile"), None);
}

#[test]
fn paths_follow_the_profile_then_the_runtime() {
    let facts = Facts {
        cni_conf_dir: "/runtime/conf".into(),
        cni_bin_dirs: vec!["/runtime/bin".into(), "/second".into()],
        ..Facts::default()
    };
    let mut profile = Profile::default();
    profile.cluster.cni_conf_dir = "/profile/conf".into();
    profile.multus.flavour = MultusFlavour::Thin;
    let thin = json!((MULTUS.render)(&profile, &facts, EMULATED).unwrap()).to_string();
    for wanted in [
        r#""path":"/profile/conf""#,
        r#""path":"/runtime/bin""#,
        "--additional-bin-dir=/runtime/bin",
        "--multus-kubeconfig-file-host=/profile/conf/multus.d/multus.kubeconfig",
    ] {
        assert!(thin.contains(wanted), "{wanted} in {thin}");
    }
    profile.multus.flavour = MultusFlavour::Thick;
    let thick = (MULTUS.render)(&profile, &facts, EMULATED).unwrap();
    let mounts = &find(&thick, "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"];
    assert!(mounts.as_array().unwrap().contains(&json!({"name": "cnibin", "mountPath": "/runtime/bin"})));
}

#[test]
fn flannel_takes_backend_and_file_name_from_the_profile() {
    let mut profile = Profile::default();
    profile.flannel.backend = FlannelBackend::HostGw;
    profile.flannel.conf_file = "20-pods.conflist".into();
    let text = json!(objects(&FLANNEL, &profile)).to_string();
    assert!(text.contains("host-gw") && text.contains("/etc/cni/net.d/20-pods.conflist"), "{text}");
}

#[test]
fn kubevirt_is_set_by_its_resource_or_by_the_old_config_map() {
    let mut profile = Profile::default();
    let found = objects(&KUBEVIRT_CR, &profile);
    assert_eq!(
        found[0]["spec"],
        json!({"imagePullPolicy": "IfNotPresent", "infra": {"replicas": 1},
            "configuration": {"developerConfiguration": {
                "useEmulation": true, "disabledFeatureGates": ["ExternalNetResourceInjection", "Template"]}}})
    );
    profile.kubevirt.feature_gates = vec!["Template".into(), "Snapshot".into()];
    let found = objects(&KUBEVIRT_CR, &profile);
    let settings = &found[0]["spec"]["configuration"]["developerConfiguration"];
    assert_eq!(settings["featureGates"], json!(["Template", "Snapshot"]));
    assert_eq!(settings["disabledFeatureGates"], json!(["ExternalNetResourceInjection"]));
    profile.kubevirt.feature_gates.clear();
    profile.kubevirt.version = "v1.5.0".into();
    profile.kubevirt.infra_replicas = 2;
    assert_eq!(objects(&KUBEVIRT_CR, &profile)[0]["spec"]["infra"]["replicas"], 2);
    profile.kubevirt.infra_replicas = 0;
    let found = (KUBEVIRT_CR.render)(&profile, &Facts::default(), RenderFacts::default()).unwrap();
    assert_eq!(found[0]["spec"], json!({"imagePullPolicy": "IfNotPresent"}));

    profile.kubevirt.version = "v0.8.0".into();
    profile.kubevirt.namespace = "kube-system".into();
    let found = objects(&KUBEVIRT_CR, &profile);
    assert_eq!(
        found,
        [json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "kubevirt-config", "namespace": "kube-system"},
            "data": {"debug.useEmulation": "true"}})]
    );
    let none = (KUBEVIRT_CR.render)(&profile, &Facts::default(), RenderFacts::default()).unwrap();
    assert_eq!(none, Vec::<Value>::new());
}

#[test]
fn the_vm_of_today_keeps_its_cloud_init_in_a_secret() {
    let found = objects(&VM, &two_nics());
    let secret = find(&found, "Secret");
    assert_eq!(secret["metadata"]["name"], "vm-two-nics-cloud-init");
    assert_eq!(
        secret["data"],
        json!({"userdata": "I2Nsb3VkLWNvbmZpZwo=", "networkdata": "dmVyc2lvbjogMgo="})
    );
    let spec = &find(&found, "VirtualMachineInstance")["spec"];
    assert_eq!(
        spec["networks"],
        json!([{"name": "default", "pod": {}}, {"name": "blue", "multus": {"networkName": "default/ovs-blue"}}])
    );
    assert_eq!(
        spec["domain"]["devices"]["interfaces"],
        json!([
            {"name": "default", "macAddress": "02:72:c7:4f:c2:0b", "masquerade": {}},
            {"name": "blue", "macAddress": "02:06:80:fe:6b:62", "bridge": {}},
        ])
    );
    let secret_name = json!({"name": "vm-two-nics-cloud-init"});
    assert_eq!(
        spec["volumes"][1]["cloudInitNoCloud"],
        json!({"secretRef": secret_name, "networkDataSecretRef": secret_name})
    );
    let mut bare = two_nics();
    bare.vm.interfaces.clear();
    bare.vm.cloud_init = CloudInit::default();
    assert_eq!(kinds(&objects(&VM, &bare)), ["\"VirtualMachineInstance\""]);
}

#[test]
fn the_vm_of_2018_is_the_one_of_the_text() {
    let mut profile = two_nics();
    profile.kubevirt.version = "v0.8.0".into();
    profile.vm.name = "vmi-multus-multiple-net".into();
    profile.vm.image = "kubevirt/fedora-cloud-registry-disk-demo".into();
    profile.vm.interfaces[0].binding = Some(Binding::Bridge);
    profile.vm.interfaces[1].name = "ovs-blue-net".into();
    profile.vm.interfaces[1].network = "ovs-blue".into();
    profile.vm.cloud_init = CloudInit {
        user_data: "#!/bin/bash\necho \"fedora\" | passwd fedora --stdin\n".into(),
        network_data: String::new(),
    };
    let text = include_str!("../../../../tests/fixtures/walkthrough-2018/vmi-multus-multiple-net.yaml");
    let mut expected = parse_manifests(text, "vmi-multus-multiple-net.yaml").unwrap();
    // The text leaves the namespace to kubectl.
    expected[0]["metadata"]["namespace"] = "default".into();
    assert_eq!(objects(&VM, &profile), expected);

    profile.vm.cloud_init.network_data = "version: 2".into();
    let error = (VM.render)(&profile, &Facts::default(), EMULATED).unwrap_err();
    assert_eq!(error.code().id, "KVN104");
}
