//! What a release says about kvnet: from Cargo.toml and git.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use cargo_metadata::{Metadata, MetadataCommand};

use crate::run;

/// Stands where the address of the releases would, for as long as Cargo.toml has no `repository`. The domain does not exist.
pub const PLACEHOLDER: &str = "https://releases.invalid/kvnet";

/// The project.
#[derive(Debug)]
pub struct Project {
    /// Its folder.
    pub root: PathBuf,
    /// Cargo's target directory.
    pub target: PathBuf,
    /// Its version, without a `v`.
    pub version: String,
    /// What it is, in one sentence.
    pub description: String,
    /// The address of its repository.
    pub repository: String,
    /// The commit; none if the sources differ from it.
    pub commit: Option<String>,
    /// The time of the commit, in seconds since 1970: that of every file.
    pub epoch: u64,
}

impl Project {
    /// Reads Cargo.toml and git. Sources that differ from their commit are refused unless `modified`.
    pub fn read(repository: Option<&str>, modified: bool) -> Result<Self> {
        let metadata = MetadataCommand::new().no_deps().exec().context("no metadata of cargo")?;
        let package = metadata.packages.iter().find(|package| package.name == "kvnet");
        let package = package.context("this workspace has no package `kvnet`")?;
        let repository = repository.map(str::to_owned).or_else(|| package.repository.clone());
        let root = metadata.workspace_root.clone().into_std_path_buf();
        Ok(Self {
            commit: commit(&root, modified)?,
            epoch: epoch(&root)?,
            target: metadata.target_directory.clone().into_std_path_buf(),
            version: package.version.to_string(),
            description: package.description.clone().unwrap_or_default(),
            repository: repository.unwrap_or_else(|| PLACEHOLDER.to_owned()).trim_end_matches('/').to_owned(),
            root,
        })
    }

    /// The time of the commit, as RFC 3339 has it.
    pub fn time(&self) -> Result<String> {
        Ok(jiff::Timestamp::from_second(self.epoch.try_into()?)?.to_string())
    }

    /// The address of an artefact.
    pub fn url(&self, file: &str) -> String {
        format!("{}/{file}", self.base())
    }

    /// The address of the folder of this version's artefacts.
    pub fn base(&self) -> String {
        format!("{}/releases/download/v{}", self.repository, self.version)
    }

    /// What cargo resolved for a target, and for this machine, on which build scripts run.
    pub fn metadata(&self, triple: &str) -> Result<Metadata> {
        let host = run::output(Command::new("rustc").args(["--print", "host-tuple"]))?;
        let platforms = ["--locked", "--filter-platform", triple, "--filter-platform", host.trim()];
        let options = platforms.map(str::to_owned).to_vec();
        let mut command = MetadataCommand::new();
        command.current_dir(&self.root).other_options(options);
        command.exec().context("no metadata of cargo")
    }
}

fn commit(root: &PathBuf, modified: bool) -> Result<Option<String>> {
    let changes = run::output(Command::new("git").arg("-C").arg(root).args(["status", "--porcelain"]))?;
    if changes.is_empty() {
        let head = run::output(Command::new("git").arg("-C").arg(root).args(["rev-parse", "HEAD"]))?;
        return Ok(Some(head.trim().to_owned()));
    }
    if !modified {
        bail!("the sources differ from their commit: commit, or add `--modified`\n{}", changes.trim_end());
    }
    Ok(None)
}

/// `SOURCE_DATE_EPOCH`, or the time of the commit.
fn epoch(root: &PathBuf) -> Result<u64> {
    if let Ok(epoch) = std::env::var("SOURCE_DATE_EPOCH") {
        return epoch.parse().context("SOURCE_DATE_EPOCH is not a number of seconds");
    }
    let time = run::output(Command::new("git").arg("-C").arg(root).args(["log", "-1", "--format=%ct"]))?;
    time.trim().parse().context("the commit has no time")
}
