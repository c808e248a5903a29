//! The profile's fields, applied to the objects of a manifest that is not kvnet's own.

use serde_json::{Map, Value, json};

use super::{Component, beside};
use crate::error::{Error, Result, code};
use crate::formats::cni::is_configuration;
use crate::profile::{FlannelBackend, Profile, Release};

/// Where the container that copies flannel's configuration sees the runtime's directory.
const CONF_DIR: &str = "/etc/cni/net.d/";
const FLANNEL_IMAGE: &str = "ghcr.io/flannel-io/flannel";
const FLANNEL_PLUGIN_IMAGE: &str = "ghcr.io/flannel-io/flannel-cni-plugin";
const OVS_CNI_IMAGE: &str = "ghcr.io/k8snetworkplumbingwg/ovs-cni-plugin";

/// Puts the profile's fields into the objects.
///
/// # Errors
/// `KVN403` for a configuration in the manifest that is not JSON.
pub(super) fn adapt(component: Component, profile: &Profile, objects: &mut [Value]) -> Result<()> {
    beside::refuse_contradictions(component, profile, objects)?;
    match component {
        Component::Flannel => return flannel(profile, objects),
        Component::Multus => return multus(profile, objects),
        Component::OvsCni if is_chosen(profile, "ovsCni.image", &profile.ovs_cni.image, OVS_CNI_IMAGE) => {
            images(objects, "ovs-cni", &profile.ovs_cni.image);
        }
        Component::OvsCni | Component::KubeVirt | Component::KubeVirtCr | Component::Vm => {}
    }
    Ok(())
}

/// Whether an image was chosen: written, or different from the release's own, which leaves the manifest's alone.
fn is_chosen(profile: &Profile, path: &str, image: &str, releases: &str) -> bool {
    let is_other = image.rsplit_once(':').is_none_or(|(name, _)| name != releases);
    !image.is_empty() && (is_other || profile.is_written(path))
}

/// The name of the pod network in flannel's `ConfigMap`.
pub fn pod_network_name(objects: &[Value]) -> Option<String> {
    let texts = objects.iter().filter_map(|object| object["data"]["cni-conf.json"].as_str());
    let names = texts.filter_map(|text| {
        let config: Value = serde_json::from_str(text).ok()?;
        Some(config["name"].as_str()?.to_owned())
    });
    names.into_iter().next()
}

/// The release that the workloads run, by the tag of the image that has `part` in its name; none without one.
pub fn installed_version(objects: &[Value], part: &str) -> Option<String> {
    let pods =
        objects.iter().filter_map(|object| object.pointer("/spec/template/spec/containers")?.as_array());
    let images = pods.flatten().filter_map(|container| container["image"].as_str());
    let names = images.filter_map(|image| image.split('@').next()?.rsplit_once(':'));
    let mut tags = names.filter(|(name, _)| name.contains(part)).map(|(_, tag)| tag);
    let tag = tags.find(|tag| Release::parse(tag).is_some_and(|_| tag.starts_with('v')))?;
    Some(tag.split('-').next().unwrap_or(tag).to_owned())
}

fn flannel(profile: &Profile, objects: &mut [Value]) -> Result<()> {
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
    flannel_images(profile, objects);
    conf_file(&profile.flannel.conf_file, objects);
    Ok(())
}

fn flannel_images(profile: &Profile, objects: &mut [Value]) {
    let flannel = &profile.flannel;
    for list in ["initContainers", "containers"] {
        for container in containers(objects, list).filter(|container| has_image(container, "flannel")) {
            let (path, image, releases) = if has_image(container, "flannel-cni-plugin") {
                ("flannel.cniPluginImage", &flannel.cni_plugin_image, FLANNEL_PLUGIN_IMAGE)
            } else {
                ("flannel.image", &flannel.image, FLANNEL_IMAGE)
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

fn multus(profile: &Profile, objects: &mut [Value]) -> Result<()> {
    let multus = &profile.multus;
    if profile.is_written("multus.masterCni") && !multus.master_cni.is_empty() {
        master_cni(profile, objects)?;
    }
    for container in containers(objects, "containers").filter(|container| has_image(container, "multus")) {
        set(container, &["resources", "limits", "memory"], json!(multus.memory_limit));
    }
    if !multus.image.is_empty() {
        images(objects, "multus", &multus.image);
    }
    Ok(())
}

/// The thick Multus has the file in its configuration, the thin one in an argument.
fn master_cni(profile: &Profile, objects: &mut [Value]) -> Result<()> {
    const ARGUMENT: &str = "--multus-master-cni-file-name=";
    let name = &profile.multus.master_cni;
    let mut is_set = objects.iter().any(|object| object["data"]["daemon-config.json"].is_string());
    edit(objects, "daemon-config.json", |config| {
        config.insert("multusMasterCNI".into(), json!(name));
    })?;
    for container in containers(objects, "containers").filter(|container| has_image(container, "multus")) {
        let Some(arguments) = container.get_mut("args").and_then(Value::as_array_mut) else { continue };
        let makes_it = arguments.iter().any(|it| it == "--multus-conf-file=auto");
        let given = |it: &Value| it.as_str().is_some_and(|text| text.starts_with(ARGUMENT));
        if makes_it || arguments.iter().any(given) {
            arguments.retain(|argument| !given(argument));
            arguments.push(json!(format!("{ARGUMENT}{name}")));
            is_set = true;
        }
    }
    // Where the manifest has no option for it, it is right only when the file is the pod network's anyway.
    if is_set || *name == profile.flannel.conf_file {
        return Ok(());
    }
    Err(beside::refused(
        profile,
        "multus.masterCni",
        "has no place in this manifest, whose Multus does not write its own file",
    ))
}

fn has_image(container: &Value, part: &str) -> bool {
    container["image"].as_str().is_some_and(|image| image.contains(part))
}

fn images(objects: &mut [Value], part: &str, image: &str) {
    for list in ["initContainers", "containers"] {
        for container in containers(objects, list).filter(|container| has_image(container, part)) {
            set(container, &["image"], json!(image));
        }
    }
}

/// Sets a field; what is in the way and is not a map is replaced.
fn set(object: &mut Value, path: &[&str], value: Value) {
    let Some((last, path)) = path.split_last() else { return };
    let mut at = object;
    for step in path {
        let Value::Object(map) = at else { return };
        at = map.entry(*step).or_insert_with(|| json!({}));
        if !at.is_object() {
            *at = json!({});
        }
    }
    if let Value::Object(map) = at {
        map.insert((*last).to_owned(), value);
    }
}

/// The containers of every workload.
fn containers<'a>(objects: &'a mut [Value], list: &'a str) -> impl Iterator<Item = &'a mut Value> {
    let pods = objects.iter_mut().filter_map(|object| object.pointer_mut("/spec/template/spec"));
    pods.filter_map(move |pod| pod.get_mut(list)?.as_array_mut()).flatten()
}

/// Changes a JSON text in the manifest's `ConfigMap`s.
fn edit(objects: &mut [Value], key: &str, change: impl Fn(&mut Map<String, Value>)) -> Result<()> {
    for object in objects {
        let Some(Value::String(text)) = object.get_mut("data").and_then(|data| data.get_mut(key)) else {
            continue;
        };
        let mut config: Map<String, Value> = serde_json::from_str(text).map_err(|error| {
            Error::new(&code::SOURCE_YAML, format!("`{key}` of the manifest is not JSON")).because(error)
        })?;
        let before = config.clone();
        change(&mut config);
        if config != before {
            *text = format!("{:#}\n", Value::Object(config));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn daemon(name: &str, image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "initContainers": [{"name": "install-cni", "image": image,
                "args": ["-f", "/etc/kube-flannel/cni-conf.json", "/etc/cni/net.d/10-flannel.conflist"]}],
            "containers": [{"name": name, "image": image,
                "resources": {"requests": {"memory": "50Mi"}, "limits": {"cpu": "100m", "memory": "50Mi"}}}],
        }}}})
    }

    fn flannel_config() -> Value {
        json!({"kind": "ConfigMap", "data": {
            "cni-conf.json": r#"{"name": "cbr0", "plugins": [{"type": "flannel"}]}"#,
            "net-conf.json": r#"{"Network": "10.244.0.0/16", "EnableNFTables": true, "Backend": {"Type": "vxlan", "VNI": 7}}"#,
        }})
    }

    #[test]
    fn multus_gets_the_limit_and_the_image_of_the_profile() {
        let mut profile = Profile::default();
        profile.multus.memory_limit = "256Mi".into();
        profile.multus.image = "mirror.example/multus:v4".into();
        let mut objects = [daemon("kube-multus", "ghcr.io/k8snetworkplumbingwg/multus-cni:snapshot-thick")];
        adapt(Component::Multus, &profile, &mut objects).unwrap();
        let pod = &objects[0]["spec"]["template"]["spec"];
        let limits = &pod["containers"][0]["resources"]["limits"];
        assert_eq!(*limits, json!({"cpu": "100m", "memory": "256Mi"}));
        assert_eq!(pod["containers"][0]["image"], "mirror.example/multus:v4");
        assert_eq!(pod["initContainers"][0]["image"], "mirror.example/multus:v4");
    }

    #[test]
    fn flannel_gets_subnet_backend_image_and_file_of_the_profile() {
        let mut profile = Profile::default();
        profile.cluster.pod_subnet = "10.50.0.0/16".into();
        profile.flannel.backend = FlannelBackend::HostGw;
        profile.flannel.image = "mirror.example/flannel:own".into();
        profile.flannel.conf_file = "20-flannel.conflist".into();
        let mut objects = [flannel_config(), daemon("kube-flannel", "ghcr.io/flannel-io/flannel:v0.28.9")];
        adapt(Component::Flannel, &profile, &mut objects).unwrap();
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
        let mut objects = [flannel_config(), daemon("kube-flannel", "ghcr.io/flannel-io/flannel:v0.28.9")];
        let before = objects.clone();
        adapt(Component::Flannel, &Profile::default(), &mut objects).unwrap();
        assert_eq!(objects, before);
    }

    #[test]
    fn the_version_is_that_of_the_image() {
        let objects = [flannel_config(), daemon("kube-flannel", "m:5000/flannel-io/flannel:v0.28.9-amd64")];
        assert_eq!(installed_version(&objects, "flannel").as_deref(), Some("v0.28.9"));
        for image in ["nfvpe/multus:latest", "multus", "m:5000/multus", "multus@sha256:00"] {
            assert_eq!(installed_version(&[daemon("m", image)], "multus"), None, "{image}");
        }
    }

    #[test]
    fn nothing_in_a_strange_manifest_makes_it_panic() {
        let mut objects = [
            json!({"kind": "ConfigMap", "data": "x"}),
            json!({"spec": {"template": {"spec": {"containers": ["x", {"image": "multus", "resources": "x"}]}}}}),
        ];
        adapt(Component::Multus, &Profile::default(), &mut objects).unwrap();
        adapt(Component::Flannel, &Profile::default(), &mut objects).unwrap();
        let container = &objects[1]["spec"]["template"]["spec"]["containers"][1];
        assert_eq!(container["resources"], json!({"limits": {"memory": "300Mi"}}));
    }
}
