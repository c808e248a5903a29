//! What the components' own manifests share: their templates, and the node's CNI directories.

use serde::Serialize;
use serde_json::Value;

use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::manifest::{self, parse_manifests};
use crate::profile::Profile;
use crate::template;

pub(super) const DEFAULT_CONF_DIR: &str = "/etc/cni/net.d";
pub(super) const DEFAULT_BIN_DIR: &str = "/opt/cni/bin";

/// The objects of templates, in the order to apply them.
/// Fails with `KVN405` when a template does not render a manifest.
pub fn objects_of(templates: &[&str], values: &impl Serialize) -> Result<Vec<Value>> {
    let mut found = Vec::new();
    for name in templates {
        let text = template::render(name, values)?;
        let place = format!("templates/{name}");
        // What is not YAML here was made by kvnet: the user cannot fix it.
        let objects = parse_manifests(&text, &place).map_err(|error| {
            Error::new(&code::TEMPLATE, "the template does not render a manifest").at(place).because(error)
        })?;
        found.extend(objects);
    }
    manifest::sort(&mut found);
    Ok(found)
}

pub(super) fn conf_dir<'a>(profile: &'a Profile, facts: &'a Facts) -> &'a str {
    chosen(&profile.cluster.cni_conf_dir, facts.cni_conf_dir.as_str(), DEFAULT_CONF_DIR)
}

pub(super) fn bin_dir<'a>(profile: &'a Profile, facts: &'a Facts) -> &'a str {
    let first = facts.cni_bin_dirs.first().map_or("", |dir| dir.as_str());
    chosen(&profile.cluster.cni_bin_dir, first, DEFAULT_BIN_DIR)
}

/// The profile's, then the runtime's, then the usual one.
fn chosen<'a>(profile: &'a str, found: &'a str, default: &'static str) -> &'a str {
    match (profile, found) {
        ("auto" | "", "") => default,
        ("auto" | "", found) => found,
        (chosen, _) => chosen,
    }
}
