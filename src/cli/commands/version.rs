//! `kvnet version`: the version of kvnet, how it was built, and the versions that the profile installs.

use serde_json::{Value, json};

use crate::cli::args::Global;
use crate::components;
use crate::error::Result;
use crate::support::{Says, TABLE};
use crate::ui::Format;
use crate::{profile, ui};

/// Runs the command.
pub fn run(global: &Global, matrix: bool) -> Result<u8> {
    if matrix {
        return print_matrix(global.output);
    }
    let profile = profile::load(&global.profile, &global.set)?.profile;
    let installed = components::releases()
        .map(|(component, release)| (component.id, (release.version)(&profile).to_owned()));
    if global.output == Format::Text {
        let own = [("kvnet", env!("CARGO_PKG_VERSION").to_owned())].into_iter().chain(BUILD.lines());
        let lines: Vec<String> =
            own.chain(installed).map(|(name, value)| format!("{name:11} {value}\n")).collect();
        ui::print(&lines.concat());
        return Ok(0);
    }
    let mut versions = serde_json::Map::from_iter([("kvnet".to_owned(), json!(env!("CARGO_PKG_VERSION")))]);
    versions.extend(installed.map(|(name, version)| (name.to_owned(), json!(version))));
    versions.insert("build".to_owned(), BUILD.json());
    ui::structured(&versions, global.output)?;
    Ok(0)
}

/// How this program was built; `build.rs` fills it in.
const BUILD: Build = Build {
    from: env!("KVNET_BUILT_FROM"),
    commit: env!("KVNET_BUILT_COMMIT"),
    target: env!("KVNET_BUILT_TARGET"),
    rustc: env!("KVNET_BUILT_RUSTC"),
};

/// A build: what it was made from, by which compiler, for which target.
struct Build {
    from: &'static str,
    commit: &'static str,
    target: &'static str,
    rustc: &'static str,
}

impl Build {
    /// The lines of `kvnet version`, as name and value.
    fn lines(&self) -> [(&'static str, String); 3] {
        let commit = if self.commit.is_empty() { "unknown" } else { self.commit };
        let from = match self.from {
            "release" => "a release",
            "git" => "a git checkout",
            "git-modified" => "a git checkout with changes that are not in the commit",
            "package" => "a package of cargo",
            "archive" => "a source archive",
            "development" => "a development build, which does not look for the commit",
            _ => "sources without a commit",
        };
        let built = format!("from {from}, by rustc {}", self.rustc);
        [("commit", commit.to_owned()), ("target", self.target.to_owned()), ("built", built)]
    }

    /// The same as data; the commit is null where it is unknown.
    fn json(&self) -> Value {
        let commit = Some(self.commit).filter(|commit| !commit.is_empty());
        json!({"commit": commit, "from": self.from, "target": self.target, "rustc": self.rustc})
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_names_its_commit() {
        let target = "x86_64-unknown-linux-musl";
        let release = Build { from: "release", commit: "0123", target, rustc: "1.95.0" };
        let lines = release.lines();
        assert_eq!(
            lines.each_ref().map(|(_, value)| value.as_str()),
            ["0123", target, "from a release, by rustc 1.95.0"]
        );
        assert_eq!(release.json()["commit"], "0123");
    }

    #[test]
    fn an_unknown_commit_is_said() {
        let unknown = Build { from: "unknown", commit: "", target: "t", rustc: "1" };
        assert_eq!(unknown.lines()[0].1, "unknown");
        assert_eq!(unknown.json()["commit"], Value::Null);
    }
}
