//! Raw networks are looked into: what their plugins would refuse, and what the profile itself has in their way.

use super::refusals::{IPV4, refused};
use crate::profile::{Profile, load_text};

/// A profile with the bridge `blue` and one raw network, whose configuration begins at 5:12.
pub(super) fn text(config: &str) -> String {
    // At the end, where it moves no place.
    let version = if config.contains("cniVersion") { "" } else { ", cniVersion: 0.3.1" };
    let config = format!("{}{version}}}", config.strip_suffix('}').expect(config));
    format!(
        "extends: default\nvm: {{enabled: false}}\nnetworks:\n- {{name: n, kind: raw,\n   config: {config}}}\n"
    )
}

pub(super) fn told(config: &str) -> (String, String) {
    let error = load_text(&text(config), "p.yaml", &[]).expect_err(config);
    assert_eq!(error.code().id, "KVN104", "{config}: {error}");
    (
        error.place().unwrap_or_default().to_owned(),
        format!("{}; {}", error.message(), error.hints().join("; ")),
    )
}

pub(super) fn accepted(config: &str) -> Profile {
    load_text(&text(config), "p.yaml", &[]).unwrap_or_else(|error| panic!("{config}: {error}")).profile
}

#[test]
fn what_a_plugin_would_refuse_is_refused_at_its_place() {
    for (config, at, says) in [
        ("{type: ovs, bridge: br-typo}", "br-typo", "`br-typo` is a bridge that nothing creates"),
        ("{type: ovs}", "{type", "`ovs` needs one"),
        ("{type: ovs, bridge: blue, vlan: 5000}", "5000", "`networks[0].config.vlan` cannot be 5000"),
        ("{type: ovs, bridge: blue, vlan: -1}", "-1", "cannot be -1"),
        ("{type: ovs, bridge: blue, vlan: '7'}", "'7'", "cannot be \"7\""),
        ("{type: ovs, bridge: blue, mtu: 5}", "5}", "cannot be 5"),
        ("{type: ovs, bridge: blue, vlan: 7, trunk: [{id: 9}]}", "7, trunk", "no effect next to `trunk`"),
        (
            "{type: ovs, bridge: blue, trunk: [{id: 9}, {minID: 5}]}",
            "{minID: 5",
            "`networks[0].config.trunk[1]`",
        ),
        (
            "{type: ovs, bridge: blue, trunk: [{minID: 100, maxID: 5000}]}",
            "{minID",
            "neither a VLAN nor a range",
        ),
        ("{type: ovs, bridge: blue, trunk: all}", "all", "not a list of VLANs"),
        (
            "{plugins: [{type: ovs, bridge: nope, vlan: 9}, {type: tuning}]}",
            "nope",
            "`networks[0].config.plugins[0].bridge`",
        ),
        (
            "{plugins: [{type: ovs, bridge: blue}, {bridge: nope}]}",
            "{bridge: n",
            "`networks[0].config.plugins[1]` has no `type`",
        ),
        ("{plugins: []}", "[]", "not a list of plugins"),
        ("{type: ''}", "{type", "neither `type` nor `plugins`"),
        ("{type: bridge, bridge: blue}", "blue", "`blue` is an Open vSwitch bridge"),
        ("{type: bridge, bridge: a-name-that-is-long}", "a-name", "not a name that the kernel accepts"),
        ("{type: bridge, bridge: br1, vlan: 4095}", "4095", "cannot be 4095"),
        ("{type: bridge, bridge: br1, isGateway: true}", "true", "needs `ipam`"),
        ("{type: macvlan, master: ''}", "''", "does not name a NIC"),
        ("{type: macvlan, master: blue}", "blue", "is an Open vSwitch bridge"),
        ("{type: ipvlan, master: cni0, ipam: {type: dhcp}}", "cni0", "is another component's interface"),
        ("{type: macvlan, master: eth1, mode: weird}", "weird", "cannot be \"weird\""),
        ("{type: vlan, vlanId: 7, ipam: {type: dhcp}}", "{type: vlan", "`vlan` needs one"),
        ("{type: vlan, master: eth1, ipam: {type: dhcp}}", "{type: vlan", "is missing, but `vlan` needs it"),
        ("{type: vlan, master: eth1, vlanId: 5000, ipam: {type: dhcp}}", "5000", "cannot be 5000"),
        ("{type: host-device, device: 'a b'}", "'a b'", "not a name that the kernel accepts"),
        ("{type: sriov, vlan: 5000, deviceID: x}", "5000", "cannot be 5000"),
        ("{type: ovs, bridge: blue, cniVersion: 9}", "9", "version of the CNI specification"),
        ("{type: ovs, bridge: blue, ipam: {type: static}}", "{type: static", "`verify: false`"),
        (
            "{type: ovs, bridge: blue, ipam: {type: host-local}}",
            "{type: host",
            "neither `subnet` nor `ranges`",
        ),
    ] {
        let (place, message) = told(config);
        assert!(message.contains(says), "{config}: {message}");
        let column = config.find(at).unwrap() + 12;
        assert_eq!(place, format!("p.yaml:5:{column}"), "{config}: {message}");
    }
}

#[test]
fn addresses_are_looked_at_wherever_they_stand() {
    let host_local = |ipam: &str| {
        let ipam = format!("ipam: {{type: host-local, {ipam}}}");
        [
            format!("{{type: ovs, bridge: blue, {ipam}}}"),
            format!("{{plugins: [{{type: ovs, bridge: blue, {ipam}}}, {{type: tuning}}]}}"),
        ]
    };
    for (ipam, says) in [
        ("subnet: 10.244.3.0/24", "10.244.3.0/24 overlaps 10.244.0.0/16 of the pod subnet"),
        ("ranges: [[{subnet: 10.97.0.0/24}]]", "of the service subnet"),
        ("subnet: 10.20.0.5/24", "has host bits set"),
        ("subnet: nonsense", "is not a subnet"),
        ("subnet: 'fd00:10:20::/64'", IPV4),
        ("ranges: [[{subnet: 192.0.2.0/24}], [{subnet: 'fd00:17::/64'}]]", IPV4),
        (
            "subnet: 10.20.0.0/24, gateway: 10.30.0.1, routes: [{dst: 10.9.0.0/16}]",
            "ipam.gateway` is not a host address",
        ),
        ("subnet: 10.20.0.0/24, rangeStart: 10.20.0.9, rangeEnd: 10.20.0.8", "comes before `rangeStart`"),
        ("ranges: [[{subnet: 10.20.0.0/24}, {subnet: 10.20.0.0/25}]]", "another range of the same network"),
        (
            "subnet: 10.20.0.0/24, rangeStart: 10.20.0.10, rangeEnd: 10.20.0.10",
            "leaves 1 address to give out, and the profile has 2 NICs on this network: 2 verification pods",
        ),
        ("subnet: 10.20.0.0/30", "leaves 1 address"),
        ("subnet: 10.20.0.0/24, dataDir: x", "absolute path"),
    ] {
        for config in host_local(ipam) {
            let (place, message) = told(&config);
            assert!(message.contains(says), "{config}: {message}");
            assert!(place.starts_with("p.yaml:5:"), "{config}: {place}");
        }
    }
    let (_, message) = told("{type: macvlan, master: eth1, ipam: {type: whereabouts, range: 10.244.1.0/24}}");
    assert!(message.contains("the pod subnet"), "{message}");
    let (_, message) =
        told("{type: ovs, bridge: blue, ipam: {type: static, addresses: [{address: 10.20.0.5}]}}");
    assert!(message.contains("its prefix"), "{message}");
}

#[test]
fn two_networks_on_one_wire_do_not_give_out_the_same_addresses() {
    let two = |first: &str, second: &str| {
        let text = format!(
            "extends: default\nvm: {{enabled: false}}\nnetworks:\n- {{name: a, {first}}}\n- {{name: b, {second}}}\n"
        );
        load_text(&text, "p.yaml", &[])
    };
    let ipam = "ipam: {type: host-local, subnet: 10.20.0.0/24";
    let raw = format!("kind: raw, config: {{type: ovs, bridge: blue, vlan: 20, {ipam}}}}}");
    let kind = "kind: ovs, bridge: blue, vlan: 20, ipam: {subnet: 10.20.0.0/24}";
    for (first, second) in [(raw.as_str(), kind), (kind, raw.as_str()), (raw.as_str(), raw.as_str())] {
        let error = two(first, second).expect_err(first);
        assert!(error.message().contains("overlaps 10.20.0.0/24 of network `a`"), "{error}");
        assert!(error.hints().join("").contains("rangeStart"), "{error}");
    }
    // One name in both is one list of leases; so are ranges that have nothing in common.
    let named = |name: &str| raw.replace("{type: ovs", &format!("{{name: {name}, type: ovs"));
    assert!(two(&named("lan"), &named("lan")).is_ok());
    assert!(two(&named("lan"), &named("other")).is_err());
    let part = |range: &str| raw.replace("/24", &format!("/24, {range}"));
    assert!(two(&part("rangeEnd: 10.20.0.99"), &part("rangeStart: 10.20.0.100")).is_ok());
    assert!(two(&part("rangeEnd: 10.20.0.99"), &part("rangeStart: 10.20.0.99")).is_err());
    // Two VLANs of one bridge are two wires, unless a port carries both. The verification cannot tell equal addresses apart.
    let other = raw.replace("vlan: 20", "vlan: 21");
    let error = two(&raw, &other).expect_err("two VLANs");
    assert!(error.hints().join("").contains("verify: false"), "{error}");
    assert!(two(&raw, &other.replace("kind: raw", "kind: raw, verify: false")).is_ok());
    let part_of_other = |range: &str| other.replace("/24", &format!("/24, {range}"));
    assert!(two(&part("rangeEnd: 10.20.0.99"), &part_of_other("rangeStart: 10.20.0.100")).is_ok());
    assert!(two(&raw, &raw.replace("vlan: 20", "trunk: [{id: 20}, {id: 21}]")).is_err());
    assert!(two(&raw, &raw.replace("bridge: blue, vlan: 20", "bridge: other")).is_err());
}

#[test]
fn flannel_has_one_name_for_its_leases() {
    for (config, says) in [
        ("{type: flannel}", "must be the pod network's"),
        ("{name: other, type: flannel, dataDir: /x}", "write `name: cbr0`"),
        ("{name: other, plugins: [{type: flannel, dataDir: /x}, {type: portmap}]}", "write `name: cbr0`"),
        ("{name: cbr0, plugins: [{type: flannel}]}", "`networks[0].config.plugins[0].dataDir`"),
        ("{name: cbr0, type: flannel, dataDir: /x, delegate: {name: y}}", "is set by flannel"),
    ] {
        let (_, message) = told(config);
        assert!(message.contains(says), "{config}: {message}");
    }
    accepted("{name: cbr0, type: flannel, dataDir: /var/lib/cni/flannel-attached}");
    refused(&[(
        "networks: [{name: n, kind: flannel, delegate: {ipam: {}}}]",
        "p.yaml:1:54",
        "KVN104",
        "`networks[0].delegate.ipam` is set by flannel",
        "leave it out",
    )]);
}

#[test]
fn what_is_right_or_not_known_is_accepted() {
    for config in [
        "{type: ovs, bridge: blue}",
        "{type: ovs, bridge: blue, vlan: 0}",
        "{type: ovs, bridge: blue, trunk: [{minID: 100, maxID: 104}, {id: 200}]}",
        "{cniVersion: 0.3.1, name: x, plugins: [{type: ovs, bridge: blue, capabilities: {mac: true}}, {type: tuning, mtu: 1400}]}",
        "{type: bridge, bridge: br1, vlan: 100, ipam: {type: host-local, subnet: 192.0.2.0/24}}",
        "{type: ipvlan, mode: l3, ipam: {type: dhcp}}",
        "{type: macvlan, master: eth1.5, ipam: {type: whereabouts, range: 192.0.2.18-192.0.2.20/28}}",
        "{type: host-device, pciBusID: '0000:03:02.3'}",
        "{type: sriov, deviceID: '0000:03:02.3', ipam: {type: static, addresses: [{address: 192.0.2.5/24}]}}",
        "{type: some-vendor, bridge: nowhere, vlan: 99999, master: ''}",
        "{type: some-vendor, ipam: {type: vendor-ipam}}",
    ] {
        accepted(config);
    }
    let own = "ovs: {enabled: false}\nnetworks: [{name: n, kind: raw, config: {cniVersion: 0.3.1, type: ovs, bridge: theirs}}]\n";
    assert!(load_text(own, "p.yaml", &[]).is_ok(), "another component creates the bridges");
}

#[test]
fn a_vm_is_not_put_where_its_frames_do_not_pass() {
    let vm = |plugin: &str| {
        let text = format!(
            "networks: [{{name: n, kind: raw, config: {{cniVersion: 0.3.1, {plugin}}}}}]\nvm: {{interfaces: [{{name: a, network: n}}]}}\n"
        );
        load_text(&text, "p.yaml", &[])
    };
    for plugin in [
        "type: macvlan, mode: bridge",
        "type: ipvlan, ipam: {type: dhcp}",
        "plugins: [{type: macvlan}, {type: tuning}]",
    ] {
        let error = vm(plugin).expect_err(plugin);
        assert_eq!(error.place(), Some("p.yaml:2:38"), "{error}");
        assert!(error.message().contains("carries no VM traffic"), "{error}");
    }
    assert!(vm("type: macvlan, mode: passthru").is_ok());
    let error = load_text(
        "extends: default\nnetworks:\n- {name: t, kind: ovs, bridge: blue, ipam: {subnet: 10.20.0.0/24, rangeStart: 10.20.0.10, rangeEnd: 10.20.0.11}}\nvm: {interfaces: [{name: t, network: t}]}\n",
        "p.yaml",
        &[],
    )
    .expect_err("three for two");
    assert!(error.message().contains("`networks[0].ipam.rangeEnd` leaves 2 addresses"), "{error}");
    assert!(error.message().contains("2 verification pods and 1 NIC of the VM"), "{error}");
}

#[test]
fn ranges_and_routes_are_fields_of_the_kinds_too() {
    let network = |ipam: &str| {
        let text = format!(
            "ovs: {{bridges: [{{name: b}}]}}\nnetworks: [{{name: n, kind: ovs, bridge: b,\n ipam: {{{ipam}}}}}]\n"
        );
        load_text(&text, "p.yaml", &[])
    };
    let both = "subnet: 10.20.0.0/24, ranges: [[{subnet: 10.21.0.0/24, rangeStart: 10.21.0.9}]], routes: [{dst: 10.30.0.0/16, gw: 10.20.0.1}]";
    let profile = network(both).expect("valid").profile;
    let config = serde_json::Value::Object(profile.networks[0].cni_config("")).to_string();
    assert!(
        config.contains(r#""ranges":[[{"rangeStart":"10.21.0.9","subnet":"10.21.0.0/24"}]]"#)
            || config.contains(r#""ranges":[[{"subnet":"10.21.0.0/24","rangeStart":"10.21.0.9"}]]"#),
        "{config}"
    );
    assert!(config.contains(r#""routes":[{"dst":"10.30.0.0/16","gw":"10.20.0.1"}]"#), "{config}");
    for (ipam, place, says) in [
        ("gateway: 10.0.0.1", "p.yaml:3:8", "neither `subnet` nor `ranges`"),
        ("subnet: 10.20.0.0/24, routes: [{dst: x}]", "p.yaml:3:46", "is not a destination"),
        ("subnet: 10.20.0.0/24, routes: [{dst: 'fd00::/8'}]", "p.yaml:3:46", IPV4),
        ("subnet: 10.20.0.0/24, routes: [{dst: 0.0.0.0/0, gw: x}]", "p.yaml:3:61", "not an IPv4 address"),
        ("ranges: [[{subnet: 10.244.1.0/24}]]", "p.yaml:3:28", "the pod subnet"),
        ("subnet: 10.20.0.0/24, exclude: [10.20.0.0/28]", "p.yaml:3:40", "host-local has no exclusions"),
    ] {
        let error = network(ipam).expect_err(ipam);
        assert_eq!(error.place(), Some(place), "{ipam}: {error}");
        assert!(error.message().contains(says), "{ipam}: {error}");
    }
    let error = network("subnet: 10.20.0.0/24, exclude: [10.20.0.0/28]").expect_err("no such field");
    assert!(error.hints().join("").contains("write the ranges around it as `ranges"), "{error:?}");
}
