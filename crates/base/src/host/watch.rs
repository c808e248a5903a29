//! Waits for a file of this machine, by inotify.

use std::time::Duration;

use camino::Utf8Path;
use notify::{ErrorKind, RecursiveMode, Watcher};
use tokio::sync::mpsc::UnboundedSender;

use crate::error::{Error, Result, code};

/// How often a directory is polled that the kernel does not watch.
const LOOK: Duration = Duration::from_millis(250);

/// Whether a file with content, or anything else, appears at `path` before the timeout. While its directory does not
/// exist, the nearest one above that does is watched.
pub async fn until_there(path: &Utf8Path, timeout: Duration) -> Result<bool> {
    until_seen(path, timeout, kernel).await
}

async fn until_seen(path: &Utf8Path, timeout: Duration, watch: Watch) -> Result<bool> {
    match tokio::time::timeout(timeout, wait(path, watch)).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => {
            Err(Error::new(&code::HOST_FILE, "cannot wait for the file").at(path.as_str()).because(error))
        }
        Err(_) => Ok(is_written(path)),
    }
}

/// Signals changes in a directory, until the returned guard is dropped.
type Watch = fn(&Utf8Path, UnboundedSender<()>) -> notify::Result<Box<dyn Send>>;

fn kernel(directory: &Utf8Path, changed: UnboundedSender<()>) -> notify::Result<Box<dyn Send>> {
    // Every event is a reason to check again; its content does not matter.
    let mut watcher = notify::recommended_watcher(move |_| _ = changed.send(()))?;
    watcher.watch(directory.as_std_path(), RecursiveMode::NonRecursive)?;
    Ok(Box::new(watcher))
}

async fn wait(path: &Utf8Path, watch: Watch) -> notify::Result<()> {
    loop {
        let (sender, mut changed) = tokio::sync::mpsc::unbounded_channel();
        let directory =
            path.ancestors().skip(1).find(|ancestor| exists(ancestor)).unwrap_or(Utf8Path::new("/"));
        let watcher = watch(directory, sender);
        // Checked after the watch is set up, or a file created in between would never be seen.
        if is_written(path) {
            return Ok(());
        }
        match watcher {
            Ok(_watcher) => _ = changed.recv().await,
            Err(error) if is_out_of_watches(&error) => {
                tracing::debug!(%path, %error, "the kernel has no watch left; looking again and again");
                return poll(path).await;
            }
            // It was removed between the check and the watch.
            Err(error) if is_gone(&error) && !exists(directory) => {}
            Err(error) => return Err(error),
        }
    }
}

async fn poll(path: &Utf8Path) -> notify::Result<()> {
    while !is_written(path) {
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The limit may be reached: `fs.inotify.max_user_instances`, `max_user_watches`, or the process's open files.
fn is_out_of_watches(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::MaxFilesWatch => true,
        ErrorKind::Io(error) => {
            use rustix::io::Errno;
            [Errno::MFILE, Errno::NFILE, Errno::NOSPC, Errno::NOMEM]
                .iter()
                .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
        }
        _ => false,
    }
}

fn is_gone(error: &notify::Error) -> bool {
    match &error.kind {
        ErrorKind::PathNotFound => true,
        ErrorKind::Io(error) => error.kind() == std::io::ErrorKind::NotFound,
        _ => false,
    }
}

/// A program creates a file first and writes to it then: an empty one does not count yet.
fn is_written(path: &Utf8Path) -> bool {
    path.as_std_path().metadata().is_ok_and(|found| !found.is_file() || found.len() > 0)
}

fn exists(path: &Utf8Path) -> bool {
    path.as_std_path().symlink_metadata().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_that_comes_later_in_a_directory_that_comes_later_is_seen() {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8Path::from_path(directory.path()).unwrap().join("net.d/00-multus.conf");
        let waiting = {
            let path = path.clone();
            tokio::spawn(async move { until_there(&path, Duration::from_secs(10)).await })
        };
        tokio::task::yield_now().await;
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        tokio::task::yield_now().await;
        std::fs::write(&path, "").unwrap();
        tokio::task::yield_now().await;
        std::fs::write(&path, "{}").unwrap();
        assert!(waiting.await.unwrap().unwrap());
    }

    /// What the kernel says when no instance, no watch or no file is left.
    fn none_left<const ERRNO: i32>(_: &Utf8Path, _: UnboundedSender<()>) -> notify::Result<Box<dyn Send>> {
        Err(notify::Error::io(std::io::Error::from_raw_os_error(ERRNO)))
    }

    fn too_many(_: &Utf8Path, _: UnboundedSender<()>) -> notify::Result<Box<dyn Send>> {
        Err(notify::Error::new(ErrorKind::MaxFilesWatch))
    }

    fn forbidden(_: &Utf8Path, _: UnboundedSender<()>) -> notify::Result<Box<dyn Send>> {
        Err(notify::Error::io(std::io::Error::from_raw_os_error(13)))
    }

    #[tokio::test]
    async fn without_a_watch_of_the_kernel_the_file_is_looked_for() {
        const EMFILE: i32 = 24;
        const ENOSPC: i32 = 28;
        for watch in [none_left::<EMFILE> as Watch, none_left::<ENOSPC>, too_many] {
            let directory = tempfile::tempdir().unwrap();
            let path = Utf8Path::from_path(directory.path()).unwrap().join("net.d/00-multus.conf");
            let waiting = {
                let path = path.clone();
                tokio::spawn(async move { until_seen(&path, Duration::from_secs(10), watch).await })
            };
            tokio::task::yield_now().await;
            std::fs::create_dir(path.parent().unwrap()).unwrap();
            std::fs::write(&path, "{}").unwrap();
            assert!(waiting.await.unwrap().unwrap());
            let never = Utf8Path::new("/nonexistent-kvnet/file");
            assert!(!until_seen(never, Duration::from_millis(20), watch).await.unwrap());
        }
        let never = Utf8Path::new("/nonexistent-kvnet/file");
        let error = until_seen(never, Duration::from_millis(20), forbidden).await.unwrap_err();
        assert_eq!(error.code().id, "KVN204");
    }

    #[tokio::test]
    async fn a_file_that_never_comes_is_given_up() {
        let path = Utf8Path::new("/nonexistent-kvnet/file");
        assert!(!until_there(path, Duration::from_millis(20)).await.unwrap());
    }
}
