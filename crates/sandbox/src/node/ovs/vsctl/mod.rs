//! `ovs-vsctl`: its command lines, its answers and its errors.

mod bridges;
mod find;
mod known;
mod line;
mod names;
mod options;
mod ports;
mod print;
mod records;
mod show;

use self::line::Subcommand;
use self::print::{Printed, Style};
use super::daemon::SOCKET;
use super::database::Database;
use super::{daemon, parse};
use crate::error::{Error, Result, code};
use crate::host::{Command, Output};
use crate::store::Transaction;

const PROGRAM: &str = "ovs-vsctl";

/// Why a command line was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum VsctlError {
    /// The program tells why and ends with exit code 1.
    Fatal(String),
    /// The program ends with an exit code and says nothing.
    Exit(i32),
    /// The database refuses the transaction.
    Refused(String),
    /// The real program may know it; the sandbox does not.
    Unknown,
}

impl From<String> for VsctlError {
    fn from(message: String) -> Self {
        Self::Fatal(message)
    }
}

/// What a command gives back.
type Done<T = ()> = std::result::Result<T, VsctlError>;

/// Runs `ovs-vsctl`.
/// Fails with `KVN505` for what the sandbox does not know.
pub(in crate::node) fn run(
    transaction: &mut Transaction<'_>,
    user: u32,
    command: &Command,
) -> Result<Output> {
    let words: Vec<&str> = command.argv.iter().skip(1).map(String::as_str).collect();
    let done = line::parse(&words).and_then(|line| match line {
        line::Line::Version => Ok(Output { stdout: version(), ..Output::default() }),
        line::Line::Calls { calls, style, waits, rehearses, remote } => {
            calls.iter().try_for_each(records::prepare)?;
            reachable(transaction, user, &remote)?;
            let Executed { before, database, connected, stdout } = execute(transaction, &calls, style)?;
            if rehearses {
                return Ok(Output { stdout, ..Output::default() });
            }
            keep(transaction, &before, database, &connected, stdout, waits)
        }
    });
    match done {
        Ok(output) => Ok(output),
        Err(VsctlError::Fatal(message)) => Ok(failed(1, format!("{PROGRAM}: {message}\n"))),
        Err(VsctlError::Refused(reason)) => {
            Ok(failed(1, format!("{PROGRAM}: transaction error: {reason}\n")))
        }
        Err(VsctlError::Exit(status)) => Ok(failed(status, String::new())),
        Err(VsctlError::Unknown) => {
            let message = format!("the sandbox does not know `{}`", command.display());
            Err(Error::new(&code::INTERNAL, message))
        }
    }
}

fn version() -> String {
    format!("{PROGRAM} (Open vSwitch) {}\nDB Schema 8.3.1\n", daemon::VERSION)
}

fn failed(status: i32, stderr: String) -> Output {
    Output { status, stdout: String::new(), stderr }
}

/// The database listens while its server runs, at one place and only to root.
fn reachable(transaction: &Transaction<'_>, user: u32, remote: &str) -> Done {
    let reason = match remote.strip_prefix("unix:") {
        None if remote.contains(':') => return Err(VsctlError::Unknown),
        None => "Address family not supported by protocol",
        Some(SOCKET) if daemon::is_reachable(transaction) && user == 0 => return Ok(()),
        Some(SOCKET) if daemon::is_reachable(transaction) => "Permission denied",
        Some(_) => "No such file or directory",
    };
    Err(format!("{remote}: database connection failed ({reason})").into())
}

/// What the commands of a line make of the database, and print.
struct Executed {
    before: Database,
    database: Database,
    /// The names of new interfaces.
    connected: Vec<String>,
    stdout: String,
}

fn execute(transaction: &Transaction<'_>, calls: &[Subcommand], style: Style) -> Done<Executed> {
    let before = Database::load(transaction);
    let mut database = before.clone();
    let mut printed = Vec::new();
    let mut connected = Vec::new();
    for call in calls {
        printed.push(dispatch(&mut database, call, &mut connected)?);
        database.collect();
    }
    let stdout = print::all(&printed, style);
    Ok(Executed { before, database, connected, stdout })
}

/// All commands of a line are one transaction.
fn keep(
    transaction: &mut Transaction<'_>,
    before: &Database,
    mut database: Database,
    connected: &[String],
    stdout: String,
    waits: bool,
) -> Done<Output> {
    database.commit().map_err(|reason| VsctlError::Refused(reason.to_string()))?;
    if database == *before {
        return Ok(Output { stdout, ..Output::default() });
    }
    database.count_change();
    let switching = daemon::is_switching(transaction);
    if switching {
        daemon::reconfigure(transaction, &mut database);
    }
    database.save(transaction);
    match (waits, switching) {
        (true, false) => Ok(Output { stdout: String::new(), ..late() }),
        (true, true) => Ok(Output { stdout, stderr: complaints(&database, connected), status: 0 }),
        (false, _) => Ok(Output { stdout, ..Output::default() }),
    }
}

/// ovs-vswitchd does not run, so the program waits until its own alarm ends it.
fn late() -> Output {
    failed(142, "fatal_signal|WARN|terminating with signal 14 (Alarm clock)\n".to_owned())
}

fn dispatch(database: &mut Database, call: &Subcommand, connected: &mut Vec<String>) -> Done<Printed> {
    match call.name() {
        "init" | "comment" => Ok(Printed::Text(String::new())),
        "show" => Ok(Printed::Text(show::all(database))),
        "list" => records::list(database, call),
        "find" => find::find(database, call),
        "get" => records::get(database, call),
        "set" => records::set(database, call),
        "add" => records::add(database, call),
        "remove" => records::remove(database, call),
        "clear" => records::clear(database, call),
        _ => bridges::run(database, call, connected),
    }
}

/// What the program says about new ports that the switch could not set up.
fn complaints(database: &Database, connected: &[String]) -> String {
    let mut text = String::new();
    for name in connected {
        let Some(id) = database.named("Interface", name) else { continue };
        let get = |column: &str| database.get("Interface", &id, column);
        if get("ofport").integer().is_none_or(|number| number == -1) {
            let error = get("error");
            let reason = if error.len() > 0 { format!(": {}", error.text()) } else { String::new() };
            text.push_str(&format!(
                "{PROGRAM}: Error detected while setting up '{name}'{reason}.  See ovs-vswitchd log for details.\n"
            ));
        }
    }
    if !text.is_empty() {
        text.push_str(&format!("{PROGRAM}: The default log directory is \"/var/log/openvswitch\".\n"));
    }
    text
}
