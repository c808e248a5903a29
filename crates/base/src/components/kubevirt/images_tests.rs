use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::lock::LockedImage;

fn operator(image: &str, env: &Value) -> Value {
    json!({"kind": "Deployment", "metadata": {"name": "virt-operator"},
        "spec": {"template": {"spec": {"containers": [{"name": "virt-operator", "image": image, "env": env}]}}}})
}

fn profile(version: &str) -> Profile {
    let mut profile = Profile::default();
    profile.kubevirt.version = version.into();
    profile
}

/// A lock of images, each with a digest of its own.
fn lock(images: &[String]) -> Lock {
    let mut lock = Lock::new("mine");
    for (number, image) in images.iter().enumerate() {
        let (name, tag) = image.rsplit_once(':').unwrap();
        lock.images.push(LockedImage {
            name: name.into(),
            tag: Some(tag.into()),
            digest: format!("sha256:{number:064x}"),
            platforms: BTreeMap::new(),
            needed_by: BTreeSet::new(),
        });
    }
    lock
}

#[test]
fn the_set_is_that_of_the_release_with_registry_prefix_and_tag_of_the_operator() {
    for (version, count, has) in [
        ("v1.9.0", 12, "m:5000/kv/x-virt-template-apiserver:v0.2.2"),
        ("v1.8.2", 12, "m:5000/kv/x-virt-template-controller:v0.1.7"),
        ("v1.7.0", 10, "m:5000/kv/x-virt-synchronization-controller:v1.7.0"),
        ("v1.5.0", 9, "m:5000/kv/x-sidecar-shim:v1.5.0"),
        ("v1.1.0", 8, "m:5000/kv/x-pr-helper:v1.1.0"),
    ] {
        let object = operator(
            "other",
            &json!([{"name": OWN, "value": format!("m:5000/kv/x-virt-operator:{version}")}]),
        );
        let found = derived(&profile(version), &[object]);
        assert_eq!(found.len(), count, "{version}: {found:?}");
        assert!(found.contains(&has.to_owned()), "{version}: {found:?}");
    }
}

#[test]
fn an_image_that_is_set_is_not_derived() {
    let env = json!([{"name": "VIRT_API_IMAGE", "value": "m/own-api:1"}, {"name": "GS_IMAGE", "value": ""}]);
    let found = derived(&profile("v1.9.0"), &[operator("m/virt-operator:v1.9.0", &env)]);
    assert!(!found.iter().any(|image| image.contains("api:v1.9.0")), "{found:?}");
    assert!(found.contains(&"m/libguestfs-tools:v1.9.0".to_owned()), "{found:?}");
}

#[test]
fn the_operator_gets_its_own_digest_without_a_tag_and_the_version_beside_it() {
    let mut objects = [operator("r.example/virt-operator:v1.9.0", &json!([]))];
    let mut images = derived(&profile("v1.9.0"), &objects);
    images.push("r.example/virt-operator:v1.9.0".into());
    let lock = lock(&images);
    pin(&profile("v1.9.0"), &mut objects, &lock).unwrap();
    let container = super::operator(&objects[0]).unwrap();
    assert_eq!(setting(container, VERSION), Some("v1.9.0"));
    assert_eq!(
        setting(container, OWN).unwrap(),
        format!("r.example/virt-operator@sha256:{:064x}", images.len() - 1)
    );
    for (number, image) in images.iter().enumerate().take(IMAGES.len()) {
        let variable = IMAGES[number].variable;
        assert_eq!(setting(container, variable).unwrap(), format!("{image}@sha256:{number:064x}"));
    }
    // And again.
    let once = objects.clone();
    pin(&profile("v1.9.0"), &mut objects, &lock).unwrap();
    assert_eq!(objects, once);
    let mut less = lock;
    less.images.remove(0);
    let error = pin(&profile("v1.9.0"), &mut [operator("r.example/virt-operator:v1.9.0", &json!([]))], &less)
        .unwrap_err();
    assert!(error.code().id == "KVN442" && error.message().contains("virt-api"), "{error}");
}

#[test]
fn a_release_that_cannot_be_told_is_refused() {
    let mut objects = [operator("r.example/virt-operator:v0.36.5", &json!([]))];
    let error = pin(&profile("v0.36.5"), &mut objects, &lock(&[])).unwrap_err();
    assert_eq!(error.code().id, "KVN104");
}

#[test]
fn the_launcher_of_a_release_without_an_operator_is_an_option() {
    let command =
        json!(["virt-controller", "--launcher-image", "r.example/virt-launcher:v0.8.0", "--port", "8182"]);
    let mut objects = [json!({"kind": "Deployment", "metadata": {"name": "virt-controller"},
        "spec": {"template": {"spec": {"containers": [{"image": "r.example/virt-controller:v0.8.0", "command": command}]}}}})];
    let images = derived(&profile("v0.8.0"), &objects);
    assert_eq!(images, ["r.example/virt-launcher:v0.8.0"]);
    pin(&profile("v0.8.0"), &mut objects, &lock(&images)).unwrap();
    let words = &objects[0]["spec"]["template"]["spec"]["containers"][0]["command"];
    assert_eq!(words[2], format!("r.example/virt-launcher:v0.8.0@sha256:{:064x}", 0));
}
