//! The log of a run: everything in full detail in a file of the state directory, whatever the screen shows.
//!
//! Events come from `tracing`; here they become lines for standard error, depending on `-v`, and for the file.

mod events;
mod file;
mod line;

use std::sync::{Mutex, PoisonError};

use camino::Utf8PathBuf;
use tracing_subscriber::filter::{EnvFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

use crate::error::{Error, Kind};
use crate::state::StateDir;
use crate::terminal;
pub use events::{Heard, Noted, found, told};
use file::LogFile;
pub use file::{BYTES, BYTES_OF_ONE, DIRECTORY, FILES};

/// The most bytes to buffer before the file is open.
const KEPT: usize = 1 << 20;

static LOG: Mutex<Log> = Mutex::new(Log::Off);

/// Where lines go.
enum Log {
    /// Nowhere.
    Off,
    /// A buffer, until the place of the file is known.
    Waits(About, Vec<u8>),
    /// The file.
    Open(LogFile),
    /// A file that could no longer be written.
    Broken(Utf8PathBuf),
}

/// The run that a log is about.
#[derive(Clone, Debug)]
pub struct About {
    /// The command: `up`.
    pub command: &'static str,
    /// Whether it changes nothing.
    pub looks: bool,
}

/// Starts listening: for standard error, depending on `verbose`, and for the log file of a run that has one.
pub fn listen(verbose: u8, about: Option<About>) {
    if verbose == 0 && about.is_none() {
        return;
    }
    let level = match verbose {
        0 => "off",
        1 => "kvnet=debug,kvnet::event=off",
        2 => "kvnet=trace,kvnet::event=off",
        _ => "kvnet=trace,kube=debug,kvnet::event=off",
    };
    let mut layers: Vec<Box<dyn Layer<Registry> + Send + Sync>> = Vec::new();
    let lines = || tracing_subscriber::fmt::layer().with_ansi(false);
    if verbose > 0 {
        let screen = lines().without_time().with_writer(|| line::Screen);
        layers.push(screen.with_filter(EnvFilter::new(level)).boxed());
    }
    if let Some(about) = about {
        *lock() = Log::Waits(about, Vec::new());
        let all = Targets::new().with_target("kvnet", tracing::Level::TRACE);
        layers.push(lines().with_writer(line::ToFile).with_filter(all).boxed());
    }
    // A second call finds a subscriber.
    let _ = Registry::default().with(layers).try_init();
}

/// Logs the command line, without the values of options that may contain a secret.
pub fn begin(arguments: impl Iterator<Item = String>) {
    let mut hides = false;
    let shown = arguments.map(|argument| {
        let hidden = std::mem::take(&mut hides);
        let (name, value) = argument.split_once('=').unwrap_or((&argument, ""));
        match name {
            // `--set vm.login.password=x`, also with a `=` behind `--set`.
            "--set" | "--mirror" if value.is_empty() => hides = true,
            "--set" => return format!("--set={}=…", value.split('=').next().unwrap_or_default()),
            "--mirror" => return "--mirror=…".to_owned(),
            _ if hidden && name.contains("://") => return "…".to_owned(),
            _ if hidden => return format!("{name}=…"),
            _ => {}
        }
        argument
    });
    let arguments = shown.collect::<Vec<_>>().join(" ");
    let (version, process) = (env!("CARGO_PKG_VERSION"), std::process::id());
    tracing::info!(target: "kvnet::event", version, process, arguments, "kvnet");
}

/// Logs how the run ended.
pub fn end(code: u8) {
    tracing::info!(target: "kvnet::event", code, "exit");
}

/// Opens the log file of this run. If it cannot be written, the run continues without; returns the reason if the user
/// should know: a read-only command whose user may not write there keeps no log and says nothing.
pub fn open(state: &StateDir) -> Option<Error> {
    let mut log = lock();
    let Log::Waits(about, kept) = &mut *log else { return None };
    let (about, kept) = (about.clone(), std::mem::take(kept));
    // An unsafe state directory is refused elsewhere.
    if state.refuse_unsafe().is_err_and(|error| error.code() == &crate::error::code::HOST_UNSAFE) {
        *log = Log::Off;
        return None;
    }
    let opened =
        LogFile::open(state, about.command).and_then(|mut file| file.write(&kept, true).map(|()| file));
    match opened {
        Ok(file) => {
            *log = Log::Open(file);
            None
        }
        Err(error) => {
            *log = Log::Off;
            let denied = error.code() == &crate::error::code::HOST_PERMISSION;
            (!(about.looks && denied)).then_some(error)
        }
    }
}

/// The log file of this run, to point users to.
pub fn path() -> Option<Utf8PathBuf> {
    match &*lock() {
        Log::Open(file) => Some(file.path().to_owned()),
        Log::Broken(path) => Some(path.clone()),
        Log::Off | Log::Waits(..) => None,
    }
}

/// Logs an error that ends the run.
pub fn error(error: &Error) {
    let (code, hints) = (error.code().id, error.hints().join("; "));
    if error.kind() == Kind::Cancelled {
        tracing::info!(target: "kvnet::event", code, hints, "stopped: {error}");
    } else {
        tracing::error!(target: "kvnet::event", code, hints, "{error}");
    }
}

/// Writes or buffers a line.
fn keep(bytes: &[u8], matters: bool) {
    let mut log = lock();
    match &mut *log {
        Log::Waits(_, kept) if kept.len() + bytes.len() <= KEPT => kept.extend_from_slice(bytes),
        Log::Open(file) => {
            if let Err(error) = file.write(bytes, matters) {
                let path = file.path().to_owned();
                *log = Log::Broken(path);
                drop(log);
                terminal::say(&format!(
                    "warning: the log is incomplete from here on: {}",
                    terminal::clean(&error.to_string())
                ));
            }
        }
        _ => {}
    }
}

/// Whether lines are kept; otherwise they need not be formatted.
fn is_kept() -> bool {
    matches!(&*lock(), Log::Waits(..) | Log::Open(_))
}

fn lock() -> std::sync::MutexGuard<'static, Log> {
    LOG.lock().unwrap_or_else(PoisonError::into_inner)
}
