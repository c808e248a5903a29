//! The profile's fields in a manifest of flannel's.

use serde_json::{Value, json};

use crate::components::edit::{containers, edit, has_image, is_chosen, namespace_of, set};
use crate::components::refused;
use crate::error::Result;
use crate::formats::cni::is_configuration;
use crate::profile::{FlannelBackend, Profile};

/// Where the container that copies flannel's configuration sees the runtime's directory.
const CONF_DIR: &str = "/etc/cni/net.d/";
const IMAGE: &str = "ghcr.io/flannel-io/flannel";
const PLUGIN_IMAGE: &str = "ghcr.io/flannel-io/flannel-cni-plugin";

pub(super) fn refuse(profile: &Profile, objects: &[Value]) -> Result<()> {
    let wanted = profile.flannel.namespace.as_str();
    let other = namespace_of(objects).filter(|there| *there != wanted);
    match other.filter(|_| profile.is_written("flannel.namespace")) {
        None => Ok(()),
        Some(there) => {
            let message = format!("is `{wanted}`, but the manifest's objects are in `{there}`");
            Err(refused(profile, "flannel.namespace", &message))
        }
    }
}

pub(super) fn adapt(profile: &Profile, objects: &mut [Value]) -> Result<()> {
    let subnet = json!(profile.cluster.pod_subnet);
    edit(objects, "net-conf.json", |config| {
        config.insert("Network".into(), subnet.clone());
        if let Some(backend) = backend(profile) {
            config.insert("Backend".into(), with_type(config.get("Backend"), backend));
        }
    })?;
    if let Some(name) = profile.pod_network_name_of_multus() {
        edit(objects, "cni-conf.json", |config| {
            config.insert("name".into(), json!(name));
        })?;
    }
    images(profile, objects);
    conf_file(&profile.flannel.conf_file, objects);
    Ok(())
}

fn images(profile: &Profile, objects: &mut [Value]) {
    let flannel = &profile.flannel;
    for list in ["initContainers", "containers"] {
        for container in containers(objects, list).filter(|container| has_image(container, "flannel")) {
            let (path, image, releases) = if has_image(container, "flannel-cni-plugin") {
                ("flannel.cniPluginImage", &flannel.cni_plugin_image, PLUGIN_IMAGE)
            } else {
                ("flannel.image", &flannel.image, IMAGE)
            };
            if is_chosen(profile, path, image, releases) {
                set(container, &["image"], json!(image));
            }
        }
    }
}

/// The file is an argument of the container that copies it.
fn conf_file(name: &str, objects: &mut [Value]) {
    for container in containers(objects, "initContainers") {
        let Some(arguments) = container.get_mut("args").and_then(Value::as_array_mut) else { continue };
        for argument in arguments {
            let given = argument.as_str().and_then(|text| text.strip_prefix(CONF_DIR));
            if given.is_some_and(|given| is_configuration(given) && given != name) {
                *argument = json!(format!("{CONF_DIR}{name}"));
            }
        }
    }
}

/// A backend that is not set is the manifest's own.
fn backend(profile: &Profile) -> Option<&'static str> {
    match profile.flannel.backend {
        FlannelBackend::HostGw => Some("host-gw"),
        FlannelBackend::Vxlan => profile.is_written("flannel.backend").then_some("vxlan"),
    }
}

/// Options of another type do not apply to the new one.
fn with_type(before: Option<&Value>, kind: &str) -> Value {
    match before {
        Some(before) if before["Type"] == kind => before.clone(),
        _ => json!({"Type": kind}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::edit::tests::daemon;

    fn config() -> Value {
        json!({"kind": "ConfigMap", "data": {
            "cni-conf.json": r#"{"name": "cbr0", "plugins": [{"type": "flannel"}]}"#,
            "net-conf.json": r#"{"Network": "10.244.0.0/16", "EnableNFTables": true, "Backend": {"Type": "vxlan", "VNI": 7}}"#,
        }})
    }

    #[test]
    fn flannel_gets_subnet_backend_image_and_file_of_the_profile() {
        let mut profile = Profile::default();
        profile.cluster.pod_subnet = "10.50.0.0/16".into();
        profile.flannel.backend = FlannelBackend::HostGw;
        profile.flannel.image = "mirror.example/flannel:own".into();
        profile.flannel.conf_file = "20-flannel.conflist".into();
        let mut objects = [config(), daemon("kube-flannel", "ghcr.io/flannel-io/flannel:v0.28.9")];
        adapt(&profile, &mut objects).unwrap();
        let config: Value =
            serde_json::from_str(objects[0]["data"]["net-conf.json"].as_str().unwrap()).unwrap();
        assert_eq!(
            config,
            json!({"Network": "10.50.0.0/16", "EnableNFTables": true, "Backend": {"Type": "host-gw"}})
        );
        let pod = &objects[1]["spec"]["template"]["spec"];
        assert_eq!(pod["containers"][0]["image"], "mirror.example/flannel:own");
        assert_eq!(pod["initContainers"][0]["args"][2], "/etc/cni/net.d/20-flannel.conflist");
    }

    #[test]
    fn what_is_not_set_is_left_to_the_manifest() {
        let mut objects = [config(), daemon("kube-flannel", "ghcr.io/flannel-io/flannel:v0.28.9")];
        let before = objects.clone();
        adapt(&Profile::default(), &mut objects).unwrap();
        assert_eq!(objects, before);
    }
}
