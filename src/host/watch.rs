//! Waits for a file of this machine, told by the kernel.

use std::time::Duration;

use camino::Utf8Path;
use notify::{RecursiveMode, Watcher};

use crate::error::{Error, Result, code};

/// Whether a file with content, or anything else, is at `path` before the time is over. While its directory does not exist, the nearest one above
/// that does is watched.
pub async fn until_there(path: &Utf8Path, timeout: Duration) -> Result<bool> {
    match tokio::time::timeout(timeout, wait(path)).await {
        Ok(Ok(())) => Ok(true),
        Ok(Err(error)) => {
            Err(Error::new(&code::HOST_FILE, "cannot wait for the file").at(path.as_str()).because(error))
        }
        Err(_) => Ok(is_written(path)),
    }
}

async fn wait(path: &Utf8Path) -> notify::Result<()> {
    loop {
        let (sender, mut changed) = tokio::sync::mpsc::unbounded_channel();
        // Every event is a reason to look again; what it says does not matter.
        let mut watcher = notify::recommended_watcher(move |_| _ = sender.send(()))?;
        let directory =
            path.ancestors().skip(1).find(|ancestor| exists(ancestor)).unwrap_or(Utf8Path::new("/"));
        watcher.watch(directory.as_std_path(), RecursiveMode::NonRecursive)?;
        // Looked at after the watch stands, or a file made in between would never be seen.
        if is_written(path) {
            return Ok(());
        }
        changed.recv().await;
    }
}

/// A program makes a file first and writes to it then: an empty one is not there yet.
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

    #[tokio::test]
    async fn a_file_that_never_comes_is_given_up() {
        let path = Utf8Path::new("/nonexistent-kvnet/file");
        assert!(!until_there(path, Duration::from_millis(20)).await.unwrap());
    }
}
