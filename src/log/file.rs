//! Log files: names, permissions and rotation.
#![allow(clippy::disallowed_methods, reason = "the log belongs to the machine that runs kvnet")]

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};

use camino::{Utf8Path, Utf8PathBuf};
use jiff::Timestamp;
use rustix::fs::{FlockOperation, OFlags, flock};

use crate::error::{Error, Result, code};
use crate::state::{StateDir, file_error};

/// The directory of log files in the state directory.
pub const DIRECTORY: &str = crate::state::LOGS;
/// The most log files to keep.
pub const FILES: usize = 30;
/// The most bytes of all log files.
pub const BYTES: u64 = 64 << 20;
/// The most bytes of one log file.
pub const BYTES_OF_ONE: u64 = 8 << 20;
/// The part of a file that is reserved for warnings and errors.
const RESERVE: u64 = 64 << 10;
/// How many runs may start in one second.
const SAME_SECOND: u32 = 1000;

/// The open file of a run; its lock tells other runs that it is in use.
pub(super) struct LogFile {
    file: File,
    path: Utf8PathBuf,
    bytes: u64,
    full: bool,
}

impl LogFile {
    /// Creates the file, after making room for it.
    pub fn open(state: &StateDir, command: &str) -> Result<Self> {
        state.create()?;
        let directory = state.path(DIRECTORY);
        own_directory(&directory)?;
        // The new file is the last one, and may grow to the limit.
        rotate(&directory, FILES - 1, BYTES - BYTES_OF_ONE);
        let (file, path) = create(&directory, &start(), command)?;
        Ok(Self { file, path, bytes: 0, full: false })
    }

    pub fn path(&self) -> &Utf8Path {
        &self.path
    }

    /// Appends a line; one that matters still fits when the file is full for others.
    pub fn write(&mut self, line: &[u8], matters: bool) -> Result<()> {
        let room = if matters { BYTES_OF_ONE } else { BYTES_OF_ONE - RESERVE };
        let bytes = self.bytes + line.len() as u64;
        if bytes > room {
            if std::mem::replace(&mut self.full, true) {
                return Ok(());
            }
            return self.append(b"the log is full: from here on only warnings and errors\n");
        }
        self.append(line)
    }

    fn append(&mut self, line: &[u8]) -> Result<()> {
        self.file.write_all(line).map_err(|error| file_error(&self.path, &error))?;
        self.bytes += line.len() as u64;
        Ok(())
    }
}

/// The time when the run started, as names sort by it.
fn start() -> String {
    let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap_or_default();
    now.strftime("%Y%m%dT%H%M%SZ").to_string()
}

/// Creates the directory with mode 0700; refuses one that others could have created.
fn own_directory(directory: &Utf8Path) -> Result<()> {
    match DirBuilder::new().mode(0o700).create(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(file_error(directory, &error));
        }
        _ => {}
    }
    let found = fs::symlink_metadata(directory).map_err(|error| file_error(directory, &error))?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        let what = "the log directory is not a directory owned by this user";
        return Err(Error::new(&code::HOST_UNSAFE, what).at(directory.as_str()).hint("move it aside"));
    }
    if found.mode() & 0o077 != 0 {
        let private = fs::set_permissions(directory, Permissions::from_mode(0o700));
        private.map_err(|error| file_error(directory, &error))?;
    }
    Ok(())
}

/// Creates a new file, never through a symbolic link; runs in the same second get different names.
fn create(directory: &Utf8Path, start: &str, command: &str) -> Result<(File, Utf8PathBuf)> {
    let mut number = 1;
    loop {
        let more = if number == 1 { String::new() } else { format!("-{number}") };
        let path = directory.join(format!("{start}-{command}{more}.log"));
        let mut options = OpenOptions::new();
        options.append(true).create_new(true).mode(0o600);
        match options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists && number < SAME_SECOND => {
                number += 1;
            }
            Err(error) => return Err(file_error(&path, &error)),
            Ok(file) => {
                // Only keeps other runs from removing it.
                let _ = flock(&file, FlockOperation::NonBlockingLockExclusive);
                return Ok((file, path));
            }
        }
    }
}

/// Removes the oldest files until at most `files` with at most `bytes` are left. A file in use by another run stays, and
/// counts with the size that it may reach. What cannot be removed now can be next time.
fn rotate(directory: &Utf8Path, files: usize, bytes: u64) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<String> = names.filter(|name| is_log(name)).collect();
    names.sort_unstable();
    let (mut count, mut sum) = (0, 0);
    for name in names.iter().rev() {
        let path = directory.join(name);
        let Ok(found) = fs::symlink_metadata(&path) else { continue };
        let written = found.is_file() && is_written(&path);
        let size = if written { BYTES_OF_ONE } else { found.len() };
        if written || (count < files && sum + size <= bytes) {
            count += 1;
            sum += size;
        } else {
            // From the first file that does not fit, all older ones go.
            (count, sum) = (files, bytes);
            let _ = fs::remove_file(&path);
        }
    }
}

fn is_written(path: &Utf8Path) -> bool {
    let mut options = OpenOptions::new();
    let opened = options
        .read(true)
        .custom_flags((OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed())
        .open(path);
    opened.is_ok_and(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_err())
}

/// Whether the name is one of kvnet's: nothing else is removed.
fn is_log(name: &str) -> bool {
    let Some((start, rest)) = name.strip_suffix(".log").and_then(|name| name.split_once('-')) else {
        return false;
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (day, time) = start.split_once('T').unwrap_or_default();
    let command =
        rest.split_once('-').map_or(rest, |(command, number)| if digits(number) { command } else { "" });
    digits(day)
        && time.strip_suffix('Z').is_some_and(digits)
        && command.bytes().all(|byte| byte.is_ascii_lowercase())
        && !command.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> (tempfile::TempDir, StateDir) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("state")).unwrap();
        let state = StateDir::locate(Some(&path), false);
        (directory, state)
    }

    fn names(state: &StateDir) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(state.path(DIRECTORY))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_log_is_for_its_owner_alone() {
        let (_keep, state) = state();
        state.create().unwrap();
        fs::create_dir(state.path(DIRECTORY)).unwrap();
        fs::set_permissions(state.path(DIRECTORY), Permissions::from_mode(0o755)).unwrap();
        let log = LogFile::open(&state, "up").unwrap();
        let mode = |path: &Utf8Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!((mode(log.path()), mode(log.path().parent().unwrap())), (0o600, 0o700));
    }

    #[test]
    fn runs_of_one_second_have_files_of_their_own() {
        let (_keep, state) = state();
        let logs: Vec<LogFile> = (0..5).map(|_| LogFile::open(&state, "plan").unwrap()).collect();
        assert_eq!(names(&state).len(), 5);
        assert!(names(&state).iter().all(|name| is_log(name)), "{:?}", names(&state));
        drop(logs);
    }

    #[test]
    fn a_link_in_the_place_of_the_directory_is_not_followed() {
        let (_keep, state) = state();
        state.create().unwrap();
        let elsewhere = state.directory().with_file_name("elsewhere");
        fs::create_dir(&elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, state.path(DIRECTORY)).unwrap();
        assert_eq!(LogFile::open(&state, "up").err().unwrap().code().id, "KVN207");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }

    #[test]
    fn the_oldest_go_first_and_what_is_not_ours_or_written_stays() {
        let (_keep, state) = state();
        let running = LogFile::open(&state, "up").unwrap();
        let directory = state.path(DIRECTORY);
        let oldest = directory.join("20200101T000000Z-up.log");
        fs::rename(running.path(), &oldest).unwrap();
        for second in 10..50 {
            fs::write(directory.join(format!("20210101T0000{second}Z-plan.log")), "x").unwrap();
        }
        for other in ["notes.txt", "20200101T000000Z-.log", "x-up.log", "20200101T000000Z-up-x.log"] {
            fs::write(directory.join(other), "x").unwrap();
        }
        rotate(&directory, 5, BYTES);
        let left = names(&state);
        let logs: Vec<&String> = left.iter().filter(|name| is_log(name)).collect();
        assert_eq!(left.len() - logs.len(), 4, "{left:?}");
        assert_eq!(logs[0], "20200101T000000Z-up.log", "another run writes it");
        assert_eq!(
            logs[1..],
            (45..50)
                .map(|second| format!("20210101T0000{second}Z-plan.log"))
                .collect::<Vec<_>>()
                .iter()
                .collect::<Vec<_>>()
        );
        fs::write(directory.join("20210101T000048Z-plan.log"), vec![0; 100]).unwrap();
        drop(running);
        rotate(&directory, 5, 50);
        let logs: Vec<String> = names(&state).into_iter().filter(|name| is_log(name)).collect();
        assert_eq!(logs, ["20210101T000049Z-plan.log"], "older ones than one without a place go too");
    }

    #[test]
    fn a_full_log_still_takes_what_matters() {
        let (_keep, state) = state();
        let mut log = LogFile::open(&state, "up").unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            log.write(&line, false).unwrap();
        }
        log.write(b"error: the reason\n", true).unwrap();
        let text = fs::read_to_string(log.path()).unwrap();
        assert!(
            text.len() as u64 <= BYTES_OF_ONE
                && text.ends_with("only warnings and errors\nerror: the reason\n")
        );
    }
}
