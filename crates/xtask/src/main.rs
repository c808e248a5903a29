//! `cargo xtask release`: everything that a release of kvnet consists of, from this checkout.

mod archive;
mod binary;
mod documents;
mod image;
mod licences;
mod packages;
mod project;
mod publish;
mod release;
mod run;
mod sbom;
mod signature;
mod target;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::target::Target;

/// Tasks of the maintainers of kvnet
#[derive(Debug, Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Build the artefacts of a release: binaries, packages, image, SBOM, sums and what installs them
    Release(Options),
}

/// Options of `release`.
#[derive(Args, Debug)]
pub struct Options {
    /// Write the artefacts to this new directory; default: `release` in cargo's target directory
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Build only for this target; repeatable
    #[arg(long = "target", value_enum, value_name = "TRIPLE")]
    targets: Vec<Target>,
    /// Where the artefacts will be found; default: the `repository` of Cargo.toml
    #[arg(long, env = "KVNET_REPOSITORY", value_name = "URL")]
    repository: Option<String>,
    /// Sign with this private key of OpenSSH, which is the key itself
    #[arg(long = "key", env = "KVNET_SIGNING_KEY", hide_env_values = true, value_name = "KEY")]
    key: Option<String>,
    /// Write no signature, when there is no key
    #[arg(long)]
    unsigned: bool,
    /// Build sources that differ from their commit
    #[arg(long)]
    modified: bool,
}

fn main() -> ExitCode {
    let Task::Release(options) = Cli::parse().task;
    match release::run(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
