//! `up` is stopped and killed in the middle, again and again; the next one goes on from there.

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
    let command = kvnet.argv(&["up", "--yes"]).join(" ");
    // In one shell on the node: from here, a run would be over before the second look at its journal.
    let script = format!(
        "changes() {{ grep -c '\"record\":\"intent\"' /var/lib/kvnet/journal.jsonl 2>/dev/null || true; }}
         known=$(changes); {command} & up=$!
         while kill -0 $up 2>/dev/null; do
             now=$(changes)
             if [ ${{now:-0}} -gt ${{known:-0}} ]; then kill -{signal} $up && ended=yes; break; fi
         done
         status=0; wait $up || status=$?
         [ -n \"${{ended:-}}\" ] || exit 99
         exit $status"
    );
    let ran: Ran = kvnet.node.run(&["bash", "-c", &script]).into();
    (ran.code != Some(99)).then_some(ran)
}
