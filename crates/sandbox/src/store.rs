//! What a sandbox consists of: every file, package, bridge and object is a value under a key.
//!
//! In memory, or also in a log on disk with one transaction per line. A killed process loses nothing that was reported as
//! written, and several processes may share the log: each reads what the others appended before it acts.
#![allow(
    clippy::disallowed_methods,
    reason = "the log belongs to the machine that runs kvnet, not to the node"
)]

use std::collections::{BTreeMap, VecDeque};
use std::fs::{DirBuilder, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::Duration;

use camino::Utf8Path;
use rustix::fs::{FlockOperation, Mode, OFlags, fchmod, flock, open, openat};
use rustix::io::Errno;
use serde_json::Value;
use tokio::sync::watch;

use crate::error::{Error, Result, code};
use crate::state::file_error;

/// The log's name in the directory of a kept sandbox.
const FILE: &str = "sandbox.jsonl";
/// The log's first line, which identifies it.
const SIGNATURE: &str = "{\"kvnet\":\"sandbox\"}\n";
/// How long to wait for a lock silently.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many changes are kept for watchers.
const REMEMBERED: usize = 10_000;

/// Values under keys such as `file/etc/hosts`. Cheap to clone; clones share the values.
#[derive(Clone)]
pub struct Store(Arc<Shared>);

struct Shared {
    state: Mutex<Contents>,
    turn: Mutex<()>,
    revision: watch::Sender<u64>,
}

#[derive(Default)]
struct Contents {
    values: BTreeMap<String, Arc<Value>>,
    changes: VecDeque<Changed>,
    /// Changes up to this revision are forgotten.
    forgotten: u64,
    revision: u64,
    log: Option<Log>,
}

/// A value that was put or removed.
#[derive(Clone, Debug, PartialEq)]
pub struct Changed {
    /// Counts the changes of a store from 1, without gaps.
    pub revision: u64,
    /// The key.
    pub key: String,
    /// The value before; none when the key was new.
    pub before: Option<Arc<Value>>,
    /// The value now; none when it was removed.
    pub after: Option<Arc<Value>>,
}

/// Exclusive access to the values.
pub struct Transaction<'a> {
    state: &'a mut Contents,
    made: Vec<(String, Option<Arc<Value>>)>,
}

/// The exclusive right to do background work; released on drop.
pub struct Turn<'a> {
    // Before the other threads' turn comes that of the other processes.
    _others: Option<Held>,
    _threads: MutexGuard<'a, ()>,
}

struct Log {
    file: File,
    directory: File,
    path: camino::Utf8PathBuf,
    /// How many bytes of it are known.
    read: u64,
}

impl Store {
    /// An empty store that ends with the process.
    pub fn in_memory() -> Self {
        Self::of(Contents::default())
    }

    /// The store that a directory keeps; empty when the directory is new.
    /// Fails with `KVN203` and its like when the directory cannot be used; `KVN207` when it or the log belongs to
    /// another user, is writable by others or a link; `KVN501` when the log is not a sandbox's, or corrupted before its
    /// last line.
    pub fn on_disk(directory: &Utf8Path) -> Result<Self> {
        let opened = own_directory(directory)?;
        let path = directory.join(FILE);
        let file = own_file(&opened, &path)?;
        let log = Log { file, directory: opened, path, read: 0 };
        let store = Self::of(Contents { log: Some(log), ..Contents::default() });
        store.read(|_| ())?;
        Ok(store)
    }

    fn of(state: Contents) -> Self {
        let (state, turn, revision) = (Mutex::new(state), Mutex::new(()), watch::Sender::new(0));
        Self(Arc::new(Shared { state, turn, revision }))
    }

    /// Looks at the values as they are now, also those that other processes wrote.
    /// Fails when the log cannot be read.
    pub fn read<T>(&self, look: impl FnOnce(&Transaction<'_>) -> T) -> Result<T> {
        self.write(|transaction| look(transaction))
    }

    /// Makes changes atomically.
    /// Fails when the log cannot be read or written.
    pub fn write<T>(&self, change: impl FnOnce(&mut Transaction<'_>) -> T) -> Result<T> {
        let mut state = self.lock();
        let before = state.revision;
        let held = state.log.as_ref().map(|log| log.hold(&log.file)).transpose()?;
        state.catch_up()?;
        let mut transaction = Transaction { state: &mut state, made: Vec::new() };
        let result = change(&mut transaction);
        let made = transaction.made;
        if let Some(log) = state.log.as_mut().filter(|_| !made.is_empty()) {
            log.append(&made)?;
        }
        drop(held);
        if state.revision > before {
            self.0.revision.send_replace(state.revision);
        }
        Ok(result)
    }

    /// Waits until no other thread or process does background work, and keeps them out until the result is dropped: otherwise
    /// both would create what is missing.
    /// Fails when the directory cannot be locked.
    pub fn turn(&self) -> Result<Turn<'_>> {
        let threads = self.0.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let directory = self.lock().log.as_ref().map(Log::second_directory).transpose()?;
        let others = directory.map(|(file, path)| hold(file, &path)).transpose()?;
        Ok(Turn { _others: others, _threads: threads })
    }

    /// Notifies of changes that this process made or saw.
    pub fn revisions(&self) -> watch::Receiver<u64> {
        self.0.revision.subscribe()
    }

    /// The changes after a revision, oldest first; none when they are forgotten.
    pub fn changes_after(&self, revision: u64) -> Option<Vec<Changed>> {
        self.lock().changes_after(revision)
    }

    /// Forgets the changes up to now, as a database that was compacted.
    pub fn forget(&self) {
        let mut state = self.lock();
        state.forgotten = state.revision;
        state.changes.clear();
    }

    fn lock(&self) -> MutexGuard<'_, Contents> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Transaction<'_> {
    /// A value.
    pub fn value(&self, key: &str) -> Option<&Arc<Value>> {
        self.state.values.get(key)
    }

    /// The values whose keys begin with `prefix`, in the order of the keys.
    pub fn range<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = (&'a str, &'a Arc<Value>)> {
        let from = self.state.values.range(prefix.to_owned()..);
        from.take_while(move |(key, _)| key.starts_with(prefix)).map(|(key, value)| (key.as_str(), value))
    }

    /// The number of the last change; the next one has the number after it.
    pub fn revision(&self) -> u64 {
        self.state.revision
    }

    /// As [`Store::changes_after`].
    pub fn changes_after(&self, revision: u64) -> Option<Vec<Changed>> {
        self.state.changes_after(revision)
    }

    /// Sets a value and returns the number of this change.
    pub fn put(&mut self, key: &str, value: Value) -> u64 {
        self.change(key, Some(Arc::new(value)))
    }

    /// Removes a value; fine when there is none.
    pub fn remove(&mut self, key: &str) {
        if self.state.values.contains_key(key) {
            self.change(key, None);
        }
    }

    fn change(&mut self, key: &str, after: Option<Arc<Value>>) -> u64 {
        self.made.push((key.to_owned(), after.clone()));
        self.state.apply(key.to_owned(), after)
    }
}

impl Contents {
    fn changes_after(&self, revision: u64) -> Option<Vec<Changed>> {
        let newer = || self.changes.iter().filter(|changed| changed.revision > revision).cloned().collect();
        (revision >= self.forgotten).then(newer)
    }

    /// Reads what other processes appended to the log.
    fn catch_up(&mut self) -> Result<()> {
        let Some(log) = self.log.as_mut() else { return Ok(()) };
        for line in log.tail()? {
            for (key, after) in line {
                self.apply(key, after);
            }
        }
        Ok(())
    }

    fn apply(&mut self, key: String, after: Option<Arc<Value>>) -> u64 {
        self.revision += 1;
        let before = match &after {
            Some(value) => self.values.insert(key.clone(), value.clone()),
            None => self.values.remove(&key),
        };
        self.changes.push_back(Changed { revision: self.revision, key, before, after });
        if self.changes.len() > REMEMBERED
            && let Some(oldest) = self.changes.pop_front()
        {
            self.forgotten = oldest.revision;
        }
        self.revision
    }
}

/// The keys and values of one transaction; none where the key was removed.
type Line = Vec<(String, Option<Arc<Value>>)>;

impl Log {
    /// Keeps other processes out until the result is dropped.
    fn hold(&self, file: &File) -> Result<Held> {
        hold(file.try_clone().map_err(|error| file_error(&self.path, &error))?, &self.path)
    }

    /// Not waited for here, where the values are locked.
    fn second_directory(&self) -> Result<(File, camino::Utf8PathBuf)> {
        let file = self.directory.try_clone().map_err(|error| file_error(&self.path, &error))?;
        Ok((file, self.path.clone()))
    }

    /// The new transactions. A truncated last line is removed: it was never reported as written.
    fn tail(&mut self) -> Result<Vec<Line>> {
        let failed = |error: &std::io::Error| file_error(&self.path, error);
        if self.file.metadata().map_err(|error| failed(&error))?.len() == self.read {
            return Ok(Vec::new());
        }
        let mut text = String::new();
        self.file.seek(SeekFrom::Start(self.read)).map_err(|error| failed(&error))?;
        self.file.read_to_string(&mut text).map_err(|error| failed(&error))?;
        let signed = if self.read == 0 { self.signed(&text)? } else { 0 };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.read += whole as u64;
        if whole < text.len() {
            self.file.set_len(self.read).map_err(|error| failed(&error))?;
        }
        text[signed.min(whole)..whole].lines().map(|line| self.parse(line)).collect()
    }

    /// The length of the signature. An older sandbox without signature begins with a transaction; any other file is never
    /// truncated.
    fn signed(&self, text: &str) -> Result<usize> {
        if SIGNATURE.starts_with(text) || text.starts_with(SIGNATURE) {
            return Ok(text.len().min(SIGNATURE.len()));
        }
        let is_transaction = |line: &str| serde_json::from_str::<Line>(line).is_ok();
        match text.split_once('\n') {
            Some((first, _)) if is_transaction(first) => Ok(0),
            _ => {
                let error = Error::new(&code::STATE_JOURNAL, "not a sandbox's file, left unchanged");
                Err(error.at(self.path.as_str()).hint("pass an empty or new directory with `--sandbox-dir`"))
            }
        }
    }

    fn parse(&self, line: &str) -> Result<Line> {
        serde_json::from_str(line).map_err(|error| {
            Error::new(&code::STATE_JOURNAL, "the sandbox is corrupted").at(self.path.as_str()).because(error)
        })
    }

    fn append(&mut self, made: &Line) -> Result<()> {
        let mut line = if self.read == 0 { SIGNATURE.as_bytes().to_vec() } else { Vec::new() };
        serde_json::to_writer(&mut line, made)
            .map_err(|error| Error::new(&code::INTERNAL, "cannot serialise the sandbox").because(error))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|error| file_error(&self.path, &error))?;
        self.read += line.len() as u64;
        Ok(())
    }
}

/// Opens the directory of a sandbox, created for its user only; one that others can write to is refused.
fn own_directory(directory: &Utf8Path) -> Result<File> {
    let failed = |error: std::io::Error| file_error(directory, &error);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed)?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = match open(directory.as_std_path(), flags, Mode::empty()) {
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(unsafe_to_use(directory, "it is a symbolic link")),
        opened => File::from(opened.map_err(|error| failed(error.into()))?),
    };
    refuse_others(directory, &opened.metadata().map_err(failed)?)?;
    Ok(opened)
}

/// Opens the log in its directory, never through a link.
fn own_file(directory: &File, path: &Utf8Path) -> Result<File> {
    let failed = |error: std::io::Error| file_error(path, &error);
    let flags = OFlags::RDWR | OFlags::APPEND | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = match openat(directory, FILE, flags, Mode::RUSR | Mode::WUSR) {
        Err(Errno::LOOP) => return Err(unsafe_to_use(path, "it is a symbolic link")),
        file => File::from(file.map_err(|error| failed(error.into()))?),
    };
    let found = file.metadata().map_err(failed)?;
    if !found.is_file() || found.nlink() != 1 {
        return Err(unsafe_to_use(path, "it is not a regular file with a single hard link"));
    }
    refuse_others(path, &found)?;
    if found.mode() & 0o077 != 0 {
        // It holds the passwords of the machines in it.
        fchmod(&file, Mode::RUSR | Mode::WUSR).map_err(|error| failed(error.into()))?;
    }
    Ok(file)
}

fn refuse_others(path: &Utf8Path, found: &std::fs::Metadata) -> Result<()> {
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(unsafe_to_use(path, "it belongs to another user"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(unsafe_to_use(path, "others can write to it"));
    }
    Ok(())
}

fn unsafe_to_use(path: &Utf8Path, what: &str) -> Error {
    let error = Error::new(&code::HOST_UNSAFE, format!("unsafe place for a sandbox: {what}"));
    error.at(path.as_str()).hint("pass a directory of your own, or a new one, with `--sandbox-dir`")
}

fn hold(file: File, path: &Utf8Path) -> Result<Held> {
    if let Err(Errno::WOULDBLOCK) = flock(&file, FlockOperation::NonBlockingLockExclusive) {
        let waiting = say_when_late(path);
        flock(&file, FlockOperation::LockExclusive).map_err(|error| file_error(path, &error.into()))?;
        drop(waiting);
    }
    Ok(Held(file))
}

/// Tells the user about the wait, unless the result is dropped soon.
fn say_when_late(path: &Utf8Path) -> mpsc::Sender<()> {
    let (waiting, over) = mpsc::channel();
    let text = format!("waiting for another process to release {path}");
    let late = move || {
        if over.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Timeout) {
            crate::terminal::say(&crate::terminal::clean(&text));
        }
    };
    // Without a thread the wait is only silent.
    let _ = std::thread::Builder::new().spawn(late);
    waiting
}

/// The lock on a log. Dropping the file would not release it while a clone is open.
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn directory() -> (tempfile::TempDir, camino::Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = camino::Utf8PathBuf::from_path_buf(directory.path().join("kept")).unwrap();
        (directory, path)
    }

    #[test]
    fn changes_are_told_and_numbered() {
        let store = Store::in_memory();
        let told = store.revisions();
        assert_eq!(store.write(|t| t.put("a", json!(1))).unwrap(), 1);
        store.write(|t| t.remove("a")).unwrap();
        store.write(|t| t.remove("a")).unwrap();
        assert_eq!(*told.borrow(), 2);
        let changes = store.changes_after(1).unwrap();
        assert_eq!(
            (changes.len(), &changes[0].before, &changes[0].after),
            (1, &Some(json!(1).into()), &None)
        );
        store.forget();
        assert_eq!((store.changes_after(1), store.changes_after(2)), (None, Some(Vec::new())));
    }

    #[test]
    fn a_range_ends_where_its_prefix_does() {
        let store = Store::in_memory();
        store.write(|t| ["a/1", "a/2", "b/1"].map(|key| t.put(key, json!(key)))).unwrap();
        let keys = store.read(|t| t.range("a/").map(|(key, _)| key.to_owned()).collect::<Vec<_>>()).unwrap();
        assert_eq!(keys, ["a/1", "a/2"]);
    }

    #[test]
    fn two_users_of_a_directory_see_what_the_other_wrote() {
        let (_keep, path) = directory();
        let (one, other) = (Store::on_disk(&path).unwrap(), Store::on_disk(&path).unwrap());
        one.write(|t| t.put("a", json!(1))).unwrap();
        assert_eq!(other.write(|t| t.put("b", t.value("a").unwrap().as_ref().clone())).unwrap(), 2);
        assert_eq!(one.read(|t| t.value("b").cloned()).unwrap(), Some(json!(1).into()));
        assert_eq!(one.changes_after(1), other.changes_after(1));
    }

    #[test]
    fn other_files_are_neither_followed_nor_changed() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let (keep, path) = directory();
        let precious = keep.path().join("precious");
        let refused = |path: &Utf8Path, content: &str| {
            std::fs::write(&precious, content).unwrap();
            let error = Store::on_disk(path).err().unwrap();
            assert_eq!(std::fs::read_to_string(&precious).unwrap(), content);
            error.code().id
        };
        std::fs::create_dir(&path).unwrap();
        let log = path.join(FILE);
        symlink(&precious, &log).unwrap();
        assert_eq!(refused(&path, "no newline"), "KVN207");
        std::fs::remove_file(&log).unwrap();
        std::fs::hard_link(&precious, &log).unwrap();
        assert_eq!(refused(&path, "no newline"), "KVN207");
        std::fs::remove_file(&log).unwrap();
        symlink(&path, keep.path().join("link")).unwrap();
        let link = Utf8Path::from_path(keep.path()).unwrap().join("link");
        assert_eq!(refused(&link, ""), "KVN207");
        for content in ["no newline", "line one\nlast line", "{\"kvnet\":1}\n", "\n", "[]x"] {
            std::fs::write(&log, content).unwrap();
            assert_eq!(refused(&path, ""), "KVN501", "{content}");
            assert_eq!(std::fs::read_to_string(&log).unwrap(), content);
        }
        std::fs::write(&log, "").unwrap();
        for (of, mode) in [(&log, 0o666), (&path, 0o777), (&path, 0o1777), (&path, 0o770)] {
            std::fs::set_permissions(of, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(refused(&path, ""), "KVN207", "{of} {mode:o}");
            std::fs::set_permissions(of, std::fs::Permissions::from_mode(0o700)).unwrap();
        }
    }

    #[test]
    fn only_its_user_reads_a_sandbox() {
        use std::os::unix::fs::PermissionsExt;
        let (_keep, path) = directory();
        let mode = |path: &Utf8Path| std::fs::metadata(path).unwrap().mode() & 0o777;
        Store::on_disk(&path).unwrap();
        assert_eq!((mode(&path), mode(&path.join(FILE))), (0o700, 0o600));
        std::fs::set_permissions(path.join(FILE), std::fs::Permissions::from_mode(0o644)).unwrap();
        Store::on_disk(&path).unwrap();
        assert_eq!(mode(&path.join(FILE)), 0o600, "one of an earlier release");
    }

    #[test]
    fn a_sandbox_without_a_signature_is_one_of_an_earlier_release() {
        let (_keep, path) = directory();
        std::fs::create_dir(&path).unwrap();
        std::fs::write(path.join(FILE), "[[\"a\",1]]\n[[\"b").unwrap();
        let store = Store::on_disk(&path).unwrap();
        assert_eq!(store.read(|t| t.value("a").cloned()).unwrap(), Some(json!(1).into()));
        std::fs::write(path.join(FILE), &SIGNATURE[..5]).unwrap();
        Store::on_disk(&path).unwrap().write(|t| t.put("a", json!(2))).unwrap();
        let text = std::fs::read_to_string(path.join(FILE)).unwrap();
        assert_eq!(text, format!("{SIGNATURE}[[\"a\",2]]\n"), "the first write was cut short");
    }

    #[test]
    fn a_torn_line_never_was_and_other_damage_is_refused() {
        let (_keep, path) = directory();
        Store::on_disk(&path).unwrap().write(|t| t.put("a", json!(1))).unwrap();
        let file = path.join(FILE);
        let whole = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, format!("{whole}[[\"b\",")).unwrap();
        let store = Store::on_disk(&path).unwrap();
        store.write(|t| t.put("c", json!(2))).unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), format!("{whole}[[\"c\",2]]\n"));
        std::fs::write(&file, format!("no\n{whole}")).unwrap();
        assert_eq!(Store::on_disk(&path).err().unwrap().code().id, "KVN501");
    }
}
