//! Every refusal: what is written, and what the user gets to see.

use crate::profile::{load, load_text};

/// A text, the place, the code, a part of the message, a part of a hint.
pub(super) type Case = (&'static str, &'static str, &'static str, &'static str, &'static str);

pub(super) const IPV4: &str = "must be one IPv4 subnet: kvnet supports neither IPv6 nor dual stack";

pub(super) fn refused(cases: &[Case]) {
    for (text, place, code, message, hint) in cases {
        let Err(error) = load_text(text, "p.yaml", &[]) else { panic!("accepted:\n{text}") };
        let (hints, all) = (error.hints().join("\n"), format!("{error}\n{:?}", error.hints()));
        assert_eq!(error.place(), Some(*place), "{text}\n{all}");
        assert_eq!(error.code().id, *code, "{text}\n{all}");
        assert!(error.to_string().contains(message), "{text}\n{all}");
        assert!(hints.contains(hint), "{text}\n{all}");
    }
}

#[test]
fn syntax() {
    refused(&[
        ("", "p.yaml", "KVN102", "empty", "extends: default"),
        ("# nothing\n", "p.yaml", "KVN102", "empty", "extends: default"),
        ("---\n", "p.yaml", "KVN102", "empty", "extends: default"),
        ("a: [1\n", "p.yaml:1:4", "KVN102", "unclosed", "quotes"),
        ("ovs:\n\tenabled: true\n", "p.yaml:2:2", "KVN102", "tabs", "spaces"),
        ("name: a\n---\nname: b\n", "p.yaml:2:1", "KVN102", "second YAML document", "one document"),
        ("name: !foo a\n", "p.yaml:1:12", "KVN102", "tags", "begins with `!`"),
        ("name: *a\n", "p.yaml:1:7", "KVN102", "anchor", "indentation"),
        ("? [a]\n: b\n", "p.yaml:1:3", "KVN102", "key must be plain text", "quotes"),
        ("name: .inf\n", "p.yaml:1:7", "KVN102", "finite", "ordinary"),
        ("networks: &a [*a]\n", "p.yaml:1:15", "KVN102", "alias", "write the value out"),
    ]);
}

#[test]
fn fields_and_types() {
    refused(&[
        ("- a\n", "p.yaml:1:1", "KVN103", "map of fields", "extends"),
        ("name: a\nname: b\n", "p.yaml:2:1", "KVN103", "defined twice", "p.yaml:1:1"),
        (
            "ovs:\n  brdges: []\n",
            "p.yaml:2:3",
            "KVN103",
            "unknown field `brdges` under `ovs`",
            "did you mean `bridges`?",
        ),
        ("cluster: {pod_subnet: 10.0.0.0/16}\n", "p.yaml:1:11", "KVN103", "pod_subnet", "`podSubnet`"),
        ("zzzzzzzz: 1\n", "p.yaml:1:1", "KVN103", "zzzzzzzz", "allowed here: name"),
        ("<<: {a: b}\n", "p.yaml:1:1", "KVN103", "`<<`", "extends"),
        (
            "ovs:\n  enabled: yes\n",
            "p.yaml:2:12",
            "KVN103",
            "true or false, not the string `yes`",
            "write `true`",
        ),
        ("ovs:\n  enabled: off\n", "p.yaml:2:12", "KVN103", "`off`", "write `false`"),
        ("flannel:\n  version: 1.0\n", "p.yaml:2:12", "KVN103", "must be a string, not a number", "quotes"),
        ("networks: {}\n", "p.yaml:1:11", "KVN103", "must be a list, not a map", "`- `"),
        ("networks:\n", "p.yaml:1:9", "KVN103", "must be a list, not empty", "`[]`"),
        ("ovs: []\n", "p.yaml:1:6", "KVN103", "must be a map, not a list", "schema"),
        ("timeouts: {ready: 5m}\n", "p.yaml:1:19", "KVN103", "whole number, not the string `5m`", "units"),
        ("timeouts: {ready: -1}\n", "p.yaml:1:19", "KVN103", "cannot be -1", "0 or more"),
        ("timeouts: {ready: 1.5}\n", "p.yaml:1:19", "KVN103", "cannot be 1.5", "whole number"),
        ("kubevirt: {emulation: maybe}\n", "p.yaml:1:23", "KVN103", "cannot be `maybe`", "auto, on, off"),
        ("kubevirt: {emulation: true}\n", "p.yaml:1:23", "KVN103", "`true`", "write `on`"),
        ("vm: {cloudInit: {userData: 1234}}\n", "p.yaml:1:28", "KVN103", "must be a string", "quotes"),
        ("networks:\n- {name: a, kind: ovss, bridge: b}\n", "p.yaml:2:19", "KVN103", "`ovss`", "`ovs`"),
        (
            "networks:\n- {name: a, bridge: b}\n",
            "p.yaml:2:3",
            "KVN103",
            "`kind` is missing",
            "ovs, bridge, flannel, raw",
        ),
        ("networks:\n- {name: a, kind: 5}\n", "p.yaml:2:19", "KVN103", "`kind` must be a string", "quotes"),
        (
            "networks:\n- {name: a, kind: ovs}\n",
            "p.yaml:2:3",
            "KVN103",
            "`bridge` is missing in a network of kind `ovs`",
            "bridge: …",
        ),
        (
            "networks:\n- {name: a, kind: ovs, bridge: b, isGateway: true}\n",
            "p.yaml:2:35",
            "KVN103",
            "unknown field `isGateway` in a network of kind `ovs`",
            "vlan",
        ),
        (
            "networks:\n- {name: a, kind: ovs, bridge: b, ipam: {subnett: x}}\n",
            "p.yaml:2:42",
            "KVN103",
            "subnett",
            "`subnet`",
        ),
        (
            "ovs: {bridges: [{name: a, vlans: [{name: b, vlan: 99999}]}]}\n",
            "p.yaml:1:51",
            "KVN103",
            "99999",
            "0 to 65535",
        ),
        ("extends: [a]\n", "p.yaml:1:10", "KVN103", "`extends` must be a string", "extends: default"),
    ]);
}

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn bridges_and_networks() {
    refused(&[
        (
            "ovs: {bridges: [{name: a-name-too-long-x}]}",
            "p.yaml:1:24",
            "KVN104",
            "`ovs.bridges[0].name` is not a name",
            "15",
        ),
        ("ovs: {bridges: [{name: ../x}]}", "p.yaml:1:24", "KVN104", "kernel", "15"),
        ("ovs: {bridges: [{name: cni0}]}", "p.yaml:1:24", "KVN104", "another component", "another name"),
        ("ovs: {bridges: [{name: a}, {name: a}]}", "p.yaml:1:35", "KVN104", "another bridge", "own name"),
        (
            "ovs: {bridges: [{name: a, vlans: [{name: a, vlan: 1}]}]}",
            "p.yaml:1:42",
            "KVN104",
            "another bridge",
            "own name",
        ),
        (
            "ovs: {bridges: [{name: a, vlans: [{name: b, vlan: 0}]}]}",
            "p.yaml:1:51",
            "KVN104",
            "cannot be 0",
            "1 to 4094",
        ),
        (
            "ovs: {bridges: [{name: a, vlans: [{name: b, vlan: 4095}]}]}",
            "p.yaml:1:51",
            "KVN104",
            "4095",
            "1 to 4094",
        ),
        (
            "ovs: {bridges: [{name: a, vlans: [{name: b, vlan: 7}, {name: c, vlan: 7}]}]}",
            "p.yaml:1:71",
            "KVN104",
            "already belongs to `b`",
            "remove",
        ),
        (
            "ovs: {bridges: [{name: a, uplink: e}, {name: b, uplink: e}]}",
            "p.yaml:1:57",
            "KVN104",
            "uplink",
            "one bridge",
        ),
        ("networks: [{name: A_b, kind: flannel}]", "p.yaml:1:19", "KVN104", "DNS-1123", "a-z"),
        ("networks: [{name: a, kind: flannel, namespace: ../x}]", "p.yaml:1:48", "KVN104", "DNS-1123", "a-z"),
        (
            "networks: [{name: a, kind: flannel}, {name: a, kind: flannel}]",
            "p.yaml:1:45",
            "KVN104",
            "networks[0]",
            "another name",
        ),
        (
            "networks: [{name: a, kind: ovs, bridge: red}]\novs: {bridges: [{name: blue}]}",
            "p.yaml:1:41",
            "KVN104",
            "`red`",
            "defined: blue",
        ),
        (
            "ovs: {bridges: [{name: a, vlans: [{name: b, vlan: 7}]}]}\nnetworks: [{name: n, kind: ovs, bridge: b}]",
            "p.yaml:2:41",
            "KVN104",
            "VLAN bridge",
            "`bridge: a` and `vlan: 7`",
        ),
        (
            "ovsCni: {version: v0.1.0}\novs: {bridges: [{name: a, vlans: [{name: b, vlan: 7}]}]}\nnetworks: [{name: n, kind: ovs, bridge: b, vlan: 8}]",
            "p.yaml:3:41",
            "KVN104",
            "VLAN 7",
            "vlan: 7",
        ),
        (
            "ovs: {bridges: [{name: a}]}\nnetworks: [{name: n, kind: ovs, bridge: a, vlan: 4095}]",
            "p.yaml:2:50",
            "KVN104",
            "4095",
            "1 to 4094",
        ),
        (
            "ovs: {bridges: [{name: a}]}\nnetworks: [{name: n, kind: ovs, bridge: a, mtu: 5}]",
            "p.yaml:2:49",
            "KVN104",
            "too small",
            "68",
        ),
        (
            "ovs: {bridges: [{name: a}]}\nnetworks: [{name: n, kind: bridge, bridge: a}]",
            "p.yaml:2:44",
            "KVN104",
            "Open vSwitch bridge",
            "kind: ovs",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, isGateway: true}]",
            "p.yaml:1:58",
            "KVN104",
            "ipam",
            "ipam",
        ),
        (
            "ovs: {bridges: [{name: a}]}\nnetworks: [{name: n, kind: ovs, bridge: a, trunk: [{id: 7, minID: 5}]}]",
            "p.yaml:2:52",
            "KVN104",
            "neither a VLAN nor a range",
            "minID: 100",
        ),
        (
            "ovs: {bridges: [{name: a}]}\nnetworks: [{name: n, kind: ovs, bridge: a, vlan: 3, trunk: [{id: 7}]}]",
            "p.yaml:2:50",
            "KVN104",
            "no effect next to `trunk`",
            "leave one",
        ),
        (
            "networks: [{name: n, kind: flannel, annotations: {'a b': c}}]",
            "p.yaml:1:58",
            "KVN104",
            "the key of an annotation",
            "resourceName",
        ),
        ("networks: [{name: n, kind: raw, config: {a: b}}]", "p.yaml:1:41", "KVN104", "neither", "type"),
        ("networks: [{name: n, kind: flannel, cniVersion: '9'}]", "p.yaml:1:49", "KVN104", "CNI", "0.3.1"),
        (
            "multus: {enabled: false}\nnetworks: [{name: n, kind: flannel}]",
            "p.yaml:2:12",
            "KVN104",
            "multus.enabled",
            "true",
        ),
        (
            "flannel: {enabled: false}\nnetworks: [{name: n, kind: flannel}]",
            "p.yaml:2:12",
            "KVN104",
            "flannel.enabled",
            "true",
        ),
        (
            "ovs: {enabled: false, bridges: [{name: a}]}\nnetworks: [{name: n, kind: ovs, bridge: a}]",
            "p.yaml:2:12",
            "KVN104",
            "ovs.enabled",
            "true",
        ),
        (
            "ovsCni: {enabled: false}\novs: {bridges: [{name: a}]}\nnetworks: [{name: n, kind: ovs, bridge: a}]",
            "p.yaml:3:12",
            "KVN104",
            "ovsCni.enabled",
            "true",
        ),
    ]);
}

#[test]
fn one_ipv4_subnet() {
    refused(&[
        ("cluster: {podSubnet: 'fd00::/48'}", "p.yaml:1:22", "KVN104", IPV4, "one subnet"),
        ("cluster: {podSubnet: '10.244.0.0/16,fd00::/48'}", "p.yaml:1:22", "KVN104", IPV4, "one subnet"),
        ("cluster:\n  podSubnet: fd00::/48, 10.244.0.0/16\n", "p.yaml:2:14", "KVN104", IPV4, "one subnet"),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 'fd00:10:20::/64'}}]",
            "p.yaml:1:62",
            "KVN104",
            IPV4,
            "one subnet",
        ),
        (
            "cluster: {init: {clusterConfiguration: {networking: {serviceSubnet: '10.96.0.0/16,fd00::/108'}}}}",
            "p.yaml:1:69",
            "KVN104",
            IPV4,
            "one subnet",
        ),
        (
            "cluster: {init: {clusterConfiguration: {networking: {podSubnet: 'fd00::/48'}}}}",
            "p.yaml:1:65",
            "KVN104",
            IPV4,
            "one subnet",
        ),
    ]);
}

#[test]
fn subnets_with_leading_zeros() {
    refused(&[
        ("cluster: {podSubnet: 010.244.0.0/16}", "p.yaml:1:22", "KVN104", "not a subnet", "CIDR"),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.020.0.0/24}}]",
            "p.yaml:1:62",
            "KVN104",
            "not a subnet",
            "CIDR",
        ),
        (
            "networks: [{name: n, kind: raw, config: {type: bridge, bridge: b, ipam: {type: host-local, subnet: 10.20.00.0/24}}}]",
            "p.yaml:1:100",
            "KVN104",
            "not a subnet",
            "CIDR",
        ),
        (
            "networks: [{name: n, kind: raw, config: {type: bridge, bridge: b, ipam: {type: static, addresses: [{address: 10.20.0.05/24}]}}}]",
            "p.yaml:1:110",
            "KVN104",
            "not an address",
            "10.20.0.5/24",
        ),
    ]);
}

#[test]
fn subnets() {
    refused(&[
        ("cluster: {podSubnet: 10.244.0.0}", "p.yaml:1:22", "KVN104", "not a subnet", "CIDR"),
        ("cluster: {podSubnet: 10.244.0.1/16}", "p.yaml:1:22", "KVN104", "host bits", "write 10.244.0.0/16"),
        ("cluster: {podSubnet: 10.244.0.0/33}", "p.yaml:1:22", "KVN104", "not a subnet", "CIDR"),
        ("cluster: {podSubnet: 10.244.0.0/32}", "p.yaml:1:22", "KVN104", "too small for pods", "/24"),
        ("cluster: {podSubnet: 10.96.0.0/16}", "p.yaml:1:22", "KVN104", "service subnet", "10.244.0.0/16"),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.244.3.0/24}}]",
            "p.yaml:1:62",
            "KVN104",
            "the pod subnet",
            "own subnet",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.97.3.0/24}}]",
            "p.yaml:1:62",
            "KVN104",
            "the service subnet",
            "own subnet",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24}}, {name: m, kind: bridge, bridge: b, ipam: {subnet: 10.2.0.0/24}}]",
            "p.yaml:1:127",
            "KVN104",
            "network `n`",
            "own subnet",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24}}, {name: m, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24}}]",
            "p.yaml:1:127",
            "KVN104",
            "network `n`",
            "rangeStart",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24, gateway: 10.3.0.1}}]",
            "p.yaml:1:84",
            "KVN104",
            "host address of 10.2.0.0/24",
            "subnet's",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24, gateway: x}}]",
            "p.yaml:1:84",
            "KVN104",
            "IP address",
            "subnet's",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24, rangeStart: 10.2.0.255}}]",
            "p.yaml:1:87",
            "KVN104",
            "host address of",
            "subnet's",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24, rangeStart: 10.2.0.9, rangeEnd: 10.2.0.8}}]",
            "p.yaml:1:107",
            "KVN104",
            "before",
            "swap",
        ),
        (
            "networks: [{name: n, kind: bridge, bridge: a, ipam: {subnet: 10.2.0.0/24, dataDir: ../x}}]",
            "p.yaml:1:84",
            "KVN104",
            "absolute path",
            "`/`",
        ),
    ]);
}

#[test]
fn the_vm() {
    refused(&[
        ("vm: {name: A}", "p.yaml:1:12", "KVN104", "DNS-1123", "a-z"),
        ("vm: {image: 'a b'}", "p.yaml:1:13", "KVN104", "image reference", "registry"),
        ("vm: {memory: 1GB}", "p.yaml:1:14", "KVN104", "quantity", "1024M"),
        (
            "vm: {interfaces: [{name: a, network: nope}]}",
            "p.yaml:1:38",
            "KVN104",
            "`nope`",
            "networks are: pod",
        ),
        (
            "vm: {interfaces: [{name: a, network: n}]}\nnetworks: [{name: n, namespace: x, kind: flannel}]",
            "p.yaml:1:38",
            "KVN104",
            "`n`",
            "write `x/n`",
        ),
        (
            "vm: {interfaces: [{name: a, network: n, binding: masquerade}]}\nnetworks: [{name: n, kind: flannel}]",
            "p.yaml:1:50",
            "KVN104",
            "only on the network `pod`",
            "bridge",
        ),
        (
            "vm: {interfaces: [{name: a, network: pod, binding: masquerade}]}\nkubevirt: {version: v0.8.0}",
            "p.yaml:1:52",
            "KVN104",
            "v0.12.0",
            "bridge",
        ),
        (
            "vm: {interfaces: [{name: a, network: pod}, {name: a, network: n}]}\nnetworks: [{name: n, kind: flannel}]",
            "p.yaml:1:51",
            "KVN104",
            "another NIC",
            "own name",
        ),
        (
            "vm: {interfaces: [{name: a, network: pod}, {name: b, network: pod}]}",
            "p.yaml:1:63",
            "KVN104",
            "a second time",
            "networks",
        ),
        ("kubevirt: {enabled: false}", "p.yaml:1:21", "KVN104", "sample VM", "vm.enabled"),
    ]);
}

#[test]
fn components() {
    refused(&[
        ("kubevirt: {featureGates: [a, a]}", "p.yaml:1:30", "KVN104", "listed twice", "leave one"),
        ("kubevirt: {featureGates: ['a=true']}", "p.yaml:1:27", "KVN104", "feature gate", "ImageVolume"),
        (
            "kubevirt: {featureGates: [Template], disabledFeatureGates: [Template]}",
            "p.yaml:1:61",
            "KVN104",
            "also enabled",
            "one of the lists",
        ),
        (
            "kubevirt: {version: v1.7.0, disabledFeatureGates: [Template]}",
            "p.yaml:1:51",
            "KVN104",
            "no such field",
            "before v1.8.0",
        ),
        ("kubevirt: {version: '1.9.0'}", "p.yaml:1:21", "KVN104", "version", "v1.2.3"),
        ("flannel: {version: latest}", "p.yaml:1:20", "KVN104", "version", "v1.2.3"),
        ("flannel: {source: {from: upstream}}", "p.yaml:1:26", "KVN104", "`url` is missing", "url"),
        ("flannel: {source: {from: file}}", "p.yaml:1:26", "KVN104", "`path` is missing", "path"),
        (
            "flannel: {source: {from: upstream, url: 'ftp://a/b'}}",
            "p.yaml:1:41",
            "KVN104",
            "address",
            "https",
        ),
        ("flannel: {source: {sha256: abc}}", "p.yaml:1:28", "KVN104", "SHA-256", "64"),
        ("flannel: {confFile: ../a.conf}", "p.yaml:1:21", "KVN104", "configuration file", "plain file name"),
        ("flannel: {image: ''}", "p.yaml:1:18", "KVN104", "image reference", "registry"),
        ("multus: {confFile: 70-multus.conf}", "p.yaml:1:20", "KVN104", "sort before", "00-multus.conf"),
        ("flannel: {confFile: 00-a.conf}", "p.yaml:1:21", "KVN104", "sort after", "10-flannel.conflist"),
        ("multus: {masterCni: 00-multus.conf}", "p.yaml:1:21", "KVN104", "call itself", "pod network"),
        ("multus: {memoryLimit: 50Mi}", "p.yaml:1:23", "KVN104", "killed", "64Mi"),
        ("multus: {memoryLimit: lots}", "p.yaml:1:23", "KVN104", "quantity", "300Mi"),
        ("ovs: {package: '-y'}", "p.yaml:1:16", "KVN104", "package", "auto"),
        ("cluster: {cniConfDir: a/b}", "p.yaml:1:23", "KVN104", "absolute", "`/`"),
        ("cluster: {removeTaints: ['a:NoSchedule']}", "p.yaml:1:26", "KVN104", "taint", "control-plane"),
        ("cluster: {init: {advertiseAddress: x}}", "p.yaml:1:36", "KVN104", "IP address", "node"),
        ("timeouts: {ready: 0}", "p.yaml:1:19", "KVN104", "0 seconds", "86400"),
        ("timeouts: {vm: 86401}", "p.yaml:1:16", "KVN104", "86401", "86400"),
        ("verification: {namespace: default}", "p.yaml:1:27", "KVN104", "deletes it", "nothing else"),
        ("images: {rewrite: {a.b: 'http://x'}}", "p.yaml:1:25", "KVN104", "image names", "mirror"),
        ("description: \"a\\ab\"", "p.yaml:1:14", "KVN104", "U+0007", "remove"),
        ("description: \"a\\u202eb\"", "p.yaml:1:14", "KVN104", "U+202E", "remove"),
    ]);
}

#[test]
fn one_attachment_in_two_namespaces_shares_its_leases() {
    let two = |second: &str| {
        let first =
            "{name: lan, namespace: a, kind: ovs, bridge: blue, vlan: 20, ipam: {subnet: 10.20.0.0/24}}";
        let text =
            format!("extends: default\nvm: {{enabled: false}}\nnetworks:\n  - {first}\n  - {second}\n");
        load_text(&text, "p.yaml", &[])
    };
    let same = "{name: lan, namespace: b, kind: ovs, bridge: blue, vlan: 20, ipam: {subnet: 10.20.0.0/24}}";
    assert_eq!(two(same).expect("valid").profile.networks.len(), 2);
    for (from, to) in [("name: lan", "name: other"), ("vlan: 20", "vlan: 21"), ("/24}", "/25}")] {
        let error = two(&same.replace(from, to)).expect_err(to);
        assert!(error.message().contains("overlaps"), "{to}: {error}");
    }
}

#[test]
fn every_problem_is_reported_from_top_to_bottom() {
    let text = "timeouts: {ready: 0}\nmultus: {memoryLimit: 1Mi}\nvm: {name: A}\n";
    let error = load_text(text, "p.yaml", &[]).expect_err("three problems");
    assert_eq!(error.place(), Some("p.yaml:1:19"));
    let lines: Vec<&str> = error.message().lines().collect();
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines[1].starts_with("p.yaml:2:23: `multus.memoryLimit`") && lines[2].starts_with("p.yaml:3:12: ")
    );
    assert_eq!(error.hints().len(), 3);
}

#[test]
fn a_file_that_is_no_profile_is_not_printed() {
    let hash = "$6$canary$9f86d081884c7d65";
    let lines = (0..25).map(|n| format!("user{n}:{hash}:19000:0:99999:7:::\n")).collect::<Vec<_>>().concat();
    let twice = format!("root:{hash}:::\nroot:{hash}:::\n");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("shadow").display().to_string();
    for text in [&lines, &twice] {
        std::fs::write(&path, text).expect("written");
        let error = load_text(&format!("extends: {path}\n"), "p.yaml", &[]).expect_err("refused");
        let told = format!("{error}\n{:?}", error.hints());
        assert_eq!(error.code().id, "KVN103", "{told}");
        assert!(!told.contains("canary") && !told.contains("user1"), "{told}");
        assert!(told.contains("/shadow:"), "{told}");
    }
    let many = (0..25).map(|n| format!("foreign{n}: 1\n")).collect::<Vec<_>>().concat();
    let error = load_text(&many, "p.yaml", &[]).expect_err("refused");
    let told: Vec<&str> = error.message().lines().collect();
    assert_eq!((told.len(), told[10]), (11, "and 15 more"));
    assert!(told[9].ends_with("unknown field `foreign9`"), "{told:?}");
}

#[test]
fn hostile_files() {
    let bomb = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_string(), |text, n| {
        let before = format!("*a{},", n - 1).repeat(9);
        format!("{text}a{n}: &a{n} [{before}]\n")
    });
    let deep = format!("a: {}", "[".repeat(5_000));
    let stairs = (0..200).fold(String::new(), |text, n| text + &" ".repeat(n) + "a:\n");
    let long = format!("a: &a {}\nb: [{}]\n", "x".repeat(500_000), "*a,".repeat(1_000));
    for text in
        [bomb, deep, long, stairs, format!("a: '{}'", "x".repeat(2 << 20)), "\0".into(), "a: &a\n".repeat(3)]
    {
        let error = load_text(&text, "p.yaml", &[]).expect_err("refused");
        assert!(matches!(error.code().id, "KVN102" | "KVN103"), "{error}");
    }
}

#[test]
fn files_that_are_none() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("latin1.yaml"), b"name: a\ndescription: caf\xe9\n").expect("written");
    std::fs::write(path("big.yaml"), vec![b'#'; (1 << 20) + 1]).expect("written");
    std::fs::write(path("bom.yaml"), b"\xef\xbb\xbfname: a\r\n").expect("written");
    let refused = |reference: &str| load(reference, &[]).expect_err("refused");
    let error = refused(&path("latin1.yaml"));
    assert_eq!((error.code().id, error.place()), ("KVN102", Some(&*format!("{}:2:17", path("latin1.yaml")))));
    assert_eq!(refused(&path("big.yaml")).code().id, "KVN102");
    assert_eq!(refused(&path("missing.yaml")).code().id, "KVN101");
    let error = refused(&path(""));
    assert!(error.code().id == "KVN101" && error.message().contains("directory"), "{error}");
    assert_eq!(load(&path("bom.yaml"), &[]).expect("valid").profile.name, "a");
}

#[test]
fn names_of_shipped_profiles() {
    let error = load("defualt", &[]).expect_err("a typing error");
    assert_eq!(error.code().id, "KVN101");
    assert_eq!(error.hints()[0], "did you mean `default`?");
    assert!(load("", &[]).is_err());
}
