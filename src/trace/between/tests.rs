//! Two pods on an in-memory node whose wires carry what the test says.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::error::Error;
use crate::facts::Facts;
use crate::formats::cni::{NETWORK_STATUS, NETWORKS};
use crate::host::fake::FakeHost;
use crate::host::{Shot, Sighting};
use crate::steps::testing::{cluster, context, debian};
use crate::trace::Target;

const NETWORK: &str = "/apis/k8s.cni.cncf.io/v1/namespaces/default/network-attachment-definitions/bridge";

fn pod(name: &str, last: u8) -> Value {
    let status = json!([
        {"name": "cbr0", "interface": "eth0", "ips": [format!("10.244.0.{last}")], "mac": format!("02:00:00:00:00:{last:02x}"), "default": true},
        {"name": "default/bridge", "interface": "net1", "ips": [format!("10.9.0.{last}")], "mac": format!("02:00:00:00:01:{last:02x}")},
    ]);
    json!({
        "metadata": {"namespace": "default", "name": name, "uid": format!("uid-{name}"),
            "annotations": {NETWORKS: "bridge", NETWORK_STATUS: status.to_string()}},
        "spec": {"nodeName": "node1"},
        "status": {"phase": "Running", "podIP": format!("10.244.0.{last}"),
            "conditions": [{"type": "Ready", "status": "True"}]},
    })
}

/// A pod's links, or the node's: index, name, the other end's index, the last byte of the address, the bridge.
fn links(all: &[(u64, &str, u64, u8, Option<&str>)]) -> String {
    let link = |(index, name, peer, last, master): &(u64, &str, u64, u8, Option<&str>)| {
        let (net, kind) =
            (if *name == "net1" { "01" } else { "00" }, if *peer == 0 { "bridge" } else { "veth" });
        json!({"ifindex": index, "link_index": peer, "ifname": name, "flags": ["UP", "LOWER_UP"], "mtu": 1450,
            "address": format!("02:00:00:00:{net}:{last:02x}"), "master": master, "linkinfo": {"info_kind": kind}})
    };
    Value::from(all.iter().map(link).collect::<Vec<_>>()).to_string()
}

/// A host with a wire: how many of the four links see a frame, and whether it is answered.
fn host(links_seen: usize, answers: bool) -> FakeHost {
    let inner =
        |number: u64, last| links(&[(2, "eth0", number, last, None), (3, "net1", number + 1, last, None)]);
    let node = links(&[
        (1, "cni0", 0, 0xff, None),
        (10, "veth10", 2, 0xa0, Some("cni0")),
        (11, "veth11", 3, 0xa1, Some("br0")),
        (20, "veth20", 2, 0xb0, Some("cni0")),
        (21, "veth21", 3, 0xb1, Some("br0")),
    ]);
    FakeHost::new()
        .file("/proc/101/cgroup", "0::/kubepods/poduid-one/x")
        .file("/proc/102/cgroup", "0::/kubepods/poduid-two/x")
        .file("/proc/sys/net/ipv4/ip_forward", "1")
        .prints(["nsenter", "--target=101", "--net", "ip"], &inner(10, 1))
        .prints(["nsenter", "--target=102", "--net", "ip"], &inner(20, 2))
        .prints(["ip"], "[]")
        .prints(["ip", "-json", "-details", "address", "show"], &node)
        .prints(["tc"], "[]")
        .prints(["iptables-save"], "*filter\n:FORWARD ACCEPT [0:0]\nCOMMIT\n")
        .wired(move |shot| carry(shot, links_seen, answers))
}

/// The links on a frame's path, in order: place and name.
fn way(shot: &Shot) -> Vec<(usize, String)> {
    let number = u8::from(shot.link != "eth0");
    let own = |process: Option<u32>| {
        if process == Some(101) { format!("veth1{number}") } else { format!("veth2{number}") }
    };
    let (from, to) = (own(shot.places[1]), own(shot.places[2]));
    vec![(1, shot.link.clone()), (0, from), (0, to), (2, shot.link.clone())]
}

fn carry(shot: &Shot, links_seen: usize, answers: bool) -> Vec<Sighting> {
    let way = way(shot);
    let sight = |(place, link): &(usize, String), frame: &[u8]| Sighting {
        place: *place,
        link: link.clone(),
        leaves: false,
        frame: frame.into(),
    };
    let mut seen: Vec<Sighting> = way.iter().take(links_seen).map(|hop| sight(hop, &shot.frame)).collect();
    if answers && links_seen == way.len() {
        let mut answer = shot.frame.clone();
        if answer[12..14] == [8, 6] {
            // The other's MAC address comes before its IP address, then the asker's.
            let (source, target) = (answer[22..32].to_vec(), answer[38..42].to_vec());
            let own = if shot.places[2] == Some(102) { 2 } else { 1 };
            let net = u8::from(shot.link == "net1");
            answer = [&answer[..20], &[0, 2, 2, 0, 0, 0, net, own], &target, &source].concat();
        } else {
            answer[34] = 0;
        }
        seen.extend(way.iter().rev().map(|hop| sight(hop, &answer)));
    }
    seen
}

async fn traced(host: FakeHost, pods: [Value; 2], network: Option<&str>) -> Result<Trace> {
    let config = json!({"name": "b", "type": "bridge", "bridge": "br0"}).to_string();
    let objects = vec![
        ("/api/v1/namespaces/default/pods/one", pods[0].clone()),
        ("/api/v1/namespaces/default/pods/two", pods[1].clone()),
        (
            NETWORK,
            json!({"metadata": {"namespace": "default", "name": "bridge"}, "spec": {"config": config}}),
        ),
        (
            "/api/v1/nodes",
            json!({"items": [{"metadata": {"name": "node1"}}, {"metadata": {"name": "node2"}}]}),
        ),
        ("/api/v1/pods", json!({"items": []})),
    ];
    let host = host
        .file("/opt/cni/bin/bridge", "")
        .file("/etc/cni/net.d/00-multus.conf", r#"{"name":"m","type":"multus"}"#);
    let profile = crate::profile::load("default", &[]).unwrap().profile;
    let cx = context(&Arc::new(host), profile, Facts { hostname: "node1".into(), ..debian() });
    cx.connect(cluster(&objects)).await;
    let target = |name: &str| Target { machine: false, namespace: "default".into(), name: name.into() };
    make(&cx, [target("one"), target("two")], network, false).await
}

fn pods() -> [Value; 2] {
    [pod("one", 1), pod("two", 2)]
}

fn states(trace: &Trace, link: &str) -> Vec<Grade> {
    trace.links.iter().filter(|one| one.link == link).map(|one| one.state).collect()
}

#[tokio::test]
async fn a_frame_that_arrives_passes_every_link_on_either_network() {
    for network in [None, Some("bridge"), Some("default/bridge"), Some("pod")] {
        let trace = traced(host(4, true), pods(), network).await.unwrap();
        assert_eq!(trace.broken(), None, "{:#?}", trace.links);
        let frame = trace.frame.clone().unwrap();
        assert_eq!((frame.arrives, frame.apart), (Some(true), false));
        for (link, count) in [("hop", 4), ("question", 2), ("answer", 1), ("back", 1), ("large", 1)] {
            assert_eq!(states(&trace, link), vec![Grade::Holds; count], "{link}: {:#?}", trace.links);
        }
    }
}

#[tokio::test]
async fn the_last_link_that_has_seen_it_is_told() {
    for (count, last) in
        [(1, "eth0 of pod/one"), (2, "veth10, its end in cni0"), (3, "veth20, its end in cni0")]
    {
        let trace = traced(host(count, true), pods(), None).await.unwrap();
        let frame = trace.frame.clone().unwrap();
        assert_eq!((frame.arrives, frame.last_seen.as_deref()), (Some(false), Some(last)));
        assert_eq!(trace.broken().map(|link| (link.link, link.code)), Some(("hop", Some("KVN650"))));
        assert!(trace.broken().unwrap().found.starts_with(&format!("last seen at {last}, not at ")));
    }
    let trace = traced(host(4, false), pods(), None).await.unwrap();
    assert_eq!(trace.broken().map(|link| link.link), Some("question"));
    assert_eq!(trace.frame.unwrap().arrives, Some(true));
}

#[tokio::test]
async fn ends_without_a_path_are_refused() {
    async fn refused(change: impl FnOnce(&mut [Value; 2]), network: Option<&str>) -> Error {
        let mut pods = pods();
        change(&mut pods);
        traced(host(4, true), pods, network).await.unwrap_err()
    }
    let error = refused(|pods| pods[1]["spec"]["hostNetwork"] = true.into(), None).await;
    assert_eq!(error.code().id, "KVN652");
    let error = refused(|pods| pods[1]["status"]["phase"] = "Pending".into(), None).await;
    assert_eq!((error.code().id, error.hints()[0].contains("kvnet trace pod/default/two")), ("KVN652", true));
    let error = refused(|pods| pods[1]["metadata"]["uid"] = pods[0]["metadata"]["uid"].clone(), None).await;
    assert_eq!(error.code().id, "KVN651");
    let error = refused(|pods| pods[1]["metadata"]["annotations"] = json!({}), Some("bridge")).await;
    assert_eq!(error.code().id, "KVN651");
    assert!(error.to_string().contains("pod/two in default is not on default/bridge"), "{error}");
    for name in ["nowhere", "other/bridge", "a/b/c", "X"] {
        let error = refused(|_| (), Some(name)).await;
        assert_eq!(error.code().id, "KVN653", "{name}");
        assert!(error.hints()[0].contains("default/bridge"), "{error}");
    }
}

#[tokio::test]
async fn what_is_on_another_node_is_not_said_to_hold() {
    let mut elsewhere = pods();
    for pod in &mut elsewhere {
        pod["spec"]["nodeName"] = "node2".into();
    }
    let trace = traced(host(4, true), elsewhere.clone(), None).await.unwrap();
    assert_eq!((trace.broken(), trace.frame.clone().unwrap().arrives), (None, None));
    assert_eq!(states(&trace, "hop"), [Grade::Unknown]);
    assert!(
        trace.links.iter().any(|link| link.found.contains("node2 is another machine")),
        "{:#?}",
        trace.links
    );
    // With one of them here, the frame is followed as far as this node.
    elsewhere[0]["spec"]["nodeName"] = "node1".into();
    let near = host(4, true).wired(|shot| {
        let seen = |place, link: &str| Sighting {
            place,
            link: link.into(),
            leaves: true,
            frame: shot.frame.clone(),
        };
        vec![seen(1, "eth0"), seen(0, "veth10"), seen(0, "cni0")]
    });
    let trace = traced(near, elsewhere, None).await.unwrap();
    let frame = trace.frame.clone().unwrap();
    assert_eq!((frame.arrives, frame.last_seen.as_deref()), (None, Some("cni0, the gateway")));
    assert_eq!(states(&trace, "hop").last(), Some(&Grade::Unknown));
}

#[tokio::test]
async fn without_root_nothing_is_sent_and_nothing_said() {
    let refuses = host(0, false).unwired();
    let trace = traced(refuses, pods(), None).await.unwrap();
    assert_eq!((trace.broken(), states(&trace, "hop")), (None, vec![Grade::Unknown]));
    assert_eq!(trace.frame.unwrap().arrives, None);
}
