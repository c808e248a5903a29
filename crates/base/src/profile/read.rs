//! Finds the text of a profile. The only part of this module that reads files: profiles are on the machine that runs
//! kvnet, not on the node, so they do not go through the host boundary.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{RecvTimeoutError, Sender};
use std::time::Duration;

use super::nearest::suggestion;
use super::node::{Node, Value};
use super::parse::{self, MAX_BYTES};
use super::shipped::{file_of, shipped};
use crate::error::{Error, Result, code};
use crate::host::small;
use crate::terminal;

/// The text of a profile and its location.
pub(super) struct Found {
    /// The name to use when the profile gives none.
    pub name: String,
    /// Where it came from, for people.
    pub origin: String,
    /// The profile's identity, however it was named.
    pub identity: String,
    /// What messages call the file.
    file: String,
    directory: Option<PathBuf>,
    bytes: Vec<u8>,
}

impl Found {
    /// A text that is not in a file.
    pub fn of_text(text: &str, origin: &str) -> Self {
        Self {
            name: stem(Path::new(origin)),
            origin: origin.to_string(),
            identity: origin.to_string(),
            file: origin.to_string(),
            directory: Path::new(origin).parent().map(Path::to_path_buf),
            bytes: text.as_bytes().to_vec(),
        }
    }

    /// Makes the paths of manifests relative to the profile, not to the directory in which kvnet happens to be started.
    pub fn resolve(&self, tree: &mut Node) {
        let Some(directory) = &self.directory else { return };
        let Value::Map(sections) = &mut tree.value else { return };
        for section in sections {
            let path = ["source", "path"];
            let node = path.iter().try_fold(&mut section.node, |node, key| node.child_mut(key));
            if let Some(Node { value: Value::Text(text), .. }) = node
                && !text.is_empty()
            {
                *text = directory.join(&*text).to_string_lossy().into_owned();
            }
        }
    }

    /// Parses it.
    ///
    /// # Errors
    /// As [`parse::parse_file`].
    pub fn parse(&self) -> Result<Node> {
        parse::parse_file(&self.bytes, &self.file)
    }
}

/// Finds a profile by shipped name or path; a path behind `extends` is relative to the file `from`.
///
/// # Errors
/// `PROFILE_NOT_FOUND`.
pub(super) fn find(reference: &str, from: Option<&Found>) -> Result<Found> {
    if let Some(known) = shipped().iter().find(|known| known.name == reference) {
        let origin = format!("{} (shipped)", known.name);
        let found = Found::of_text(known.text, &file_of(known.name));
        return Ok(Found {
            name: known.name.into(),
            identity: origin.clone(),
            origin,
            directory: None,
            ..found
        });
    }
    if reference == "-" && from.is_none() {
        return standard_input();
    }
    let path = from.and_then(|from| from.directory.as_ref()).map_or_else(
        || PathBuf::from(reference),
        |directory| directory.join(reference.trim_start_matches("./")),
    );
    if is_path(reference) || (!reference.is_empty() && exists(&path)) {
        return open(&path);
    }
    let names = shipped().iter().map(|known| known.name);
    Err(Error::new(&code::PROFILE_NOT_FOUND, format!("shipped profile `{reference}` does not exist"))
        .hint(suggestion(reference, names))
        .hint("the path of a file contains `/` or ends in `.yaml`"))
}

fn is_path(reference: &str) -> bool {
    let extension = Path::new(reference).extension().and_then(|extension| extension.to_str());
    reference.contains('/')
        || extension.is_some_and(|e| e.eq_ignore_ascii_case("yaml") || e.eq_ignore_ascii_case("yml"))
}

#[allow(
    clippy::disallowed_methods,
    reason = "a file of the machine that runs kvnet, see the module's comment"
)]
fn exists(path: &Path) -> bool {
    path.exists()
}

#[allow(
    clippy::disallowed_methods,
    reason = "a file of the machine that runs kvnet, see the module's comment"
)]
fn open(path: &Path) -> Result<Found> {
    if path.is_dir() {
        return Err(Error::new(&code::PROFILE_NOT_FOUND, "this is a directory, not a profile")
            .at(path.display().to_string())
            .hint("give the path of a file in it"));
    }
    let bytes = bytes(path).map_err(|cause| {
        Error::new(&code::PROFILE_NOT_FOUND, "the profile cannot be read")
            .at(path.display().to_string())
            .because(cause)
            .hint("give a file, or `-` for standard input")
    })?;
    let name = path.display().to_string();
    Ok(Found {
        name: stem(path),
        origin: name.clone(),
        identity: fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf()).display().to_string(),
        file: name,
        directory: path.parent().map(Path::to_path_buf),
        bytes,
    })
}

/// A profile from a pipe; what it extends is relative to the working directory.
fn standard_input() -> Result<Found> {
    let file = "standard input";
    let _patience = Patience::with("standard input to end".into());
    let bytes = bounded(std::io::stdin().lock()).map_err(|cause| {
        Error::new(&code::PROFILE_NOT_FOUND, "the profile cannot be read").at(file).because(cause)
    })?;
    let found = Found::of_text("", file);
    Ok(Found { name: "stdin".into(), directory: None, bytes, ..found })
}

/// The content of a named file: at most one byte more than a profile can have.
pub fn bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = open_soon(path)?;
    let _patience = Patience::with_file(&file, path)?;
    bounded(file)
}

/// How long kvnet waits silently for input.
const SILENCE: Duration = Duration::from_millis(1500);

/// Tells the user after a while what kvnet waits for, until it is dropped.
pub struct Patience {
    /// Dropping it ends the thread that reports.
    _ends: Sender<()>,
}

impl Patience {
    /// For the writer of a pipe.
    #[allow(clippy::disallowed_methods, reason = "the file is open")]
    pub fn with_file(file: &File, path: &Path) -> std::io::Result<Option<Self>> {
        let is_pipe = file.metadata()?.file_type().is_fifo();
        Ok(is_pipe.then(|| Self::with(format!("a writer on {}", path.display()))))
    }

    /// For what follows "waiting for".
    fn with(what: String) -> Self {
        let (ends, ended) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if ended.recv_timeout(SILENCE) == Err(RecvTimeoutError::Timeout) {
                terminal::say(&terminal::clean(&format!("waiting for {what}; Ctrl-C stops")));
            }
        });
        Self { _ends: ends }
    }
}

/// How long a pipe's writer may take to open it.
const PIPE_TIME: Duration = Duration::from_secs(1);

/// Opens a regular file, or a pipe from a shell, as in `-p <(make-profile)`: that one has a writer already; one without
/// would block forever, as a device might.
#[allow(
    clippy::disallowed_methods,
    reason = "a file of the machine that runs kvnet, see the module's comment"
)]
pub fn open_soon(path: &Path) -> std::io::Result<File> {
    if !fs::metadata(path)?.file_type().is_fifo() {
        return small::open(path);
    }
    let (sender, opened) = std::sync::mpsc::channel();
    let path = path.to_owned();
    // Nothing interrupts a blocking open; the thread ends with the program.
    std::thread::spawn(move || sender.send(File::open(path)));
    opened.recv_timeout(PIPE_TIME).unwrap_or_else(|_| {
        Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "it is a pipe without a writer"))
    })
}

fn bounded(source: impl Read) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    source.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}
