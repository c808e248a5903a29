//! Where images come from: names in objects are rewritten to the profile's mirror.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

/// The registry of names without one.
pub const HUB: &str = "docker.io";

/// Rewrites the image of every container, virtual disk and operator setting in `object`.
pub fn rewrite_object(object: &mut Value, rules: &BTreeMap<String, String>) {
    if !rules.is_empty() {
        change_images(object, &mut |image| *image = rewrite(image, rules));
    }
}

/// The images that `object` names, in its order.
pub fn images_of(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    // The walk is one for reading and changing, so that both see the same places.
    change_images(&mut object.clone(), &mut |image| found.push(image.clone()));
    found
}

/// Passes the image of every container, virtual disk and operator setting in `object` to `change`.
pub fn change_images(object: &mut Value, change: &mut dyn FnMut(&mut String)) {
    match object {
        Value::Array(items) => items.iter_mut().for_each(|item| change_images(item, change)),
        Value::Object(fields) => {
            change_fields(fields, change);
            fields.values_mut().for_each(|field| change_images(field, change));
        }
        _ => {}
    }
}

/// The name of `image` after the rule with the longest prefix that ends where a part of the name ends.
///
/// A short name is also known by its full one: a rule for `docker.io` covers `busybox`.
pub fn rewrite(image: &str, rules: &BTreeMap<String, String>) -> String {
    [image.to_owned(), full_name(image)]
        .iter()
        .find_map(|name| longest_rule(name, rules))
        .unwrap_or_else(|| image.to_owned())
}

fn change_fields(fields: &mut Map<String, Value>, change: &mut dyn FnMut(&mut String)) {
    for kind in ["containers", "initContainers", "ephemeralContainers"] {
        let containers = fields.get_mut(kind).and_then(Value::as_array_mut);
        containers.into_iter().flatten().for_each(|container| change_field(container, "image", change));
    }
    for disk in ["containerDisk", "registryDisk"] {
        if let Some(disk) = fields.get_mut(disk) {
            change_field(disk, "image", change);
        }
    }
    // An operator takes the images that it installs from its environment: VIRT_OPERATOR_IMAGE.
    for setting in fields.get_mut("env").and_then(Value::as_array_mut).into_iter().flatten() {
        if setting.get("name").and_then(Value::as_str).is_some_and(|name| name.ends_with("_IMAGE")) {
            change_field(setting, "value", change);
        }
    }
}

fn change_field(object: &mut Value, field: &str, change: &mut dyn FnMut(&mut String)) {
    if let Some(Value::String(image)) = object.get_mut(field)
        && !image.is_empty()
    {
        change(image);
    }
}

fn longest_rule(name: &str, rules: &BTreeMap<String, String>) -> Option<String> {
    rules
        .iter()
        .filter_map(|(from, to)| Some((from, to, name.strip_prefix(from.as_str())?)))
        .filter(|(from, _, rest)| rest.is_empty() || from.ends_with('/') || rest.starts_with(['/', ':', '@']))
        .max_by_key(|(from, ..)| from.len())
        .map(|(_, to, rest)| format!("{to}{rest}"))
}

/// The name with its registry, as a runtime completes it.
pub(super) fn full_name(image: &str) -> String {
    let first = image.split('/').next().unwrap_or_default();
    match image.contains('/') {
        false => format!("{HUB}/library/{image}"),
        true if first.contains(['.', ':']) || first == "localhost" => image.to_owned(),
        true => format!("{HUB}/{image}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn rules(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect()
    }

    #[test]
    fn the_longest_prefix_on_a_boundary_wins() {
        let rules = rules(&[
            ("ghcr.io", "m:5000/ghcr"),
            ("ghcr.io/flannel-io", "m:5000/flannel"),
            ("docker.io", "m:5000/hub"),
            ("quay.io/a/b", "m:5000/other"),
        ]);
        for (image, expected) in [
            ("ghcr.io/x/y:1", "m:5000/ghcr/x/y:1"),
            ("ghcr.io/flannel-io/flannel:v1", "m:5000/flannel/flannel:v1"),
            ("ghcr.io/flannel-io-other/z", "m:5000/ghcr/flannel-io-other/z"),
            ("ghcr.io.example/x", "ghcr.io.example/x"),
            ("busybox", "m:5000/hub/library/busybox"),
            ("busybox:1.37", "m:5000/hub/library/busybox:1.37"),
            ("kubevirt/x:v1", "m:5000/hub/kubevirt/x:v1"),
            ("quay.io/a/b:1", "m:5000/other:1"),
            ("quay.io/a/b@sha256:00", "m:5000/other@sha256:00"),
            ("quay.io/a/bc:1", "quay.io/a/bc:1"),
            ("localhost:5000/x", "localhost:5000/x"),
        ] {
            assert_eq!(rewrite(image, &rules), expected, "{image}");
        }
    }

    #[test]
    fn every_place_of_an_image_is_rewritten_and_nothing_else() {
        let mut object = json!({"spec": {"template": {"spec": {
            "initContainers": [{"image": "r/a"}],
            "containers": [{"image": "r/b", "args": ["r/c"], "env": [
                {"name": "VIRT_API_IMAGE", "value": "r/d"}, {"name": "OTHER", "value": "r/e"}]}],
        }}, "volumes": [{"containerDisk": {"image": "r/f"}}], "image": "r/g"}});
        rewrite_object(&mut object, &rules(&[("r", "m")]));
        let text = object.to_string();
        for image in ["m/a", "m/b", "r/c", "m/d", "r/e", "m/f", "r/g"] {
            assert!(text.contains(&format!("\"{image}\"")), "{image} in {text}");
        }
    }
}
