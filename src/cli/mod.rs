//! The command line, from arguments to an exit code.

pub mod args;
mod args_init;
mod commands;
mod complete;
mod consent;
mod options;
mod session;
pub mod smoke_args;
mod usage;

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::runtime::Runtime;

use crate::error::{Error, Kind, PENDING};
use crate::log::{self, About};
use crate::ui::{self, Format};
use args::{Cli, Command};
pub use options::command;

/// Exit code of `up` and `down` when they failed after some changes.
pub const PARTLY: u8 = 4;

/// Runs the program.
pub fn main() -> ExitCode {
    complete::answer();
    let typed: Vec<OsString> = std::env::args_os().collect();
    let cli = match parse(&typed) {
        Ok(cli) => cli,
        Err(error) => return usage::tell(error, &typed),
    };
    ui::colours(cli.global.no_color);
    log::listen(cli.global.verbose, logged(&cli));
    log::begin(typed.iter().skip(1).map(|argument| argument.to_string_lossy().into_owned()));
    let result = enough_files().and_then(|()| to_the_end(runtime()?, run(&cli)));
    let code = result.unwrap_or_else(|error| {
        ui::error(&error, cli.global.output);
        error.exit_code()
    });
    let code = with_output(code);
    log::end(code);
    ExitCode::from(code)
}

/// How long a command waits at exit for abandoned work, such as a name lookup.
const AFTERWARDS: Duration = Duration::from_millis(500);

fn to_the_end<T>(runtime: Runtime, work: impl Future<Output = T>) -> T {
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(AFTERWARDS);
    done
}

/// The open files that the runtime, its connections and the pipes of a command need.
const FEWEST_FILES: u64 = 32;

/// Raises the soft limit if needed: without enough open files the runtime panics.
fn enough_files() -> Result<(), Error> {
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= FEWEST_FILES) {
        return Ok(());
    }
    limit.current = limit.maximum;
    let files = limit.maximum.unwrap_or(u64::MAX);
    if files >= FEWEST_FILES && setrlimit(Resource::Nofile, limit).is_ok() {
        return Ok(());
    }
    let message = format!("this process may open {files} files, but needs {FEWEST_FILES}");
    Err(Error::new(&crate::error::code::FEW_FILES, message))
}

fn runtime() -> Result<Runtime, Error> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.map_err(|error| Error::new(&crate::error::code::INTERNAL, "no async runtime").because(error))
}

fn parse(arguments: &[OsString]) -> Result<Cli, clap::Error> {
    options::refuse_unused(&options::command().try_get_matches_from(arguments)?)?;
    // An option counts wherever it stands; by now each one does something.
    let matches = Cli::command().try_get_matches_from(arguments)?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    cli.global.profile_typed = matches.value_source("profile") == Some(ValueSource::CommandLine);
    Ok(cli)
}

/// The exit code, with regard to output that could not be written.
fn with_output(code: u8) -> u8 {
    let Some(error) = ui::lost_output() else { return code };
    ui::say_error(&error);
    // Exit code 3 means nothing without the output.
    if code == 0 || code == PENDING { error.exit_code() } else { code }
}

async fn run(cli: &Cli) -> Result<u8, Error> {
    let global = &cli.global;
    refuse_format(cli)?;
    match &cli.command {
        Command::Init(options) => Box::pin(commands::init::run(global, options)).await,
        Command::Up(options) => commands::up::run(global, options).await,
        Command::Plan => commands::plan::run(global).await,
        Command::Lock(options) => Box::pin(commands::lock::run(global, options)).await,
        Command::Status => commands::status::run(global).await,
        Command::Doctor => Box::pin(commands::doctor::run(global)).await,
        Command::Sysdump(options) => Box::pin(commands::sysdump::run(global, options)).await,
        Command::Down(options) => commands::down::run(global, options).await,
        Command::Console(options) => commands::console::run(global, options).await,
        Command::Trace(options) => commands::trace::run(global, options).await,
        Command::Smoke(options) => commands::smoke::run(global, options).await,
        Command::Profile(action) => commands::profile::run(global, action),
        Command::Topology(options) => commands::topology::run(global, options).await,
        Command::Render(options) => commands::render::run(global, options).await,
        Command::Explain { code } => commands::explain::run(global, code.as_deref()),
        Command::Completions { shell } => commands::completions::run(*shell),
        Command::Man { command } => commands::man::run(command),
        Command::Version { matrix } => commands::version::run(global, *matrix),
    }
}

/// Only a topology can be drawn.
fn refuse_format(cli: &Cli) -> Result<(), Error> {
    let is_drawn = matches!(cli.global.output, Format::Dot | Format::Svg | Format::Html);
    if !is_drawn || matches!(cli.command, Command::Topology(_)) {
        return Ok(());
    }
    let error = Error::new(&crate::error::code::USAGE, "only `kvnet topology` can be drawn");
    Err(error.hint("use `--output text`, `json` or `yaml`"))
}

/// What to log of a command; `None` for one that neither acts nor looks at a node or a cluster.
fn logged(cli: &Cli) -> Option<About> {
    let (command, looks) = match &cli.command {
        // Nothing is written before the last question; then its `up` is logged.
        Command::Init(_) => ("init", false),
        Command::Up(_) => ("up", false),
        Command::Down(options) => ("down", options.dry_run),
        Command::Smoke(options) if !options.only_lists() => ("smoke", false),
        Command::Plan => ("plan", true),
        Command::Lock(_) => ("lock", true),
        Command::Status => ("status", true),
        Command::Doctor => ("doctor", true),
        Command::Sysdump(_) => ("sysdump", true),
        Command::Trace(_) => ("trace", true),
        Command::Console(_) => ("console", true),
        Command::Render(_) => ("render", true),
        Command::Topology(options) if !options.declared => ("topology", true),
        _ => return None,
    };
    Some(About { command, looks })
}

/// The exit code of a run that made `changes` changes and ended with `error`.
pub fn exit_code(error: Option<&Error>, changes: usize) -> u8 {
    match error {
        None => 0,
        Some(error) if error.kind() == Kind::Cancelled => 130,
        Some(_) if changes > 0 => PARTLY,
        Some(error) => error.exit_code(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_command_ends_although_abandoned_work_does_not() {
        let (_keep, never) = mpsc::channel::<()>();
        let long = Duration::from_secs(20);
        let work = async move {
            tokio::task::spawn_blocking(move || never.recv_timeout(long));
            7
        };
        let begin = Instant::now();
        assert_eq!(to_the_end(runtime().unwrap(), work), 7);
        assert!(begin.elapsed() < long / 2, "{:?}", begin.elapsed());
    }
}
