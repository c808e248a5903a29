//! The text of a profile, read back by kvnet before it is written.

use serde_json::{Map, Value};

use super::settings::{self, Setting};
use super::{View, yaml};
use crate::error::{Error, Result, code};
use crate::profile::{self, Profile};

/// A profile as text and as kvnet reads it.
#[derive(Clone, Debug)]
pub struct Composed {
    /// The file.
    pub text: String,
    /// What it means.
    pub profile: Profile,
}

/// Makes a profile from the answers; `file` is its future name.
///
/// # Errors
/// As for every profile; `KVN505` when the text does not match the answers.
pub fn compose(view: &View<'_>, file: &str) -> Result<Composed> {
    let settings = settings::of(view);
    let wanted = settings::resolve(view, &settings, file)?;
    let differs = |setting: &&Setting| {
        settings::value_at(&wanted.profile, setting.path) != settings::value_at(&view.base, setting.path)
    };
    let text = head(view, file) + &yaml::sections(&tree(settings.iter().filter(differs)));
    let read = profile::load_text(&text, file, &[])?;
    if read.digest != wanted.digest {
        let message = "the written profile does not match the answers";
        return Err(Error::new(&code::INTERNAL, message).at(file));
    }
    Ok(Composed { text, profile: read.profile })
}

fn head(view: &View<'_>, file: &str) -> String {
    let facts = &view.survey.facts;
    let node = if facts.hostname.is_empty() { "a node" } else { &facts.hostname };
    let kubernetes = view.survey.cluster.version.iter().map(|version| format!(" and Kubernetes {version}"));
    let system = if facts.os.pretty.is_empty() { "Linux" } else { &facts.os.pretty };
    let about =
        format!("Written by `kvnet init` for {node} with {system}{}.", kubernetes.collect::<String>());
    let base = view.base_reference();
    let more = format!("Holds only what differs from the profile `{base}`. The whole profile:");
    let show =
        format!("# kvnet profile show --profile {}\n", crate::terminal::clean(file).replace('\n', " "));
    format!(
        "{}{}{show}\nextends: {base}  # what this profile builds on\n",
        yaml::comment("", &about),
        yaml::comment("", &more)
    )
}

fn tree<'a>(settings: impl Iterator<Item = &'a Setting>) -> Map<String, Value> {
    let mut root = Value::Object(Map::new());
    for setting in settings {
        let place = setting.path.split('.').fold(&mut root, |node, key| {
            if !node.is_object() {
                *node = Value::Object(Map::new());
            }
            &mut node[key]
        });
        *place = setting.value.clone();
    }
    match root {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
