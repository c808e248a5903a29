//! `up` is stopped and killed in the middle; the next one goes on from there.

use std::time::{Duration, Instant};

use crate::default::AFTER_DOWN;
use crate::kvnet::{Kvnet, Ran};
use crate::networks::{check_node, check_pods};
use crate::node::Node;
use crate::see;

/// Words in the journal that tell how far `up` has come, in that order.
const MOMENTS: [&str; 5] =
    ["ClusterRoleBinding", "kube-flannel-cfg", "kube-multus-ds", "add-br", "ovs-cni-marker-crb"];

pub fn story() {
    let node = Node::start("t-intr");
    let kvnet = Kvnet::new(&node, &[]);
    let fresh = see::all(&node);
    let stopped = end_at(&kvnet, "intent", "INT");
    assert_eq!(stopped.code, Some(130), "{}", stopped.err);
    for part in ["KVN503", "run `kvnet up` again"] {
        assert!(stopped.err.contains(part), "`{part}` is not in\n{}", stopped.err);
    }
    for moment in MOMENTS {
        end_at(&kvnet, moment, "KILL");
        node.say(&format!("killed at {moment}"));
    }
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.has_nothing_to_do();
    kvnet.exits(0, &["down", "--yes"]);
    fresh.must_equal(&see::all(&node), AFTER_DOWN);
}

/// Starts `up` and sends a signal once the journal has a new record with the word.
fn end_at(kvnet: &Kvnet, word: &str, signal: &str) -> Ran {
    let node = kvnet.node;
    let known = node.sh("cat /var/lib/kvnet/journal.jsonl 2>/dev/null | wc --lines || true");
    let new = format!(
        "tail --lines=+{} /var/lib/kvnet/journal.jsonl",
        known.trim().parse::<usize>().expect("a number") + 1
    );
    let child = node.spawn(&kvnet.argv(&["up", "--yes"]));
    let deadline = Instant::now() + Duration::from_secs(120);
    while !node.holds(&format!("{new} | grep -q -- {word}")) {
        assert!(Instant::now() < deadline, "{word} never came into the journal");
    }
    node.sh(&format!("pkill -{signal} -x kvnet"));
    child.wait_with_output().expect("ended").into()
}
