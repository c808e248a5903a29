//! From a name or path to a valid profile.

use serde_json::Value as Json;

use super::node::{Node, Value};
use super::place::{Place, Problem, report};
use super::read::{Found, find};
use super::{Profile, Written, check, set, validate, write};
use crate::error::{Error, Result, code};

/// The longest chain of `extends`.
const MAX_EXTENDS: usize = 8;

/// A profile that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The resolved profile.
    pub profile: Profile,
    /// SHA-256 of its canonical JSON, in hexadecimal: the same for profiles that mean the same.
    pub digest: String,
    /// Where it came from: `NAME (shipped)` or the path as it was given.
    pub origin: String,
}

/// Loads a profile: `reference` is a shipped name, or a path (with `/`, ending in `.yaml` or `.yml`, or of a file that
/// exists and is no shipped name), or `-` for standard input. `sets` are the `--set PATH=VALUE` in their order.
///
/// # Errors
/// `PROFILE_NOT_FOUND`, `PROFILE_SYNTAX`, `PROFILE_FIELD`, `PROFILE_VALUE`, `PROFILE_EXTENDS`, or `USAGE` for a `--set`
/// without path and value. Each names the place to fix and a hint.
pub fn load(reference: &str, sets: &[String]) -> Result<Loaded> {
    resolve(&find(reference, None)?, sets)
}

/// Loads a profile from its text; `origin` names the file in messages, and `extends` is relative to its directory.
///
/// # Errors
/// As [`load`].
pub fn load_text(text: &str, origin: &str, sets: &[String]) -> Result<Loaded> {
    resolve(&Found::of_text(text, origin), sets)
}

fn resolve(found: &Found, sets: &[String]) -> Result<Loaded> {
    let (name, origin) = (found.name.clone(), found.origin.clone());
    let mut tree = defaults()?;
    tree.merge(tree_of(found, &mut Vec::new())?);
    for argument in sets {
        set::apply(&mut tree, argument)?;
    }
    check::check(&tree)?;
    follow_versions(&mut tree);
    let mut profile = read(&tree)?;
    if profile.name.is_empty() {
        profile.name = name;
    }
    profile.written = Written(tree.written());
    report(&code::PROFILE_VALUE, problems(&profile, &tree))?;
    Ok(Loaded { digest: write::digest(&profile), profile, origin })
}

/// The defaults are at the bottom, so that a `--set` can reach into a list that no file wrote, and so that a part of
/// a section keeps the defaults of its other part.
fn defaults() -> Result<Node> {
    serde_json::to_value(Profile::default()).map(Node::of_default).map_err(|cause| bug(&cause))
}

/// The tree of a file on top of what it extends; `chain` holds the identities of the files that led here.
fn tree_of(found: &Found, chain: &mut Vec<String>) -> Result<Node> {
    let mut tree = found.parse()?;
    found.resolve(&mut tree);
    let Some(extends) = tree.remove("extends") else {
        return Ok(tree);
    };
    let Some(reference) = extends.text() else {
        let hint = "write one name or path, for example `extends: default`";
        return Err(refused(&extends.place, "`extends` must be a string", hint, &code::PROFILE_FIELD));
    };
    chain.push(found.identity.clone());
    if chain.len() > MAX_EXTENDS {
        let message = format!("more than {MAX_EXTENDS} profiles extend one another");
        return Err(refused(&extends.place, &message, "merge some of them", &code::PROFILE_EXTENDS));
    }
    let base = find(reference, Some(found)).map_err(|error| behind_extends(&error, &extends.place))?;
    if chain.contains(&base.identity) {
        let message = format!("`extends: {reference}` leads back to a profile that extends this one");
        return Err(refused(
            &extends.place,
            &message,
            "remove one `extends` of the cycle",
            &code::PROFILE_EXTENDS,
        ));
    }
    let mut under = tree_of(&base, chain)?;
    // They describe that profile, not this one.
    under.remove("name");
    under.remove("description");
    under.merge(tree);
    Ok(under)
}

fn behind_extends(error: &Error, place: &Place) -> Error {
    let new = Error::new(&code::PROFILE_EXTENDS, error.message()).at(place.to_string());
    let new = error.cause().map(str::to_string).into_iter().fold(new, Error::because);
    error.hints().into_iter().fold(new, Error::hint)
}

fn refused(place: &Place, message: &str, hint: &str, code: &'static crate::error::Code) -> Error {
    Problem { place: place.clone(), message: message.into(), hint: Some(hint.into()) }.into_error(code)
}

/// Images and addresses that carry a version in the defaults follow the profile's version, unless they are set:
/// otherwise `--set kubevirt.version=v1.8.4` would still install the default release.
fn follow_versions(tree: &mut Node) {
    let known = Profile::default();
    let rules = [
        ("flannel.version", known.flannel.version, ["flannel", "image"].as_slice()),
        ("ovsCni.version", known.ovs_cni.version, &["ovsCni", "image"]),
        ("kubevirt.version", known.kubevirt.version, &["kubevirt", "source", "url"]),
    ];
    for (version, default, target) in rules {
        let Some(version) = tree.at(version).and_then(Node::text).map(str::to_string) else {
            continue;
        };
        let node = target.iter().try_fold(&mut *tree, |node, key| node.child_mut(key));
        if let Some(Node { place: Place::Default, value: Value::Text(text) }) = node {
            *text = text.replace(&default, &version);
        }
    }
}

/// Reads the checked tree into the model. The schema comes from the model, so only a bug can make this fail.
fn read(tree: &Node) -> Result<Profile> {
    let json: Json = tree.to_json();
    serde_json::from_value(json).map_err(|cause| {
        Error::new(&code::PROFILE_FIELD, "the profile does not fit the model")
            .at(tree.place.to_string())
            .because(cause)
    })
}

fn problems(profile: &Profile, tree: &Node) -> Vec<Problem> {
    validate::validate(profile)
        .into_iter()
        .map(|found| Problem {
            place: tree.place_of(&found.path),
            message: format!("`{}` {}", found.path, found.message),
            hint: Some(found.hint),
        })
        .collect()
}

fn bug(cause: &serde_json::Error) -> Error {
    Error::new(&code::INTERNAL, "the defaults of the model cannot be written as JSON").because(cause)
}
