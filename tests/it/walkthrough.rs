//! docs/walkthrough.md: each line of the text has a step, and the profile has the value that is told.

use std::collections::BTreeSet;

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../docs/walkthrough.md");

/// The words of a cell that stand in backticks.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// The rows of the table that begins with this title.
fn rows(title: &str) -> Vec<Vec<&'static str>> {
    let table = DOCUMENT.split_once(title).expect("the table").1;
    let lines = table.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
    let lines = lines.take_while(|line| line.starts_with('|'));
    lines.map(|line| line.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

#[test]
fn every_line_of_the_text_has_its_step_and_its_value() {
    let profile = kvnet::profile::load("walkthrough-2018", &[]).unwrap().profile;
    let profile: Value = serde_json::to_value(profile).unwrap();
    let known: BTreeSet<&str> = kvnet::steps::registry().iter().map(|step| step.id()).collect();
    // What the text takes for granted, and what came later and is off in this profile.
    let mut told = BTreeSet::from(["kernel", "cni-plugins", "whereabouts"]);
    let rows = rows("## What the text does");
    assert!(rows.len() >= 18, "{rows:?}");
    for row in &rows {
        let step = quoted(row[1])[0];
        assert!(known.contains(step), "there is no step {step}");
        told.insert(step);
        let [place, wanted] = quoted(row.get(2).copied().unwrap_or_default())[..] else {
            assert_eq!(step, "kubeconfig", "{row:?}: no value");
            continue;
        };
        let pointer = format!("/{}", place.replace('.', "/"));
        let value = profile.pointer(&pointer).unwrap_or_else(|| panic!("the profile has no {place}"));
        let is = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        assert_eq!(is, wanted, "{place}");
    }
    assert_eq!(told, known, "a step without a line, or a line without a step");
}
