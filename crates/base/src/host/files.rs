//! Files of this machine: atomic, durable, and careful about what other users could have put in the way.

use std::fs::{File, Metadata};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;

use camino::{Utf8Path, Utf8PathBuf};
use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::checkpoint::reached;
use crate::error::{Error, Result, code};

/// `None` in place of "not found".
pub(super) fn existing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// The error of a file operation, with the code for its cause.
pub fn failed(error: &io::Error, verb: &str, path: &Utf8Path) -> Error {
    Error::of_file(error, format!("cannot {verb} it"), path)
}

/// Replaces a file's content so that a reader sees the old or the new one, even after a power failure.
pub(super) fn write(path: &Utf8Path, content: &[u8], mode: u32) -> Result<()> {
    let Some(directory) = path.parent() else {
        return Err(Error::new(&code::HOST_FILE, "the root directory is not a file").at(path.as_str()));
    };
    refuse_foreign_links(directory)?;
    make_directories(directory)?;
    refuse_open_directory(directory)?;
    let before = existing(std::fs::symlink_metadata(path)).map_err(|error| failed(&error, "access", path))?;
    refuse_other_than_file(path, before.as_ref())?;
    replace(path, directory, content, mode, before.as_ref()).map_err(|error| failed(&error, "write", path))
}

/// Renames within a file system; what is at `to` is never replaced.
pub(super) fn rename(from: &Utf8Path, to: &Utf8Path) -> Result<()> {
    rename_new(from, to).and_then(|()| sync_parents(from, to)).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::new(&code::HOST_FILE, format!("cannot move it to {to}: that exists")).at(from.as_str())
        }
        _ => failed(&error, "move", from),
    })
}

/// Makes missing directories; each belongs to the owner of the one that it is in.
fn make_directories(directory: &Utf8Path) -> Result<()> {
    if directory.as_str().is_empty() || directory.exists() {
        return Ok(());
    }
    let parent = directory.parent().unwrap_or(Utf8Path::new(""));
    make_directories(parent)?;
    make_directory(directory, parent).map_err(|error| failed(&error, "make", directory))
}

fn make_directory(directory: &Utf8Path, parent: &Utf8Path) -> io::Result<()> {
    match std::fs::create_dir(directory) {
        // Another process was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        result => result?,
    }
    rustix::fs::chmod(directory.as_std_path(), Mode::from_raw_mode(0o755))?;
    let owner = std::fs::metadata(or_here(parent))?;
    if is_foreign(&owner) {
        std::os::unix::fs::lchown(directory, Some(owner.uid()), Some(owner.gid()))?;
    }
    sync_directory(parent)
}

/// Another user controls where their link points. Links of root, such as /var/run, are the system's own.
fn refuse_foreign_links(directory: &Utf8Path) -> Result<()> {
    let me = rustix::process::geteuid().as_raw();
    for ancestor in directory.ancestors() {
        let found = existing(std::fs::symlink_metadata(or_here(ancestor)))
            .map_err(|error| failed(&error, "access", ancestor))?;
        if found.is_some_and(|found| found.is_symlink() && ![0, me].contains(&found.uid())) {
            let error = Error::new(&code::HOST_UNSAFE, "it is a symbolic link of another user");
            return Err(error.at(ancestor.as_str()));
        }
    }
    Ok(())
}

/// Anybody could replace a file in such a directory between check and use.
fn refuse_open_directory(directory: &Utf8Path) -> Result<()> {
    let metadata =
        std::fs::metadata(or_here(directory)).map_err(|error| failed(&error, "access", directory))?;
    let (mode, directory) = (metadata.mode(), or_here(directory));
    if mode & 0o002 != 0 && mode & 0o1000 == 0 {
        let error = Error::new(&code::HOST_UNSAFE, "the directory is world-writable");
        return Err(error.at(directory.as_str()).hint(format!("run `chmod o-w {directory}`")));
    }
    Ok(())
}

fn refuse_other_than_file(path: &Utf8Path, before: Option<&Metadata>) -> Result<()> {
    let Some(before) = before else { return Ok(()) };
    if before.is_symlink() {
        return Err(Error::new(&code::HOST_UNSAFE, "it is a symbolic link").at(path.as_str()));
    }
    if !before.is_file() {
        return Err(Error::new(&code::HOST_FILE, "it is not a regular file").at(path.as_str()));
    }
    Ok(())
}

fn replace(
    path: &Utf8Path,
    directory: &Utf8Path,
    content: &[u8],
    mode: u32,
    before: Option<&Metadata>,
) -> io::Result<()> {
    let temporary = unfinished(path);
    let owner = match before {
        Some(before) => before.clone(),
        None => std::fs::metadata(or_here(directory))?,
    };
    let result = fill(&temporary, content, mode, &owner)
        .inspect(|()| reached(|| format!("within the write of {path}")))
        .and_then(|()| std::fs::rename(&temporary, path))
        .and_then(|()| sync_directory(directory));
    if result.is_err() {
        // The first error is the one to report; a leftover is overwritten by the next attempt.
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// The temporary file of a write. Always the same name: what a killed run left is overwritten by the next one, and
/// found by `down`.
pub fn unfinished(path: &Utf8Path) -> Utf8PathBuf {
    path.with_file_name(format!(".{}.kvnet-new", path.file_name().unwrap_or_default()))
}

fn fill(temporary: &Utf8Path, content: &[u8], mode: u32, owner: &Metadata) -> io::Result<()> {
    // A leftover of a killed kvnet, or another user's file.
    existing(std::fs::remove_file(temporary))?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file: OwnedFd = rustix::fs::open(temporary.as_std_path(), flags, Mode::RUSR | Mode::WUSR)?;
    let mut file = File::from(file);
    file.write_all(content)?;
    if is_foreign(owner) {
        std::os::unix::fs::fchown(&file, Some(owner.uid()), Some(owner.gid()))?;
    }
    rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
    file.sync_all()
}

/// Whether a new file would get another owner; only root can give files away.
fn is_foreign(owner: &Metadata) -> bool {
    let me = rustix::process::geteuid().as_raw();
    me == 0 && (owner.uid() != me || owner.gid() != rustix::process::getegid().as_raw())
}

fn rename_new(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    let (from, to) = (from.as_std_path(), to.as_std_path());
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system, or a kernel before 3.15, without support for the flag.
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => rename_checked(from, to),
        result => Ok(result?),
    }
}

fn rename_checked(from: &std::path::Path, to: &std::path::Path) -> io::Result<()> {
    if rustix::fs::statat(CWD, to, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
        return Err(Errno::EXIST.into());
    }
    std::fs::rename(from, to)
}

fn sync_parents(from: &Utf8Path, to: &Utf8Path) -> io::Result<()> {
    for directory in [from.parent(), to.parent()].into_iter().flatten() {
        sync_directory(directory)?;
    }
    Ok(())
}

fn sync_directory(directory: &Utf8Path) -> io::Result<()> {
    File::open(or_here(directory))?.sync_all()
}

fn or_here(directory: &Utf8Path) -> &Utf8Path {
    if directory.as_str().is_empty() { Utf8Path::new(".") } else { directory }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn directory() -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        (directory, path)
    }

    #[test]
    fn a_file_is_made_with_its_parents_and_replaced() {
        let (_keep, root) = directory();
        let path = root.join("a/b/file");
        write(&path, b"one", 0o600).unwrap();
        write(&path, b"two", 0o640).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"two");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o7777, 0o640);
        assert_eq!(std::fs::metadata(root.join("a")).unwrap().mode() & 0o7777, 0o755);
        assert_eq!(std::fs::read_dir(root.join("a/b")).unwrap().count(), 1, "no temporary file stays");
    }

    #[test]
    fn a_symbolic_link_is_not_followed() {
        let (_keep, root) = directory();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link")).unwrap();
        let error = write(&root.join("link"), b"x", 0o600).unwrap_err();
        assert_eq!(error.code(), &code::HOST_UNSAFE);
    }

    #[test]
    fn a_link_of_another_user_on_the_way_is_not_followed() {
        let (_keep, root) = directory();
        std::fs::create_dir(root.join("real")).unwrap();
        std::os::unix::fs::symlink(root.join("real"), root.join("link")).unwrap();
        write(&root.join("link/mine"), b"x", 0o600).unwrap();
        if !rustix::process::geteuid().is_root() {
            return;
        }
        std::os::unix::fs::lchown(root.join("link"), Some(65_534), None).unwrap();
        let error = write(&root.join("link/new/theirs"), b"x", 0o600).unwrap_err();
        assert_eq!((error.code(), error.place()), (&code::HOST_UNSAFE, Some(root.join("link").as_str())));
        assert_eq!(std::fs::read_dir(root.join("real")).unwrap().count(), 1, "only the first file");
    }

    #[test]
    fn what_a_killed_run_left_is_written_over() {
        let (_keep, root) = directory();
        std::os::unix::fs::symlink("/etc/passwd", unfinished(&root.join("f"))).unwrap();
        write(&root.join("f"), b"x", 0o600).unwrap();
        assert_eq!(std::fs::read_dir(&root).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_that_everybody_writes_in_is_refused_unless_sticky() {
        let (_keep, root) = directory();
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert_eq!(write(&root.join("f"), b"x", 0o600).unwrap_err().code(), &code::HOST_UNSAFE);
        std::fs::set_permissions(&root, std::fs::Permissions::from_mode(0o1777)).unwrap();
        write(&root.join("f"), b"x", 0o600).unwrap();
    }

    #[test]
    fn a_move_never_replaces() {
        let (_keep, root) = directory();
        write(&root.join("a"), b"a", 0o600).unwrap();
        write(&root.join("b"), b"b", 0o600).unwrap();
        let error = rename(&root.join("a"), &root.join("b")).unwrap_err();
        assert!(error.message().contains("that exists"), "{error}");
        rename(&root.join("a"), &root.join("c")).unwrap();
        assert_eq!(std::fs::read(root.join("c")).unwrap(), b"a");
    }

    #[test]
    fn the_reason_decides_the_code() {
        let path = Utf8Path::new("/x");
        for (errno, code) in [
            (Errno::ACCESS, &code::HOST_PERMISSION),
            (Errno::NOSPC, &code::HOST_FULL),
            (Errno::DQUOT, &code::HOST_FULL),
            (Errno::ROFS, &code::HOST_READ_ONLY),
            (Errno::IO, &code::HOST_FILE),
        ] {
            let error = failed(&errno.into(), "write", path);
            assert_eq!((error.code(), error.place()), (code, Some("/x")));
        }
    }
}
