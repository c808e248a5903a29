//! Configurations that no plugin accepts: each sentence corresponds to an error of the plugin itself.

use super::raw::{accepted, text, told};
use crate::components::not_looked_into;
use crate::profile::load_text;

fn says(config: &str, wanted: &str) {
    let (place, message) = told(config);
    assert!(message.contains(wanted), "{config}: {message}");
    assert!(place.starts_with("p.yaml:5:"), "{config}: {place}");
}

const IPAM: &str = "ipam: {type: host-local, subnet: 192.0.2.0/24}";

#[test]
fn what_changes_a_nic_stands_behind_what_makes_it() {
    for kind in ["bandwidth", "firewall", "portmap", "sbr", "tuning", "vrf, vrfname: x"] {
        let name = kind.split(',').next().unwrap();
        let none = format!("`{name}` changes the NIC of an earlier plugin, and there is none");
        says(&format!("{{cniVersion: 0.4.0, type: {kind}}}"), &none);
        says(&format!("{{cniVersion: 0.4.0, plugins: [{{type: {kind}}}]}}"), &none);
        let chain = |first: &str, second: &str| {
            format!("{{cniVersion: 0.4.0, plugins: [{{type: {first}}}, {{type: {second}}}]}}")
        };
        let maker = format!("bridge, bridge: br1, {IPAM}");
        says(&chain(kind, &maker), "move it after `bridge`");
        accepted(&chain(&maker, kind));
        // An unknown plugin may create a NIC.
        accepted(&chain("some-vendor", kind));
    }
    accepted("{type: passthru}");
    says("{type: loopback}", "creates no NIC");
}

#[test]
fn one_plugin_makes_the_nic() {
    let two = |second: &str| format!("{{plugins: [{{type: bridge, bridge: br1, {IPAM}}}, {second}]}}");
    says(&two("{type: ovs, bridge: blue}"), "`ovs` creates the NIC, but `bridge` already did");
    says(&two(&format!("{{type: macvlan, {IPAM}}}")), "`networks[0].config.plugins[1].type`");
    accepted(&two("{type: ipvlan}"));
    says("{type: bridge, bridge: br1, plugins: [{type: ptp}]}", "has no effect next to `plugins`");
    let chain = |maker: &str, rest: &str| format!("{{plugins: [{{{maker}}}, {{{rest}}}]}}");
    let limits = "type: bandwidth, ingressRate: 8000, ingressBurst: 8000";
    says(&chain("type: macvlan, master: eth1", limits), "`bandwidth` limits a veth pair");
    accepted(&chain("type: ovs, bridge: blue", limits));
    says(&chain("type: ovs, bridge: blue", "type: sbr"), "`sbr` routes by the NIC's addresses");
}

#[test]
fn a_nic_or_a_device_is_named() {
    says("{type: host-device}", "names no NIC");
    says("{type: host-device, device: ''}", "names no NIC");
    says("{type: sriov}", "has no device");
    for field in
        ["device: eth1", "hwaddr: '02:00:00:00:00:01'", "kernelpath: /sys/devices/pci0/x", "pciBusID: x"]
    {
        accepted(&format!("{{type: host-device, {field}}}"));
    }
    // Go ignores the case of a field's name.
    accepted("{type: host-device, hwAddr: '02:00:00:00:00:01'}");
    accepted(&format!("{{type: vlan, master: eth1, vlanID: 7, {IPAM}}}"));
    says("{type: host-device, hwaddr: eth1}", "cannot be \"eth1\"");
    says("{type: host-device, kernelpath: /dev/x}", "not a kernel device");
    says("{type: host-device, kernelpath: /sys/devices/../x}", "not a kernel device");
    let by_resource = |kind: &str| {
        let text = text(&format!("{{type: {kind}}}"));
        text.replace(
            "kind: raw,",
            "kind: raw, annotations: {k8s.v1.cni.cncf.io/resourceName: example.com/nic},",
        )
    };
    for kind in ["host-device", "sriov", "ovs"] {
        assert!(load_text(&by_resource(kind), "p.yaml", &[]).is_ok(), "{kind}");
    }
}

#[test]
fn a_plugin_that_needs_an_address_has_one() {
    for kind in ["ptp", "dummy", "ipvlan", "vlan, master: eth1, vlanId: 7"] {
        let name = kind.split(',').next().unwrap();
        says(&format!("{{type: {kind}}}"), &format!("`{name}` creates no NIC without an address"));
        says(&format!("{{type: {kind}, ipam: {{}}}}"), "without an address");
        accepted(&format!("{{type: {kind}, {IPAM}}}"));
    }
    for kind in ["macvlan", "tap", "bridge, bridge: br1", "ovs, bridge: blue"] {
        accepted(&format!("{{type: {kind}}}"));
    }
}

#[test]
fn names_that_are_no_plugins() {
    let ipam = |rest: &str| format!("{{type: macvlan, ipam: {{{rest}}}}}");
    says(&ipam("subnet: 192.0.2.0/24"), "`networks[0].config.ipam` has no `type`");
    for kind in ["bridge", "macvlan", "ovs", "flannel", "portmap"] {
        says(&ipam(&format!("type: {kind}")), &format!("`{kind}` assigns no addresses"));
    }
    for (kind, right) in [("host_local", "host-local"), ("hostlocal", "host-local"), ("DHCP", "dhcp")] {
        says(&ipam(&format!("type: {kind}")), &format!("write `{right}`"));
    }
    says(&ipam("type: /opt/cni/bin/dhcp"), "is a path");
    says(&ipam("type: 5"), "must be a string, not a number");
    says("{type: macvlan, ipam: host-local}", "must be a map, not a string");
    for kind in ["host-local", "static", "dhcp", "whereabouts"] {
        says(&format!("{{type: {kind}}}"), &format!("`{kind}` assigns addresses, and creates no NIC"));
    }
    says("{type: MacVLAN}", "write `macvlan`");
    says("{type: hostdevice}", "write `host-device`");
    says("{type: ../bridge}", "is a path");
}

#[test]
fn an_unknown_plugin_with_nearly_the_name_of_a_known_one_is_a_warning() {
    let vendor = accepted("{type: some-vendor, ipam: {type: vendor-ipam}}");
    assert_eq!(not_looked_into(&vendor).len(), 2);
    assert!(vendor.warnings().is_empty());
    let misspelt = accepted("{type: brigde, ipam: {type: host-locl}}").warnings();
    assert_eq!(misspelt.len(), 2, "{misspelt:?}");
    assert!(misspelt[0].contains("did you mean `bridge`?"), "{misspelt:?}");
    assert!(accepted("{type: macvtap}").warnings().is_empty(), "another plugin has that name");
}

#[test]
fn a_key_is_judged_as_go_reads_it() {
    says("{type: ovs, bridge: blue, Vlan: 5000}", "cannot be 5000");
    says("{type: bridge, Bridge: 'a b'}", "is not");
    says(
        "{type: bridge, bridge: br1, ipam: {type: host-local, subnet: 192.0.2.0/24, RangeStart: 10.0.0.1}}",
        "not a host address",
    );
    let warned = |config: &str| accepted(config).warnings().join("\n");
    assert!(warned("{type: ovs, bridge: blue, vlan: 1, Vlan: 2}").contains("`Vlan` is given twice"));
    assert!(
        warned("{type: ovs, bridge: blue, vlam: 1}").contains("`vlam` has no effect; did you mean `vlan`?")
    );
    let range =
        "{type: bridge, bridge: br1, ipam: {type: host-local, subnet: 192.0.2.0/24, rangeStrat: 192.0.2.9}}";
    assert!(warned(range).contains("did you mean `rangeStart`?"));
    for right in [
        "{type: ovs, bridge: blue, trunk: []}",
        "{type: ovs, bridge: blue, VLAN: 7}",
        "{type: mine, vlam: 1}",
    ] {
        assert_eq!(warned(right), "", "{right}");
    }
    assert!(warned("{type: ovs-cni, bridge: blue}").contains("did you mean `ovs`?"));
}

#[test]
fn a_gateway_elsewhere_is_refused_where_something_is_sent_to_it() {
    let of = |more: &str, of_bridge: &str| {
        let ipam = format!("{{type: host-local, subnet: 192.0.2.0/24, gateway: 198.51.100.1{more}}}");
        format!("{{type: bridge, bridge: br1{of_bridge}, ipam: {ipam}}}")
    };
    accepted(&of("", ""));
    accepted(&of(", routes: [{dst: 10.9.0.0/16, gw: 192.0.2.1}]", ""));
    says(&of(", routes: [{dst: 10.9.0.0/16}]", ""), "not a host address");
    says(&of("", ", isDefaultGateway: true"), "not a host address");
}

#[test]
fn fields_have_the_types_that_go_reads() {
    let typed = |plugin: &str| format!("{{type: {plugin}, {IPAM}}}");
    for (plugin, wanted) in [
        ("bridge, bridge: br1, isGateway: 'true'", "isGateway` must be true or false, not a string"),
        ("bridge, bridge: br1, ipMasq: 1", "ipMasq` must be true or false, not a number"),
        ("bridge, bridge: br1, ipMasqBackend: ipvs", "cannot be \"ipvs\""),
        ("bridge, bridge: [br1]", "bridge` must be a string"),
        ("ptp, mtu: '1400'", "mtu` cannot be \"1400\""),
        ("ptp, mtu: 1400.5", "mtu` cannot be 1400.5"),
        ("ptp, ipMasq: yes please", "ipMasq` must be true or false"),
        ("ipvlan, mode: l4", "write one of l2, l3, l3s"),
        ("macvlan, mode: 5", "cannot be 5"),
        ("macvlan, mac: zz", "cannot be \"zz\""),
        ("tap, owner: root", "cannot be \"root\""),
        ("tap, multiQueue: 1", "must be true or false"),
        ("ovs, bridge: blue, ofport_request: 70000", "write a number from 1 to 65279"),
        ("ovs, bridge: blue, capabilities: [mac]", "must be a map of true and false"),
        ("ovs, bridge: blue, dns: 192.0.2.1", "must be a map"),
        ("sriov, deviceID: x, link_state: up", "write one of auto, enable, disable"),
        ("sriov, deviceID: x, spoofchk: true", "spoofchk` must be a string"),
        ("sriov, deviceID: x, vlan: 5, vlanQoS: 8", "write a number from 0 to 7"),
        ("sriov, deviceID: x, vlanQoS: 3", "vlanQoS` needs a `vlan`"),
        ("sriov, deviceID: x, vlan: 5, vlanProto: qinq", "is not a VLAN protocol"),
        ("bridge, bridge: br1, vlan: 5, vlanTrunk: [{id: 6}]", "is refused next to `vlanTrunk`"),
        ("bridge, bridge: br1, vlanTrunk: [{id: 0}]", "neither a VLAN nor a range"),
        ("bridge, bridge: br1, hairpinMode: true, promiscMode: true", "is refused next to `hairpinMode`"),
        ("bridge, bridge: br1, disableContainerInterface: true", "is refused next to `ipam`"),
    ] {
        says(&typed(plugin), wanted);
    }
    // Go takes null for what was not written.
    accepted(&typed("bridge, bridge: br1, isGateway: null, mtu: null"));
    accepted(&typed("sriov, deviceID: x, vlan: 5, vlanProto: 802.1AD, spoofchk: 'off'"));
    accepted("{type: macvlan, name: a.b_c-D}");
    says("{type: macvlan, name: 'a b'}", "a name that the CNI library accepts");
}

/// flannel hands it to the bridge plugin, which refuses it when the first pod comes.
#[test]
fn what_flannel_passes_on_is_read_by_the_bridge_plugin() {
    let flannel = |delegate: &str| {
        format!("{{name: cbr0, type: flannel, dataDir: /var/lib/cni/x, delegate: {{{delegate}}}}}")
    };
    says(
        &flannel("isDefaultGateway: 'true'"),
        "delegate.isDefaultGateway` must be true or false, not a string",
    );
    says(&flannel("mtu: 5"), "delegate.mtu` cannot be 5");
    accepted(&flannel("isDefaultGateway: true, mtu: 1400"));
    accepted(&flannel("type: ptp, ipMasq: true"));
    let kind = "extends: default\nvm: {enabled: false}\nnetworks: [{name: n, kind: flannel, delegate: {hairpinMode: 1}}]\n";
    let error = load_text(kind, "p.yaml", &[]).expect_err("no flag");
    assert_eq!(error.place(), Some("p.yaml:3:61"), "{error}");
    assert!(error.message().contains("`networks[0].delegate.hairpinMode` must be true or false"), "{error}");
}

#[test]
fn plugins_that_adjust_have_rules_too() {
    let behind = |plugin: &str| {
        format!("{{cniVersion: 0.4.0, plugins: [{{type: bridge, bridge: br1, {IPAM}}}, {{type: {plugin}}}]}}")
    };
    for (plugin, wanted) in [
        ("bandwidth, ingressRate: 8000", "ingressRate` needs `ingressBurst`"),
        ("bandwidth, egressBurst: 8000", "egressBurst` needs `egressRate`"),
        ("bandwidth, egressRate: 1, egressBurst: 99999999999", "is 4 GB or more"),
        ("bandwidth, ingressRate: 8M", "cannot be \"8M\""),
        ("bandwidth, shapedSubnets: [10.0.0.0]", "shapedSubnets[0]` is not a subnet"),
        (
            "bandwidth, shapedSubnets: [10.0.0.0/8], unshapedSubnets: [10.0.0.0/8]",
            "refused next to `shapedSubnets`",
        ),
        ("firewall, ingressPolicy: closed", "write one of open, same-bridge, isolated"),
        ("portmap, snat: 'no'", "must be true or false"),
        ("portmap, markMasqBit: 32", "write a number from 0 to 31"),
        ("portmap, markMasqBit: 3, externalSetMarkChain: X", "refused next to `externalSetMarkChain`"),
        ("portmap, conditionsV4: x", "must be a list of strings"),
        (
            "tuning, sysctl: {net.core.somaxconn: 500}",
            "sysctl[\"net.core.somaxconn\"]` must be a string, not a number",
        ),
        ("tuning, sysctl: {kernel.pid_max: '1'}", "is not a network sysctl"),
        ("tuning, mac: 1", "cannot be 1"),
        ("vrf", "vrfname` is missing"),
        ("vrf, vrfname: a-name-that-is-long", "not a name that the kernel accepts"),
    ] {
        says(&behind(plugin), wanted);
    }
    for plugin in [
        "bandwidth, ingressRate: 8000, ingressBurst: 8000",
        "tuning, sysctl: {net.core.somaxconn: '500', net/ipv4/conf/IFNAME/arp_notify: '1'}",
        "portmap, capabilities: {portMappings: true}",
        "vrf, vrfname: blue, table: 100",
    ] {
        accepted(&behind(plugin));
    }
}

#[test]
fn addresses_have_the_types_that_go_reads() {
    let ipam = |rest: &str| format!("{{type: macvlan, ipam: {{{rest}}}}}");
    for (rest, wanted) in [
        (
            "type: host-local, ranges: [{subnet: 192.0.2.0/24}]",
            "ranges[0]` must be a list of maps, not a map",
        ),
        ("type: host-local, subnet: 192.0.2.0/24, gateway: 5", "gateway` must be a string"),
        (
            "type: host-local, subnet: 192.0.2.0/24, routes: {dst: 0.0.0.0/0}",
            "routes` must be a list of maps",
        ),
        ("type: static, addresses: [192.0.2.5/24]", "addresses[0]` must be a map, not a string"),
        ("type: dhcp, daemonSocketPath: 5", "must be a string"),
        (
            "type: whereabouts, range: 192.0.2.0/24, exclude: 192.0.2.0/28",
            "exclude` must be a list of strings",
        ),
    ] {
        says(&ipam(rest), wanted);
    }
}

#[test]
fn the_version_decides_what_can_be_said() {
    let without = |config: &str| {
        let text = text(config).replace(", cniVersion: 0.3.1", "");
        load_text(&text, "p.yaml", &[])
    };
    let error = without("{type: ovs, bridge: blue}").expect_err("answers by the first version");
    assert!(error.message().contains("`networks[0].config.cniVersion` is missing"), "{error}");
    assert!(error.hints().join("").contains("cniVersion: 0.3.1"), "{error:?}");
    assert!(without(&format!("{{type: ovs, bridge: blue, {IPAM}}}")).is_ok());
    says("{cniVersion: 0.2.0, type: macvlan}", "is too old: a NIC without an address needs 0.3.0 or later");
    let two = "ipam: {type: host-local, ranges: [[{subnet: 192.0.2.0/24}], [{subnet: 198.51.100.0/24}]]}";
    says(&format!("{{cniVersion: 0.2.0, type: macvlan, {two}}}"), "several addresses needs 0.3.0");
    let chain = |version: &str, plugin: &str| {
        format!("{{cniVersion: {version}, plugins: [{{type: macvlan, {IPAM}}}, {{type: {plugin}}}]}}")
    };
    says(&chain("0.3.1", "firewall"), "`firewall` needs 0.4.0 or later");
    says(&chain("0.3.0", "vrf, vrfname: x"), "`vrf` needs 0.3.1 or later");
    says(&chain("0.2.0", "bandwidth"), "`bandwidth` needs 0.3.0 or later");
    accepted(&chain("0.4.0", "firewall"));
    let kind = |rest: &str| {
        let text = format!(
            "extends: default\nvm: {{enabled: false}}\nnetworks: [{{name: n, kind: ovs, bridge: blue, cniVersion: 0.2.0{rest}}}]\n"
        );
        load_text(&text, "p.yaml", &[])
    };
    assert!(kind("").expect_err("no address").message().contains("is too old"));
    kind(", ipam: {subnet: 192.0.2.0/24}").expect("one address");
}
