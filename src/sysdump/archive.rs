//! The archive: a gzipped tar with one folder, which every system can unpack.
#![allow(clippy::disallowed_methods, reason = "a dump is a file of the user on the machine that runs kvnet")]

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;

use camino::Utf8Path;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::error::{Error, Result, code};
use crate::state::StateDir;
use crate::tape::Tape;

/// The recording, by which commands work on the dump.
pub const RECORDING: &str = "recording.jsonl";
/// What is known of the dump itself.
pub const ABOUT: &str = "about.json";
/// The profile that the dump was made with.
pub const PROFILE: &str = "kvnet/profile.yaml";
/// kvnet's state.
const STATE: &str = "kvnet/";
/// The version of the format; a dump with a higher one is refused.
const FORMAT: u32 = 1;
/// The most bytes of an unpacked dump.
const MOST: u64 = 512 << 20;

/// What is known of a dump.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// The version of the format.
    pub format: u32,
    /// The kvnet that made it.
    pub kvnet: String,
    /// When, in Unix seconds.
    pub taken: i64,
    /// Whether it is of a sandbox, whose manifests are stand-ins.
    pub stand_ins: bool,
}

impl About {
    /// A dump that is made now.
    pub fn new(taken: i64, stand_ins: bool) -> Self {
        Self { format: FORMAT, kvnet: env!("CARGO_PKG_VERSION").into(), taken, stand_ins }
    }
}

/// Refuses a path that exists, before the work for it is done.
pub fn refuse_existing(path: &Utf8Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Err(unwritable(path, &io::ErrorKind::AlreadyExists.into())),
        Err(_) => Ok(()),
    }
}

fn unwritable(path: &Utf8Path, error: &io::Error) -> Error {
    Error::new(&code::DUMP_NOTHING, "the dump cannot be written").at(path.as_str()).because(error)
}

/// Writes the files into a new archive that only its owner can read; `folder` is the folder in it.
///
/// # Errors
/// `KVN832` when the file exists or cannot be written; then nothing is left of it.
pub fn write(path: &Utf8Path, folder: &str, files: &BTreeMap<String, String>, taken: i64) -> Result<()> {
    let failed = |error: io::Error| unwritable(path, &error);
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
    let written = pack(file, folder, files, taken).and_then(|file| file.sync_all());
    written.map_err(|error| {
        let _ = std::fs::remove_file(path);
        failed(error)
    })
}

fn pack<W: Write>(out: W, folder: &str, files: &BTreeMap<String, String>, taken: i64) -> io::Result<W> {
    let mut archive = tar::Builder::new(GzEncoder::new(out, Compression::default()));
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(taken.try_into().unwrap_or_default());
        archive.append_data(&mut header, format!("{folder}/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()
}

/// A dump that commands work on.
#[derive(Debug)]
pub struct Opened {
    /// What it is.
    pub about: About,
    /// What node and cluster answered.
    pub tape: Tape,
    /// The journal and the profile, for as long as this lives.
    directory: TempDir,
}

impl Opened {
    /// Reads a dump.
    ///
    /// # Errors
    /// `KVN830` when it is none, is not whole, or is of a newer kvnet.
    pub fn read(path: &Utf8Path) -> Result<Self> {
        let bad = |why: String| {
            Error::new(&code::DUMP, "not a dump of `kvnet sysdump`").at(path.as_str()).because(why)
        };
        let file = File::open(path).map_err(|error| bad(error.to_string()))?;
        let files = unpack(file).map_err(|error| bad(error.to_string()))?;
        let text = |name: &str| files.get(name).ok_or_else(|| bad(format!("it has no {name}")));
        let about: About =
            serde_json::from_str(text(ABOUT)?).map_err(|error| bad(format!("{ABOUT}: {error}")))?;
        if about.format > FORMAT {
            return Err(bad(format!("it was written by kvnet {}, in a newer format", about.kvnet)));
        }
        let tape = Tape::parse(text(RECORDING)?).map_err(|error| error.at(path.as_str()))?;
        let directory = tempfile::tempdir().map_err(|error| bad(error.to_string()))?;
        let opened = Self { about, tape, directory };
        let state = opened.state();
        for name in [crate::engine::journal::FILE, "profile.yaml"] {
            if let Some(text) = files.get(&format!("{STATE}{name}")) {
                state.write(name, text)?;
            }
        }
        Ok(opened)
    }

    /// kvnet's state as it was.
    pub fn state(&self) -> StateDir {
        let directory = self.directory.path().to_string_lossy();
        StateDir::locate(Some(Utf8Path::new(directory.as_ref())), false)
    }
}

/// The files by their names in the folder.
fn unpack(file: impl Read) -> io::Result<BTreeMap<String, String>> {
    let mut archive = tar::Archive::new(GzDecoder::new(file).take(MOST));
    let mut files = BTreeMap::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let Some((_, name)) = path.split_once('/') else { continue };
        let mut text = String::new();
        entry.read_to_string(&mut text)?;
        files.insert(name.to_owned(), text);
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> BTreeMap<String, String> {
        let about = serde_json::to_string(&About::new(1, false)).unwrap();
        let recording = "{\"question\":\"user-id\",\"answer\":0}\n".to_owned();
        [(ABOUT, about), (RECORDING, recording), ("kvnet/journal.jsonl", "journal".into())]
            .map(|(name, text)| (name.to_owned(), text))
            .into()
    }

    fn place() -> (TempDir, camino::Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("d.tar.gz");
        (directory, path)
    }

    #[test]
    fn what_is_written_can_be_read() {
        let (_directory, path) = place();
        write(&path, "d", &files(), 1).unwrap();
        let opened = Opened::read(&path).unwrap();
        assert_eq!(opened.tape.answer::<u32>("user-id").unwrap(), 0);
        assert_eq!(opened.state().read("journal.jsonl").unwrap().as_deref(), Some("journal"));
    }

    #[test]
    fn an_existing_file_is_not_overwritten() {
        let (_directory, path) = place();
        std::fs::write(&path, "mine").unwrap();
        assert_eq!(write(&path, "d", &files(), 1).unwrap_err().code().id, "KVN832");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    }

    #[test]
    fn what_is_no_dump_or_not_whole_is_refused() {
        let (_directory, path) = place();
        write(&path, "d", &files(), 1).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for bytes in [&b"no archive"[..], &whole[..whole.len() / 2], b""] {
            std::fs::write(&path, bytes).unwrap();
            assert_eq!(Opened::read(&path).unwrap_err().code().id, "KVN830");
        }
        std::fs::remove_file(&path).unwrap();
        assert_eq!(Opened::read(&path).unwrap_err().code().id, "KVN830");
        let newer = serde_json::to_string(&About { format: 2, ..About::new(1, false) }).unwrap();
        let mut files = files();
        files.insert(ABOUT.into(), newer);
        write(&path, "d", &files, 1).unwrap();
        let error = Opened::read(&path).unwrap_err();
        assert!(error.to_string().contains("newer format"), "{error}");
    }
}
