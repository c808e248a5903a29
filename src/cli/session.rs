//! The context of a command, resolved from the command line.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;

use super::args::Global;
use crate::cluster::{ConnectOptions, Tell};
use crate::components;
use crate::context::Context;
use crate::engine::plan::Selection;
use crate::error::Result;
use crate::facts::Facts;
use crate::host::{Host, Noted, local::LocalHost};
use crate::redact::{know, know_address};
use crate::run::Job;
use crate::sandbox::Sandbox;
use crate::source::{SourceOptions, Sources};
use crate::state::StateDir;
use crate::ui::Format;
use crate::{log, profile, steps, terminal, ui};

/// The administrator's kubeconfig on a control plane.
const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// The file in the state directory with the digests of downloads that the profile does not pin.
pub const LOCK_FILE: &str = "manifests.lock.json";

/// A resolved command line, with the node that it is about.
pub struct Session {
    /// The context of the use cases.
    pub job: Job,
    /// The output format.
    pub format: Format,
    /// Whether to print more.
    pub verbose: bool,
    /// The node and the cluster in memory, if the command works on those.
    pub sandbox: Option<Sandbox>,
}

impl Deref for Session {
    type Target = Job;

    fn deref(&self) -> &Job {
        &self.job
    }
}

impl Session {
    /// Reads the profile and gathers facts about the node; does not connect to the cluster.
    pub async fn start(global: &Global) -> Result<Self> {
        know_secrets(global);
        if let Some(state) = state_without_sandbox(global) {
            open_log(&state);
        }
        let selection = Selection { only: global.only.clone(), skip: global.skip.clone() };
        selection.refuse_unknown(&steps::registry())?;
        let session = Self::with(global, profile::load(&global.profile, &global.set)?).await?;
        if global.sandbox_dir.is_some() {
            open_log(&session.cx.state);
        }
        Ok(session)
    }

    /// Like [`Session::start`], for a command that only needs the profile: the state directory does not matter.
    pub async fn of_profile(global: &Global) -> Result<Self> {
        Self::make(global, profile::load(&global.profile, &global.set)?).await
    }

    /// Like [`Session::start`], with a profile that need not be in a file.
    pub async fn with(global: &Global, loaded: profile::Loaded) -> Result<Self> {
        let session = Self::make(global, loaded).await?;
        session.cx.state.refuse_unsafe()?;
        Ok(session)
    }

    async fn make(global: &Global, loaded: profile::Loaded) -> Result<Self> {
        let steps = steps::registry();
        let selection = Selection { only: global.only.clone(), skip: global.skip.clone() };
        selection.refuse_unknown(&steps)?;
        let mut profile = loaded.profile;
        if let Some(seconds) = global.timeout {
            profile.timeouts.all(seconds);
        }
        let sandbox = global.sandbox().map(|options| Sandbox::open(&options, &profile)).transpose()?;
        know_secrets_of(&profile);
        let host: Arc<dyn Host> = sandbox.as_ref().map_or_else(|| Arc::new(LocalHost) as _, Sandbox::host);
        let host: Arc<dyn Host> = Arc::new(Noted(host));
        let facts = Facts::gather(host.as_ref(), &profile).await?;
        let state = match &sandbox {
            Some(sandbox) => sandbox.state().clone(),
            None => StateDir::locate(global.state_dir.as_deref(), facts.root),
        };
        let sources = sources(global, &profile, &state, sandbox.is_some());
        let connect = connect_options(global);
        let mut cx = Context::new(host, profile, facts, sources, state);
        cx.skipped = selection.skip.clone().into();
        cx.only = sandbox.as_ref().map(Sandbox::cluster);
        cx.digest = loaded.digest;
        cx.events = Arc::new(log::Noted(ui::events(global.output, global.no_color, global.verbose)));
        Ok(Self {
            job: Job { cx, steps, selection, connect },
            format: global.output,
            verbose: global.verbose > 0,
            sandbox,
        })
    }

    /// Runs a use case, until it ends or the sandbox can no longer be saved.
    pub async fn until_it_fails<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(sandbox) = &self.sandbox else { return work.await };
        tokio::select! {
            done = work => done,
            error = sandbox.fails() => Err(error),
        }
    }
}

/// How to connect to the cluster, from the command line.
pub fn connect_options(global: &Global) -> ConnectOptions {
    ConnectOptions {
        kubeconfig: global.kubeconfig.clone(),
        context: global.context.clone(),
        fallback: Some(Utf8PathBuf::from(ADMIN_KUBECONFIG)),
        answer_time: global.timeout.map(Duration::from_secs),
        deadline: global.timeout.map(Duration::from_secs),
        tell: Tell::new(|warning, text| {
            log::told(warning, None, text);
            let begin = if warning { "warning" } else { "note" };
            terminal::say(&format!("{begin}: {}", terminal::clean(text)));
        }),
    }
}

/// The directory of the log before the profile is read; `None` for a sandbox, which has its own or none.
fn state_without_sandbox(global: &Global) -> Option<StateDir> {
    let root = rustix::process::geteuid().is_root();
    global.sandbox().is_none().then(|| StateDir::locate(global.state_dir.as_deref(), root))
}

fn open_log(state: &StateDir) {
    if let Some(error) = log::open(state) {
        terminal::say(&format!("warning: no log for this run: {}", terminal::clean(&error.to_string())));
    }
}

/// Registers the secrets of the command line and the environment for redaction.
fn know_secrets(global: &Global) {
    const PROXIES: [&str; 3] = ["http_proxy", "https_proxy", "all_proxy"];
    global.mirror.iter().for_each(|mirror| know_address(mirror));
    let names = PROXIES.iter().flat_map(|name| [(*name).to_owned(), name.to_uppercase()]);
    names.filter_map(|name| std::env::var(name).ok()).for_each(|proxy| know_address(&proxy));
}

/// Registers the secrets of a profile for redaction.
fn know_secrets_of(profile: &profile::Profile) {
    let vm = &profile.vm;
    for secret in [&vm.cloud_init.user_data, &vm.cloud_init.network_data, &vm.login.password] {
        know(secret);
    }
    let sources = components::ALL.iter().filter_map(|component| component.source(profile));
    sources.for_each(|source| know_address(&source.url));
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
