//! The cuts that must be told apart, made in the evidence.

use serde_json::{Value, json};

use super::evidence::Evidence;
use super::guest::GuestView;
use super::target::{Attachment, of_machine};
use super::*;
use crate::facts::ovs::{OvsBridge, OvsInterface, OvsPort, OvsState};
use crate::facts::routes::Wire;
use crate::formats::cni::CniConf;
use crate::guest::Link as GuestLink;

#[path = "tests_kinds.rs"]
mod kinds;

const BLUE: &str = "pod16477688c0e";
const MAC: &str = "02:06:80:fe:6b:62";

fn port(name: &str, interface: &str) -> OvsPort {
    let ids = [("contPodUid", "uid-1"), ("contIface", interface), ("owner", "ovs-cni.network.kubevirt.io")];
    OvsPort {
        name: name.into(),
        external_ids: ids.iter().map(|(key, value)| ((*key).into(), (*value).into())).collect(),
        interfaces: vec![OvsInterface { name: name.into(), ..OvsInterface::default() }],
        ..OvsPort::default()
    }
}

fn switch(ports: Vec<OvsPort>) -> OvsState {
    let bridge = OvsBridge { name: "blue".into(), ports, ..OvsBridge::default() };
    OvsState { bridges: vec![bridge] }
}

fn net_link(name: &str, kind: &str, master: Option<&str>) -> Wire {
    let (name, kind, master) = (name.into(), kind.into(), master.map(str::to_owned));
    Wire { name, kind, mac: MAC.into(), mtu: 1500, on: true, carrier: true, master, ..Wire::default() }
}

fn instance() -> Value {
    json!({
        "metadata": {"name": "vm", "namespace": "default", "uid": "vm-uid"},
        "spec": {
            "networks": [{"name": "default", "pod": {}}, {"name": "blue", "multus": {"networkName": "ovs-blue"}}],
            "domain": {"devices": {"interfaces": [
                {"name": "default", "masquerade": {}, "macAddress": "02:72:c7:4f:c2:0b"},
                {"name": "blue", "bridge": {}, "macAddress": MAC}]}},
        },
        "status": {"phase": "Running", "interfaces": [{"name": "blue", "mac": MAC, "podInterfaceName": BLUE}]},
    })
}

fn pod() -> Value {
    let status = json!([
        {"name": "cbr0", "interface": "eth0", "ips": ["10.244.0.7"], "mac": "aa:bb:cc:dd:ee:ff", "default": true},
        {"name": "default/ovs-blue", "interface": BLUE, "mac": MAC},
    ]);
    json!({
        "metadata": {"uid": "uid-1", "annotations": {"k8s.v1.cni.cncf.io/network-status": status.to_string()}},
        "spec": {"nodeName": "n0"},
        "status": {"podIP": "10.244.0.7"},
    })
}

fn attachments() -> Vec<Attachment> {
    let mut attachments = of_machine(&instance(), "default");
    attachments[1].config = Some(json!({"type": "ovs", "bridge": "blue", "ipam": {"type": "host-local"}}));
    attachments[1].bridge = Some("blue".into());
    attachments
}

/// A healthy running VM.
fn healthy() -> Evidence {
    let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
    let guest = |mac: &str| GuestLink { mac: mac.into(), mtu: 1500, up: true, ips: Vec::new() };
    let nics = vec![("eth0".into(), guest("02:72:c7:4f:c2:0b")), ("eth1".into(), guest(MAC))];
    let conf = |text: &str| CniConf::parse(text);
    Evidence {
        object: instance(),
        machine: true,
        pod: Some(pod()),
        node: Some(json!({"metadata": {"name": "n0"},
            "status": {"capacity": {"ovs-cni.network.kubevirt.io/blue": "1k"}}})),
        here: true,
        attachments: attachments(),
        has_marker: true,
        markers: vec![json!({"spec": {"nodeName": "n0"}, "status": ready})],
        switch: Some(Ok(switch(vec![port("veth1", BLUE)]))),
        plugins: [("ovs", "/opt/cni/bin/ovs"), ("host-local", "/opt/cni/bin/host-local")]
            .map(|(kind, path)| (kind.to_owned(), Some(path.into())))
            .into(),
        directories: (vec!["/opt/cni/bin".into()], "/etc/cni/net.d".into()),
        configurations: vec![
            ("00-multus.conf".into(), conf(r#"{"type":"multus-shim","name":"m"}"#)),
            ("10-flannel.conflist".into(), conf(r#"{"plugins":[{"type":"flannel"}]}"#)),
        ],
        links: Some(vec![
            net_link("eth0", "veth", None),
            net_link("k6t-eth0", "bridge", None),
            net_link("tap0", "tun", Some("k6t-eth0")),
            net_link("16477688c0e-nic", "veth", Some("k6t-16477688c0e")),
            net_link(BLUE, "dummy", None),
            net_link("tap16477688c0e", "tun", Some("k6t-16477688c0e")),
        ]),
        reason: None,
        refusal: None,
        ignored: None,
        guest: Some(GuestView::Nics(nics, "its serial console")),
    }
}

fn trace(seen: &Evidence) -> Trace {
    Trace { target: "vmi/vm in default".into(), now: seen.now(), links: links(seen), frame: None }
}

/// The first broken link after a cut: its name, network, code and what was found.
fn cut(make: impl FnOnce(&mut Evidence)) -> (&'static str, String, &'static str, String) {
    let mut seen = healthy();
    make(&mut seen);
    let trace = trace(&seen);
    let broken = trace.broken().unwrap_or_else(|| panic!("nothing is broken: {trace:#?}"));
    let network = broken.network.clone().unwrap_or_default();
    (broken.link, network, broken.code.unwrap(), broken.found.clone())
}

#[test]
fn a_chain_without_a_cut_holds_from_end_to_end() {
    let trace = trace(&healthy());
    let names: Vec<&str> = trace.links.iter().map(|link| link.link).collect();
    assert_eq!(
        names,
        [
            "ovsdb",
            "bridge",
            "marker",
            "network",
            "cni-plugin",
            "multus",
            "pod-nic",
            "tap",
            "guest-nic",
            "pod-nic",
            "port",
            "tap",
            "guest-nic"
        ]
    );
    assert!(trace.links.iter().all(|link| link.state == Grade::Holds), "{:#?}", trace.links);
    assert_eq!(trace.now, "Running on n0");
}

#[test]
fn every_cut_is_named_by_its_own_link() {
    let blue = |link, code, found: &str| (link, "default/ovs-blue".to_owned(), code, found.to_owned());
    assert_eq!(
        cut(|seen| seen.switch = Some(Ok(switch(Vec::new())))),
        blue("port", "KVN623", "Open vSwitch has no port for the pod's pod16477688c0e")
    );
    assert_eq!(
        cut(|seen| seen.switch = Some(Ok(switch(vec![OvsPort { tag: Some(200), ..port("veth1", BLUE) }])))),
        blue("port", "KVN623", "port veth1 is on blue, VLAN 200; it should be on blue, untagged")
    );
    assert_eq!(
        cut(|seen| seen.switch = Some(Ok(OvsState::default()))),
        blue("bridge", "KVN605", "not found; existing bridges: none")
    );
    assert_eq!(cut(|seen| seen.attachments[1].config = None), blue("network", "KVN621", "not found"));
    assert_eq!(
        cut(|seen| _ = seen.plugins.insert("ovs".into(), None)),
        blue("cni-plugin", "KVN603", "missing: ovs")
    );
    let (link, network, code, found) = cut(|seen| _ = seen.configurations.remove(0));
    assert_eq!((link, network.as_str(), code), ("multus", "", "KVN602"));
    assert_eq!(found, "10-flannel.conflist, but Multus has no configuration");
    assert_eq!(
        cut(|seen| {
            let Some(GuestView::Nics(nics, _)) = &mut seen.guest else { panic!("the guest speaks") };
            nics[1].1.up = false;
        }),
        blue("guest-nic", "KVN625", "eth1 is down (from its serial console)")
    );
}

#[test]
fn other_ends_of_the_chain() {
    for (cut, link, code) in [
        (cut(|seen| seen.switch = Some(Err("no such file".into()))), "ovsdb", "KVN604"),
        (
            cut(|seen| {
                seen.node.as_mut().unwrap()["status"] = json!({});
                seen.pod.as_mut().unwrap()["spec"] = waiting();
            }),
            "marker",
            "KVN620",
        ),
        (cut(|seen| seen.pod = None), "pod-nic", "KVN622"),
        (cut(|seen| seen.pod.as_mut().unwrap()["metadata"]["annotations"] = json!({})), "pod-nic", "KVN622"),
        (cut(|seen| seen.links.as_mut().unwrap()[3].on = false), "pod-nic", "KVN622"),
        (cut(|seen| seen.links.as_mut().unwrap()[5].master = None), "tap", "KVN624"),
        (cut(|seen| seen.links.as_mut().unwrap()[5].on = false), "tap", "KVN624"),
        (cut(|seen| seen.links.as_mut().unwrap()[5].master = Some("k6t-eth0".into())), "tap", "KVN624"),
        (cut(|seen| seen.guest = Some(GuestView::Nics(Vec::new(), "x"))), "guest-nic", "KVN625"),
        (cut(|seen| seen.guest = None), "guest-nic", "KVN625"),
    ] {
        assert_eq!((cut.0, cut.2), (link, code), "{cut:?}");
    }
}

/// The spec of a pod that is not scheduled yet.
fn waiting() -> Value {
    json!({"containers": [{"resources": {"requests": {"ovs-cni.network.kubevirt.io/blue": "1"}}}]})
}

#[test]
fn a_marker_that_lags_breaks_no_pod_that_runs() {
    let marker = |make: fn(&mut Evidence)| {
        let mut seen = healthy();
        make(&mut seen);
        let trace = trace(&seen);
        assert_eq!(trace.broken(), None);
        trace.links.into_iter().find(|link| link.link == "marker").map(|link| (link.state, link.found))
    };
    let (state, found) = marker(|seen| seen.node.as_mut().unwrap()["status"] = json!({})).unwrap();
    assert_eq!(state, Grade::Warns);
    assert_eq!(
        found,
        "n0 does not advertise it, though the marker runs; this pod does not wait for it, new ones would"
    );
    let (state, found) = marker(|seen| seen.markers.clear()).unwrap();
    assert_eq!(state, Grade::Warns);
    assert_eq!(found, "n0 still advertises it, but no ovs-cni pod on n0: the value is stale");
    assert_eq!(marker(|seen| seen.has_marker = false), None);
}

#[test]
fn an_ovs_cni_that_writes_no_pod_and_a_nic_without_mac_leave_it_unknown() {
    let mut seen = healthy();
    let nameless = |interface: &str| OvsPort {
        external_ids: [("contIface".to_owned(), interface.to_owned())].into(),
        ..port("veth1", interface)
    };
    seen.switch = Some(Ok(switch(vec![nameless(BLUE)])));
    seen.attachments[1].mac = None;
    let trace_of = |seen: &Evidence| trace(seen);
    let found = trace_of(&seen);
    assert_eq!(found.broken(), None);
    let unknown: Vec<_> = found.links.iter().filter(|link| link.state == Grade::Unknown).collect();
    let names: Vec<_> = unknown.iter().map(|link| (link.link, link.network.as_deref())).collect();
    assert_eq!(names, [("port", Some("default/ovs-blue")), ("guest-nic", Some("default/ovs-blue"))]);
    assert!(unknown[1].found.contains("eth0, eth1"), "{}", unknown[1].found);
    // An ovs-cni that records pods has lost this one's port.
    for ports in
        [vec![port("veth2", "net7")], vec![nameless("net7")], vec![nameless(BLUE), port("v", "net7")]]
    {
        seen.switch = Some(Ok(switch(ports)));
        assert_eq!(trace_of(&seen).broken().map(|link| link.link), Some("port"));
    }
}

#[test]
fn what_cannot_be_looked_at_is_unknown_and_not_broken() {
    let mut seen = healthy();
    (seen.here, seen.switch, seen.links) = (false, None, None);
    seen.guest = Some(GuestView::Silent("the guest asks for a login".into()));
    let trace = trace(&seen);
    assert_eq!(trace.broken(), None);
    let unknown: Vec<&str> =
        trace.links.iter().filter(|link| link.state == Grade::Unknown).map(|link| link.link).collect();
    assert_eq!(
        unknown,
        [
            "ovsdb",
            "bridge",
            "cni-plugin",
            "multus",
            "pod-nic",
            "tap",
            "guest-nic",
            "pod-nic",
            "port",
            "tap",
            "guest-nic"
        ]
    );
    assert!(trace.links[0].found.contains("n0 is another machine"), "{}", trace.links[0].found);
}

#[test]
fn a_vlan_may_be_the_networks_or_that_of_a_vlan_bridge() {
    let tagged = || switch(vec![OvsPort { tag: Some(100), ..port("veth1", BLUE) }]);
    let mut seen = healthy();
    seen.switch = Some(Ok(tagged()));
    seen.attachments[1].config = Some(json!({"type": "ovs", "bridge": "blue", "vlan": 100}));
    assert_eq!(trace(&seen).broken(), None);
    let mut seen = healthy();
    seen.switch = Some(Ok(tagged()));
    if let Some(Ok(state)) = &mut seen.switch {
        let vlan =
            OvsPort { name: "blue100".into(), tag: Some(100), fake_bridge: true, ..OvsPort::default() };
        state.bridges[0].ports.push(vlan);
    }
    seen.attachments[1].bridge = Some("blue100".into());
    seen.attachments[1].config = Some(json!({"type": "ovs", "bridge": "blue100"}));
    seen.node = Some(json!({"metadata": {"name": "n0"},
        "status": {"capacity": {"ovs-cni.network.kubevirt.io/blue100": "1k"}}}));
    assert_eq!(trace(&seen).broken(), None);
}

#[test]
fn two_nics_of_one_network_are_told_apart_also_by_an_old_annotation() {
    for annotation in ["k8s.v1.cni.cncf.io/network-status", "k8s.v1.cni.cncf.io/networks-status"] {
        let status = r#"[{"name":"cbr0","interface":"eth0","default":true},{"name":"ovs-blue","interface":"net1","mac":""},
            {"name":"ovs-blue","interface":"net2"}]"#;
        let mut seen = healthy();
        (seen.machine, seen.guest) = (false, None);
        seen.pod.as_mut().unwrap()["metadata"]["annotations"] = json!({annotation: status});
        let blue = Attachment { interface: None, nic: None, mac: None, ..seen.attachments[1].clone() };
        seen.attachments = vec![blue.clone(), blue];
        seen.links = Some(vec![net_link("net1", "veth", None), net_link("net2", "veth", None)]);
        seen.switch = Some(Ok(switch(vec![port("veth1", "net1"), port("veth2", "net2")])));
        let nics: Vec<String> = trace(&seen)
            .links
            .into_iter()
            .filter(|link| link.link == "pod-nic")
            .map(|link| link.found)
            .collect();
        assert!(nics[0].starts_with("net1 is up") && nics[1].starts_with("net2 is up"), "{nics:?}");
        assert_eq!(trace(&seen).broken(), None);
    }
}

#[test]
fn a_vm_without_a_pod_says_what_keeps_it() {
    let found = cut(|seen| {
        (seen.pod, seen.guest) = (None, None);
        seen.object["status"] = json!({"phase": "Pending", "conditions": [{"type": "Synchronized", "status": "False",
            "message": "failed to locate network attachment definition default/ovs-blue"}]});
    });
    assert_eq!(found.3, "the VM has no pod: failed to locate network attachment definition default/ovs-blue");
}

#[test]
fn the_document_lists_every_link_with_its_codes() {
    let document = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/trace.md")).unwrap();
    for (link, code) in [
        ("annotation", "KVN640"),
        ("ovsdb", "KVN604"),
        ("bridge", "KVN605"),
        ("marker", "KVN620"),
        ("network", "KVN621"),
        ("cni-plugin", "KVN603"),
        ("multus", "KVN602"),
        ("pod-nic", "KVN622"),
        ("port", "KVN623"),
        ("tap", "KVN624"),
        ("guest-nic", "KVN625"),
    ] {
        let row = document.lines().find(|line| line.starts_with(&format!("| `{link}` ")));
        assert!(row.is_some_and(|row| row.ends_with(&format!("| {code} |"))), "{link}");
    }
    let mut slip = Evidence { refusal: Some("entry 2 is empty".into()), ..healthy() };
    // A pod that has its NICs keeps them.
    slip.pod.as_mut().unwrap()["metadata"]["annotations"] = json!({});
    assert_eq!(
        trace(&slip).broken().map(|link| (link.link, link.code)),
        Some(("annotation", Some("KVN640")))
    );
    let known: Vec<&str> = links(&slip).iter().map(|link| link.link).collect();
    let rows = document.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, known.iter().collect::<std::collections::BTreeSet<_>>().len());
}
