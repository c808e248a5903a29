//! A command line: options of the program, then commands with their own options, joined by `--`.

use super::print::{Cells, Format, Style};
use super::{Done, Failure};

/// What a command line asks for.
pub(super) enum Line {
    /// The program's version.
    Version,
    /// Commands.
    Calls {
        /// The commands, in order.
        calls: Vec<Call>,
        /// How their results are printed.
        style: Style,
        /// Whether the program waits until the switch has done it.
        waits: bool,
    },
}

/// A command with its options and arguments.
#[derive(Debug)]
pub(super) struct Call {
    words: Vec<String>,
    options: Vec<(String, Option<String>)>,
}

impl Call {
    /// The command's name.
    pub(super) fn name(&self) -> &str {
        self.argument(0)
    }

    /// An argument, counted from 1; empty when there is none.
    pub(super) fn argument(&self, place: usize) -> &str {
        self.words.get(place).map_or("", String::as_str)
    }

    /// The arguments from a place on.
    pub(super) fn arguments(&self, from: usize) -> &[String] {
        self.words.get(from..).unwrap_or_default()
    }

    /// How many arguments there are.
    pub(super) fn count(&self) -> usize {
        self.words.len() - 1
    }

    /// Whether an option was given.
    pub(super) fn has(&self, option: &str) -> bool {
        self.options.iter().any(|(name, _)| name == option)
    }

    /// The value of an option.
    pub(super) fn option(&self, option: &str) -> Option<&str> {
        self.options.iter().find(|(name, _)| name == option).and_then(|(_, value)| value.as_deref())
    }
}

/// A command: its name, how few and how many arguments it takes, and its options; those with `=` take a value.
struct Known(&'static str, usize, usize, &'static [&'static str]);

const MANY: usize = usize::MAX;
static COMMANDS: [Known; 28] = [
    Known("init", 0, 0, &[]),
    Known("show", 0, 0, &[]),
    Known("list-br", 0, 0, &["--real", "--fake"]),
    Known("add-br", 1, 3, &["--may-exist"]),
    Known("del-br", 1, 1, &["--if-exists"]),
    Known("br-exists", 1, 1, &[]),
    Known("br-to-vlan", 1, 1, &[]),
    Known("br-to-parent", 1, 1, &[]),
    Known("br-set-external-id", 2, 3, &[]),
    Known("br-get-external-id", 1, 2, &[]),
    Known("list-ports", 1, 1, &[]),
    Known("add-port", 2, MANY, &["--may-exist"]),
    Known("del-port", 1, 2, &["--if-exists", "--with-iface"]),
    Known("port-to-br", 1, 1, &[]),
    Known("list-ifaces", 1, 1, &[]),
    Known("iface-to-br", 1, 1, &[]),
    Known("get-fail-mode", 1, 1, &[]),
    Known("del-fail-mode", 1, 1, &[]),
    Known("set-fail-mode", 2, 2, &[]),
    Known("list", 1, MANY, &["--if-exists", "--columns="]),
    Known("find", 1, MANY, &["--columns="]),
    Known("get", 2, MANY, &["--if-exists", "--id="]),
    Known("set", 3, MANY, &["--if-exists"]),
    Known("add", 4, MANY, &["--if-exists"]),
    Known("remove", 4, MANY, &["--if-exists"]),
    Known("clear", 3, MANY, &["--if-exists"]),
    Known("comment", 0, MANY, &[]),
    Known("wait-until", 2, MANY, &["--if-exists"]),
];
/// Commands of the real program that the sandbox does not have.
const OTHERS: [&str; 24] = [
    "add-aa-mapping",
    "add-bond",
    "add-bond-iface",
    "add-dp-cap",
    "add-zone-tp",
    "create",
    "del-aa-mapping",
    "del-bond-iface",
    "del-controller",
    "del-dp-cap",
    "del-manager",
    "del-ssl",
    "del-zone-tp",
    "destroy",
    "emer-reset",
    "get-aa-mapping",
    "get-controller",
    "get-manager",
    "get-ssl",
    "list-dp-cap",
    "list-zone-tp",
    "set-controller",
    "set-manager",
    "set-ssl",
];

/// The options of the program itself; those with `=` take a value.
const GLOBAL: [&str; 32] = [
    "--db=",
    "--no-syslog",
    "--no-wait",
    "--dry-run",
    "--oneline",
    "--timeout=",
    "--retry",
    "--help",
    "--commands",
    "--options",
    "--leader-only",
    "--no-leader-only",
    "--shuffle-remotes",
    "--no-shuffle-remotes",
    "--version",
    "--verbose=",
    "--log-file=",
    "--syslog-method=",
    "--syslog-target=",
    "--format=",
    "--data=",
    "--no-headings",
    "--pretty",
    "--bare",
    "--max-column-width=",
    "--private-key=",
    "--certificate=",
    "--ca-cert=",
    "--ssl-protocols=",
    "--ssl-ciphers=",
    "--bootstrap-ca-cert=",
    "--peer-ca-cert=",
];
/// The options of all commands, which may also come before all commands.
const LOCAL: [&str; 11] = [
    "--all",
    "--bootstrap",
    "--columns=",
    "--fake",
    "--fake-iface",
    "--id=",
    "--if-exists",
    "--inactivity-probe=",
    "--may-exist",
    "--real",
    "--with-iface",
];

/// Takes a command line apart.
pub(super) fn parse(words: &[&str]) -> Done<Line> {
    let mut reader = Options { words, place: 0, style: Style::default(), local: Vec::new(), waits: true };
    if reader.read()? {
        return Ok(Line::Version);
    }
    let rest = &words[reader.place..];
    let mut calls = Vec::new();
    for part in rest.split(|word| *word == "--") {
        let local = if calls.is_empty() { std::mem::take(&mut reader.local) } else { Vec::new() };
        if !part.is_empty() {
            calls.push(call(part, local)?);
        } else if !local.is_empty() {
            return Err(no_command());
        }
    }
    if calls.is_empty() {
        return Err(no_command());
    }
    Ok(Line::Calls { calls, style: reader.style, waits: reader.waits })
}

fn no_command() -> Failure {
    Failure::Fatal("missing command name (use --help for help)".into())
}

/// The reader of the program's options, which end at the first other word.
struct Options<'a> {
    words: &'a [&'a str],
    place: usize,
    style: Style,
    local: Vec<(String, Option<String>)>,
    waits: bool,
}

impl Options<'_> {
    /// Whether the version is asked for.
    fn read(&mut self) -> Done<bool> {
        while let Some(word) = self.words.get(self.place).copied() {
            if word == "-" || !word.starts_with('-') {
                break;
            }
            self.place += 1;
            if word == "--" {
                break;
            }
            let (name, value) = if word.starts_with("--") { self.long(word)? } else { self.short(word)? };
            if name == "--version" {
                return Ok(true);
            }
            self.take(name, value)?;
        }
        Ok(false)
    }

    /// A long option, perhaps shortened.
    fn long(&mut self, word: &str) -> Done<(&'static str, Option<String>)> {
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let plain = |option: &'static str| option.trim_end_matches('=');
        let all = || GLOBAL.into_iter().chain(LOCAL);
        let exact = all().find(|option| plain(option) == name);
        let fitting: Vec<&'static str> = all().filter(|option| plain(option).starts_with(name)).collect();
        let option = match (exact, fitting.as_slice()) {
            (Some(option), _) => option,
            (None, [option]) => *option,
            (None, []) => return Err(format!("unrecognized option '{name}'").into()),
            (None, several) => {
                let several: Vec<String> =
                    several.iter().map(|option| format!("'{}'", plain(option))).collect();
                let several = several.join(" ");
                return Err(format!("option '{name}' is ambiguous; possibilities: {several}").into());
            }
        };
        match (option.ends_with('='), value) {
            (false, Some(_)) => Err(format!("option '{}' doesn't allow an argument", plain(option)).into()),
            (true, None) => Ok((plain(option), Some(self.next(plain(option))?))),
            (_, value) => Ok((plain(option), value.map(str::to_owned))),
        }
    }

    fn short(&mut self, word: &str) -> Done<(&'static str, Option<String>)> {
        let letter = word.chars().nth(1).unwrap_or_default();
        let rest = word.chars().skip(2).collect::<String>();
        let option = match letter {
            't' => "--timeout",
            'f' => "--format",
            'd' => "--data",
            'V' => return Ok(("--version", None)),
            'h' | 'v' | 'p' | 'c' | 'C' => return Err(Failure::Unknown),
            other => return Err(format!("invalid option -- '{other}'").into()),
        };
        let value = if rest.is_empty() { self.next(word)? } else { rest };
        Ok((option, Some(value)))
    }

    fn next(&mut self, option: &str) -> Done<String> {
        let value = self.words.get(self.place);
        self.place += 1;
        value.map(|value| (*value).to_owned()).ok_or_else(|| match option.strip_prefix('-') {
            Some(letter) if letter.len() == 1 => format!("option requires an argument -- '{letter}'").into(),
            _ => format!("option '{option}' requires an argument").into(),
        })
    }

    fn take(&mut self, name: &'static str, value: Option<String>) -> Done {
        let text = value.as_deref().unwrap_or_default();
        match name {
            "--timeout" => refuse_timeout(text)?,
            "--format" => self.style.format = Format::named(text)?,
            "--data" => self.style.cells = Cells::named(text)?,
            "--no-headings" => self.style.headings = false,
            "--oneline" => self.style.one_line = true,
            "--bare" => {
                self.style.format = Format::List;
                self.style.cells = Cells::Bare;
                self.style.headings = false;
            }
            "--no-wait" => self.waits = false,
            "--no-syslog" | "--retry" => {}
            name if LOCAL.iter().any(|option| option.trim_end_matches('=') == name) => {
                self.local.retain(|(option, _)| option != name);
                self.local.push((name.to_owned(), value));
            }
            _ => return Err(Failure::Unknown),
        }
        Ok(())
    }
}

fn refuse_timeout(text: &str) -> Done {
    match text.parse::<u32>() {
        Ok(1..) => Ok(()),
        _ => Err(format!("value {text} on -t or --timeout is invalid").into()),
    }
}

/// A command, with the options that came before all commands.
fn call(words: &[&str], mut options: Vec<(String, Option<String>)>) -> Done<Call> {
    let count = words.iter().take_while(|word| word.starts_with('-')).count();
    for word in &words[..count] {
        let (name, value) = word.split_once('=').map_or((*word, None), |(name, value)| (name, Some(value)));
        if options.iter().any(|(option, _)| option == name) {
            return Err(format!("'{name}' option specified multiple times").into());
        }
        options.push((name.to_owned(), value.map(str::to_owned)));
    }
    let words: Vec<String> = words[count..].iter().map(|word| (*word).to_owned()).collect();
    let Some(name) = words.first() else { return Err(no_command()) };
    let Some(known) = COMMANDS.iter().find(|known| known.0 == name) else {
        return Err(match OTHERS.contains(&name.as_str()) {
            true => Failure::Unknown,
            false => format!("unknown command '{name}'; use --help for help").into(),
        });
    };
    check_options(known, &options)?;
    check_count(known, words.len() - 1)?;
    if known.0 == "wait-until" || options.iter().any(|(option, _)| option == "--id") {
        return Err(Failure::Unknown);
    }
    Ok(Call { words, options })
}

fn check_options(known: &Known, options: &[(String, Option<String>)]) -> Done {
    let Known(name, _, _, own) = known;
    for (option, value) in options {
        let Some(known) = own.iter().find(|known| known.trim_end_matches('=') == option) else {
            return Err(format!("'{name}' command has no '{option}' option").into());
        };
        match (known.ends_with('='), value) {
            (true, None) => {
                return Err(format!("missing argument to '{option}' option on '{name}' command").into());
            }
            (false, Some(_)) => {
                return Err(format!("'{option}' option on '{name}' does not accept an argument").into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_count(&Known(name, least, most, _): &Known, count: usize) -> Done {
    if count < least {
        return Err(format!("'{name}' command requires at least {least} arguments").into());
    }
    if count > most {
        return Err(format!("'{name}' command takes at most {most} arguments").into());
    }
    Ok(())
}
