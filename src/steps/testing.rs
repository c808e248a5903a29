//! What the tests of steps share.

use std::sync::Arc;

use crate::engine::context::Context;
use crate::engine::state::StateDir;
use crate::engine::step::{AnyStep, Findings};
use crate::error::Result;
use crate::facts::Facts;
use crate::facts::packages::PackageManager;
use crate::host::fake::FakeHost;
use crate::profile::Profile;
use crate::source::{SourceOptions, Sources};

/// A Debian node with the usual directories.
pub fn debian() -> Facts {
    Facts {
        packages: Some(PackageManager::Apt),
        root: true,
        hostname: "node1".into(),
        architecture: "x86_64".into(),
        cni_conf_dir: "/etc/cni/net.d".into(),
        cni_bin_dirs: vec!["/opt/cni/bin".into()],
        home: "/root".into(),
        ..Facts::default()
    }
}

/// A context without a cluster.
pub fn context(host: &Arc<FakeHost>, profile: Profile, facts: Facts) -> Context {
    let host: Arc<FakeHost> = Arc::clone(host);
    let options = SourceOptions {
        stand_ins: false,
        mirror: None,
        cache_dir: "/nonexistent".into(),
        lock_file: None,
        timeout: std::time::Duration::from_secs(1),
    };
    let state = StateDir::locate(Some("/nonexistent/kvnet".into()), true);
    Context::new(host, profile, facts, Sources::new(options), state)
}

/// What a step finds on a Debian node.
pub async fn find(step: impl AnyStep, host: FakeHost, profile: Profile) -> Result<Findings> {
    step.find(&context(&Arc::new(host), profile, debian())).await
}

/// The changes, one line each; a command is shown as such.
pub fn lines(findings: &Findings) -> Vec<String> {
    use crate::engine::change::Change;
    let line = |change: &Change| match change {
        Change::Run { command, .. } => command.display(),
        other => other.to_string(),
    };
    findings.changes.iter().map(line).collect()
}
