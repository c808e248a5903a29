//! The embedded templates. A value is data: it enters a template as JSON, so that it can neither end a string nor start
//! another document, and it is never read as template text.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::LazyLock;

use include_dir::{Dir, DirEntry, include_dir};
use serde::Serialize;
use tera::{Context, Kwargs, State, Tera, TeraResult, Value};

use crate::error::{Error, Result, code};

static FILES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../../templates");
static ENGINE: LazyLock<TeraResult<Tera>> = LazyLock::new(engine);

/// Renders the embedded template `name`, for example `flannel/flannel.yaml.tera`, with the fields of `values`.
/// Fails with `KVN405` when the template does not exist or needs a missing value.
pub fn render(name: &str, values: &impl Serialize) -> Result<String> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(&code::TEMPLATE, "the template cannot be rendered")
            .at(format!("templates/{name}"))
            .because(error)
    };
    let engine = ENGINE.as_ref().map_err(|error| failed(error))?;
    let context = Context::from_serialize(values).map_err(|error| failed(&error))?;
    engine.render(name, &context).map_err(|error| failed(&error))
}

/// The name and text of every embedded template.
pub fn all() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    collect(FILES.entries(), &mut found);
    found
}

fn engine() -> TeraResult<Tera> {
    let mut tera = Tera::new();
    // The escape function is the safety net for a value without the filter.
    tera.autoescape_on([".tera"]);
    tera.set_escape_fn(|text: &str, output: &mut dyn Write| output.write_all(json(text).as_bytes()));
    tera.register_filter("json", json_filter);
    tera.add_raw_templates(all())?;
    Ok(tera)
}

fn json_filter(value: &Value, _: Kwargs, _: &State) -> TeraResult<Value> {
    // A filter also gets missing values; null would be a silent gap in a manifest.
    if value.is_undefined() {
        return Err(tera::Error::message("a value of the template is missing"));
    }
    let text = serde_json::to_string(value).map_err(tera::Error::message)?;
    Ok(Value::safe_string(&printable(&text)))
}

fn json(text: &str) -> String {
    printable(&serde_json::Value::from(text).to_string())
}

/// JSON allows some characters as they are that YAML takes for line breaks or refuses.
fn printable(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}' | '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}' => {
                // Writing to a string cannot fail.
                let _ = write!(text, "\\u{:04x}", u32::from(character));
            }
            _ => text.push(character),
        }
    }
    text
}

fn collect(entries: &'static [DirEntry<'static>], found: &mut Vec<(&'static str, &'static str)>) {
    for entry in entries {
        match entry {
            DirEntry::Dir(dir) => collect(dir.entries(), found),
            DirEntry::File(file) => found.extend(file.path().to_str().zip(file.contents_utf8())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_goes_through_the_json_filter() {
        for (name, text) in all() {
            for insertion in text.split("{{").skip(1) {
                let (expression, _) = insertion.split_once("}}").unwrap();
                assert!(
                    expression.trim().trim_end_matches('-').trim().ends_with("| json"),
                    "{name}: {expression}"
                );
            }
            assert!(!text.contains("safe"), "{name} must not mark anything as safe");
        }
    }

    #[test]
    fn images_are_never_named_by_a_moving_tag() {
        // A stand-in names what the manifest in whose place it is names; nothing is pulled for it.
        for (name, text) in all().into_iter().filter(|(name, _)| !name.starts_with("sandbox/")) {
            assert!(!text.contains("latest") && !text.contains("snapshot"), "{name}");
        }
    }

    #[test]
    fn a_missing_value_and_a_missing_template_are_errors() {
        let error = render("flannel/flannel.yaml.tera", &serde_json::json!({})).unwrap_err();
        assert_eq!(error.code().id, "KVN405");
        let error = render("absent", &serde_json::json!({})).unwrap_err();
        assert_eq!((error.code().id, error.place()), ("KVN405", Some("templates/absent")));
    }

    #[test]
    fn what_yaml_takes_for_a_line_break_is_escaped() {
        assert_eq!(
            json("a\u{85}b\u{2028}c\n\"{{ x }}\u{1f600}"),
            "\"a\\u0085b\\u2028c\\n\\\"{{ x }}\u{1f600}\""
        );
    }
}
