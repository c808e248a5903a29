//! On a terminal no line is wider than its window, unless it is one word that cannot be broken.

use std::process::{Command, Stdio};

use crate::KVNET;
use kvnet_test_kit::run::{As, Place, text};

/// What people read on a terminal, before and after `up`.
const LINES: [&str; 24] = [
    "plan --sandbox",
    "plan --sandbox -p walkthrough-2018",
    "status --sandbox",
    "doctor --sandbox",
    "topology --sandbox",
    "topology --declared",
    "plan --sandbox-dir DIR/box",
    "status --sandbox-dir DIR/box",
    "doctor --sandbox-dir DIR/box",
    "doctor --sandbox-dir DIR/broken",
    "topology --sandbox-dir DIR/box",
    "trace vmi/vm-two-nics --sandbox-dir DIR/box",
    "trace vmi/none --sandbox-dir DIR/box",
    "down --dry-run --sandbox-dir DIR/box",
    "smoke list",
    "version --matrix",
    "profile list",
    "profile validate default walkthrough-2018",
    "profile validate DIR/wrong.yaml",
    "explain",
    "explain KVN604",
    "plan --only flanel",
    "status --kubeconfig DIR/refused.yaml --timeout 1",
    "doctor --kubeconfig DIR/refused.yaml --timeout 1",
];

/// What may stand before a word that is too long.
const MARKS: [&str; 11] = ["hint:", "cause:", "at:", "log:", "+", "-", "!", "·", "~", "?", "$"];

fn shown(place: &Place, line: &str, columns: usize) -> String {
    let line = line.replace("DIR", place.path("").to_str().unwrap().trim_end_matches('/'));
    let state = place.path("state");
    let script = format!("stty cols {columns} rows 50; exec {KVNET} {line}");
    let mut command = Command::new("script");
    command.args(["--quiet", "--command", &script, "/dev/null"]).stdin(Stdio::null());
    command
        .env("HOME", place.path(""))
        .env("TERM", "xterm")
        .env("KVNET_STATE_DIR", state)
        .env_remove("COLUMNS");
    let output = text(&command.output().unwrap().stdout).replace('\r', "");
    anstream::adapter::strip_str(&output).to_string()
}

fn is_too_wide(line: &str, columns: usize) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let breakable = match words.as_slice() {
        [] | [_] => false,
        [mark, _] => !MARKS.contains(mark),
        _ => true,
    };
    breakable && textwrap::core::display_width(line) > columns
}

#[test]
fn no_line_is_wider_than_the_window() {
    let place = Place::new();
    place.write(
        "wrong.yaml",
        "extends: default\nbrigdes: []\nvm: {enabled: perhaps}\nmultus: {flavour: thicker, and: more}\n",
    );
    for directory in ["box", "broken"] {
        let directory = format!("DIR/{directory}");
        let up = place.kvnet(As::Tester, &["up", "--sandbox-dir", &directory], &[]);
        assert!(up.status.success(), "{}", text(&up.stderr));
    }
    let broken = ["down", "--yes", "--only", "multus,ovs-cni", "--no-check", "--sandbox-dir", "DIR/broken"];
    assert!(place.kvnet(As::Tester, &broken, &[]).status.success());
    let mut wide = Vec::new();
    let words = |columns| shown(&place, "explain KVN604", columns).split_whitespace().count();
    assert_eq!(words(40), words(200), "nothing is cut");
    for columns in [40, 80] {
        for line in LINES {
            let shown = shown(&place, line, columns);
            assert!(!shown.trim().is_empty() && !shown.contains("panicked"), "{line}: {shown}");
            let lines = shown.lines().filter(|line| is_too_wide(line, columns));
            wide.extend(lines.map(|wide| format!("{columns} columns, {line}: {wide}")));
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}
