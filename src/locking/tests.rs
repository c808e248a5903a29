use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::*;
use crate::host::fake::FakeHost;
use crate::lock::LockedImage;
use crate::profile;
use crate::steps::testing::{context, debian};

fn image(name: &str, tag: &str, needed_by: &str) -> LockedImage {
    LockedImage {
        name: name.into(),
        tag: Some(tag.into()),
        digest: format!("sha256:{}", "a".repeat(64)),
        platforms: BTreeMap::new(),
        needed_by: BTreeSet::from([needed_by.to_owned()]),
    }
}

fn lock(images: impl IntoIterator<Item = LockedImage>) -> Lock {
    let mut lock = Lock::new("mine");
    lock.images.extend(images);
    lock
}

#[test]
fn a_lock_is_beside_its_profile_and_that_of_a_shipped_one_is_here() {
    for (profile, expected) in [
        ("default", "kvnet.lock"),
        ("-", "kvnet.lock"),
        ("my.yaml", "kvnet.lock"),
        ("lab/my.yaml", "lab/kvnet.lock"),
        ("/etc/kvnet/my.yml", "/etc/kvnet/kvnet.lock"),
    ] {
        assert_eq!(path_beside(profile), expected, "{profile}");
    }
}

#[tokio::test]
async fn what_a_node_does_not_say_is_kept_from_the_old_lock() {
    let old = lock([image("r.example/etcd", "3.6", "kubeadm"), image("r.example/pause", "3.10", "runtime")]);
    let silent = context(&Arc::new(FakeHost::new()), Profile::default(), debian());
    let mut wanted = Wanted::default();
    wanted.add_node(&silent, Some(&old)).await.unwrap();
    let names: Vec<String> = wanted.images.keys().map(ToString::to_string).collect();
    assert_eq!(names, ["r.example/etcd:3.6", "r.example/pause:3.10"]);
    assert_eq!(wanted.gaps.len(), 2, "{:?}", wanted.gaps);

    let host = FakeHost::new()
        .prints(["kubeadm", "version"], "v1.37.2\n")
        .prints(["kubeadm", "config", "images", "list"], "r.example/etcd:3.7\n")
        .prints(["crictl", "info"], r#"{"config": {"sandboxImage": "r.example/pause:3.11"}}"#);
    let mut wanted = Wanted::default();
    wanted.add_node(&context(&Arc::new(host), Profile::default(), debian()), Some(&old)).await.unwrap();
    let names: Vec<String> = wanted.images.keys().map(ToString::to_string).collect();
    assert_eq!(
        (names, wanted.gaps.len()),
        (vec!["r.example/etcd:3.7".into(), "r.example/pause:3.11".into()], 0)
    );
}

#[test]
fn what_is_missing_and_what_is_left_over_differ() {
    let mut wanted = Wanted::default();
    wanted.images.insert("r.example/new:v1".parse().unwrap(), BTreeSet::new());
    wanted.images.insert("r.example/same:v1".parse().unwrap(), BTreeSet::new());
    let lock = lock([image("r.example/old", "v1", "flannel"), image("r.example/same", "v1", "flannel")]);
    let lines: Vec<String> = standing::differences(&lock, &wanted).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["+ image r.example/new:v1: not in the lock", "- image r.example/old:v1: no longer needed"]
    );
}

#[test]
fn the_image_of_the_verification_keeps_its_written_name_which_is_rewritten_later() {
    let mut profile = profile::load("default", &[]).unwrap().profile;
    profile.verification.image = "r.example/box:1".into();
    // A rule that would apply twice.
    profile.images.rewrite.insert("r.example".into(), "r.example/mirror".into());
    let lock = lock([image("r.example/mirror/box", "1", "verification")]);
    pin_profile(&mut profile, &lock).unwrap();
    assert_eq!(profile.verification.image, format!("r.example/box:1@sha256:{}", "a".repeat(64)));
    profile.verification.image = "r.example/box:2".into();
    assert_eq!(pin_profile(&mut profile, &lock).unwrap_err().code(), &code::LOCK_LACKS);
}
