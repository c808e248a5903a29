//! `kvnet version`: its own version and those that the profile installs.

use serde_json::json;

use crate::cli::args::{Format, Global};
use crate::error::Result;
use crate::profile;
use crate::ui;

/// Runs the command.
pub fn run(global: &Global) -> Result<u8> {
    let profile = profile::load(&global.profile, &global.set)?.profile;
    let versions = [
        ("kvnet", env!("CARGO_PKG_VERSION")),
        ("flannel", &profile.flannel.version),
        ("multus", &profile.multus.version),
        ("ovs-cni", &profile.ovs_cni.version),
        ("kubevirt", &profile.kubevirt.version),
    ];
    if global.output == Format::Text {
        for (name, version) in versions {
            ui::print(&format!("{name:9} {version}\n"));
        }
        return Ok(0);
    }
    let versions: serde_json::Map<_, _> =
        versions.into_iter().map(|(n, v)| (n.to_owned(), json!(v))).collect();
    ui::structured(&versions, global.output)?;
    Ok(0)
}
