//! The backup of a file with keys before kvnet replaces it, and where such a file may be at all.
//!
//! Whoever can change the copy decides what `down` restores, so its owner and mode are checked.

use camino::{Utf8Path, Utf8PathBuf};

use super::unfinished;
use crate::engine::change::Outcome;
use crate::error::{Error, Result, code};
use crate::host::{FileKind, Host, Stat};
use crate::redact::digest;

/// Only the owner may read or write files with keys.
const PRIVATE: u32 = 0o600;

/// The backup's path for a secret file that kvnet replaces, since the journal does not hold its content.
pub fn saved_copy(path: &Utf8Path) -> Utf8PathBuf {
    format!("{path}.kvnet-saved").into()
}

/// Refuses a path that [`Host::write`] would refuse, before anything is written on its behalf.
/// Fails with `KVN207` for a symbolic link or a directory that other users control, `KVN204` for what is not a regular
/// file.
pub async fn refuse_unsafe(host: &dyn Host, path: &Utf8Path) -> Result<()> {
    let wrong = |code, what: &str, at: &Utf8Path| Err(Error::new(code, what).at(at.as_str()));
    match host.stat(path).await?.map(|stat| stat.kind) {
        None | Some(FileKind::File) => {}
        Some(FileKind::Link) => return wrong(&code::HOST_UNSAFE, "it is a symbolic link", path),
        Some(_) => return wrong(&code::HOST_FILE, "it is not a regular file", path),
    }
    let me = host.user_id().await?;
    let mut is_nearest = true;
    for directory in path.ancestors().skip(1).filter(|directory| !directory.as_str().is_empty()) {
        let Some(stat) = host.stat(directory).await? else { continue };
        if stat.kind == FileKind::Link {
            if ![0, me].contains(&stat.uid) {
                return wrong(&code::HOST_UNSAFE, "it is a symbolic link of another user", directory);
            }
        // The mode of a link says nothing about its target.
        } else if is_nearest && stat.mode & 0o1002 == 0o002 {
            return wrong(&code::HOST_UNSAFE, "the directory is world-writable", directory);
        }
        is_nearest = false;
    }
    Ok(())
}

/// The first copy is the original; it is never overwritten.
pub(super) async fn save(host: &dyn Host, path: &Utf8Path, content: &str) -> Result<()> {
    let copy = saved_copy(path);
    if let Some(stat) = host.stat(&copy).await? {
        return refuse_foreign(host, path, &copy, &stat).await;
    }
    let mode = host.stat(path).await?.map_or(PRIVATE, |stat| stat.mode & PRIVATE);
    host.write(&copy, content.as_bytes(), mode).await
}

/// Restores the copy's content, for the owner alone. Idempotent, wherever an earlier attempt was killed.
pub(super) async fn restore(
    host: &dyn Host,
    path: &Utf8Path,
    written: &str,
    tell: super::Tell<'_>,
) -> Result<Outcome> {
    let copy = saved_copy(path);
    refuse_unsafe(host, path).await?;
    host.remove(&unfinished(&copy)).await?;
    let Some(stat) = host.stat(&copy).await? else { return Ok(Outcome::Transient) };
    refuse_foreign(host, path, &copy, &stat).await?;
    let saved = host.read(&copy).await?.unwrap_or_default();
    let now = host.read(path).await?.unwrap_or_default();
    let is_kvnets = written == digest(&*String::from_utf8_lossy(&now));
    if !is_kvnets && now != saved {
        tell(format!("{path} was modified since and stays; the original is in {copy}"));
        return Ok(Outcome::Adopted);
    }
    host.write(path, &saved, stat.mode & PRIVATE).await?;
    host.remove(&copy).await?;
    Ok(Outcome::Transient)
}

/// A copy counts only when only kvnet's user, root or the file's owner can have written it.
async fn refuse_foreign(host: &dyn Host, path: &Utf8Path, copy: &Utf8Path, stat: &Stat) -> Result<()> {
    let place = path.parent().unwrap_or(path);
    let owner = match host.stat(path).await? {
        Some(file) => Some(file.uid),
        None => host.stat(place).await?.map(|directory| directory.uid),
    };
    let trusted = [Some(0), Some(host.user_id().await?), owner].contains(&Some(stat.uid));
    let what = if stat.kind != FileKind::File {
        "the file that kvnet replaces cannot be backed up: this is not a regular file"
    } else if !trusted {
        "the backup of a file with keys belongs to another user"
    } else if stat.mode & 0o022 != 0 {
        "the backup of a file with keys is writable by other users"
    } else {
        return Ok(());
    };
    let error = Error::new(&code::HOST_COPY, what).at(copy.as_str());
    Err(error.hint(format!("compare it with {path}; then remove it, or `chown` and `chmod 600` it")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const PATH: &str = "/home/a/.kube/config";

    fn with_copy(owner: u32, mode: u32) -> FakeHost {
        let copy = saved_copy(PATH.into());
        FakeHost::new().file(PATH, "new").file(copy.as_str(), "old").owned(copy.as_str(), owner, mode)
    }

    #[tokio::test]
    async fn a_copy_is_never_more_open_than_for_its_owner() {
        for (mode, kept) in [(0o777, 0o600), (0o644, 0o600), (0o600, 0o600), (0o400, 0o400)] {
            let host = FakeHost::new().file(PATH, "old").owned(PATH, 0, mode);
            save(&host, PATH.into(), "old").await.unwrap();
            let copy = saved_copy(PATH.into());
            assert_eq!(host.stat(&copy).await.unwrap().unwrap().mode, kept, "{mode:o}");
            restore(&host, PATH.into(), &digest("old"), &|_| ()).await.unwrap();
            assert_eq!(host.stat(PATH.into()).await.unwrap().unwrap().mode, kept, "{mode:o}");
        }
    }

    #[tokio::test]
    async fn a_copy_of_somebody_else_is_neither_kept_nor_put_back() {
        for (owner, mode) in [(1234, 0o600), (0, 0o622), (0, 0o660), (0, 0o777)] {
            let host = with_copy(owner, mode);
            let kept = save(&host, PATH.into(), "new").await.unwrap_err();
            let back = restore(&host, PATH.into(), &digest("new"), &|_| ()).await.unwrap_err();
            assert_eq!((kept.code(), back.code()), (&code::HOST_COPY, &code::HOST_COPY));
            assert_eq!(host.content(PATH).as_deref(), Some("new"), "{owner} {mode:o}");
        }
        let host = with_copy(1000, 0o600).owned(PATH, 1000, 0o600);
        restore(&host, PATH.into(), &digest("new"), &|_| ()).await.unwrap();
        assert_eq!(host.content(PATH).as_deref(), Some("old"), "the user's own");
    }

    #[tokio::test]
    async fn links_and_open_directories_are_refused_before_anything_is_written() {
        for (host, code) in [
            (FakeHost::new().other(PATH, FileKind::Link), &code::HOST_UNSAFE),
            (FakeHost::new().other(PATH, FileKind::Other), &code::HOST_FILE),
            (
                FakeHost::new().file(PATH, "").other("/home/a/.kube", FileKind::Link).owned(
                    "/home/a/.kube",
                    7,
                    0o777,
                ),
                &code::HOST_UNSAFE,
            ),
            (
                FakeHost::new().file(PATH, "").directory("/home/a/.kube").owned("/home/a/.kube", 0, 0o777),
                &code::HOST_UNSAFE,
            ),
        ] {
            assert_eq!(refuse_unsafe(&host, PATH.into()).await.unwrap_err().code(), code);
        }
        let own_link = FakeHost::new().file(PATH, "").other("/home/a/.kube", FileKind::Link);
        refuse_unsafe(&own_link.owned("/home/a/.kube", 0, 0o777), PATH.into()).await.unwrap();
        refuse_unsafe(&FakeHost::new().directory("/tmp").owned("/tmp", 0, 0o1777), "/tmp/x".into())
            .await
            .unwrap();
    }
}
