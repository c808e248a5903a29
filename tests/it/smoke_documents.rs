//! `docs/smoke.md` says what is true, and its examples for CI are what kvnet understands.

use kvnet::cli::command;
use kvnet::smoke::CASES;
use serde_json::Value;

const DOCUMENT: &str = include_str!("../../docs/smoke.md");

#[test]
fn every_case_is_documented_as_it_is() {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    let found: Vec<Vec<&str>> =
        rows.map(|row| row.split('|').map(str::trim).skip(1).take(3).collect()).collect();
    let tags = |tags: &[&str]| tags.iter().map(|tag| format!("`{tag}`")).collect::<Vec<_>>().join(", ");
    let wanted: Vec<Vec<String>> = CASES
        .iter()
        .map(|case| vec![format!("`{}`", case.name), case.title.into(), tags(case.tags)])
        .collect();
    assert_eq!(found, wanted);
}

/// The code blocks of YAML.
fn examples() -> Vec<Value> {
    let blocks = DOCUMENT.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks.map(|text| serde_yaml::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))).collect()
}

/// Every text in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter().flat_map(texts).collect(),
        Value::Object(fields) => fields.values().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

fn parses(line: &str) -> bool {
    command().try_get_matches_from(line.split_whitespace()).is_ok()
}

#[test]
fn the_examples_for_ci_are_yaml_with_commands_that_kvnet_knows() {
    let examples = examples();
    assert_eq!(examples.len(), 2, "GitHub and GitLab");
    assert!(examples[0]["jobs"]["smoke"]["steps"].is_array() && examples[1]["smoke"]["script"].is_array());
    for example in &examples {
        let lines = texts(example).into_iter().flat_map(str::lines).map(str::trim);
        let commands: Vec<&str> = lines
            .filter_map(|line| line.strip_prefix("sudo ").or(Some(line)))
            .filter(|line| line.starts_with("kvnet "))
            .collect();
        assert!(
            commands.iter().any(|line| line.starts_with("kvnet smoke") && line.contains("--junit")),
            "{commands:?}"
        );
        for line in commands {
            assert!(parses(line), "{line}");
        }
    }
}

#[test]
fn commands_in_the_text_parse() {
    let blocks = DOCUMENT
        .lines()
        .filter_map(|line| line.strip_prefix("    kvnet "))
        .map(|line| line.split(" #").next().unwrap());
    let quoted = DOCUMENT.split('`').skip(1).step_by(2).filter_map(|code| code.strip_prefix("kvnet "));
    let all: Vec<&str> = blocks.chain(quoted.filter(|code| !code.contains('\n'))).collect();
    assert!(all.len() > 6, "{all:?}");
    for line in all {
        assert!(parses(&format!("kvnet {line}")), "{line}");
    }
}
