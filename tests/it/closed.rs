//! Readers that go away, and streams that are closed from the begin: every command ends as it would have ended.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;

use kvnet::cli::command;

use crate::KVNET;
use crate::it::formats::{ALL, commands};
use kvnet_test_kit::run::{As, Place, text};

/// Commands whose output is a text only, with a line that ends well and one that ends with an error.
const TEXTS: [(&str, &str, &str); 3] = [
    ("console", "vm-two-nics --sandbox-dir DIR/box", "none --sandbox-dir DIR/box"),
    ("completions", "bash", "nosh"),
    ("man", "", "nonsense"),
];

/// What becomes of the two streams.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Ends {
    /// Both are read.
    Read,
    /// Standard output is closed.
    OutputUnread,
    /// Standard error is closed.
    ErrorsUnread,
    /// Neither is open.
    Closed,
}

/// Every command line, in the order in which they are run: `up` comes first, and `down` last.
fn lines() -> Vec<String> {
    let mut known: Vec<(&str, &str, &str)> = Vec::new();
    for (command, lines) in ALL {
        let text = || TEXTS.iter().find(|(text, ..)| text == command).map(|(_, well, wrong)| (*well, *wrong));
        let (well, wrong) = lines.or_else(text).unwrap_or_else(|| panic!("how does {command} end?"));
        known.push((command, well, wrong));
    }
    // There is nothing to look at any more after it.
    known.sort_by_key(|(command, ..)| *command == "down");
    for command in commands(&command(), "") {
        assert!(known.iter().any(|(known, ..)| *known == command), "how does `kvnet {command}` end?");
    }
    let each = |(command, well, wrong): (&str, &str, &str)| {
        [format!("{command} {well}"), format!("{command} {wrong}"), format!("{command} --help")]
    };
    known.into_iter().flat_map(each).collect()
}

/// The exit code of each line.
fn run_all(ends: Ends) -> BTreeMap<String, Option<i32>> {
    let place = Place::new();
    place.write("wrong.yaml", "extends: default\nbrigdes: []\nvm: {enabled: perhaps}\n");
    lines().into_iter().map(|line| (line.clone(), run(&place, &line, ends))).collect()
}

fn run(place: &Place, line: &str, ends: Ends) -> Option<i32> {
    let arguments: Vec<&str> = line.split_whitespace().collect();
    let mut command = place.command(As::Tester, &arguments, &[]);
    if ends == Ends::Closed {
        let mut closed = Command::new("/bin/bash");
        closed.args(["-c", "exec \"$PROGRAM\" \"$@\" >&- 2>&-"]).args(command.get_args().skip(2));
        closed.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
        closed.stdin(Stdio::null()).env("PROGRAM", KVNET);
        command = closed;
    }
    let unread = || {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        writer
    };
    // `init` writes a profile where it is.
    command.current_dir(place.path("")).stdout(Stdio::piped()).stderr(Stdio::piped());
    match ends {
        Ends::Read | Ends::Closed => {}
        Ends::OutputUnread => _ = command.stdout(unread()),
        Ends::ErrorsUnread => _ = command.stderr(unread()),
    }
    let output = command.output().unwrap();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    for said in [&out, &err] {
        for never in ["panicked", "KVN222", "Broken pipe", "Bad file descriptor"] {
            assert!(!said.contains(never), "{ends:?} {line}: {said}");
        }
    }
    assert!(output.status.code().is_some(), "{ends:?} {line}: {:?}", output.status);
    output.status.code()
}

#[test]
fn every_command_ends_as_it_would_whoever_reads() {
    let all = [Ends::Read, Ends::OutputUnread, Ends::ErrorsUnread, Ends::Closed];
    let threads = all.map(|ends| (ends, thread::spawn(move || run_all(ends))));
    let mut codes = threads.map(|(ends, thread)| (ends, thread.join().unwrap())).into_iter();
    let (_, read) = codes.next().unwrap();
    for (ends, codes) in codes {
        for (line, code) in &codes {
            assert_eq!(*code, read[line], "{ends:?}: {line}");
        }
    }
    let count = |codes: &[i32]| read.values().filter(|code| codes.contains(&code.unwrap())).count();
    assert!(count(&[0]) > 20 && count(&[1, 2]) > 15, "{read:#?}");
}
