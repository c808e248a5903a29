//! Waits for a file of this machine by inotify.

use std::mem::MaybeUninit;
use std::time::Duration;

use camino::Utf8Path;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use tokio::io::unix::AsyncFd;

use super::files::failed;
use crate::error::Result;

/// Whether something is at `path` before the time is over. While its directory does not exist, the nearest one above
/// that does is watched.
pub async fn until_there(path: &Utf8Path, timeout: Duration) -> Result<bool> {
    match tokio::time::timeout(timeout, wait(path)).await {
        Ok(result) => result.map(|()| true).map_err(|error| failed(&error, "wait for", path)),
        Err(_) => Ok(exists(path)),
    }
}

async fn wait(path: &Utf8Path) -> std::io::Result<()> {
    loop {
        let events = AsyncFd::register(inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?)?;
        let directory = path.ancestors().skip(1).find(|ancestor| exists(ancestor)).unwrap_or(Utf8Path::new("/"));
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::DELETE_SELF;
        inotify::add_watch(events.get_ref(), directory.as_std_path(), flags)?;
        // Looked at after the watch stands, or a file made in between would never be seen.
        if exists(path) {
            return Ok(());
        }
        let mut ready = events.readable().await?;
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let _ = inotify::Reader::new(events.get_ref(), &mut buffer).next();
        ready.clear_ready();
    }
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
        let waiting = { let path = path.clone(); tokio::spawn(async move { until_there(&path, Duration::from_secs(10)).await }) };
        tokio::task::yield_now().await;
        std::fs::create_dir(path.parent().unwrap()).unwrap();
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
