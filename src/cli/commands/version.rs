//! `kvnet version`: the version of kvnet and those that the profile installs.

use serde_json::json;

use crate::cli::args::Global;
use crate::components;
use crate::error::Result;
use crate::profile;
use crate::support::{Says, TABLE};
use crate::ui;
use crate::ui::Format;

/// Runs the command.
pub fn run(global: &Global, matrix: bool) -> Result<u8> {
    if matrix {
        return print_matrix(global.output);
    }
    let profile = profile::load(&global.profile, &global.set)?.profile;
    let installed =
        components::releases().map(|(component, release)| (component.id, (release.version)(&profile)));
    let versions: Vec<_> = [("kvnet", env!("CARGO_PKG_VERSION"))].into_iter().chain(installed).collect();
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

/// Prints the table: each source, followed by what it says.
fn print_matrix(format: Format) -> Result<u8> {
    if format != Format::Text {
        ui::structured(&json!({"matrix": TABLE}), format)?;
        return Ok(0);
    }
    let mut text = String::new();
    for (index, row) in TABLE.iter().enumerate() {
        if index == 0 || TABLE[index - 1].source != row.source {
            let space = if index == 0 { "" } else { "\n" };
            text += &format!("{space}{} (read {})\n", row.source, row.read);
        }
        let releases = match row.releases.to_string() {
            all if all == "all" => row.part.name().to_owned(),
            releases => format!("{} {releases}", row.part.name()),
        };
        let says = if row.says == Says::Needs { "needs" } else { "supports" };
        text += &format!("  {releases:22} {says:8} {} {}\n", row.with.name(), row.versions);
    }
    ui::page(&text);
    Ok(0)
}
