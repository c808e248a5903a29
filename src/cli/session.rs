//! The context of a command, resolved from the command line.

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};

use super::args::Global;
use crate::cluster::{Cluster, ConnectOptions, Tell};
use crate::components;
use crate::context::Context;
use crate::engine::plan::Selection;
use crate::error::Result;
use crate::facts::Facts;
use crate::host::{Host, Noted, Recorded, Replayed, local::LocalHost};
use crate::lock::Lock;
use crate::redact::{know, know_address};
use crate::run::Job;
use crate::sandbox::Sandbox;
use crate::source::{SourceOptions, Sources};
use crate::state::StateDir;
use crate::sysdump::Opened;
use crate::tape::Tape;
use crate::ui::Format;
use crate::{locking, log, profile, steps, terminal, ui};

/// The administrator's kubeconfig on a control plane.
const ADMIN_KUBECONFIG: &str = "/etc/kubernetes/admin.conf";

/// The file in the state directory with the digests of downloads that the profile does not pin.
pub const LOCK_FILE: &str = "manifests.lock.json";

/// The steps that compare secrets; on a dump they are left out.
const OF_SECRETS: [&str; 2] = ["vm", "verification"];

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
    /// The dump, if the command works on one.
    _dump: Option<Opened>,
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
        match &global.from {
            Some(path) => Self::of_dump(global, path).await,
            None => Self::logged(global, Source::Live).await,
        }
    }

    /// Like [`Session::start`]; what node and cluster answer is recorded.
    pub async fn recorded(global: &Global, tape: &Tape) -> Result<Self> {
        know_secrets(global);
        Self::logged(global, Source::Recorded(tape.clone())).await
    }

    async fn logged(global: &Global, source: Source) -> Result<Self> {
        if let Some(state) = state_without_sandbox(global) {
            open_log(&state);
        }
        let selection = Selection { only: global.only.clone(), skip: global.skip.clone() };
        selection.refuse_unknown(&steps::registry())?;
        let session = Self::on(global, profile::load(&global.profile, &global.set)?, source).await?;
        session.cx.state.refuse_unsafe()?;
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

    /// The session of a command on a dump. Unless another one is named, the profile is the dump's.
    async fn of_dump(global: &Global, path: &Utf8Path) -> Result<Self> {
        let dump = Opened::read(path)?;
        let own = dump.state().path("profile.yaml");
        let profile = if global.profile_typed { &global.profile } else { own.as_str() };
        let loaded = profile::load(profile, &global.set)?;
        let mut session = Self::on(global, loaded, Source::Dump(dump)).await?;
        // The VM's secrets are not in a dump, nor in its profile, whose digest is therefore another one.
        session.job.selection.skip.extend(OF_SECRETS.map(String::from));
        Ok(session)
    }

    async fn make(global: &Global, loaded: profile::Loaded) -> Result<Self> {
        Self::on(global, loaded, Source::Live).await
    }

    async fn on(global: &Global, loaded: profile::Loaded, source: Source) -> Result<Self> {
        let steps = steps::registry();
        let selection = Selection { only: global.only.clone(), skip: global.skip.clone() };
        selection.refuse_unknown(&steps)?;
        let mut profile = loaded.profile;
        if let Some(seconds) = global.timeout {
            profile.timeouts.all(seconds);
        }
        let sandbox = global.sandbox().map(|options| Sandbox::open(&options, &profile)).transpose()?;
        know_secrets_of(&profile);
        let lock = locked(global, &mut profile)?;
        let host: Arc<dyn Host> = sandbox.as_ref().map_or_else(|| Arc::new(LocalHost) as _, Sandbox::host);
        let host = source.host(Arc::new(Noted(host)));
        let facts = Facts::gather(host.as_ref(), &profile).await?;
        let state = match (&sandbox, source.dump()) {
            (_, Some(dump)) => dump.state(),
            (Some(sandbox), None) => sandbox.state().clone(),
            (None, None) => StateDir::locate(global.state_dir.as_deref(), facts.root),
        };
        let stand_ins = source.dump().map_or(sandbox.is_some(), |dump| dump.about.stand_ins);
        let sources = sources(global, &profile, &state, stand_ins);
        let connect = connect_options(global);
        let mut cx = Context::new(host, profile, facts, sources, state);
        cx.lock = lock;
        cx.skipped = selection.skip.clone().into();
        cx.only = match source.dump() {
            Some(dump) => Some(Cluster::replayed(dump.tape.clone())),
            None => sandbox.as_ref().map(Sandbox::cluster),
        };
        cx.tape = source.tape();
        cx.taken = source.dump().map(|dump| dump.about.taken);
        cx.digest = loaded.digest;
        cx.events = Arc::new(log::Noted(ui::events(global.output, global.no_color, global.verbose)));
        Ok(Self {
            job: Job { cx, steps, selection, connect },
            format: global.output,
            verbose: global.verbose > 0,
            sandbox,
            _dump: source.into_dump(),
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

/// Where a session's answers come from.
enum Source {
    /// The node and the cluster.
    Live,
    /// Those, and they are recorded.
    Recorded(Tape),
    /// A dump.
    Dump(Opened),
}

impl Source {
    fn host(&self, live: Arc<dyn Host>) -> Arc<dyn Host> {
        match self {
            Self::Live => live,
            Self::Recorded(tape) => Arc::new(Recorded { host: live, tape: tape.clone() }),
            Self::Dump(dump) => Arc::new(Replayed(dump.tape.clone())),
        }
    }

    /// Where to record.
    fn tape(&self) -> Option<Tape> {
        if let Self::Recorded(tape) = self { Some(tape.clone()) } else { None }
    }

    fn dump(&self) -> Option<&Opened> {
        if let Self::Dump(dump) = self { Some(dump) } else { None }
    }

    fn into_dump(self) -> Option<Opened> {
        if let Self::Dump(dump) = self { Some(dump) } else { None }
    }
}

/// The lock that the run is held to. The images that only the profile names get their digests in it.
fn locked(global: &Global, profile: &mut profile::Profile) -> Result<Option<Arc<Lock>>> {
    if !global.locked {
        return Ok(None);
    }
    let lock = locking::need(&global.lock_path())?;
    locking::pin_profile(profile, &lock)?;
    Ok(Some(Arc::new(lock)))
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
