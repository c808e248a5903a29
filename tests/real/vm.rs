//! KubeVirt and a VM with two NICs: from a fresh node to traffic inside guests, link cuts, other versions, and back.
//!
//! One thing in KubeVirt is not upstream's, because this kernel has no dummy device: see `tests/rig/README.md`.

use std::time::Instant;

use crate::cuts;
use crate::default::AFTER_DOWN;
use crate::doctor;
use crate::guests;
use crate::kvnet::{Kvnet, Ran};
use crate::networks::{address, pod};
use crate::node::Node;
use crate::see::{self, Snapshot, Tolerated};
use crate::smoke;
use crate::versions::{self, Versions};

const GUEST: &str = "docker.io/library/kvnet-guest:1";
/// The VM is on a network with addresses, so that traffic can be tried in both directions.
const PROFILE: &str = "\
extends: default
kubevirt:
  version: VERSION
vm:
  image: docker.io/library/kvnet-guest:1
  memory: 128M
  interfaces:
    - {name: default, network: pod, binding: masquerade}
    - {name: blue, network: ovs-blue}
";
pub const VM: &str = "vm-two-nics";
const CHECKS: [&str; 8] = [
    "vm-two-nics: default has an address and a gateway",
    "vm-two-nics resolves the names of Services",
    "vm-two-nics reaches a-bridge-network-1 over default",
    "a-bridge-network-1 reaches vm-two-nics over default",
    "vm-two-nics: blue has an address in 10.20.0.0/24, an untagged port of blue",
    "vm-two-nics reaches ovs-blue-1 over blue",
    "ovs-blue-1 reaches vm-two-nics over blue",
    "vm-two-nics does not reach ovs-blue100-1 over blue",
];
/// Seconds; the benchmark has the real number, this is for a busy machine.
const MOST_ADDED: f64 = 10.0;
/// What is not as before `up`, besides what is always so.
pub const AFTER_KUBEVIRT: &[Tolerated] = &[Tolerated {
    start: "node capacity devices.kubevirt.io/",
    reason: "kubelet remembers a device plugin for five minutes after its end, and writes it again",
}];

/// On the newest Kubernetes and KubeVirt.
pub fn story() {
    whole("vm", &Versions { first: "v1.9.0", next: "v1.9.1" });
}

/// On the oldest ones that the rig has.
pub fn of_1_5() {
    whole("vm15", &Versions { first: "v1.5.0", next: "v1.5.1" });
}

fn whole(name: &str, versions: &Versions) {
    let node = Node::start_with(name, &["--kubevirt", versions.first]);
    let mirror = versions::mirror(&node, versions);
    node.mirror_of(mirror.path());
    let kvnet = kvnet(&node, versions.first);
    let fresh = see::all(&node);
    first_up(&kvnet);
    kvnet.has_nothing_to_do();
    console(&node);
    traffic(&kvnet);
    smoke::vm(&kvnet);
    doctor::rests(&kvnet, "what the smoke test left is gone");
    doctor::whole(&kvnet);
    cuts::story(&kvnet, VM);
    versions::story(versions, [&kvnet, &self::kvnet(&node, versions.next)], VM);
    deleted(&node);
    down(&kvnet, &fresh);
    disturbed(&kvnet);
}

/// kvnet with the profile of one version of KubeVirt.
pub fn kvnet<'a>(node: &'a Node, version: &str) -> Kvnet<'a> {
    let path = format!("/root/vm-{version}.yaml");
    node.write(&path, &PROFILE.replace("VERSION", version));
    Kvnet::whole(node, &["--profile", &path, "--mirror", "http://127.0.0.1:8099"])
}

fn first_up(kvnet: &Kvnet) {
    let begin = Instant::now();
    let up = kvnet.up();
    let node = kvnet.node;
    node.say(&format!("from a fresh node to a verified VM: {:.1} s", begin.elapsed().as_secs_f64()));
    for line in up.err.lines().filter(|line| line.contains("done in") || line.contains(VM)) {
        node.say(line);
    }
    let ended = node.sh("date +%s.%N");
    verified(&up);
    // Which component, which pod, and how far its containers are, in whichever of the kubelet's two words for it.
    for part in [["virt-handler: 0 of 1 ready, ", "virt-handler-"], ["virt-api-", "container"]] {
        let mut lines = up.err.lines().filter(|line| line.starts_with("kubevirt: waiting:"));
        assert!(lines.any(|line| part.iter().all(|what| line.contains(what))), "{part:?}\n{}", up.err);
    }
    let plan = kvnet.run(&["status"]).out;
    assert!(plan.contains("VMs run in software emulation"), "{plan}");
    after_the_guest(node, &ended);
}

/// What kvnet does once the guest is up: its own part of the time.
fn after_the_guest(node: &Node, ended: &str) {
    let last = node.sh(&format!(
        "kubectl logs --selector vm.kubevirt.io/name={VM} --container guest-console-log --timestamps --tail=-1 \
         | grep -E 'kvnet-guest: (booted|eth)' | tail -1 | cut -d' ' -f1 | xargs date +%s.%N -d"
    ));
    let seconds = |text: &str| text.trim().parse::<f64>().expect("seconds");
    let added = seconds(ended) - seconds(&last);
    node.say(&format!("up ended {added:.2} s after the guest had its addresses"));
    assert!((0.0..MOST_ADDED).contains(&added), "{added}");
}

/// Every check of the VM was made, and passed.
fn verified(up: &Ran) {
    for check in CHECKS {
        assert!(up.err.contains(&format!("check passed: {check}")), "{check}\n{}", up.err);
    }
    assert!(!up.err.contains("FAILED") && !up.err.contains("not checked"), "{}", up.err);
}

/// On a terminal it is raw while it lasts, Ctrl-] ends it, and the terminal is as before.
fn console(node: &Node) {
    let script = format!(
        "stty -a >/root/before; kvnet console {VM} --namespace default; echo ended $?; stty -a >/root/after"
    );
    node.write("/root/console.sh", &script);
    // The keys come one by one, as from a person.
    let shown = node.sh(
        "(sleep 1; printf '\\n'; sleep 1; printf 'echo he\"\"llo\\n'; sleep 1; printf '\\035'; sleep 1) \
         | script --quiet --return --flush --command 'bash /root/console.sh' /dev/null",
    );
    assert!(shown.contains("hello") && shown.contains("ended 0"), "{shown}");
    assert_eq!(node.sh("cat /root/before"), node.sh("cat /root/after"));
    node.say("the console is a terminal's, and leaves it as it was");
}

/// VMs and a pod on one network reach each other; a VM on another VLAN reaches nobody there.
fn traffic(kvnet: &Kvnet) {
    let node = kvnet.node;
    let machines =
        [guests::machine("vm-near", "ovs-blue", GUEST), guests::machine("vm-far", "ovs-blue100", GUEST)];
    node.apply(&[machines.concat(), pod("near", "ovs-blue")].concat());
    node.sh("kubectl wait pod near --for=condition=Ready --timeout=60s");
    guests::wait(node, &[VM, "vm-near", "vm-far"]);
    let (nic, own) = guests::nic(node, VM);
    let (near_nic, near) = guests::nic(node, "vm-near");
    let (far_nic, far) = guests::nic(node, "vm-far");
    assert!(own.starts_with("10.20.0.") && near.starts_with("10.20.0.") && far.starts_with("10.20.100."));
    guests::sh(node, VM, &format!("ping -I {nic} -c 2 -W 5 {near}"));
    guests::sh(node, "vm-near", &format!("ping -I {near_nic} -c 2 -W 5 {own}"));
    let pod = address(node, "near", "net1");
    guests::sh(node, VM, &format!("ping -I {nic} -c 2 -W 5 {pod}"));
    for address in [&own, &near] {
        node.sh(&format!("kubectl exec near -- ping -I net1 -c 2 -W 5 {address}"));
    }
    // One subnet on both VLANs: then no route can be what separates them.
    guests::sh(node, "vm-far", &format!("ip addr add 10.20.0.250/24 dev {far_nic}"));
    for target in [&own, &near, &pod] {
        let ping = guests::run(node, "vm-far", &format!("ping -I {far_nic} -c 1 -W 1 {target}"));
        let (status, said) = ping.expect("the guest answers");
        assert!(status != 0 && said.contains("1 packets transmitted"), "vm-far reaches {target}: {said}");
    }
    node.say("two VMs and a pod on ovs-blue reach each other, a VM on VLAN 100 reaches none of them");
    cuts::of_pod(kvnet, "near");
    node.sh("kubectl delete vmi vm-near vm-far --timeout=120s && kubectl delete pod near --timeout=60s");
}

/// Nothing of a deleted VM is left on the node.
fn deleted(node: &Node) {
    let (_, address) = guests::nic(node, VM);
    assert!(
        node.holds(&format!("test -e /var/lib/cni/networks/*/{address}")),
        "its lease is not where it is looked for"
    );
    node.sh(&format!("kubectl delete vmi {VM} --timeout=120s"));
    node.until(
        "nothing of the VM is left",
        &format!(
            "[ -z \"$(ovs-vsctl --bare --columns=name find Port external_ids:owner=ovs-cni.network.kubevirt.io)\" ]
             ! ls /var/lib/cni/networks/*/{address}
             ! pidof qemu-system-x86_64 qemu-kvm
             ! ip -o link show type tun | grep ': tap'"
        ),
    );
    node.say("of the deleted VM no port, tap, lease or process is left");
}

fn down(kvnet: &Kvnet, fresh: &Snapshot) {
    let node = kvnet.node;
    let begin = Instant::now();
    let down = kvnet.exits(0, &["down", "--yes"]);
    node.say(&format!("down: {:.1} s", begin.elapsed().as_secs_f64()));
    assert!(down.err.contains("check passed: a pod starts"), "{}", down.err);
    for hanging in [
        "kubectl get namespace,apiservice,validatingwebhookconfiguration,mutatingwebhookconfiguration,crd,clusterrole \
         -o name | grep -i kubevirt",
        "kubectl get namespace,apiservice,pod --all-namespaces -o jsonpath='{.items[*].metadata.deletionTimestamp}' \
         | grep .",
        "find /run /var/lib /var/lib/kubelet/device-plugins -maxdepth 1 -name '*kubevirt*' | grep .",
    ] {
        assert!(!node.holds(hanging), "{}", node.sh(hanging));
    }
    fresh.must_equal(&see::all(node), &[AFTER_DOWN, AFTER_KUBEVIRT].concat());
    node.say("all as before `up`");
}

/// The operator's pods and the API server end in the middle of the deployment: `up` gets there all the same.
fn disturbed(kvnet: &Kvnet) {
    let node = kvnet.node;
    let script = r#"
        "$@" >/root/up.log 2>&1 &
        process=$!
        until kubectl -n kubevirt get deployment virt-api >/dev/null 2>&1; do sleep 0.2; done
        kubectl -n kubevirt delete pod --selector kubevirt.io=virt-operator --wait=false
        # The node's own, in its PID namespace.
        kill -KILL "$(pidof kube-apiserver)"
        wait "$process""#;
    let mut argv = vec!["bash", "-uc", script, "disturbed"];
    argv.extend(kvnet.argv(&["up", "--yes"]));
    let output = node.run(&argv);
    let log = node.sh("cat /root/up.log");
    // A request that was on its way may fail; the next run goes on from there.
    if output.status.success() {
        node.say("up went through while the operator and the API server were killed");
    } else {
        node.say(&format!("up was stopped: {}", log.lines().last().unwrap_or_default()));
        kvnet.up();
    }
    kvnet.has_nothing_to_do();
}
