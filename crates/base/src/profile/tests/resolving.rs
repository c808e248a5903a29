//! Building on other profiles, and `--set`.

use crate::error::Result;
use crate::profile::{Binding, Emulation, Loaded, NetworkKind, load, load_text, redacted, shipped, to_yaml};

fn with(text: &str, sets: &[&str]) -> Result<Loaded> {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    load_text(text, "p.yaml", &sets)
}

fn fixture(name: &str) -> String {
    format!("{}/../../tests/fixtures/profiles/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn maps_merge_and_lists_replace() {
    let loaded = load(&fixture("two-levels.yaml"), &[]).expect("valid");
    let profile = loaded.profile;
    assert_eq!(profile.name, "two-levels", "the file's name, not the one of what it extends");
    assert!(profile.description.is_empty());
    assert_eq!(profile.timeouts.ready, 111, "from the file");
    assert_eq!(profile.timeouts.vm, 222, "from what it extends");
    assert_eq!(profile.timeouts.kubevirt, 900, "from the model");
    assert_eq!(profile.ovs.bridges.len(), 1);
    assert_eq!(profile.ovs.bridges[0].name, "red");
    assert_eq!(profile.networks.len(), 1);
}

#[test]
fn an_error_in_an_extended_file_names_that_file() {
    let error = load(&fixture("extends-broken.yaml"), &[]).expect_err("refused");
    assert_eq!(error.place(), Some(&*fixture("broken.yaml")).map(|file| format!("{file}:3:3")).as_deref());
}

#[test]
fn extends_that_cannot_be_used() {
    for (name, message) in [("circle-a.yaml", "leads back"), ("extends-missing.yaml", "cannot be read")] {
        let error = load(&fixture(name), &[]).expect_err("refused");
        assert_eq!(error.code().id, "KVN105", "{error}");
        assert!(error.message().contains(message), "{error}");
    }
    let error = with("extends: defalt\n", &[]).expect_err("refused");
    assert_eq!((error.code().id, error.place()), ("KVN105", Some("p.yaml:1:10")));
    assert_eq!(error.hints()[0], "did you mean `default`?");
}

#[test]
fn a_long_chain_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    for number in 0..10 {
        let text = format!("extends: ./p{}.yaml\n", number + 1);
        std::fs::write(directory.path().join(format!("p{number}.yaml")), text).expect("written");
    }
    let error = load(&directory.path().join("p0.yaml").display().to_string(), &[]).expect_err("refused");
    assert_eq!(error.code().id, "KVN105");
    assert!(error.message().contains("more than 8"), "{error}");
}

#[test]
fn set_reaches_every_field() {
    let sets = [
        "ovs.bridges[0].name=red",
        "ovs.bridges.1={name: green, vlans: []}",
        "ovs.bridges[1].vlans[0]={name: g5, vlan: 5}",
        "networks[0]={name: n, kind: ovs, bridge: red}",
        "networks[0].vlan=7",
        "networks[0].ipam.subnet=10.9.0.0/24",
        "kubevirt.emulation=on",
        "vm.cloudInit.userData=#!/bin/sh\necho a=b: c",
        "vm.interfaces=[{name: a, network: pod, binding: masquerade}]",
        "images.rewrite[\"ghcr.io\"]=mirror.example:5000",
        "cluster.removeTaints[1]=x.io/y",
        "timeouts.ready=5",
        "description='quoted'",
    ];
    let profile = with("extends: default\nnetworks: []\n", &sets).expect("valid").profile;
    assert_eq!(profile.ovs.bridges[1].vlans[0].name, "g5");
    assert!(matches!(&profile.networks[0].kind, NetworkKind::Ovs { vlan: Some(7), ipam: Some(_), .. }));
    assert_eq!(profile.kubevirt.emulation, Emulation::On);
    assert_eq!(profile.vm.cloud_init.user_data, "#!/bin/sh\necho a=b: c");
    assert_eq!(profile.vm.interfaces[0].binding, Some(Binding::Masquerade));
    assert_eq!(profile.images.rewrite["ghcr.io"], "mirror.example:5000");
    assert_eq!(profile.cluster.remove_taints.len(), 2);
    assert_eq!(profile.description, "quoted");
}

#[test]
fn set_that_cannot_be() {
    let cases = [
        ("ovs.brdges=[]", "KVN103", "--set ovs.brdges=…", "did you mean `bridges`?"),
        ("ovs.bridges[3].name=a", "KVN103", "--set ovs.bridges[3].name=…", "0 adds"),
        ("ovs.bridges.x=a", "KVN103", "--set ovs.bridges.x=…", "number"),
        ("ovs[0]=a", "KVN103", "--set ovs[0]=…", "remove"),
        ("ovs.enabled=yes", "KVN103", "--set ovs.enabled=…", "write `true`"),
        ("ovs.enabled=[", "KVN102", "--set ovs.enabled=…", ""),
        ("extends=default", "KVN103", "--set extends=…", "other profile"),
        ("timeouts.ready=0", "KVN104", "--set timeouts.ready=…", "86400"),
        ("a..b=1", "KVN100", "--set a..b=…", "ovs.bridges[0].name"),
    ];
    for (argument, code, place, hint) in cases {
        let error = with("name: a\n", &[argument]).expect_err(argument);
        assert_eq!((error.code().id, error.place()), (code, Some(place)), "{argument}: {error}");
        assert!(error.hints().join("\n").contains(hint), "{argument}: {:?}", error.hints());
    }
    assert_eq!(with("name: a\n", &["nothing"]).expect_err("no =").code().id, "KVN100");
}

#[test]
fn a_secret_never_reaches_a_message() {
    for argument in
        ["vm.cloudInit=s3cret", "vm.cloudInit.userData[0]=s3cret", "vm.cloudInit.userData=s3cret\u{7}"]
    {
        let error = with("name: a\n", &[argument]).expect_err(argument);
        assert!(!format!("{error:?} {error}").contains("s3cret"), "{error}");
    }
}

#[test]
fn images_and_addresses_follow_the_version_unless_written() {
    let profile =
        with("name: a\n", &["kubevirt.version=v1.8.4", "flannel.version=v0.27.4"]).expect("valid").profile;
    assert!(profile.kubevirt.source.url.contains("/v1.8.4/"), "{}", profile.kubevirt.source.url);
    assert_eq!(profile.flannel.image, "ghcr.io/flannel-io/flannel:v0.27.4");
    let text = "flannel: {version: v0.27.4, image: 'mine/flannel:v0.28.10'}\n";
    assert_eq!(with(text, &[]).expect("valid").profile.flannel.image, "mine/flannel:v0.28.10");
}

#[test]
fn emulation_needs_no_quotes() {
    for (text, value) in
        [("on", Emulation::On), ("'off'", Emulation::Off), ("off", Emulation::Off), ("auto", Emulation::Auto)]
    {
        let loaded = with(&format!("kubevirt: {{emulation: {text}}}\n"), &[]).expect("valid");
        assert_eq!(loaded.profile.kubevirt.emulation, value);
    }
}

#[test]
fn vlan_bridges_are_found_by_the_plugin_of_2018_only() {
    let text = "ovs: {bridges: [{name: a, vlans: [{name: b, vlan: 7}]}]}\nnetworks: [{name: n, kind: ovs, bridge: b}]\n";
    assert!(with(text, &[]).is_err());
    assert!(with(text, &["ovsCni.version=393d3ffa91a3d1f4ea326e233fac930f79aec751"]).is_ok());
}

#[test]
fn one_subnet_can_be_shared_on_one_wire_with_separate_ranges() {
    let network = |name: &str, range: &str| {
        format!("- {{name: {name}, kind: bridge, bridge: b, ipam: {{subnet: 10.2.0.0/24, {range}}}}}\n")
    };
    let a = network("a", "rangeStart: 10.2.0.10, rangeEnd: 10.2.0.99");
    let b = network("b", "rangeStart: 10.2.0.100, rangeEnd: 10.2.0.199");
    assert!(with(&format!("networks:\n{a}{b}"), &[]).is_ok());
}

#[test]
fn what_show_prints_loads_as_the_same_profile() {
    for known in shipped() {
        let profile = redacted(&load(known.name, &[]).expect("valid").profile);
        let again = load_text(&to_yaml(&profile), "p.yaml", &[]).expect("valid");
        assert_eq!(again.profile, profile);
    }
}

#[test]
fn the_walkthrough_keeps_its_own_values() {
    let profile = load("walkthrough-2018", &[]).expect("valid").profile;
    assert_eq!(profile.kubevirt.api_version(), "kubevirt.io/v1alpha2");
    assert!(!profile.kubevirt.has_operator() && !profile.kubevirt.has_container_disk());
    assert!(profile.ovs_cni.finds_vlan_bridges());
    assert_eq!(profile.vm.cloud_init.user_data, "#!/bin/bash\necho \"fedora\" | passwd fedora --stdin\n");
    assert_eq!(profile.cluster.remove_taints, ["node-role.kubernetes.io/master"]);
}

#[test]
fn the_digest_is_that_of_the_meaning() {
    let one = with("timeouts: {ready: 5}\nname: a\n", &[]).expect("valid");
    let two = with("# a comment\nname: 'a'\n", &["timeouts.ready=5"]).expect("valid");
    assert_eq!(one.digest, two.digest);
    assert_ne!(one.digest, with("name: b\n", &[]).expect("valid").digest);
}

#[test]
fn a_manifest_is_looked_for_beside_the_profile_that_names_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::create_dir(path("sub")).expect("made");
    std::fs::write(path("sub/base.yaml"), "flannel: {source: {from: file, path: ./m.yml}}\n")
        .expect("written");
    std::fs::write(
        path("top.yaml"),
        "extends: sub/base.yaml\nmultus: {source: {from: file, path: /abs.yml}}\n",
    )
    .expect("written");
    let profile = load(&path("top.yaml"), &["ovsCni.source.path=typed.yml".into()]).expect("valid").profile;
    assert_eq!(
        std::path::Path::new(&profile.flannel.source.path),
        std::path::Path::new(&path("sub/./m.yml"))
    );
    assert_eq!(profile.multus.source.path, "/abs.yml");
    assert_eq!(profile.ovs_cni.source.path, "typed.yml", "what is typed is where it is typed");
}
