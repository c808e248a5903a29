//! `up` is killed and stopped in the middle; the next one goes on from there.

use std::process::Output;

use crate::default::AFTER_DOWN;
use crate::kvnet::{Kvnet, Ran};
use crate::networks::{check_node, check_pods};
use crate::node::Node;
use crate::see;

/// What `up` says at the moments at which it is killed. Steps run side by side, so that one may be past already when the
/// one before it was killed.
const MOMENTS: [&str; 7] = [
    "ovs-package: install package",
    "flannel: create DaemonSet",
    "flannel: wait",
    "multus: create DaemonSet",
    "ovs-bridges: add",
    "ovs-cni: create DaemonSet",
    "verification: waiting",
];
const LEAST_KILLS: usize = 5;

pub fn story() {
    let node = Node::start("interrupt");
    let kvnet = Kvnet::new(&node, &[]);
    let fresh = see::all(&node);
    let kills = MOMENTS.iter().filter(|moment| killed_at(&kvnet, moment)).count();
    assert!(kills >= LEAST_KILLS, "only {kills} of the moments came");
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.has_nothing_to_do();
    kvnet.exits(0, &["down", "--yes"]);
    fresh.must_equal(&see::all(&node), AFTER_DOWN);
    stopped(&kvnet);
    kvnet.up();
    check_node(&node);
    kvnet.has_nothing_to_do();
}

/// Ctrl-C: the change in hand is finished, and kvnet says how to go on.
fn stopped(kvnet: &Kvnet) {
    let ran = Ran::from(signalled(kvnet, "INT", "multus: create DaemonSet"));
    assert_eq!(ran.code, Some(130), "{}", ran.out);
    for part in ["KVN503", "run `kvnet up` again"] {
        assert!(ran.out.contains(part), "`{part}` is not in\n{}", ran.out);
    }
    let records = kvnet.node.sh("cat /var/lib/kvnet/journal.jsonl");
    let count = |record: &str| records.matches(&format!(r#""record":"{record}""#)).count();
    assert_eq!(count("intent"), count("done"), "a change was not finished:\n{records}");
    kvnet.node.say("stopped with Ctrl-C");
}

/// Whether that moment came; otherwise `up` has ended well.
fn killed_at(kvnet: &Kvnet, moment: &str) -> bool {
    let ran = Ran::from(signalled(kvnet, "KILL", moment));
    kvnet.node.say(&format!("SIGKILL at `{moment}`: exit code {:?}", ran.code));
    assert!(matches!(ran.code, Some(0 | 137)), "{moment}: {:?}\n{}", ran.code, ran.out);
    ran.code == Some(137)
}

/// Runs `up` and sends a signal as soon as it says `line`.
fn signalled(kvnet: &Kvnet, signal: &str, line: &str) -> Output {
    let script = r#"
        signal=$1 moment=$2
        shift 2
        exec 3< <(exec "$@" 2>&1)
        process=$!
        while read -r line <&3; do
            echo "$line"
            if [[ $line == "$moment"* ]]; then
                kill "-$signal" "$process"
                break
            fi
        done
        cat <&3
        wait "$process""#;
    let mut argv = vec!["bash", "-uc", script, "signalled", signal, line];
    let up = kvnet.argv(&["up", "--yes"]);
    argv.extend(up);
    kvnet.node.run(&argv)
}
