//! What a command works with, resolved from the command line.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::args::{Format, Global};
use crate::cluster::{ConnectOptions, Tell};
use crate::engine::context::Context;
use crate::engine::plan::Selection;
use crate::engine::state::StateDir;
use crate::error::Result;
use crate::facts::Facts;
use crate::host::{Host, local::LocalHost};
use crate::profile;
use crate::run::Job;
use crate::sandbox::Sandbox;
use crate::source::{SourceOptions, Sources};
use crate::steps;
use crate::ui;

/// The administrator's kubeconfig on a control plane.
const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// Where the digests of downloads without a pin are kept, in the state directory.
pub const LOCK_FILE: &str = "manifests.lock.json";

/// A resolved command line with the node behind it.
pub struct Session {
    /// What the use cases work with.
    pub job: Job,
    /// How to print.
    pub format: Format,
    /// Whether to tell more.
    pub verbose: bool,
    /// The node and the cluster in memory, when that is what the command works on.
    pub sandbox: Option<Sandbox>,
}

impl Deref for Session {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}

impl Session {
    /// Reads the profile and looks at the node; does not connect to the cluster.
    pub async fn start(global: &Global) -> Result<Self> {
        let selection = Selection { only: global.only.clone(), skip: global.skip.clone() };
        selection.refuse_unknown(&steps::registry())?;
        Self::with(global, profile::load(&global.profile, &global.set)?).await
    }

    /// As [`Session::start`], with a profile that need not be in a file.
    pub async fn with(global: &Global, loaded: profile::Loaded) -> Result<Self> {
        let steps = steps::registry();
        let selection = Selection { only: global.only.clone(), skip: global.skip.clone() };
        selection.refuse_unknown(&steps)?;
        let mut profile = loaded.profile;
        if let Some(seconds) = global.timeout {
            profile.timeouts.all(seconds);
        }
        // What is left out is not verified either.
        profile.vm.enabled &= !selection.skip.iter().any(|step| step == "vm" || step == "kubevirt");
        let sandbox = global.sandbox().map(|options| Sandbox::open(&options, &profile)).transpose()?;
        let host: Arc<dyn Host> = sandbox.as_ref().map_or_else(|| Arc::new(LocalHost) as _, Sandbox::host);
        let facts = Facts::gather(host.as_ref(), &profile).await?;
        let state = match &sandbox {
            Some(sandbox) => sandbox.state().clone(),
            None => StateDir::locate(global.state_dir.as_deref(), facts.root),
        };
        state.refuse_unsafe()?;
        let sources = sources(global, &profile, &state, sandbox.is_some());
        let connect = connect_options(global);
        let mut cx = Context::new(host, profile, facts, sources, state);
        cx.skipped = selection.skip.clone().into();
        cx.only = sandbox.as_ref().map(Sandbox::cluster);
        cx.digest = loaded.digest;
        cx.events = ui::events(global.output, global.no_color, global.verbose);
        Ok(Self {
            job: Job { cx, steps, selection, connect },
            format: global.output,
            verbose: global.verbose > 0,
            sandbox,
        })
    }
}

/// Where the command line says that the cluster is.
pub fn connect_options(global: &Global) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        fallback: Some(Utf8PathBuf::from(ADMIN_KUBECONFIG)),
        answer_time: global.timeout.map(Duration::from_secs),
        deadline: global.timeout.map(Duration::from_secs),
        tell: Tell::new(|warning, text| {
            let begin = if warning { "warning" } else { "note" };
            ui::say(&format!("{begin}: {}", ui::clean(text)));
        }),
    }
}

fn sources(global: &Global, profile: &profile::Profile, state: &StateDir, stand_ins: bool) -> Sources {
    Sources::new(SourceOptions {
        stand_ins,
        mirror: global.mirror.clone(),
        cache_dir: state.path("cache"),
        lock_file: Some(state.path(LOCK_FILE)),
        timeout: Duration::from_secs(profile.timeouts.download),
    })
}
