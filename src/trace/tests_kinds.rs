//! Pods and NICs of other kinds: `hostNetwork`, a broken annotation, no NIC, a file's configuration, passthrough.

use super::*;
use crate::formats::cni::NETWORKS;

/// A Pending pod that asks for networks.
fn pending(annotation: &str) -> Evidence {
    let mut seen = healthy();
    (seen.machine, seen.guest, seen.links) = (false, None, None);
    let pod = json!({"metadata": {"name": "p", "namespace": "default", "uid": "uid-1", "annotations": {NETWORKS: annotation}},
        "spec": {"nodeName": "n0"}, "status": {"phase": "Pending"}});
    (seen.object, seen.pod) = (pod.clone(), Some(pod));
    let blue = seen.attachments.remove(1);
    let blue = Attachment { interface: None, nic: None, mac: None, ..blue };
    seen.attachments = vec![Attachment { interface: Some("eth0".into()), ..Attachment::default() }, blue];
    seen
}

fn found(trace: &Trace, name: &str) -> Vec<(Grade, String)> {
    trace.links.iter().filter(|link| link.link == name).map(|link| (link.state, link.found.clone())).collect()
}

#[test]
fn a_pod_of_the_host_has_no_nic_of_its_own_and_nothing_is_broken() {
    let mut seen = pending("ovs-blue");
    let pod = seen.pod.as_mut().unwrap();
    pod["spec"]["hostNetwork"] = json!(true);
    pod["status"] = json!({"phase": "Running", "podIP": "192.0.2.1", "hostIP": "192.0.2.1"});
    seen.ignored = crate::facts::attachments::asked(pod).ignored();
    let trace = trace(&seen);
    assert_eq!(trace.broken(), None);
    let [(state, told)] = &found(&trace, "annotation")[..] else { panic!("{trace:?}") };
    assert_eq!(*state, Grade::Warns);
    assert!(told.contains("has no effect: the pod uses the network of its node (hostNetwork)"), "{told}");
    let own = "none of its own: hostNetwork, n0 (192.0.2.1)";
    assert_eq!(found(&trace, "pod-nic"), [(Grade::Holds, own.to_owned())]);
    assert_eq!(trace.links.len(), 2);
}

#[test]
fn a_port_of_a_nic_that_was_not_made_has_no_empty_name() {
    let mut seen = pending("ovs-blue");
    seen.switch = Some(Ok(switch(Vec::new())));
    let port = found(&trace(&seen), "port");
    assert_eq!(port, [(Grade::Broken, "none, because the NIC was not created: see `pod-nic`".to_owned())]);
}

#[test]
fn why_a_pod_waits_is_told_once() {
    let mut seen = pending("ovs-blue,ovs-blue");
    seen.attachments.push(seen.attachments[1].clone());
    seen.reason = Some("its network cannot be set up (plugin ovs): failed to find bridge br-typo".into());
    let mut all = links(&seen);
    tell_once(&mut all, seen.reason.as_deref());
    let told = all.iter().filter(|link| link.found.contains("failed to find bridge br-typo"));
    assert_eq!(
        told.map(|link| (link.link, link.network.as_deref())).collect::<Vec<_>>(),
        [("pod-nic", Some("default/ovs-blue"))]
    );
    let nics = all.iter().filter(|link| link.link == "pod-nic").skip(2);
    for nic in nics {
        assert!(nic.found.ends_with("; the pod: it waits, see pod-nic above"), "{}", nic.found);
    }
    // The pod network's NIC is not to blame.
    let first = all.iter().find(|link| link.link == "pod-nic").unwrap();
    assert_eq!((first.network.as_deref(), first.state), (Some("pod"), Grade::Unknown));
    assert!(first.found.ends_with("the one on default/ovs-blue fails"), "{}", first.found);
    // An annotation that Multus rejects comes first.
    let trace = trace(&Evidence { refusal: Some("it has a control character (U+001B)".into()), ..seen });
    assert_eq!(trace.broken().map(|link| link.link), Some("annotation"));
}

/// A running pod whose annotation was changed since its start.
fn changed(annotation: &str) -> Evidence {
    let mut seen = healthy();
    (seen.machine, seen.guest) = (false, None);
    let pod = seen.pod.as_mut().unwrap();
    pod["metadata"]["annotations"][NETWORKS] = json!(annotation);
    pod["metadata"]["namespace"] = json!("default");
    pod["status"]["phase"] = json!("Running");
    let asked = crate::facts::attachments::asked(pod);
    (seen.refusal, seen.ignored) = (asked.refusal(), asked.ignored());
    seen.attachments.iter_mut().for_each(|it| (it.nic, it.binding) = (None, None));
    let link = |name: &str, mac: &str| Wire { mac: mac.into(), ..net_link(name, "veth", None) };
    seen.links = Some(vec![link("eth0", "aa:bb:cc:dd:ee:ff"), link(BLUE, MAC)]);
    seen
}

#[test]
fn a_slip_under_a_running_pod_is_a_warning() {
    for annotation in ["ovs-blue,", "[{\"name\": \"ovs-blue\"", "ovs-blue@net1@net2"] {
        let trace = trace(&changed(annotation));
        assert_eq!(trace.broken(), None, "{annotation}");
        let [(state, told)] = &found(&trace, "annotation")[..] else { panic!("{trace:?}") };
        assert_eq!(*state, Grade::Warns);
        assert!(told.ends_with("the pod keeps the NICs from its start, a new one would not start"), "{told}");
        assert!(found(&trace, "pod-nic").iter().all(|(state, _)| *state == Grade::Holds), "{trace:?}");
    }
    // The pod's actual networks are followed, whatever the annotation says now.
    let pod = changed("[{").pod.unwrap();
    let networks: Vec<_> = super::super::target::of_pod(&pod).into_iter().map(|it| it.network).collect();
    assert_eq!(networks, [None, Some("default/ovs-blue".into())]);
}

#[test]
fn a_network_that_is_asked_for_later_is_a_warning() {
    let mut seen = changed("ovs-blue,typo");
    let typo = Attachment { network: Some("default/typo".into()), ..Attachment::default() };
    seen.attachments.push(typo);
    let of_typo = |trace: &Trace| {
        let links = trace.links.iter().filter(|link| link.network.as_deref() == Some("default/typo"));
        links.map(|link| (link.link, link.state)).collect::<Vec<_>>()
    };
    let running = trace(&seen);
    assert_eq!(running.broken(), None, "{running:?}");
    assert_eq!(of_typo(&running), [("network", Grade::Warns), ("pod-nic", Grade::Warns)]);
    // Without Multus' report it is unknown what the pod asked for.
    let mut seen = seen;
    _ = seen.pod.as_mut().unwrap()["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .shift_remove("k8s.v1.cni.cncf.io/network-status");
    assert_eq!(trace(&seen).broken().map(|link| link.link), Some("network"));
}

#[test]
fn a_damaged_report_is_no_missing_nic() {
    for damaged in ["garbage", "null", "{\"interface\":\"net1\"}"] {
        let mut seen = healthy();
        seen.pod.as_mut().unwrap()["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] =
            damaged.into();
        let traced = trace(&seen);
        let broken = traced.broken().unwrap();
        assert_eq!(broken.link, "pod-nic");
        assert!(
            broken.found.contains("cannot be read") && broken.found.contains(damaged),
            "{}",
            broken.found
        );
        assert!(broken.hint.as_ref().is_some_and(|hint| hint.contains("may exist")), "{:?}", broken.hint);
    }
}

#[test]
fn a_network_that_a_file_configures_is_looked_at_there() {
    let mut seen = healthy();
    seen.attachments[1].file = Some(Ok("/etc/cni/multus/net.d/blue.conf".into()));
    let told = found(&trace(&seen), "network");
    let uses = "configured by the file /etc/cni/multus/net.d/blue.conf: uses host-local, ovs";
    assert_eq!(told, [(Grade::Holds, uses.to_owned())]);
    let why = "it has no configuration, and no file in /etc/cni/multus/net.d has its name";
    let gone = |seen: &mut Evidence| {
        seen.attachments[1] = Attachment {
            defined: true,
            config: None,
            bridge: None,
            file: Some(Err(why.into())),
            ..seen.attachments[1].clone()
        };
    };
    // A pod that has its NIC proves that there was a file.
    let mut seen = healthy();
    gone(&mut seen);
    assert_eq!(trace(&seen).broken(), None);
    assert_eq!(found(&trace(&seen), "network")[0].0, Grade::Warns);
    let mut seen = pending("ovs-blue");
    gone(&mut seen);
    let trace_of = trace(&seen);
    assert_eq!(trace_of.broken().map(|link| (link.link, link.found.as_str())), Some(("network", why)));
    (seen.here, seen.links) = (false, None);
    assert_eq!(found(&trace(&seen), "network")[0].0, Grade::Unknown);
}

#[test]
fn a_card_that_a_vm_has_for_itself_has_neither_tap_nor_port() {
    let mut seen = healthy();
    seen.object["spec"]["domain"]["devices"]["interfaces"][1] =
        json!({"name": "blue", "sriov": {}, "macAddress": MAC});
    let mut attachments = of_machine(&seen.object, "default");
    attachments[1].config = Some(json!({"type": "sriov", "vlan": 100}));
    seen.attachments = attachments;
    seen.plugins.insert("sriov".into(), Some("/opt/cni/bin/sriov".into()));
    seen.links.as_mut().unwrap().retain(|link| !link.name.contains("16477688c0e"));
    let trace = trace(&seen);
    assert_eq!(trace.broken(), None);
    let (state, tap) = &found(&trace, "tap")[1];
    assert_eq!(*state, Grade::Unknown);
    assert!(tap.starts_with("not checked: the NIC is passed through (SR-IOV), without a tap"), "{tap}");
    let (state, nic) = &found(&trace, "pod-nic")[1];
    assert_eq!(*state, Grade::Unknown);
    assert!(nic.contains("not checked: the NIC (sriov) is passed through"), "{nic}");
    assert_eq!(found(&trace, "port"), []);
    assert_eq!(found(&trace, "guest-nic")[1].0, Grade::Holds);
}

#[test]
fn a_pod_without_multus_has_the_address_that_it_has() {
    let mut seen = pending("");
    seen.attachments.truncate(1);
    seen.pod.as_mut().unwrap()["status"] = json!({"phase": "Running", "podIP": "10.244.0.9"});
    let told = found(&trace(&seen), "pod-nic");
    assert_eq!(
        told,
        [(
            Grade::Unknown,
            "its address is 10.244.0.9, Multus reports no NIC; no process of the pod on this node".to_owned()
        )]
    );
}
