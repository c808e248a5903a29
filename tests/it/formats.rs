//! `-o json` and `-o yaml`: whatever the command and however it ends, standard output is data.

use std::collections::BTreeMap;

use kvnet::cli::command;
use serde::Deserialize;
use serde_json::Value;

use kvnet_test_kit::run::{As, Place, text};

/// A command line that ends well, and one that ends with an error; none where there is no other form than text.
pub type Lines = Option<(&'static str, &'static str)>;

/// A profile without images, for which no registry is asked.
const NOTHING_TO_LOCK: &str = "--sandbox --lock-file DIR/k.lock --set flannel.enabled=false --set multus.enabled=false \
                               --set ovsCni.enabled=false --set kubevirt.enabled=false --set verification.enabled=false --set vm.enabled=false \
                               --set networks=[]";

/// Every command with its lines, in the order in which they are run: `up` comes first, so that there is something to see.
pub const ALL: &[(&str, Lines)] = &[
    ("up", Some(("--sandbox-dir DIR/box", "--yes --kubeconfig DIR/none"))),
    ("init", Some(("--sandbox --defaults", "--sandbox --defaults --uplink blue=eth7"))),
    ("plan", Some(("--sandbox-dir DIR/box", "--only flanel"))),
    ("lock", Some((NOTHING_TO_LOCK, "--check --sandbox --lock-file DIR/none.lock"))),
    ("status", Some(("--sandbox-dir DIR/box", "--kubeconfig DIR/none"))),
    ("doctor", Some(("--sandbox-dir DIR/box", "-p DIR/none.yaml"))),
    ("sysdump", Some(("--sandbox-dir DIR/box --file DIR/d.tar.gz", "--sandbox --file DIR/none/d.tar.gz"))),
    ("trace", Some(("vmi/vm-two-nics --sandbox-dir DIR/box", "vmi/none --sandbox-dir DIR/box"))),
    ("topology", Some(("--sandbox-dir DIR/box", "--kubeconfig DIR/none"))),
    ("render", Some(("--offline --only vm", "--kubeconfig DIR/none"))),
    ("smoke", Some(("leaks --sandbox-dir DIR/box", "nonsense"))),
    ("smoke list", Some(("", "--sandbox"))),
    ("profile list", Some(("", "extra"))),
    ("profile show", Some(("default", "defalt"))),
    ("profile validate", Some(("default walkthrough-2018", "DIR/wrong.yaml"))),
    ("profile schema", Some(("", "extra"))),
    ("profile pins", Some(("", "--forget https://nowhere.example/x"))),
    ("explain", Some(("KVN604", "KVN999"))),
    ("version", Some(("", "-p DIR/none.yaml"))),
    ("down", Some(("--sandbox-dir DIR/box", "--yes --kubeconfig DIR/none"))),
    ("console", None),
    ("completions", None),
    ("man", None),
];

/// The commands that do something, as words.
pub fn commands(command: &clap::Command, before: &str) -> Vec<String> {
    let named = |sub: &clap::Command| format!("{before} {}", sub.get_name()).trim().to_owned();
    let mut all: Vec<String> = command.get_subcommands().flat_map(|sub| commands(sub, &named(sub))).collect();
    if !before.is_empty() && !command.is_subcommand_required_set() {
        all.push(before.to_owned());
    }
    all
}

/// The values on standard output, and the exit code.
fn values(place: &Place, line: &str, format: &str) -> (Vec<Value>, i32) {
    let arguments: Vec<&str> = line.split_whitespace().chain(["-o", format]).collect();
    let output = place.kvnet(As::Tester, &arguments, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    let told = format!("{line} -o {format}: {:?}\n{out}\n{err}", output.status.code());
    assert!(!err.contains("error[") && !err.contains("panicked"), "{told}");
    let values: Result<Vec<Value>, String> = if format == "json" {
        serde_json::Deserializer::from_str(&out).into_iter().map(|it| it.map_err(|e| e.to_string())).collect()
    } else {
        serde_yaml::Deserializer::from_str(&out)
            .map(|document| Value::deserialize(document).map_err(|e| e.to_string()))
            .collect()
    };
    let values = values.unwrap_or_else(|error| panic!("{error}: {told}"));
    assert!(!values.is_empty() && !values.contains(&Value::Null), "{told}");
    (values, output.status.code().unwrap())
}

fn refused(place: &Place, line: &str, format: &str) -> Value {
    let (mut values, code) = values(place, line, format);
    let last = values.pop().unwrap();
    assert_eq!(last["event"], "error", "{line} -o {format}: {last}");
    assert!(last["code"].as_str().unwrap().starts_with("KVN") && code != 0, "{line}: {last}");
    assert!(last["message"].is_string() && last["hints"][0].is_string(), "{line}: {last}");
    last
}

#[test]
fn every_command_prints_data_however_it_ends() {
    let known: BTreeMap<&str, Lines> = ALL.iter().copied().collect();
    for command in commands(&command(), "") {
        assert!(known.contains_key(command.as_str()), "what does `kvnet {command} -o json` print?");
    }
    for format in ["json", "yaml"] {
        let place = Place::new();
        place.write("wrong.yaml", "extends: default\n");
        place.write("wrong.yaml", "extends: default\nbrigdes: []\nvm: {enabled: perhaps}\n");
        for (command, lines) in ALL {
            let line = |more: &str| format!("{command} {more}");
            let typo = refused(&place, &line("--no-such-option"), format);
            assert_eq!(typo["code"], "KVN100", "{command}: {typo}");
            let Some((well, wrong)) = lines else { continue };
            let (_, code) = values(&place, &line(well), format);
            assert!([0, 1, 3].contains(&code), "{command}: {code}");
            refused(&place, &line(wrong), format);
        }
        for line in ["", "nonsense", "console x", "man", "completions bash"] {
            assert_eq!(refused(&place, line, format)["code"], "KVN100", "{line}");
        }
    }
}

#[test]
fn each_problem_of_a_profile_is_listed_with_its_place() {
    let place = Place::new();
    place.write("a.yaml", "extends: default\nbrigdes: []\nvm: {enabled: perhaps}\n");
    place.write("b.yaml", "extends: [\n");
    for (line, expected) in [
        ("profile validate DIR/a.yaml", &[("a.yaml:2:1", "KVN103"), ("a.yaml:3:15", "KVN103")][..]),
        ("profile validate DIR/b.yaml", &[("b.yaml:", "KVN102")]),
        ("profile validate DIR/none.yaml", &[("none.yaml", "KVN101")]),
        (
            "profile validate DIR/a.yaml default DIR/b.yaml",
            &[("a.yaml:2:1", "KVN103"), ("a.yaml:3:15", "KVN103"), ("b.yaml:", "KVN102")],
        ),
        ("plan -p DIR/a.yaml", &[("a.yaml:2:1", "KVN103"), ("a.yaml:3:15", "KVN103")]),
    ] {
        let error = refused(&place, line, "json");
        let problems = error["problems"].as_array().unwrap();
        assert_eq!(problems.len(), expected.len(), "{line}: {error}");
        for (problem, (at, code)) in problems.iter().zip(expected) {
            assert!(problem["place"].as_str().unwrap().contains(at), "{line}: {problem}");
            assert_eq!(problem["code"], *code, "{line}");
            assert!(problem["message"].is_string() && problem["hint"].is_string(), "{line}: {problem}");
        }
    }
}

#[test]
fn a_run_is_a_document_for_each_event() {
    let place = Place::new();
    let (events, code) = values(&place, "up --sandbox --only kernel", "yaml");
    let kinds: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((code, kinds.first(), kinds.last()), (0, Some(&"started"), Some(&"finished")), "{kinds:?}");
    assert!(kinds.contains(&"change-done"), "{kinds:?}");
}
