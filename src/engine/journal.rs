//! The journal: what was done, one JSON object a line, durable before and after each change.
//!
//! It only helps: the node's state decides. `down` reads from it what to revert on the host.
#![allow(clippy::disallowed_methods, reason = "the journal belongs to the machine that runs kvnet")]

use std::fs::File;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::change::{Change, Outcome};
use crate::checkpoint::reached;
use crate::error::{Error, Result, code};
use crate::redact::digest;
use crate::state::{Mark, StateDir, file_error};

/// The file's name in the state directory.
pub const FILE: &str = "journal.jsonl";
const SCHEMA: u32 = 1;

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Record {
    /// A run starts.
    Header {
        /// The journal's own version.
        schema: u32,
        /// kvnet's version.
        kvnet: String,
        /// `up` or `down`.
        command: String,
        /// The digest of the profile.
        profile: String,
        /// Seconds since 1970.
        time: u64,
        /// The digest of the machine's id; empty when it has none.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        machine: String,
    },
    /// Files and links that were on the node before a step first acted, so that `down` leaves them.
    Before {
        /// The step's id.
        step: String,
        /// Paths, or `link:NAME` for network links.
        present: Vec<String>,
    },
    /// A change is about to be made.
    Intent {
        /// Numbers the changes of the whole journal.
        seq: u64,
        /// The step's id.
        step: String,
        /// The change, secrets replaced by digests.
        change: Box<Change>,
        /// The pre-existing object that it modifies, as it is before: a run that is killed could not tell afterwards.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<Box<Value>>,
    },
    /// The change was made.
    Done {
        /// The intent's number.
        seq: u64,
        /// What it did.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// The change failed; its effect is unknown.
    Failed {
        /// The intent's number.
        seq: u64,
        /// The error's code.
        code: String,
    },
    /// The change was reverted.
    Undone {
        /// The intent's number.
        seq: u64,
    },
}

/// A change that was made and not reverted.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its number.
    pub seq: u64,
    /// The step's id.
    pub step: String,
    /// The change.
    pub change: Change,
    /// What it did; none when the process was interrupted.
    pub outcome: Option<Outcome>,
    /// The pre-existing object that it modifies, as it was.
    pub replaces: Option<Box<Value>>,
    /// The code of the error that it ended with.
    pub failed: Option<String>,
    /// Whether it was made by `down`: there is nothing to revert, or the next `down` would do it all again.
    by_down: bool,
}

/// The journal as it was when a plan was made.
#[derive(Clone, Copy, Debug)]
pub struct Seen(Option<Mark>);

impl Seen {
    /// As it is now.
    pub fn now(state: &StateDir) -> Result<Self> {
        state.mark(FILE).map(Self)
    }

    /// Refuses to continue when another run has changed something since. Call with the lock held.
    pub fn refuse_change(&self, state: &StateDir) -> Result<()> {
        if state.mark(FILE)? == self.0 {
            return Ok(());
        }
        Err(Error::new(
            &code::STATE_OVERTAKEN,
            "another kvnet process changed this node after the plan was computed",
        ))
    }
}

/// The digest by which a journal knows a machine: the id itself is confidential.
pub fn machine_digest(id: &str) -> String {
    if id.is_empty() { String::new() } else { digest(format!("kvnet {id}"))[..23].to_owned() }
}

/// The journal's content.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    entries: Vec<Entry>,
    /// Whether the last header is one of `down`.
    by_down: bool,
    /// The machine of the last header that names one.
    machine: String,
    /// What existed before, by step.
    pub before: Vec<(String, Vec<String>)>,
    next: u64,
    /// Bytes of a last line that was not finished; it is cut off before the next record.
    torn: bool,
}

impl History {
    /// Refuses a journal of another machine: its changes would be reverted on this one.
    pub fn refuse_other_machine(&self, machine: &str, state: &StateDir) -> Result<()> {
        if self.machine.is_empty() || machine.is_empty() || self.machine == machine {
            return Ok(());
        }
        Err(Error::new(&code::STATE_MACHINE, "the journal was written on another machine")
            .at(state.path(FILE).as_str()))
    }

    /// Changes that `up` made and that were not reverted, oldest first.
    pub fn made(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.entries.iter().filter(|entry| !entry.by_down)
    }

    /// The newest change that was interrupted and not made later either.
    pub fn unfinished(&self) -> Option<&Entry> {
        let same = |one: &Entry, other: &Entry| {
            one.step == other.step && one.change.subject() == other.change.subject()
        };
        let ended = |entry: &Entry| {
            let later = self.made().filter(|other| other.seq > entry.seq && other.outcome.is_some());
            later.into_iter().any(|other| same(entry, other))
        };
        self.made().rfind(|entry| entry.outcome.is_none() && !ended(entry))
    }

    /// Reads the journal; empty when there is none. A torn last line is ignored, any other damage is refused.
    pub fn read(state: &StateDir) -> Result<Self> {
        let text = state.read(FILE)?.unwrap_or_default();
        Self::parse(&text).map_err(|error| error.at(state.path(FILE).as_str()))
    }

    fn parse(text: &str) -> Result<Self> {
        let mut history = Self { torn: !text.is_empty() && !text.ends_with('\n'), ..Self::default() };
        let count = text.lines().count();
        for (index, line) in text.lines().enumerate() {
            match serde_json::from_str(line) {
                Ok(record) => history.add(record)?,
                Err(_) if history.torn && index + 1 == count => {}
                Err(error) => {
                    let message = format!("line {} of the journal is damaged", index + 1);
                    return Err(Error::new(&code::STATE_JOURNAL, message).because(error));
                }
            }
        }
        Ok(history)
    }

    fn add(&mut self, record: Record) -> Result<()> {
        match record {
            Record::Header { schema, kvnet, .. } if schema > SCHEMA => {
                let message = format!("the journal was written by kvnet {kvnet}");
                return Err(Error::new(&code::STATE_NEWER, message));
            }
            Record::Header { command, machine, .. } => {
                self.by_down = command == "down";
                if !machine.is_empty() {
                    self.machine = machine;
                }
            }
            Record::Failed { seq, code } => {
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.seq == seq) {
                    entry.failed = Some(code);
                }
            }
            Record::Before { step, present } => {
                if self.present(&step).is_none() {
                    self.before.push((step, present));
                }
            }
            Record::Intent { seq, step, change, replaces } => {
                self.next = self.next.max(seq + 1);
                let by_down = self.by_down;
                let (change, outcome, failed) = (*change, None, None);
                self.entries.push(Entry { seq, step, change, outcome, replaces, failed, by_down });
            }
            Record::Done { seq, outcome } => {
                if let Some(entry) = self.entries.iter_mut().find(|entry| entry.seq == seq) {
                    entry.outcome = Some(outcome);
                }
            }
            Record::Undone { seq } => self.entries.retain(|entry| entry.seq != seq),
        }
        Ok(())
    }

    /// A record as tests name it: `done of kernel: create file /etc/x`.
    fn name_of(&self, record: &Record) -> String {
        let entry = |seq: &u64| self.entries.iter().find(|entry| entry.seq == *seq);
        let of = |seq: &u64| {
            entry(seq).map(|entry| format!("{}: {}", entry.step, entry.change)).unwrap_or_default()
        };
        match record {
            Record::Header { command, .. } => format!("header of {command}"),
            Record::Before { step, .. } => format!("what was before {step}"),
            Record::Intent { step, change, .. } => format!("intent of {step}: {change}"),
            Record::Done { seq, .. } => format!("done of {}", of(seq)),
            Record::Failed { seq, .. } => format!("failure of {}", of(seq)),
            Record::Undone { seq } => format!("undone of {}", of(seq)),
        }
    }

    /// What existed before a step first acted; none when it never acted.
    pub fn present(&self, step: &str) -> Option<&[String]> {
        self.before.iter().find(|(name, _)| name == step).map(|(_, present)| present.as_slice())
    }
}

/// The journal of a run; cheap to clone, written by several tasks.
#[derive(Clone)]
pub struct Journal(Arc<Mutex<Writer>>);

struct Writer {
    state: StateDir,
    header: Option<Record>,
    file: Option<File>,
    history: History,
}

impl Journal {
    /// A journal of no machine that writes nothing before its first record, for tests.
    pub fn open(state: &StateDir, command: &str, profile: &str) -> Result<Self> {
        Self::open_on("", state, command, profile)
    }

    /// A journal of a machine, see [`machine_digest`].
    pub fn open_on(machine: &str, state: &StateDir, command: &str, profile: &str) -> Result<Self> {
        let history = History::read(state)?;
        let time = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |elapsed| elapsed.as_secs());
        let header = Record::Header {
            schema: SCHEMA,
            kvnet: env!("CARGO_PKG_VERSION").into(),
            command: command.into(),
            profile: profile.into(),
            time,
            machine: machine.into(),
        };
        let writer = Writer { state: state.clone(), header: Some(header), file: None, history };
        Ok(Self(Arc::new(Mutex::new(writer))))
    }

    /// Records that a change is about to be made, and the pre-existing object that it modifies; returns its number.
    pub fn intent(&self, step: &str, change: &Change, replaces: Option<Box<Value>>) -> Result<u64> {
        let mut writer = self.writer();
        let seq = writer.history.next;
        let change = Box::new(change.redacted());
        writer.write(Record::Intent { seq, step: step.into(), change, replaces })?;
        Ok(seq)
    }

    /// Records that it was made.
    pub fn done(&self, seq: u64, outcome: Outcome) -> Result<()> {
        self.writer().write(Record::Done { seq, outcome })
    }

    /// Records that it failed.
    pub fn failed(&self, seq: u64, error: &Error) -> Result<()> {
        self.writer().write(Record::Failed { seq, code: error.code().id.into() })
    }

    /// Records that an earlier change was reverted.
    pub fn undone(&self, seq: u64) -> Result<()> {
        self.writer().write(Record::Undone { seq })
    }

    /// Records what exists before a step acts for the first time; later calls change nothing.
    pub fn before(&self, step: &str, present: Vec<String>) -> Result<()> {
        let mut writer = self.writer();
        if writer.history.present(step).is_some() {
            return Ok(());
        }
        writer.write(Record::Before { step: step.into(), present })
    }

    /// Ends the journal after everything was reverted: the next run starts a new one, the old one is kept beside it.
    pub fn retire(&self) -> Result<()> {
        let mut writer = self.writer();
        writer.file = None;
        writer.state.rename(FILE, "journal.last.jsonl")
    }

    /// What existed before a step first acted; none when it never acted.
    pub fn present(&self, step: &str) -> Option<Vec<String>> {
        self.writer().history.present(step).map(<[String]>::to_vec)
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Writer> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Writer {
    fn write(&mut self, record: Record) -> Result<()> {
        if let Some(header) = self.header.take() {
            let mut file = self.state.append(FILE)?;
            if self.history.torn {
                cut_torn_line(&self.state, &file)?;
                self.history.torn = false;
            }
            append(&mut file, &self.state, &header)?;
            self.file = Some(file);
            self.history.add(header)?;
        }
        reached(|| format!("before {}", self.history.name_of(&record)));
        if let Some(file) = &mut self.file {
            append(file, &self.state, &record)?;
        }
        reached(|| format!("after {}", self.history.name_of(&record)));
        self.history.add(record)
    }
}

fn append(file: &mut File, state: &StateDir, record: &Record) -> Result<()> {
    let mut line = serde_json::to_string(record)
        .map_err(|error| Error::new(&code::INTERNAL, "a record cannot be written").because(error))?;
    line.push('\n');
    let written = file.write_all(line.as_bytes()).and_then(|()| file.sync_data());
    written.map_err(|error| file_error(&state.path(FILE), &error))
}

fn cut_torn_line(state: &StateDir, file: &File) -> Result<()> {
    let text = state.read(FILE)?.unwrap_or_default();
    let whole = text.rfind('\n').map_or(0, |position| position + 1);
    file.set_len(whole as u64).map_err(|error| file_error(&state.path(FILE), &error))
}

#[cfg(test)]
mod tests {
    use camino::Utf8Path;

    use super::*;

    fn move_file(name: &str) -> Change {
        Change::MoveFile { from: name.into(), to: format!("{name}.saved").into() }
    }

    fn state(directory: &tempfile::TempDir) -> StateDir {
        StateDir::locate(Utf8Path::from_path(&directory.path().join("state")), true)
    }

    #[test]
    fn what_was_done_and_not_undone_is_read_back() {
        let directory = tempfile::tempdir().unwrap();
        let state = state(&directory);
        let journal = Journal::open(&state, "up", "digest").unwrap();
        let first = journal.intent("cni-order", &move_file("a"), None).unwrap();
        journal.done(first, Outcome::Created).unwrap();
        let second = journal.intent("cni-order", &move_file("b"), None).unwrap();
        journal.done(second, Outcome::Created).unwrap();
        Journal::open(&state, "down", "digest").unwrap().undone(first).unwrap();
        let history = History::read(&state).unwrap();
        let made: Vec<_> = history.made().map(|entry| (&entry.change, entry.outcome.as_ref())).collect();
        assert_eq!(made, [(&move_file("b"), Some(&Outcome::Created))]);
    }

    /// A `down` that is killed right after it moved a file back must not be reverted itself.
    #[test]
    fn what_down_did_is_nothing_to_take_back() {
        let directory = tempfile::tempdir().unwrap();
        let state = state(&directory);
        let up = Journal::open(&state, "up", "digest").unwrap();
        let seq = up.intent("cni-order", &move_file("a"), None).unwrap();
        up.done(seq, Outcome::Created).unwrap();
        let down = Journal::open(&state, "down", "digest").unwrap();
        let back = down.intent("cni-order", &move_file("b"), None).unwrap();
        down.done(back, Outcome::Created).unwrap();
        let history = History::read(&state).unwrap();
        assert_eq!(history.made().map(|entry| entry.seq).collect::<Vec<_>>(), [seq]);
    }

    #[test]
    fn nothing_is_written_before_the_first_record() {
        let directory = tempfile::tempdir().unwrap();
        Journal::open(&state(&directory), "up", "digest").unwrap();
        assert!(!state(&directory).directory().exists());
    }

    #[test]
    fn a_torn_last_line_is_dropped_and_the_next_record_starts_clean() {
        let directory = tempfile::tempdir().unwrap();
        let state = state(&directory);
        let journal = Journal::open(&state, "up", "digest").unwrap();
        let seq = journal.intent("cni-order", &move_file("a"), None).unwrap();
        let whole = state.read(FILE).unwrap().unwrap();
        state.write(FILE, &format!("{whole}{{\"record\":\"do")).unwrap();
        let history = History::read(&state).unwrap();
        assert_eq!(history.made().map(|entry| entry.outcome.clone()).collect::<Vec<_>>(), [None]);
        Journal::open(&state, "up", "digest").unwrap().done(seq, Outcome::Created).unwrap();
        let history = History::read(&state).unwrap();
        assert_eq!(history.made().next().unwrap().outcome, Some(Outcome::Created));
    }

    #[test]
    fn damage_in_the_middle_is_refused_with_its_line() {
        let error = History::parse("{\"record\":\"undone\",\"seq\":1}\nnonsense\n").unwrap_err();
        assert_eq!((error.code().id, error.message()), ("KVN501", "line 2 of the journal is damaged"));
    }

    #[test]
    fn a_journal_of_another_machine_is_refused_and_one_without_a_name_is_not() {
        let directory = tempfile::tempdir().unwrap();
        let state = state(&directory);
        let (here, there) = (machine_digest("aa11"), machine_digest("bb22"));
        assert!(!here.contains("aa11") && machine_digest("").is_empty());
        Journal::open(&state, "up", "digest").unwrap().intent("cni-order", &move_file("a"), None).unwrap();
        let machine = |machine: &str| History::read(&state).unwrap().refuse_other_machine(machine, &state);
        machine(&here).unwrap();
        Journal::open_on(&here, &state, "up", "digest")
            .unwrap()
            .intent("cni-order", &move_file("b"), None)
            .unwrap();
        machine(&here).unwrap();
        machine("").unwrap();
        assert_eq!(machine(&there).unwrap_err().code().id, "KVN422");
    }

    #[test]
    fn a_newer_journal_is_refused() {
        let line = r#"{"record":"header","schema":99,"kvnet":"9.0.0","command":"up","profile":"x","time":1}"#;
        assert_eq!(History::parse(&format!("{line}\n")).unwrap_err().code().id, "KVN502");
    }
}
