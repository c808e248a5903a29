//! What the components share to put a profile's fields into the objects of a manifest that is not kvnet's own.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, code};
use crate::profile::{Profile, Release};

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

/// The error for a field that a manifest contradicts.
pub fn refused(profile: &Profile, path: &str, message: &str) -> Error {
    Error::new(&code::PROFILE_VALUE, format!("`{path}` {message}"))
        .at(profile.place_of(path))
        .hint("remove the field, or use a matching manifest")
}

/// The namespace of the workloads.
pub(super) fn namespace_of(objects: &[Value]) -> Option<&str> {
    let is_workload = |object: &&Value| matches!(object["kind"].as_str(), Some("Deployment" | "DaemonSet"));
    objects.iter().find(is_workload)?["metadata"]["namespace"].as_str()
}

/// Whether an image was chosen: written, or different from the release's own, which leaves the manifest's alone.
pub(super) fn is_chosen(profile: &Profile, path: &str, image: &str, releases: &str) -> bool {
    let is_other = image.rsplit_once(':').is_none_or(|(name, _)| name != releases);
    !image.is_empty() && (is_other || profile.is_written(path))
}

pub(super) fn has_image(container: &Value, part: &str) -> bool {
    container["image"].as_str().is_some_and(|image| image.contains(part))
}

pub(super) fn images(objects: &mut [Value], part: &str, image: &str) {
    for list in ["initContainers", "containers"] {
        for container in containers(objects, list).filter(|container| has_image(container, part)) {
            set(container, &["image"], json!(image));
        }
    }
}

/// Sets a field; what is in the way and is not a map is replaced.
pub(super) fn set(object: &mut Value, path: &[&str], value: Value) {
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
pub(super) fn containers<'a>(objects: &'a mut [Value], list: &'a str) -> impl Iterator<Item = &'a mut Value> {
    let pods = objects.iter_mut().filter_map(|object| object.pointer_mut("/spec/template/spec"));
    pods.filter_map(move |pod| pod.get_mut(list)?.as_array_mut()).flatten()
}

/// Changes a JSON text in the manifest's `ConfigMap`s.
pub(super) fn edit(objects: &mut [Value], key: &str, change: impl Fn(&mut Map<String, Value>)) -> Result<()> {
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
pub(super) mod tests {
    use super::*;
    use crate::components::{flannel, multus};

    pub(in crate::components) fn daemon(name: &str, image: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "metadata": {"name": name},
        "spec": {"template": {"spec": {
            "initContainers": [{"name": "install-cni", "image": image,
                "args": ["-f", "/etc/kube-flannel/cni-conf.json", "/etc/cni/net.d/10-flannel.conflist"]}],
            "containers": [{"name": name, "image": image,
                "resources": {"requests": {"memory": "50Mi"}, "limits": {"cpu": "100m", "memory": "50Mi"}}}],
        }}}})
    }

    #[test]
    fn the_version_is_that_of_the_image() {
        let objects = [json!({}), daemon("kube-flannel", "m:5000/flannel-io/flannel:v0.28.9-amd64")];
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
        for component in [&multus::MULTUS, &flannel::FLANNEL] {
            (component.custom().unwrap().adapt)(&Profile::default(), &mut objects).unwrap();
        }
        let container = &objects[1]["spec"]["template"]["spec"]["containers"][1];
        assert_eq!(container["resources"], json!({"limits": {"memory": "300Mi"}}));
    }
}
