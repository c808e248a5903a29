//! `up` is killed and stopped in the middle; the next one goes on from there.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Output;

use serde_json::Value;

use crate::default::AFTER_DOWN;
use crate::kvnet::{Kvnet, Ran, as_set};
use crate::networks::{check_node, check_pods};
use crate::node::Node;
use crate::see;
use kvnet_test_kit::count;

/// Each run is killed at a point with such a number of its own points, so that each gets further than the last one. Most
/// changes have four points: the numbers come by all kinds of them.
const NUMBERS: [usize; 5] = [9, 10, 11, 12, 14];
const LEAST_KILLS: usize = 12;
/// A run that is killed earlier and earlier would never end.
const MOST_KILLS: usize = 40;
/// Debian's package starts its service itself: a run that goes on after it may find nothing to do there.
const BY_THE_PACKAGE: &str = "ovs-package: {\"change\":\"unit\"";
/// Where kvnet writes the points of a run.
const POINTS: &str = "/root/points";

pub fn story() {
    let node = Node::start("interrupt");
    let kvnet = Kvnet::new(&node, &[]);
    let fresh = see::all(&node);
    let planned = wanted(&kvnet.planned());
    killed_again_and_again(&kvnet);
    let done = wanted(&kvnet.journaled());
    let more: Vec<_> = done.difference(&planned).collect();
    assert!(more.is_empty(), "the runs did what one would not have done: {more:#?}");
    let less: Vec<_> =
        planned.difference(&done).filter(|change| !change.starts_with(BY_THE_PACKAGE)).collect();
    assert!(less.is_empty(), "the runs left out what one would have done: {less:#?}");
    nothing_was_done_twice(&node);
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

/// Kills `up` until one comes to its end.
fn killed_again_and_again(kvnet: &Kvnet) {
    let mut points = Vec::new();
    for number in NUMBERS.iter().cycle().take(MOST_KILLS) {
        let Some(point) = killed_at(kvnet, *number) else { break };
        points.push(point);
    }
    assert!((LEAST_KILLS..MOST_KILLS).contains(&points.len()), "killed at {points:#?}");
    // "before intent of multus" and the like: the steps and the boundaries.
    let starts = ["before intent of ", "after intent of ", "before done of ", "after done of "];
    let kinds = starts.iter().filter(|start| points.iter().any(|point| point.starts_with(*start)));
    assert!(kinds.count() >= 3, "the kinds of boundaries in {points:#?}");
    let steps: BTreeSet<&str> =
        points.iter().filter_map(|point| point.split(':').next()?.rsplit(' ').next()).collect();
    assert!(steps.len() >= 4, "the steps in {points:#?}");
    count::record("boundaries killed on the real node", points.len());
}

/// The point at which `up` was killed; none when it came to its end.
fn killed_at(kvnet: &Kvnet, number: usize) -> Option<String> {
    let script = r#"
        export KVNET_KILL_AT=$1 KVNET_CHECKPOINTS=$2
        shift 2
        rm --force "$KVNET_CHECKPOINTS"
        "$@"
        exit $?"#;
    let number = number.to_string();
    let mut argv = vec!["bash", "-uc", script, "killed", &number, POINTS];
    argv.extend(kvnet.argv(&["up", "--yes"]));
    let ran = Ran::from(kvnet.node.run(&argv));
    assert!(matches!(ran.code, Some(0 | 137)), "{:?}\n{}\n{}", ran.code, ran.out, ran.err);
    if ran.code == Some(0) {
        return None;
    }
    let points = kvnet.node.sh(&format!("cat {POINTS}"));
    let point = points.lines().last().expect("a point").to_owned();
    kvnet.node.say(&format!("SIGKILL {point}"));
    Some(point)
}

/// What changes lead to: a run that goes on finds less before it, and fewer packages that are still to come.
fn wanted(changes: &[(String, Value)]) -> BTreeSet<String> {
    let mut changes = changes.to_vec();
    for (_, change) in &mut changes {
        let fields = change.as_object_mut().expect("an object");
        for field in ["before", "with"] {
            fields.remove(field);
        }
    }
    as_set(&changes)
}

/// No change has two records of being done.
fn nothing_was_done_twice(node: &Node) {
    let journal = node.sh("cat /var/lib/kvnet/journal.jsonl");
    let records = journal.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
    let (mut intents, mut done) = (BTreeMap::new(), BTreeSet::new());
    for record in records {
        let seq = record["seq"].as_u64();
        match record["record"].as_str() {
            Some("intent") => _ = intents.insert(seq, format!("{}: {}", record["step"], record["change"])),
            Some("done") => {
                let change = intents.get(&seq).expect("an intent").clone();
                assert!(done.insert(change.clone()), "done twice: {change}");
            }
            _ => {}
        }
    }
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
