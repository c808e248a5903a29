//! This machine.

use std::io;
use std::time::Duration;

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use super::{Command, FileKind, Host, Output, Shot, Sighting, Stat, files, frames, process};
use crate::error::{Error, Result, code};

/// The administrators' directories when they are not in PATH.
const MORE_PATH: &str = "/usr/local/sbin:/usr/sbin:/sbin";

/// The machine that kvnet itself runs on.
#[derive(Clone, Debug, Default)]
pub struct LocalHost;

#[async_trait]
impl Host for LocalHost {
    async fn run(&self, command: &Command) -> Result<Output> {
        process::run(command, &search_path()).await
    }

    async fn read(&self, path: &Utf8Path) -> Result<Option<Vec<u8>>> {
        files::existing(std::fs::read(path)).map_err(|error| files::failed(&error, "read", path))
    }

    async fn write(&self, path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
        files::write(path, content, mode)
    }

    async fn stat(&self, path: &Utf8Path) -> Result<Option<Stat>> {
        let found = files::existing(std::fs::symlink_metadata(path));
        Ok(found.map_err(|error| files::failed(&error, "access", path))?.as_ref().map(stat_of))
    }

    async fn list(&self, directory: &Utf8Path) -> Result<Option<Vec<String>>> {
        files::existing(names(directory)).map_err(|error| files::failed(&error, "list", directory))
    }

    async fn rename(&self, from: &Utf8Path, to: &Utf8Path) -> Result<()> {
        files::rename(from, to)
    }

    async fn remove(&self, path: &Utf8Path) -> Result<()> {
        files::existing(std::fs::remove_file(path)).map_err(|error| files::failed(&error, "remove", path))?;
        Ok(())
    }

    async fn find(&self, program: &str) -> Result<Option<Utf8PathBuf>> {
        Ok(process::find(program, &search_path()))
    }

    async fn wait_for(&self, path: &Utf8Path, timeout: Duration) -> Result<bool> {
        super::watch::until_there(path, timeout).await
    }

    async fn user_id(&self) -> Result<u32> {
        Ok(rustix::process::geteuid().as_raw())
    }

    async fn send_frame(&self, shot: &Shot) -> Result<Vec<Sighting>> {
        let shot = shot.clone();
        let sent = tokio::task::spawn_blocking(move || frames::send(&shot)).await;
        sent.unwrap_or_else(|error| Err(Error::new(&code::INTERNAL, "sending a frame").because(error)))
    }
}

fn search_path() -> String {
    match std::env::var("PATH") {
        Ok(path) if !path.is_empty() => format!("{path}:{MORE_PATH}"),
        _ => format!("/usr/local/bin:/usr/bin:/bin:{MORE_PATH}"),
    }
}

fn stat_of(metadata: &std::fs::Metadata) -> Stat {
    use std::os::unix::fs::MetadataExt;
    let kind = match metadata.file_type() {
        kind if kind.is_file() => FileKind::File,
        kind if kind.is_dir() => FileKind::Directory,
        kind if kind.is_symlink() => FileKind::Link,
        _ => FileKind::Other,
    };
    Stat { kind, mode: metadata.mode() & 0o7777, uid: metadata.uid(), size: metadata.size() }
}

fn names(directory: &Utf8Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn absent_things_are_none() {
        let path = Utf8Path::new("/nonexistent/kvnet");
        assert_eq!(LocalHost.read(path).await.unwrap(), None);
        assert_eq!(LocalHost.stat(path).await.unwrap(), None);
        assert_eq!(LocalHost.list(path).await.unwrap(), None);
        assert_eq!(LocalHost.find("kvnet-no-such-program").await.unwrap(), None);
        LocalHost.remove(path).await.unwrap();
    }

    #[tokio::test]
    async fn names_come_in_byte_order() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap();
        for name in ["70-multus.conf", "100-crio.conf", "B", "a"] {
            LocalHost.write(&path.join(name), b"", 0o644).await.unwrap();
        }
        let names = LocalHost.list(path).await.unwrap().unwrap();
        assert_eq!(names, ["100-crio.conf", "70-multus.conf", "B", "a"]);
    }

    #[tokio::test]
    async fn a_directory_cannot_be_read_as_a_file() {
        let error = LocalHost.read(Utf8Path::new("/")).await.unwrap_err();
        assert_eq!(error.code(), &code::HOST_FILE);
    }
}
