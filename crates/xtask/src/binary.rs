//! The static binaries.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::project::Project;
use crate::run;
use crate::target::Target;

/// The largest binary that is released, in bytes.
const LIMIT: u64 = 15 * 1024 * 1024;

/// Builds the binary of a target, with the list of its dependencies inside. The same sources give the same bytes in any folder.
pub fn build(project: &Project, target: Target) -> Result<PathBuf> {
    run::show(&mut command(project, target)?)?;
    let binary = project.target.join(target.triple).join("release/kvnet");
    let size = binary.metadata().with_context(|| format!("no {}", binary.display()))?.len();
    if size > LIMIT {
        bail!("{} has {size} bytes, more than {LIMIT}", binary.display());
    }
    Ok(binary)
}

fn command(project: &Project, target: Target) -> Result<Command> {
    let mut command = Command::new("cargo");
    // What is set for the builds of every day would be in the bytes.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let is_setting = name.starts_with("CARGO_PROFILE_") || name.starts_with("CARGO_BUILD_");
        if is_setting || name.ends_with("RUSTFLAGS") || name.contains("CFLAGS") {
            command.env_remove(&*name);
        }
    }
    command
        .args(["auditable", "build", "--locked", "--release", "--bin", "kvnet", "--target", target.triple])
        .current_dir(&project.root)
        .env("CARGO_ENCODED_RUSTFLAGS", flags(project)?.join("\x1f"))
        .env("CARGO_INCREMENTAL", "0")
        .env("CARGO_TARGET_DIR", &project.target)
        .env("SOURCE_DATE_EPOCH", project.epoch.to_string())
        .env(format!("CC_{}", target.triple.replace('-', "_")), target.compiler)
        // Some distributions' gcc adds functions that only glibc has.
        .env(format!("CFLAGS_{}", target.triple.replace('-', "_")), "-U_FORTIFY_SOURCE");
    if let Some(commit) = &project.commit {
        command.env("KVNET_COMMIT", commit);
    }
    Ok(command)
}

/// The linker that rustc brings along; no tables for unwinding, as a panic aborts; no path of this machine.
fn flags(project: &Project) -> Result<[String; 5]> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cargo =
        std::env::var_os("CARGO_HOME").map(PathBuf::from).or_else(|| home.map(|it| it.join(".cargo")));
    let cargo = cargo.context("neither CARGO_HOME nor HOME is set")?;
    Ok([
        "-Clinker=rust-lld".to_owned(),
        "-Clink-self-contained=yes".to_owned(),
        "-Cforce-unwind-tables=no".to_owned(),
        format!("--remap-path-prefix={}=/cargo", cargo.display()),
        format!("--remap-path-prefix={}=/kvnet", project.root.display()),
    ])
}
