//! Changes to the file system: by kvnet, subject to permissions, and by the node itself.

use camino::Utf8Path;
use rustix::io::Errno;
use serde_json::Value;

use super::entry::{self, Content, Entry};
use super::files::{Answer, Files, SEARCH, WRITE, key, parent};
use crate::host::FileKind;
use crate::store::Transaction;

/// Creates an entry and missing directories with mode 0755 on behalf of the node itself, regardless of permissions.
pub(super) fn put(transaction: &mut Transaction<'_>, path: &Utf8Path, entry: &Entry<'_>) -> Answer<()> {
    let path = Files { transaction, user: 0 }.real_path_of_new(path)?;
    make_directories(transaction, 0, &parent(&path))?;
    let value = entry.value();
    if transaction.value(&key(&path)).is_none_or(|before| **before != value) {
        transaction.put(&key(&path), value);
    }
    Ok(())
}

/// Replaces a file's content, or refuses to, as the local host does.
pub(super) fn write(
    transaction: &mut Transaction<'_>,
    user: u32,
    path: &Utf8Path,
    content: &[u8],
    mode: u32,
) -> Answer<()> {
    let files = Files { transaction, user };
    let path = files.real_path_of_new(path)?;
    let directory = parent(&path);
    make_directories(transaction, user, &directory)?;
    let files = Files { transaction, user };
    files.permit_change(&path)?;
    let above = files.entry(&directory)?;
    let owner = files.entry(&path).map_or(entry::uid(above), |value| entry::uid(value));
    let uid = if user == 0 { owner } else { user };
    transaction.put(&key(&path), Entry { content: Content::File(content), mode, uid }.value());
    Ok(())
}

/// Moves an entry with all that is below it; never replaces.
pub(super) fn rename(
    transaction: &mut Transaction<'_>,
    user: u32,
    from: &Utf8Path,
    to: &Utf8Path,
) -> Answer<()> {
    let files = Files { transaction, user };
    let (from, to) = (files.real_path(from, false)?, files.real_path(to, false)?);
    files.entry(&from)?;
    if files.entry(&to).is_ok() {
        return Err(Errno::EXIST);
    }
    if to.starts_with(&from) {
        return Err(Errno::INVAL);
    }
    replace(transaction, user, &from, &to)
}

/// Moves an entry over whatever file is at `to`.
pub(super) fn replace(
    transaction: &mut Transaction<'_>,
    user: u32,
    from: &Utf8Path,
    to: &Utf8Path,
) -> Answer<()> {
    let files = Files { transaction, user };
    let (from, to) = (files.real_path(from, false)?, files.real_path(to, false)?);
    files.entry(&from)?;
    files.permit_change(&from)?;
    files.permit_change(&to)?;
    if from != to {
        move_all(transaction, &from, &to);
    }
    Ok(())
}

/// Removes a file, link or socket; fine when there is none.
pub(super) fn remove(transaction: &mut Transaction<'_>, user: u32, path: &Utf8Path) -> Answer<bool> {
    let files = Files { transaction, user };
    let Some(stat) = files.stat(path)? else { return Ok(false) };
    if stat.kind == FileKind::Directory {
        return Err(Errno::ISDIR);
    }
    let path = files.real_path(path, false)?;
    files.permit_change(&path)?;
    transaction.remove(&key(&path));
    Ok(true)
}

/// Changes the permission bits of an entry, if it exists.
pub(super) fn set_mode(transaction: &mut Transaction<'_>, path: &Utf8Path, mode: u32) -> Answer<()> {
    let files = Files { transaction, user: 0 };
    let path = files.real_path(path, true)?;
    let Ok(value) = files.entry(&path) else { return Ok(()) };
    let mut value = value.as_ref().clone();
    value["mode"] = mode.into();
    transaction.put(&key(&path), value);
    Ok(())
}

/// Removes an entry on behalf of the node itself, regardless of permissions.
pub(super) fn drop(transaction: &mut Transaction<'_>, path: &Utf8Path) {
    if let Ok(path) = (Files { transaction, user: 0 }).real_path(path, false) {
        transaction.remove(&key(&path));
    }
}

/// Removes an empty directory.
pub(super) fn remove_directory(transaction: &mut Transaction<'_>, user: u32, path: &Utf8Path) -> Answer<()> {
    let files = Files { transaction, user };
    let path = files.real_path(path, false)?;
    if entry::kind(files.entry(&path)?) != FileKind::Directory {
        return Err(Errno::NOTDIR);
    }
    let below = format!("{}/", key(&path));
    if transaction.range(&below).next().is_some() {
        return Err(Errno::NOTEMPTY);
    }
    files.permit_change(&path)?;
    transaction.remove(&key(&path));
    Ok(())
}

/// Each new directory belongs to the owner of the one that it is in.
fn make_directories(transaction: &mut Transaction<'_>, user: u32, directory: &Utf8Path) -> Answer<()> {
    let files = Files { transaction, user };
    if let Ok(value) = files.entry(directory) {
        let is_directory = entry::kind(value) == FileKind::Directory;
        return if is_directory { Ok(()) } else { Err(Errno::NOTDIR) };
    }
    if directory == "/" {
        transaction.put(&key(directory), directory_of(0).value());
        return Ok(());
    }
    let above = parent(directory);
    make_directories(transaction, user, &above)?;
    let files = Files { transaction, user };
    let value = files.entry(&above)?;
    files.permit(value, WRITE | SEARCH)?;
    let uid = if user == 0 { entry::uid(value) } else { user };
    transaction.put(&key(directory), directory_of(uid).value());
    Ok(())
}

fn directory_of(uid: u32) -> Entry<'static> {
    Entry { content: Content::Directory, mode: 0o755, uid }
}

fn move_all(transaction: &mut Transaction<'_>, from: &Utf8Path, to: &Utf8Path) {
    let (from, to) = (key(from), key(to));
    let below = format!("{from}/");
    let mut moved: Vec<(String, Value)> =
        transaction.range(&below).map(|(key, value)| (key.to_owned(), value.as_ref().clone())).collect();
    moved.extend(transaction.value(&from).map(|value| (from.clone(), value.as_ref().clone())));
    for (key, value) in moved {
        transaction.put(&format!("{to}{}", &key[from.len()..]), value);
        transaction.remove(&key);
    }
}
