//! `kvnet lock` and `--locked`, with a registry on this machine and a node in memory.

use std::collections::BTreeSet;
use std::fs;
use std::process::Output;

use camino::Utf8Path;
use kvnet::lock::Lock;
use kvnet::manifest::{HUB, images_of};
use kvnet::profile::Profile;
use serde_json::Value;

use crate::it::registry::Fake;
use kvnet_test_kit::run::{As, Place, text};

const LOGIN: &str = "bWU6Y2FuYXJ5LXBhc3N3b3Jk";
const PASSWORD: &str = "canary-password";

/// A profile whose images are all in that registry.
fn profile(place: &Place, shipped: &str, registry: &str) {
    let known = Profile::default();
    let images = [&known.flannel.image, &known.ovs_cni.image, &known.vm.image, &format!("{HUB}/x")]
        .map(|image| image.split('/').next().unwrap().to_owned());
    let rules = BTreeSet::from(images).into_iter().map(|host| format!("    {host}: {registry}\n"));
    let rules: String = rules.collect();
    place.write("p.yaml", &format!("extends: {shipped}\nimages:\n  rewrite:\n{rules}"));
}

fn run(place: &Place, line: &str) -> Output {
    let arguments: Vec<&str> = line.split_whitespace().chain(["-p", "DIR/p.yaml"]).collect();
    place.kvnet(As::Tester, &arguments, &[])
}

/// Runs it, and returns what it printed.
fn says(place: &Place, line: &str, exit: i32) -> String {
    let output = run(place, line);
    let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(exit), "{line}: {told}");
    told
}

fn lock(place: &Place) -> Lock {
    let path = place.path("kvnet.lock");
    Lock::read(Utf8Path::from_path(&path).unwrap()).unwrap().unwrap()
}

/// A place with a locked profile.
fn locked(shipped: &str) -> (Place, Fake) {
    let (place, registry) = (Place::new(), Fake::new());
    profile(&place, shipped, &registry.address);
    says(&place, "lock --sandbox", 0);
    (place, registry)
}

#[test]
fn both_shipped_profiles_are_locked_image_by_image() {
    for (shipped, has) in [
        (
            "default",
            &[
                "kubevirt/virt-launcher:v1.9.0",
                "kubevirt/virt-template-apiserver:v0.2.2",
                "library/busybox:1.37.0",
                "containerdisks/fedora:43",
            ][..],
        ),
        (
            "walkthrough-2018",
            &[
                "kubevirt/virt-handler:v0.8.0",
                "nfvpe/multus:latest",
                "kubevirt/fedora-cloud-registry-disk-demo:latest",
            ],
        ),
    ] {
        let (place, registry) = locked(shipped);
        let lock = lock(&place);
        for image in &lock.images {
            let title = image.title();
            let own = title.strip_prefix(&format!("{}/", registry.address)).unwrap();
            assert_eq!(image.digest, registry.digest(own), "{own}");
            let platforms: Vec<&String> = image.platforms.keys().collect();
            assert_eq!(platforms, ["linux/amd64", "linux/arm64"], "{own}");
        }
        let titles: Vec<String> = lock.images.iter().map(kvnet::lock::LockedImage::title).collect();
        for image in has {
            assert!(titles.contains(&format!("{}/{image}", registry.address)), "{image}: {titles:#?}");
        }
        let before = fs::read(place.path("kvnet.lock")).unwrap();
        assert!(says(&place, "lock --sandbox", 0).contains("nothing moved"));
        assert_eq!(fs::read(place.path("kvnet.lock")).unwrap(), before);
    }
}

#[test]
fn a_tag_that_moves_is_told_with_both_digests_and_nothing_is_written() {
    let (place, registry) = locked("default");
    assert!(says(&place, "lock --check --sandbox", 0).contains("nothing moved"));
    let asked = registry.asked();
    assert!(
        asked.iter().skip_while(|line| !line.starts_with("HEAD")).all(|line| line.starts_with("HEAD")),
        "{asked:?}"
    );
    let image = "library/busybox:1.37.0";
    let (before, file) = (registry.digest(image), fs::read(place.path("kvnet.lock")).unwrap());
    registry.moves(image);
    let told = says(&place, "lock --check --sandbox", 3);
    assert!(
        told.contains(&before) && told.contains(&registry.digest(image)) && told.contains(image),
        "{told}"
    );
    assert_eq!(fs::read(place.path("kvnet.lock")).unwrap(), file);
    let output = run(&place, "lock --check --sandbox -o json");
    let json: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (json["changes"][0]["locked"].as_str(), json["changes"].as_array().unwrap().len()),
        (Some(before.as_str()), 1)
    );
    // A new lock says what it changes.
    assert!(says(&place, "lock --sandbox", 0).contains(&before));
    says(&place, "lock --check --sandbox", 0);
    // So does a profile that wants something else, without asking for what the lock lacks.
    let told = says(&place, "lock --check --sandbox --set vm.image=other.example/disk:1", 3);
    assert!(told.contains("other.example/disk:1: not in the lock"), "{told}");
}

#[test]
fn up_locked_needs_no_registry_and_the_second_one_has_nothing_to_do() {
    let (place, registry) = locked("default");
    registry.asked();
    says(&place, "up --locked --sandbox-dir DIR/box", 0);
    assert!(says(&place, "plan --locked --sandbox-dir DIR/box", 0).contains("nothing to do"));
    assert!(says(&place, "up --locked --sandbox-dir DIR/box", 0).contains("nothing to do"));
    assert_eq!(registry.asked(), [] as [String; 0]);
    let output = run(&place, "render --locked --sandbox-dir DIR/box -o json");
    let objects: Value = serde_json::from_slice(&output.stdout).unwrap();
    let objects = objects["items"].as_array().unwrap();
    let images: Vec<String> = objects.iter().flat_map(images_of).collect();
    assert!(images.len() > 15 && images.iter().all(|image| image.contains("@sha256:")), "{images:#?}");
    let operator = objects
        .iter()
        .find(|object| object["metadata"]["name"] == "virt-operator" && object["kind"] == "Deployment");
    let env = operator.unwrap().pointer("/spec/template/spec/containers/0/env").unwrap().as_array().unwrap();
    let value =
        |name: &str| env.iter().find(|setting| setting["name"] == name).unwrap()["value"].as_str().unwrap();
    assert_eq!(value("KUBEVIRT_VERSION"), "v1.9.0");
    assert_eq!(
        value("VIRT_OPERATOR_IMAGE"),
        format!(
            "{}/kubevirt/virt-operator@{}",
            registry.address,
            registry.digest("kubevirt/virt-operator:v1.9.0")
        )
    );
}

#[test]
fn what_is_not_in_the_lock_is_refused_before_the_first_change() {
    let (place, _registry) = locked("default");
    let path = place.path("kvnet.lock");
    let whole = fs::read_to_string(&path).unwrap();
    let without = |part: &str| {
        let mut lock = Lock::parse(&whole).unwrap();
        lock.images.retain(|image| !image.name.ends_with(part));
        place.write("kvnet.lock", &lock.to_text().unwrap());
    };
    let before = says(&place, "status --sandbox-dir DIR/box", 3);
    for part in ["/virt-handler", "/flannel", "/busybox"] {
        without(part);
        let told = says(&place, "up --locked --sandbox-dir DIR/box", 2);
        assert!(
            told.contains("error[KVN442]") && told.contains(part) && told.contains("kvnet lock"),
            "{told}"
        );
    }
    assert_eq!(says(&place, "status --sandbox-dir DIR/box", 3), before);
    place.write("kvnet.lock", &whole.replacen("sha256:", "sha256:x", 1));
    assert!(says(&place, "up --locked --sandbox", 2).contains("error[KVN440]"));
    fs::remove_file(&path).unwrap();
    assert!(says(&place, "up --locked --sandbox", 2).contains("error[KVN441]"));
    place.write("kvnet.lock", "extends: default\n");
    assert!(says(&place, "lock --sandbox", 2).contains("error[KVN440]"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "extends: default\n");
}

#[test]
fn a_plan_tells_what_floats_until_there_is_a_lock() {
    let (place, registry) = (Place::new(), Fake::new());
    profile(&place, "default", &registry.address);
    assert!(says(&place, "plan --sandbox", 3).contains("images float by tag"));
    let standing = |place: &Place| {
        let output = run(place, "plan --sandbox -o json");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["lock"].clone()
    };
    assert!(standing(&place)["floating"].as_array().unwrap().len() > 15);
    assert_eq!(registry.asked(), [] as [String; 0]);
    says(&place, "lock --sandbox", 0);
    let told = standing(&place);
    assert_eq!(
        (told["floating"].as_array().unwrap().len(), told["differences"].as_array().unwrap().len()),
        (0, 0),
        "{told}"
    );
    assert!(!says(&place, "plan --sandbox", 3).contains("float"));
    assert!(
        says(&place, "plan --sandbox --set vm.image=other.example/disk:1", 3)
            .contains("differs from the profile in 1")
    );
}

#[test]
fn a_login_is_used_and_is_in_no_output_log_or_lock() {
    let (place, registry) = (Place::new(), Fake::new());
    profile(&place, "default", &registry.address);
    registry.wants(&format!("Basic {LOGIN}"), "canary-token-8f3a61c0");
    let denied = says(&place, "lock --sandbox", 1);
    assert!(denied.contains("error[KVN431]") && denied.contains("docker login"), "{denied}");
    assert!(!place.path("kvnet.lock").exists());
    fs::create_dir(place.path(".docker")).unwrap();
    place.write(
        ".docker/config.json",
        &format!(r#"{{"auths": {{"{}": {{"auth": "{LOGIN}"}}}}}}"#, registry.address),
    );
    let mut all = says(&place, "lock --sandbox-dir DIR/box -vv", 0);
    registry.forgets_all();
    all.push_str(&says(&place, "lock --sandbox-dir DIR/box -vv", 1));
    assert!(all.contains("error[KVN432]"), "{all}");
    let missing = all.split_once("error[KVN432]").unwrap().1;
    for image in ["/flannel:", "/multus-cni:", "/ovs-cni-plugin:"] {
        assert!(missing.contains(image), "{image} is missing too: {all}");
    }
    all.push_str(&fs::read_to_string(place.path("kvnet.lock")).unwrap());
    let logs: Vec<String> = fs::read_dir(place.path("box/state/logs"))
        .unwrap()
        .map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap())
        .collect();
    assert!(logs.iter().any(|log| log.contains("asking a registry")), "{logs:?}");
    all.extend(logs);
    for secret in [LOGIN, PASSWORD, "canary-token"] {
        assert!(!all.contains(secret), "{secret}: {all}");
    }
}
