//! What holds for every input.

use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;
use serde_json::{Map, Value as Json};

use crate::profile::node::Node;
use crate::profile::parse::parse_file;
use crate::profile::*;

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..400)) {
        let _ = parse_file(&bytes, "p.yaml");
    }

    #[test]
    fn no_yaml_makes_it_panic(text in yaml_like()) {
        let _ = load_text(&text, "p.yaml", &[]);
    }

    #[test]
    fn no_set_makes_it_panic(argument in "[a-zA-Z.0-9\\[\\]\"={}, :]{0,30}|(ovs|networks|vm|images)(\\.[a-z]{1,8}|\\[[0-3]\\]){0,3}=.{0,10}") {
        let _ = load_text("extends: default\n", "p.yaml", &[argument]);
    }

    #[test]
    fn merging_is_deterministic_and_keeps_what_lies_on_top(under in json(), over in json()) {
        let merged = |under: &Json, over: &Json| {
            let mut node = Node::of_default(under.clone());
            node.merge(Node::of_default(over.clone()));
            node.to_json()
        };
        let once = merged(&under, &over);
        prop_assert_eq!(&once, &merged(&under, &over));
        prop_assert_eq!(&once, &merged(&once, &over), "merging again changes nothing");
        prop_assert_eq!(&merged(&Json::Object(Map::new()), &under), &under);
    }

    #[test]
    fn a_written_profile_loads_as_the_same(profile in profile()) {
        let text = to_yaml(&profile);
        let loaded = load_text(&text, "p.yaml", &[]).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(&loaded.profile, &profile);
        prop_assert_eq!(loaded.digest, digest(&profile));
    }

    #[test]
    fn every_scalar_survives_writing(value in json()) {
        let mut profile = Profile::default();
        profile.cluster.init.kubelet.insert("value".into(), value);
        profile.name = "p".into();
        let text = to_yaml(&profile);
        let node = parse_file(text.as_bytes(), "p.yaml").map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
        prop_assert_eq!(node.to_json(), serde_json::to_value(&profile).expect("JSON"), "{}", text);
    }
}

/// Text that gets past the scanner more often than random characters do.
fn yaml_like() -> impl Strategy<Value = String> {
    let token = prop_oneof![
        Just("ovs"),
        Just("networks"),
        Just("vm"),
        Just("cluster"),
        Just("extends"),
        Just("kind"),
        Just("name"),
        Just(": "),
        Just(":\n"),
        Just("- "),
        Just("\n"),
        Just("\n  "),
        Just("{"),
        Just("}"),
        Just("["),
        Just("]"),
        Just(","),
        Just("&a "),
        Just("*a"),
        Just("!!str "),
        Just("|\n"),
        Just("'"),
        Just("\""),
        Just("true"),
        Just("0x1f"),
        Just("1e400"),
        Just("---\n"),
        Just("#"),
        Just("\t"),
        Just("? "),
        Just("é"),
        Just("default"),
    ];
    vec(token, 0..60).prop_map(|tokens| tokens.concat())
}

fn json() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<u64>().prop_map(Json::from),
        (-1e9..1e9f64).prop_map(Json::from),
        text().prop_map(Json::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Json::from),
            btree_map("[a-z]{1,3}", inner, 0..4).prop_map(|map| Json::Object(map.into_iter().collect())),
        ]
    })
}

/// Texts that YAML could take for something else.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{0,12}",
        "[0-9_.eExXoO+:-]{1,6}",
        "(yes|no|on|off|null|~|true|NaN|\\.inf|-\\.INF|Infinity|<<|=|0644|0o7|1_000|2026-01-01|12:30:45)",
        "[a-zé\\n\\t :#]{0,10}",
    ]
}

fn profile() -> impl Strategy<Value = Profile> {
    let words = "[ -~]{0,20}";
    let emulation = prop_oneof![Just(Emulation::Auto), Just(Emulation::On), Just(Emulation::Off)];
    let bridges = vec((proptest::option::of(1..=4094u16), any::<bool>()), 0..4);
    (words, emulation, bridges, text(), text(), 1..=86_400u64, any::<[bool; 3]>()).prop_map(
        |(description, emulation, bridges, user_data, free, seconds, flags)| {
            let mut profile = Profile { name: "p".into(), description, ..Profile::default() };
            profile.kubevirt.emulation = emulation;
            profile.timeouts.ready = seconds;
            profile.vm.cloud_init.user_data = user_data;
            profile.cluster.kernel = flags[0];
            profile.cluster.kubeconfig.copy = flags[1];
            profile.verification.enabled = flags[2];
            let free: String = free.chars().filter(|c| !c.is_control()).collect();
            profile.cluster.init.kubelet.insert("free".into(), Json::from(free));
            for (index, (vlan, has_ipam)) in bridges.into_iter().enumerate() {
                add_bridge(&mut profile, index, vlan, has_ipam);
            }
            profile
        },
    )
}

fn add_bridge(profile: &mut Profile, index: usize, vlan: Option<u16>, has_ipam: bool) {
    let name: Arc<str> = format!("br{index}").into();
    profile.ovs.bridges.push(Bridge { name: name.to_string(), ..Bridge::default() });
    let ipam = has_ipam.then(|| Ipam { subnet: format!("10.20.{index}.0/24"), ..Ipam::default() });
    let kind = NetworkKind::Ovs {
        bridge: name.to_string(),
        vlan,
        trunk: Vec::new(),
        mtu: None,
        ipam,
        cni_version: "0.3.1".into(),
    };
    profile.networks.push(Network::new(format!("n{index}"), kind));
    profile.vm.interfaces.push(VmInterface {
        name: format!("nic{index}"),
        network: format!("n{index}"),
        binding: Some(Binding::Bridge),
        mac_address: None,
    });
}
