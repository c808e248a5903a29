//! What a command works with, resolved from the command line.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::args::{Format, Global};
use crate::cluster::{Cluster, ConnectOptions};
use crate::engine::context::Context;
use crate::engine::plan::Selection;
use crate::engine::state::StateDir;
use crate::engine::step::AnyStep;
use crate::error::Result;
use crate::facts::Facts;
use crate::host::{Host, local::LocalHost};
use crate::profile;
use crate::source::{SourceOptions, Sources};
use crate::steps;
use crate::ui;

/// The administrator's kubeconfig on a control plane.
const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// A resolved command line with the node behind it.
pub struct Session {
    /// What every step gets.
    pub cx: Context,
    /// All steps.
    pub steps: Vec<Box<dyn AnyStep>>,
    /// Which of them to look at.
    pub selection: Selection,
    /// How to print.
    pub format: Format,
    connect: ConnectOptions,
}

impl Session {
    /// Reads the profile and looks at the node; does not connect to the cluster.
    pub async fn start(global: &Global) -> Result<Self> {
        let steps = steps::registry();
        let selection = Selection { only: global.only.clone(), skip: global.skip.clone() };
        selection.refuse_unknown(&steps)?;
        let loaded = profile::load(&global.profile, &global.set)?;
        let mut profile = loaded.profile;
        if let Some(seconds) = global.timeout {
            profile.timeouts.all(seconds);
        }
        // What is left out is not verified either.
        profile.vm.enabled &= !selection.skip.iter().any(|step| step == "vm" || step == "kubevirt");
        let host: Arc<dyn Host> = Arc::new(LocalHost);
        let facts = Facts::gather(host.as_ref(), &profile).await?;
        let state = StateDir::locate(global.state_dir.as_deref(), facts.root);
        state.refuse_unsafe()?;
        let sources = sources(global, &profile, &state);
        let connect = ConnectOptions {
            kubeconfig: global.kubeconfig.clone(),
            context: global.context.clone(),
            fallback: Some(Utf8PathBuf::from(ADMIN_KUBECONFIG)),
            answer_time: global.timeout.map(Duration::from_secs),
        };
        let mut cx = Context::new(host, profile, facts, sources, state);
        cx.digest = loaded.digest;
        cx.events = ui::events(global.output, global.no_color, global.verbose);
        Ok(Self { cx, steps, selection, format: global.output, connect })
    }

    /// Connects to the cluster. When the profile creates one and the node has none yet, there is nothing to connect to:
    /// a kubeconfig that lies about is another cluster's.
    pub async fn connect(&self) -> Result<()> {
        let creates = self.cx.profile.cluster.init.enabled && self.connect.kubeconfig.is_none();
        if creates && self.cx.host.stat(ADMIN_KUBECONFIG.into()).await?.is_none() {
            return Ok(());
        }
        self.cx.connect(Cluster::connect(&self.connect).await?).await;
        Ok(())
    }
}

fn sources(global: &Global, profile: &profile::Profile, state: &StateDir) -> Sources {
    Sources::new(SourceOptions {
        mirror: global.mirror.clone(),
        cache_dir: state.path("cache"),
        lock_file: Some(state.path("manifests.lock.json")),
        timeout: Duration::from_secs(profile.timeouts.download),
    })
}
