//! The options of `smoke`.

use camino::Utf8PathBuf;
use clap::{Args, Subcommand, ValueHint};
use clap_complete::ArgValueCandidates;

use super::complete;

/// Options of `smoke`.
#[derive(Clone, Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Smoke {
    /// Something else than to run cases
    #[command(subcommand)]
    pub action: Option<SmokeAction>,
    /// Lists the cases, as `smoke list` does
    #[arg(long, conflicts_with_all = ["cases", "resume", "allow_reboot"])]
    pub list: bool,
    /// Only these cases
    #[arg(value_name = "CASE", add = ArgValueCandidates::new(complete::cases))]
    pub cases: Vec<String>,
    /// Only cases with one of these tags
    #[arg(long, value_delimiter = ',', value_name = "TAG", add = ArgValueCandidates::new(complete::tags))]
    pub tag: Vec<String>,
    /// Leaves these cases out
    #[arg(long, value_delimiter = ',', value_name = "CASE", add = ArgValueCandidates::new(complete::cases))]
    pub skip_case: Vec<String>,
    /// How many cases may run at the same time
    #[arg(long, short, default_value = "4", value_name = "NUMBER", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub jobs: u8,
    /// Writes the results in the form of `JUnit`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub junit: Option<Utf8PathBuf>,
    /// Where to put what explains a failure; by default a directory in the state directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub collect: Option<Utf8PathBuf>,
    /// Lets the case `reboot` reboot this node
    #[arg(long)]
    pub allow_reboot: bool,
    /// Goes on after the reboot
    #[arg(long, conflicts_with_all = ["cases", "tag", "skip_case"])]
    pub resume: bool,
}

impl Smoke {
    /// Whether the cases are to be listed, and not run.
    pub fn only_lists(&self) -> bool {
        self.list || matches!(self.action, Some(SmokeAction::List))
    }
}

/// Something else than to run cases.
#[derive(Clone, Debug, Subcommand)]
pub enum SmokeAction {
    /// Lists the cases
    #[command(after_help = "Examples:\n  kvnet smoke list\n  kvnet smoke list -o json")]
    List,
}
