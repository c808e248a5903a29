//! Recorded answers of the real ones: a file for each chapter, a line for each answer.
//!
//! Only a run against the real ones writes them, with `KVNET_BLESS=1`.

use std::path::PathBuf;

use serde_json::{Value, json};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/parity");

/// What was asked and what came back.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    pub name: String,
    /// The request or command line as it was sent, so that a change of the suite is seen.
    pub asked: Value,
    pub answer: Value,
}

/// Whether recordings are to be written anew.
pub fn is_blessed() -> bool {
    std::env::var_os("KVNET_BLESS").is_some_and(|value| value == "1")
}

fn path(of: &str, chapter: &str) -> PathBuf {
    PathBuf::from(FOLDER).join(of).join(format!("{chapter}.jsonl"))
}

pub fn read(of: &str, chapter: &str) -> Vec<Recorded> {
    let path = path(of, chapter);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let line = |line: &str| {
        let value: Value = serde_json::from_str(line).expect("a line of JSON");
        Recorded {
            name: value["name"].as_str().expect("a name").to_owned(),
            asked: value["asked"].clone(),
            answer: value["answer"].clone(),
        }
    };
    text.lines().map(line).collect()
}

pub fn write(of: &str, chapter: &str, answers: &[Recorded]) {
    let path = path(of, chapter);
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is made");
    let line =
        |one: &Recorded| format!("{}\n", json!({"name": one.name, "asked": one.asked, "answer": one.answer}));
    std::fs::write(&path, answers.iter().map(line).collect::<String>()).expect("the recording is written");
}
