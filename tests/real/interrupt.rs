//! `up` is stopped and killed in the middle, again and again; the next one goes on from there.

use std::process::Child;
use std::time::{Duration, Instant};

use crate::default::AFTER_DOWN;
use crate::kvnet::{Kvnet, Ran};
use crate::networks::{check_node, check_pods};
use crate::node::Node;
use crate::see;

/// A run that is killed has begun at least one change; this many of them reach into most steps.
const KILLS: usize = 12;

pub fn story() {
    let node = Node::start("t-intr");
    let kvnet = Kvnet::new(&node, &[]);
    let fresh = see::all(&node);
    let stopped = end_after_a_change(&kvnet, "INT").expect("the first run has much to do");
    assert_eq!(stopped.code, Some(130), "{}", stopped.err);
    for part in ["KVN503", "run `kvnet up` again"] {
        assert!(stopped.err.contains(part), "`{part}` is not in\n{}", stopped.err);
    }
    let killed = (0..KILLS).filter(|_| end_after_a_change(&kvnet, "KILL").is_some()).count();
    node.say(&format!("killed {killed} times"));
    assert!(killed >= 4, "killed only {killed} times");
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.has_nothing_to_do();
    kvnet.exits(0, &["down", "--yes"]);
    fresh.must_equal(&see::all(&node), AFTER_DOWN);
}

/// Starts `up` and sends a signal as soon as the journal has a change more; none when it ended before that.
fn end_after_a_change(kvnet: &Kvnet, signal: &str) -> Option<Ran> {
    let node = kvnet.node;
    let intents = "grep -c '\"record\":\"intent\"' /var/lib/kvnet/journal.jsonl";
    let known = node.sh(&format!("{intents} 2>/dev/null || true"));
    let known: usize = known.trim().parse().unwrap_or(0);
    let mut child = node.spawn(&kvnet.argv(&["up", "--yes"]));
    let deadline = Instant::now() + Duration::from_secs(180);
    while !node.holds(&format!("[ $({intents}) -gt {known} ]")) {
        assert!(Instant::now() < deadline, "no change came into the journal");
        if has_ended(&mut child) {
            return None;
        }
    }
    // It may have ended just now: then there is nothing left to interrupt.
    let sent = node.holds(&format!("pkill -{signal} -x kvnet"));
    let ran = child.wait_with_output().expect("ended").into();
    sent.then_some(ran)
}

fn has_ended(child: &mut Child) -> bool {
    child.try_wait().expect("a child").is_some()
}
