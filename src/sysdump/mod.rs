//! One archive that another engineer can debug from: objects, logs, and what the node says, without secrets.
//!
//! Every part is got on its own and at the same time, so that half a cluster still gives half a dump. What could not be got is
//! in `not-collected.txt`, never silently absent.

mod archive;
mod case;
mod cluster;
mod node;
mod state;
pub mod text;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8Path;
use futures::stream::{self, StreamExt};
use tokio::time::{Instant, timeout_at};

pub use archive::{ABOUT, About, Opened, PROFILE, RECORDING, refuse_existing, write};
pub use case::collect_case;

use crate::context::Context;
use crate::error::Result;
use crate::profile::Profile;
use crate::redact::redact_text;

/// How many parts are got at the same time.
const AT_ONCE: usize = 8;
/// The most bytes of one file; a log keeps its end.
const MOST_OF_ONE: usize = 2 << 20;
/// The file that says what is missing.
const MISSING: &str = "not-collected.txt";

/// How much a dump may take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// When parts that are not complete are given up.
    pub until: Instant,
    /// The most bytes of all files, before compression.
    pub bytes: usize,
}

impl Limits {
    /// Limits from now on.
    pub fn new(time: Duration, bytes: usize) -> Self {
        Self { until: Instant::now() + time, bytes }
    }
}

/// The files of a dump.
pub struct Dump {
    limits: Limits,
    /// Values that no file may contain.
    secrets: Vec<String>,
    content: Mutex<Content>,
}

#[derive(Default)]
struct Content {
    files: BTreeMap<String, String>,
    bytes: usize,
    missing: BTreeMap<String, String>,
}

impl Dump {
    /// An empty dump; the secrets of the profile will be in none of its files.
    pub fn new(profile: &Profile, limits: Limits) -> Self {
        let vm = &profile.vm;
        let secrets = [&vm.login.password, &vm.cloud_init.user_data, &vm.cloud_init.network_data];
        let secrets = secrets.into_iter().filter(|secret| !secret.is_empty()).cloned().collect();
        Self { limits, secrets, content: Mutex::default() }
    }

    /// Adds a file, redacted and cut; nothing when the text is empty.
    pub fn put(&self, name: &str, text: &str) {
        let known: Vec<&str> = self.secrets.iter().map(String::as_str).collect();
        self.put_redacted(name, &redact_text(text, &known));
    }

    /// Adds a file that has no secrets any more; nothing when the text is empty.
    pub fn put_redacted(&self, name: &str, text: &str) {
        self.put_whole(name, &if is_log(name) { end(text) } else { beginning(text) });
    }

    /// Adds a file that has no secrets and cannot be cut; nothing when the text is empty.
    pub fn put_whole(&self, name: &str, text: &str) {
        if text.trim().is_empty() {
            return;
        }
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        if content.bytes + text.len() > self.limits.bytes {
            let why = format!("{} bytes: the dump has reached its size limit", text.len());
            content.missing.insert(name.to_owned(), why);
            return;
        }
        content.bytes += text.len();
        content.files.insert(name.to_owned(), text.to_owned());
    }

    /// Records that a part is missing, and why.
    pub fn lacks(&self, name: &str, why: &str) {
        let mut content = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        content.missing.insert(name.to_owned(), redact_text(&why.replace('\n', " "), &[]));
    }

    /// The result of a part, unless the time is over; without one, the reason is recorded.
    pub async fn part<T>(&self, name: &str, work: impl Future<Output = Result<T>>) -> Option<T> {
        match timeout_at(self.limits.until, work).await {
            Ok(Ok(value)) => Some(value),
            Ok(Err(error)) => {
                self.lacks(name, &format!("[{}] {error}", error.code().id));
                None
            }
            Err(_) => {
                self.lacks(name, "the dump has reached its time limit");
                None
            }
        }
    }

    /// Adds a file that is got by `work`.
    pub async fn file(&self, name: &str, work: impl Future<Output = Result<String>>) {
        if let Some(text) = self.part(name, work).await {
            self.put(name, &text);
        }
    }

    /// All files, with the one that says what is missing, and how many parts are.
    pub fn finish(self) -> (BTreeMap<String, String>, usize) {
        let mut content = self.content.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for (name, why) in &content.missing {
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name}: {why}");
        }
        if text.is_empty() {
            text = "everything was collected\n".into();
        }
        content.files.insert(MISSING.into(), text);
        (content.files, content.missing.len())
    }
}

/// Collects everything of the node, the cluster and kvnet's state.
pub async fn collect(cx: &Context, dump: &Dump) {
    tokio::join!(cluster::collect(cx, dump), node::collect(cx, dump));
    state::collect(cx, dump);
}

/// Runs parts at the same time, some at once.
async fn all<F: Future<Output = ()>>(parts: impl IntoIterator<Item = F>) {
    stream::iter(parts).buffer_unordered(AT_ONCE).collect::<()>().await;
}

fn is_log(name: &str) -> bool {
    Utf8Path::new(name).extension() == Some("log")
}

fn beginning(text: &str) -> String {
    let cut = floor(text, MOST_OF_ONE);
    if cut == text.len() { text.to_owned() } else { format!("{}\n(cut here)\n", &text[..cut]) }
}

fn end(text: &str) -> String {
    let Some(from) = text.len().checked_sub(MOST_OF_ONE).filter(|from| *from > 0) else {
        return text.to_owned();
    };
    format!("(cut here)\n{}", &text[floor(text, from)..])
}

/// The last boundary between characters that is not after `at`.
fn floor(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, code};

    fn dump(bytes: usize, time: Duration) -> Dump {
        let mut profile = Profile::default();
        profile.vm.login.password = "canary-of-the-vm".into();
        Dump::new(&profile, Limits::new(time, bytes))
    }

    fn missing(dump: Dump) -> String {
        dump.finish().0[MISSING].clone()
    }

    #[tokio::test(start_paused = true)]
    async fn what_takes_too_long_or_fails_is_named() {
        let dump = dump(1000, Duration::from_secs(1));
        dump.file("slow.txt", std::future::pending()).await;
        dump.file("bad.txt", async { Err(Error::new(&code::HOST_PERMISSION, "not allowed")) }).await;
        dump.file("good.txt", async { Ok("x".into()) }).await;
        let (files, count) = dump.finish();
        assert_eq!(files["good.txt"], "x");
        assert_eq!(count, 2);
        let text = &files[MISSING];
        assert!(text.contains("slow.txt: the dump has reached its time limit"), "{text}");
        assert!(text.contains("bad.txt: [KVN203] not allowed"), "{text}");
    }

    #[tokio::test]
    async fn a_dump_keeps_within_its_size_and_names_the_rest() {
        let dump = dump(10, Duration::from_secs(1));
        dump.put("a.txt", "123456");
        dump.put("b.txt", "123456");
        assert_eq!(missing(dump), "b.txt: 6 bytes: the dump has reached its size limit\n");
    }

    #[tokio::test]
    async fn secrets_of_the_profile_are_in_no_file() {
        let dump = dump(1000, Duration::from_secs(1));
        dump.put("logs/a.log", "login with canary-of-the-vm");
        assert!(!dump.finish().0["logs/a.log"].contains("canary"));
    }

    #[test]
    fn a_log_keeps_its_end_and_another_file_its_beginning() {
        let text = format!("a{}z", "ä".repeat(MOST_OF_ONE));
        assert!(end(&text).ends_with('z') && end(&text).len() < MOST_OF_ONE + 20);
        assert!(beginning(&text).starts_with('a') && beginning(&text).ends_with("(cut here)\n"));
        assert_eq!(end("short"), "short");
    }
}
