//! The documents say what is true.

use std::fs;

use kvnet::cli::command;
use kvnet::context::events::{Event, Verdict};
use kvnet::context::target::Target;
use kvnet::steps;
use serde_json::Value;

fn document(path: &str) -> String {
    fs::read_to_string(format!("{}/{path}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// One event of each kind; the match in `name` makes a new kind fail to compile here.
fn events() -> Vec<Event> {
    let (step, change): (String, String) = ("kernel".into(), "create file /x".into());
    vec![
        Event::Started { steps: vec![(step.clone(), "kernel settings".into())], target: Target::default() },
        Event::StepStarted { step: step.clone() },
        Event::ChangeStarted { step: step.clone(), change: change.clone() },
        Event::Waiting { step: step.clone(), reason: "0 of 1 ready".into() },
        Event::ChangeDone { step: step.clone(), change, seconds: 0.5 },
        Event::StepDone { step: step.clone(), changes: 1, seconds: 0.5 },
        Event::StepFailed { step: step.clone(), code: "KVN203".into(), message: "no permission".into() },
        Event::StepStopped { step: step.clone() },
        Event::Check { check: "a reaches b".into(), verdict: Verdict::Passed, detail: "0.1 ms".into() },
        Event::Note { step: Some(step), warning: true, text: "others made x".into() },
        Event::Finished {
            result: "done".into(),
            changes: 1,
            seconds: 1.5,
            verified: Some(true),
            not_checked: Vec::new(),
            left_out: Vec::new(),
        },
    ]
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Started { .. } => "started",
        Event::StepStarted { .. } => "step-started",
        Event::ChangeStarted { .. } => "change-started",
        Event::Waiting { .. } => "waiting",
        Event::ChangeDone { .. } => "change-done",
        Event::StepDone { .. } => "step-done",
        Event::StepFailed { .. } => "step-failed",
        Event::StepStopped { .. } => "step-stopped",
        Event::Check { .. } => "check",
        Event::Note { .. } => "note",
        Event::Finished { .. } => "finished",
    }
}

/// The table's rows: the event's name, and the names of its fields.
fn documented() -> Vec<(String, Vec<String>)> {
    let text = document("docs/events.md");
    let quoted =
        |cell: &str| -> Vec<String> { cell.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    let rows = text.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let fields = cells[2].split(';').map(|field| quoted(field)[0].clone()).collect();
        (quoted(cells[1])[0].clone(), fields)
    })
    .collect()
}

#[test]
fn every_event_is_documented_with_its_fields() {
    let mut expected: Vec<(String, Vec<String>)> = events()
        .iter()
        .map(|event| {
            let value = serde_json::to_value(event).unwrap();
            assert_eq!(value["event"], name(event));
            let fields = value.as_object().unwrap().keys().filter(|key| *key != "event");
            (name(event).to_owned(), fields.cloned().collect())
        })
        .collect();
    let error = ["code", "message", "place", "cause", "hints", "problems", "log"];
    expected.push(("error".into(), error.map(str::to_owned).to_vec()));
    assert_eq!(documented(), expected);
}

#[test]
fn commands_in_the_documents_parse() {
    let mut seen = 0;
    for path in [
        "README.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
        "docs/doctor.md",
        "docs/events.md",
        "docs/init.md",
        "docs/lock.md",
        "docs/profile.md",
        "docs/sandbox.md",
        "docs/survives.md",
        "docs/sysdump.md",
        "docs/trace.md",
    ] {
        let text = document(path);
        let blocks = text.lines().filter_map(|line| line.strip_prefix("    kvnet "));
        let quoted = text.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("kvnet "));
        // As a command's name, without what it needs.
        let quoted = quoted.filter(|line| *line != "trace");
        for line in blocks.chain(quoted) {
            let line = line.split(['#', '>']).next().unwrap().replace("CODE", "KVN100");
            let words = std::iter::once("kvnet").chain(line.split_whitespace());
            assert!(command().try_get_matches_from(words).is_ok(), "{path}: kvnet {line}");
            seen += 1;
        }
    }
    assert!(seen > 10, "{seen} commands");
}

#[test]
fn files_that_the_documents_name_exist() {
    for path in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        let text = document(path);
        let named = text
            .split('`')
            .skip(1)
            .step_by(2)
            .chain(text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap_or_default()));
        let is_path = |word: &&str| {
            ["crates/", "src/", "tests/", "profiles/", "templates/", "docs/", ".ci/"]
                .iter()
                .any(|start| word.starts_with(start))
                && !word.contains([' ', '*', '<'])
        };
        for file in named.filter(is_path) {
            let exists = fs::exists(format!("{}/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            assert!(exists, "{path} names {file}");
        }
    }
}

/// The rows of `docs/survives.md` name the tests that show them, as `it/access::NAME`, `crates/base/src/host/small::NAME` or,
/// for a story of the real node, `real/NAME::story`.
#[test]
fn what_is_survived_is_shown_by_tests_that_exist() {
    let text = document("docs/survives.md");
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with("| ") && line.contains("::")).collect();
    assert!(rows.len() > 20, "{} rows", rows.len());
    for test in rows.iter().flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|it| it.contains("::")) {
        let (file, name) = test.split_once("::").unwrap();
        let in_source = file.starts_with("src/") || file.starts_with("crates/");
        let path = if in_source { format!("{file}.rs") } else { format!("tests/{file}.rs") };
        let code = document(&path);
        let before = code.split(&format!("fn {name}(")).next().filter(|before| before.len() < code.len());
        let attributes =
            before.unwrap_or_else(|| panic!("{path} has no {name}")).rsplit("\n\n").next().unwrap();
        let is_story =
            name == "story" && document("tests/real/main.rs").contains(&format!("{}::story", &file[5..]));
        assert!(
            is_story || attributes.contains("test]") || attributes.contains("test("),
            "{test} is no test"
        );
    }
}

/// What is counted in the table of `docs/survives.md` is what the tests count.
#[test]
fn what_is_counted_is_recorded_by_tests() {
    let text = document("docs/survives.md");
    let rows = text.split("| what | how many |").nth(1).unwrap().lines().skip(2);
    let rows: Vec<&str> = rows.filter_map(|row| row.split('|').nth(1)).map(str::trim).collect();
    assert!(rows.len() > 20, "{rows:?}");
    let tests = concat!(env!("CARGO_MANIFEST_DIR"), "/tests");
    let mut recorded = document("tests/survives/table");
    for folder in ["it", "real", "real/parity", "survives"] {
        for entry in fs::read_dir(format!("{tests}/{folder}")).unwrap() {
            let path = entry.unwrap().path();
            recorded += &if path.is_file() { fs::read_to_string(path).unwrap() } else { String::new() };
        }
    }
    for row in rows {
        assert!(recorded.contains(row), "nothing counts `{row}`");
    }
}

#[test]
fn the_readme_lists_the_steps_in_their_order() {
    let text = document("README.md");
    let listed: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("| `"))
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    let steps: Vec<&str> = steps::registry().iter().map(|step| step.id()).collect();
    assert_eq!(listed, steps);
}

#[test]
fn the_profile_reference_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/profile.md");
    let current = reference();
    if std::env::var_os("KVNET_BLESS").is_some() {
        fs::write(path, &current).unwrap();
    }
    assert!(
        document("docs/profile.md") == current,
        "run this test once with KVNET_BLESS=1 and read the difference"
    );
}

/// All fields, one table for each top-level field, from the schema.
fn reference() -> String {
    let schema = serde_json::to_value(kvnet::profile::schema()).unwrap();
    let mut text = String::from(
        "# Profiles: every field\n\n\
         Made from the schema (`KVNET_BLESS=1 cargo test --test hermetic profile_reference` regenerates it). How profiles are \
         written, and two complete ones with comments: `profiles/default.yaml` and `profiles/walkthrough-2018.yaml`. For \
         editors: `kvnet profile schema > kvnet.schema.json`, and `# yaml-language-server: $schema=kvnet.schema.json` as \
         the first line of yours.\n\n\
         A profile builds on another with `extends: NAME` or `extends: ./FILE`: maps merge key by key, a list replaces \
         the whole list. `--set PATH=VALUE` changes one value, for example `--set ovs.datapath=netdev`. `kvnet profile \
         show` prints the result, `kvnet profile validate` checks it and touches nothing. `[]` means each item of \
         a list.\n\n| field | type | default | meaning |\n|---|---|---|---|\n",
    );
    for (field, inner) in schema["properties"].as_object().unwrap() {
        rows(&schema, field, inner, &mut text);
    }
    text
}

fn rows(schema: &Value, path: &str, field: &Value, text: &mut String) {
    let target = resolve(schema, field);
    let cell = |value: &str| value.replace('\n', " ").replace('|', "\\|");
    let description = field["description"].as_str().or(target["description"].as_str()).unwrap_or_default();
    let default = match &field["default"] {
        Value::Null | Value::Object(_) => String::new(),
        Value::Array(list) if list.iter().any(Value::is_object) => String::new(),
        value => format!("`{value}`"),
    };
    let kind = kind(schema, target);
    text.push_str(&format!("| `{path}` | {} | {} | {} |\n", cell(&kind), cell(&default), cell(description)));
    inside(schema, path, target, text);
}

fn inside(schema: &Value, path: &str, target: &Value, text: &mut String) {
    for (name, inner) in target["properties"].as_object().into_iter().flatten() {
        rows(schema, &format!("{path}.{name}"), inner, text);
    }
    if target["items"].is_object() {
        inside(schema, &format!("{path}[]"), resolve(schema, &target["items"]), text);
    }
    for variant in target["oneOf"].as_array().into_iter().flatten() {
        let variant = resolve(schema, variant);
        if let Some(kind) = variant["properties"]["kind"]["const"].as_str() {
            inside(schema, &format!("{path} ({kind})"), variant, text);
        }
    }
}

/// What a `$ref` stands for, also one with a default, and one that may be null.
fn resolve<'a>(schema: &'a Value, field: &'a Value) -> &'a Value {
    let reference = [&field["$ref"], &field["allOf"][0]["$ref"], &field["anyOf"][0]["$ref"]];
    let reference = reference.into_iter().find_map(Value::as_str);
    let name = reference.and_then(|reference| reference.rsplit('/').next());
    name.map_or(field, |name| &schema["definitions"][name])
}

fn kind(schema: &Value, target: &Value) -> String {
    let choices = |list: &Value, pick: &dyn Fn(&Value) -> Option<String>| -> Vec<String> {
        list.as_array().into_iter().flatten().filter_map(pick).collect()
    };
    let mut words = choices(&target["enum"], &|value| value.as_str().map(|text| format!("`{text}`")));
    words.extend(choices(&target["oneOf"], &|value| value["const"].as_str().map(|text| format!("`{text}`"))));
    if !words.is_empty() {
        return words.join(" or ");
    }
    if let Some(only) = target["const"].as_str() {
        return format!("`{only}`");
    }
    match target["type"].as_str().or(target["type"][0].as_str()) {
        Some("array") => format!("list of {}", kind(schema, resolve(schema, &target["items"]))),
        Some("object") | None => "map".into(),
        Some(kind) => kind.into(),
    }
}
