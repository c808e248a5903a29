//! The options of `smoke`.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueHint};
use clap_complete::ArgValueCandidates;

use super::complete;

/// Options of `smoke`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Smoke {
    /// What to do instead of running cases.
    #[command(subcommand)]
    pub action: Option<SmokeAction>,
    /// List the cases, as `smoke list` does
    #[arg(long, conflicts_with_all = ["cases", "resume", "allow_reboot"])]
    pub list: bool,
    /// Run only these cases
    #[arg(value_name = "CASE", add = ArgValueCandidates::new(complete::cases))]
    pub cases: Vec<String>,
    /// Run only cases with one of these tags
    #[arg(long, value_delimiter = ',', value_name = "TAG", add = ArgValueCandidates::new(complete::tags))]
    pub tag: Vec<String>,
    /// Skip these cases
    #[arg(long, value_delimiter = ',', value_name = "CASE", add = ArgValueCandidates::new(complete::cases))]
    pub skip_case: Vec<String>,
    /// Run up to this many cases at a time
    #[arg(long, short, default_value = "4", value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// Write the results to this file as `JUnit` XML
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub junit: Option<Utf8PathBuf>,
    /// Collect logs and objects of failed cases in this directory; default: one in the state directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub collect: Option<Utf8PathBuf>,
    /// Allow the case `reboot` to reboot this node
    #[arg(long)]
    pub allow_reboot: bool,
    /// Resume after the reboot
    #[arg(long, conflicts_with_all = ["cases", "tag", "skip_case"])]
    pub resume: bool,
}

impl Smoke {
    /// Whether to list the cases instead of running them.
    pub fn only_lists(&self) -> bool {
        self.list || matches!(self.action, Some(SmokeAction::List))
    }
}

/// What to do instead of running cases.
#[derive(Clone, Debug, Subcommand)]
pub enum SmokeAction {
    /// List the cases
    #[command(after_help = "Examples:\n  kvnet smoke list\n  kvnet smoke list -o json")]
    List,
}
