//! The options of the program, which end at the first word that is none.

use super::print::{Cells, Format, Style};
use super::{Done, SOCKET, VsctlError};

/// The options of the program itself; those with `=` take a value.
const GLOBAL: &str = "\
    --db= --no-syslog --no-wait --dry-run --oneline --timeout= --retry --help --commands --options \
    --leader-only --no-leader-only --shuffle-remotes --no-shuffle-remotes --version --verbose= --log-file= \
    --syslog-method= --syslog-target= --format= --data= --no-headings --pretty --bare --max-column-width= \
    --private-key= --certificate= --ca-cert= --ssl-protocols= --ssl-ciphers= --bootstrap-ca-cert= \
    --peer-ca-cert=";
/// The options of all commands, which may also come before all commands.
const LOCAL: &str = "\
    --all --bootstrap --columns= --fake --fake-iface --id= --if-exists --inactivity-probe= --may-exist \
    --real --with-iface";

/// The reader of the program's options, which end at the first other word.
pub(super) struct Options<'a> {
    words: &'a [&'a str],
    /// Where the commands begin.
    pub(super) place: usize,
    /// How results are printed.
    pub(super) style: Style,
    /// The options of commands among them, with their values.
    pub(super) local: Vec<(String, Option<String>)>,
    /// Whether the program waits until the switch has done it.
    pub(super) waits: bool,
    /// Whether it is a dry run.
    pub(super) rehearses: bool,
    /// Where the database is.
    pub(super) remote: String,
}

impl<'a> Options<'a> {
    /// A reader at the beginning of a command line.
    pub(super) fn of(words: &'a [&'a str]) -> Self {
        Self {
            words,
            place: 0,
            style: Style::default(),
            local: Vec::new(),
            waits: true,
            rehearses: false,
            remote: format!("unix:{SOCKET}"),
        }
    }

    /// Whether the version is asked for.
    pub(super) fn read(&mut self) -> Done<bool> {
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
        let all = || GLOBAL.split(' ').chain(LOCAL.split(' '));
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
            'h' | 'v' | 'p' | 'c' | 'C' => return Err(VsctlError::Unknown),
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
            "--dry-run" => self.rehearses = true,
            "--db" => text.clone_into(&mut self.remote),
            "--no-syslog" | "--retry" => {}
            name if LOCAL.split(' ').any(|option| option.trim_end_matches('=') == name) => {
                self.local.retain(|(option, _)| option != name);
                self.local.push((name.to_owned(), value));
            }
            _ => return Err(VsctlError::Unknown),
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
