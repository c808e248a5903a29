//! Which of the shared options a command takes: those that do something in it.
//!
//! clap's own global options are taken by every command. The tree that users meet is made of the same declarations, with each
//! option only where [`taken_by`] lists it; before a command, an option counts when the command takes it.

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory, Error};

use super::args::Cli;

const PROFILE: &[&str] = &["profile", "set"];
const STEPS: &[&str] = &["only", "skip"];
const MANIFESTS: &[&str] = &["mirror"];
const LOCK_FILE: &[&str] = &["lock_file"];
const LOCK: &[&str] = &["locked", "lock_file"];
const CLUSTER: &[&str] = &["kubeconfig", "context", "timeout", "state_dir", "verbose"];
const SANDBOX: &[&str] =
    &["sandbox", "sandbox_dir", "sandbox_node", "sandbox_node_name", "sandbox_other_nodes", "pace"];
const DUMP: &[&str] = &["from"];
const OUTPUT: &[&str] = &["output"];
const COLOUR: &str = "no_color";

/// The shared options of a command, by the words that name it.
fn taken_by(command: &str) -> &'static [&'static [&'static str]] {
    match command {
        "up" | "render" => &[PROFILE, STEPS, MANIFESTS, LOCK, CLUSTER, SANDBOX, OUTPUT],
        "down" | "sysdump" => &[PROFILE, STEPS, MANIFESTS, CLUSTER, SANDBOX, OUTPUT],
        "plan" | "status" | "doctor" => &[PROFILE, STEPS, MANIFESTS, LOCK, CLUSTER, DUMP, SANDBOX, OUTPUT],
        "lock" => &[PROFILE, MANIFESTS, LOCK_FILE, &["timeout", "state_dir", "verbose"], SANDBOX, OUTPUT],
        "init" => &[&["profile"], STEPS, MANIFESTS, CLUSTER, SANDBOX, OUTPUT],
        "smoke" => &[PROFILE, &["skip"], CLUSTER, SANDBOX, OUTPUT],
        "trace" | "topology" => &[PROFILE, CLUSTER, DUMP, SANDBOX, OUTPUT],
        "console" => &[PROFILE, CLUSTER, SANDBOX],
        "version" | "profile show" | "profile validate" => &[PROFILE, OUTPUT],
        "profile pins" => &[&["state_dir"], OUTPUT],
        "profile list" | "profile schema" | "smoke list" | "explain" => &[OUTPUT],
        _ => &[],
    }
}

/// The command line as users meet it.
pub fn command() -> Command {
    let command = Cli::command();
    let shared: Vec<Arg> = command.get_arguments().map(|option| option.clone().global(false)).collect();
    let command = command.mut_args(|option| option.global(false).hide(true));
    command.mut_subcommands(|sub| {
        let words = sub.get_name().to_owned();
        with_options(sub, &words, &shared)
    })
}

/// The command and those below it, each with its options. One that only leads to others takes all, and shows none.
fn with_options(command: Command, words: &str, shared: &[Arg]) -> Command {
    let leads_on = command.is_subcommand_required_set();
    let takes = |option: &&Arg| {
        leads_on || option.get_id() == COLOUR || taken_by(words).concat().contains(&option.get_id().as_str())
    };
    let options: Vec<Arg> = shared.iter().filter(takes).cloned().collect();
    let hidden = |option: Arg| if leads_on { option.hide(true) } else { option };
    command.args(options.into_iter().map(hidden)).mut_subcommands(|sub| {
        let words = format!("{words} {}", sub.get_name());
        with_options(sub, &words, shared)
    })
}

/// Refuses an option that stands before a command which does not take it.
///
/// # Errors
/// The same as clap's for an unknown option.
pub(super) fn refuse_unused(matches: &ArgMatches) -> Result<(), Error> {
    let shared = Cli::command();
    let mut command = command();
    command.build();
    let (mut typed, mut level) = (typed(&shared, matches), matches);
    while let Some((name, below)) = level.subcommand()
        && let Some(sub) = command.find_subcommand(name).cloned()
    {
        (command, level) = (sub, below);
        typed.extend(self::typed(&shared, below));
    }
    let is_unknown = |id: &&&str| command.get_arguments().all(|option| option.get_id() != **id);
    match typed.iter().find(is_unknown) {
        Some(id) => Err(unknown(id, command)),
        None => Ok(()),
    }
}

/// The shared options that were typed at one place of the command line.
fn typed<'a>(shared: &'a Command, matches: &ArgMatches) -> Vec<&'a str> {
    let is_typed = |id: &&str| {
        matches.ids().any(|found| found == id) && matches.value_source(id) == Some(ValueSource::CommandLine)
    };
    shared.get_arguments().map(|option| option.get_id().as_str()).filter(is_typed).collect()
}

fn unknown(id: &str, mut command: Command) -> Error {
    let mut error = Error::new(ErrorKind::UnknownArgument).with_cmd(&command);
    let option = format!("--{}", id.replace('_', "-"));
    error.insert(ContextKind::InvalidArg, ContextValue::String(option));
    error.insert(ContextKind::Usage, ContextValue::StyledStr(command.render_usage()));
    error
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::parse;

    fn line(line: &str) -> Vec<std::ffi::OsString> {
        std::iter::once("kvnet").chain(line.split_whitespace()).map(Into::into).collect()
    }

    #[test]
    fn clap_accepts_the_tree() {
        command().debug_assert();
    }

    #[test]
    fn every_shared_option_is_taken_by_a_command() {
        let shared = Cli::command();
        for option in shared.get_arguments().filter(|option| option.get_id() != COLOUR) {
            let id = option.get_id().as_str();
            let taken = ["up", "doctor"].iter().any(|command| taken_by(command).concat().contains(&id));
            assert!(taken, "{id}");
        }
    }

    #[test]
    fn an_option_that_does_nothing_is_unknown_wherever_it_stands() {
        for (option, command) in [
            ("--pace", "completions bash"),
            ("--sandbox", "explain"),
            ("--set a=b", "init"),
            ("--only vm", "smoke"),
            ("--timeout 5", "smoke list"),
            ("-p x", "profile list"),
            ("--output json", "console vm"),
            ("--kubeconfig x", "profile show"),
        ] {
            for typed in [format!("{command} {option}"), format!("{option} {command}")] {
                let error = parse(&line(&typed)).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::UnknownArgument, "{typed}: {error}");
                assert!(error.to_string().contains("Usage: kvnet "), "{typed}: {error}");
            }
        }
    }

    #[test]
    fn an_option_counts_before_the_command_too() {
        for typed in ["--profile x up --set a=b", "up --set a=b --profile x", "--set a=b --profile x up"] {
            let cli = parse(&line(typed)).unwrap();
            assert_eq!(
                (cli.global.profile.as_str(), cli.global.set),
                ("x", vec!["a=b".to_owned()]),
                "{typed}"
            );
            assert!(cli.global.profile_typed, "{typed}");
        }
        assert!(parse(&line("profile --set a=b show x")).is_ok());
        assert!(parse(&line("--no-color completions bash")).is_ok());
    }
}
