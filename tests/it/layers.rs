//! The rooms of the program import only what ARCHITECTURE.md draws below them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The layer of each room, counted from the top, as ARCHITECTURE.md draws them.
fn drawn() -> BTreeMap<String, usize> {
    let text = fs::read_to_string(format!("{ROOT}/ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("\n## The layers\n").expect("the section is there");
    let block = section.split("```").nth(1).expect("it has a drawing");
    let layers = block.trim().lines().enumerate();
    layers
        .flat_map(|(layer, rooms)| rooms.split_whitespace().map(move |room| (room.to_owned(), layer)))
        .collect()
}

/// The files below a folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Whether a file is tests alone.
fn is_tests(path: &Path) -> bool {
    path.iter().filter_map(|part| part.to_str()).any(|part| {
        part == "tests" || part == "tests.rs" || part.ends_with("_tests.rs") || part == "canaries.rs"
    })
}

/// The code of a file without its tests, which come last, and without comments.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let production = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = production.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The rooms that a file names: what follows each `crate::`, one name or the heads of a group.
fn imports(code: &str) -> Vec<&str> {
    code.split("crate::").skip(1).flat_map(heads).collect()
}

/// `engine` of `engine::plan;`, `profile` and `smoke` of `{profile, smoke::{a, b}};`.
fn heads(path: &str) -> Vec<&str> {
    let Some(group) = path.strip_prefix('{') else { return vec![name(path)] };
    let (mut heads, mut depth) = (vec![name(group.trim_start())], 0);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(name(group[at + 1..].trim_start())),
            _ => {}
        }
    }
    heads
}

fn name(path: &str) -> &str {
    path.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The folders that rooms are in, and the room that a folder is as a whole.
const SOURCES: [(&str, Option<&str>); 3] =
    [("src", None), ("crates/base/src", None), ("crates/sandbox/src", Some("sandbox"))];

/// The first part of a path below its folder, without its ending: `engine` of `engine/plan.rs`.
fn room<'a>(path: &'a Path, folder: &str) -> Option<&'a str> {
    let mut below = path.strip_prefix(folder).ok()?.iter();
    below.next()?.to_str().map(|name| name.trim_end_matches(".rs"))
}

#[test]
fn every_form_of_import_is_read() {
    let code = "use crate::engine::plan;\nuse crate::{profile, smoke::{Case, list},\n    steps};\nlet x = crate::ui::json;";
    assert_eq!(imports(code), ["engine", "profile", "smoke", "steps", "ui"]);
}

#[test]
fn rooms_import_what_is_below_them() {
    let layers = drawn();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for (folder, whole) in SOURCES {
        let folder = format!("{ROOT}/{folder}");
        let rust = |path: &&PathBuf| path.extension().is_some_and(|it| it == "rs") && !is_tests(path);
        for path in files(Path::new(&folder)).iter().filter(rust) {
            let own = whole.or_else(|| room(path, &folder)).unwrap();
            if ["lib", "main"].contains(&own) {
                continue;
            }
            seen.insert(own.to_owned());
            let Some(layer) = layers.get(own) else {
                wrong.push(format!("{} is in a room that is not drawn", path.display()));
                continue;
            };
            let code = code(path);
            for other in
                imports(&code).into_iter().filter(|other| *other != own && layers.contains_key(*other))
            {
                if layers[other] <= *layer {
                    wrong.push(format!("{} imports {other}, which is not below {own}", path.display()));
                }
            }
        }
    }
    wrong
        .extend(layers.keys().filter(|room| !seen.contains(*room)).map(|room| format!("there is no {room}")));
    assert!(wrong.is_empty(), "ARCHITECTURE.md, \"The layers\":\n{}", wrong.join("\n"));
}
