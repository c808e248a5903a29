//! The file that the profile is written to. It is on the machine that runs kvnet, not on the node, so it does not go
//! through the host boundary.

use camino::Utf8Path;

use crate::error::{Error, Result, code};
use crate::host::{FileKind, Host, local::LocalHost};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing, and a file can be created there.
    Nothing,
    File,
    /// Something other than a file.
    Other,
    /// Not even the directory.
    NoDirectory,
}

#[allow(clippy::disallowed_methods, reason = "see the module's comment")]
pub fn look(path: &str) -> Found {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => Found::File,
        Ok(_) => Found::Other,
        Err(_) if directory(path).is_dir() => Found::Nothing,
        Err(_) => Found::NoDirectory,
    }
}

/// Reads an answer as a path.
///
/// # Errors
/// Why it cannot be one.
pub fn accept(path: &str) -> Result<String, String> {
    let name = Utf8Path::new(path);
    let is_yaml = matches!(name.extension(), Some("yaml" | "yml"));
    if !is_yaml || name.file_stem().is_none() {
        return Err("end it in `.yaml`, so that kvnet recognises it as a file".into());
    }
    match look(path) {
        Found::Nothing | Found::File => Ok(path.to_owned()),
        Found::Other => Err(format!("{path} is not a file")),
        Found::NoDirectory => Err(format!("directory {} does not exist", directory(path))),
    }
}

/// Writes the file atomically; an existing one only with consent.
/// Fails with `KVN112` when it exists by now.
pub async fn write(path: &str, text: &str, replace: bool) -> Result<()> {
    let target = Utf8Path::new(path);
    if replace {
        return LocalHost.write(target, text.as_bytes(), 0o644).await;
    }
    let name = format!(".{}.kvnet-init-{}", target.file_name().unwrap_or_default(), std::process::id());
    let temporary = target.with_file_name(name);
    LocalHost.write(&temporary, text.as_bytes(), 0o644).await?;
    let moved = LocalHost.rename(&temporary, target).await;
    if moved.is_err() {
        LocalHost.remove(&temporary).await?;
        if LocalHost.stat(target).await?.is_some_and(|found| found.kind == FileKind::File) {
            return Err(exists(path));
        }
    }
    moved
}

/// The error that a file is not replaced without consent.
pub fn exists(path: &str) -> Error {
    Error::new(&code::FILE_EXISTS, "the file already exists and is left unchanged").at(path)
}

fn directory(path: &str) -> &Utf8Path {
    let parent = Utf8Path::new(path).parent().filter(|parent| !parent.as_str().is_empty());
    parent.unwrap_or(Utf8Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> (tempfile::TempDir, String) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.yaml").to_str().unwrap().to_owned();
        (directory, path)
    }

    #[test]
    fn only_a_place_for_a_yaml_file_is_accepted() {
        let (directory, path) = place();
        let inside = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
        std::fs::create_dir(inside("d.yaml")).unwrap();
        assert_eq!(accept(&path), Ok(path.clone()));
        for (name, reason) in [
            ("default", ".yaml"),
            (".yaml", ".yaml"),
            ("d.yaml", "is not a file"),
            ("none/a.yaml", "does not exist"),
        ] {
            assert!(accept(&inside(name)).unwrap_err().contains(reason), "{name}");
        }
    }

    #[tokio::test]
    async fn a_file_is_replaced_only_when_that_was_agreed_to() {
        let (directory, path) = place();
        write(&path, "one", false).await.unwrap();
        let error = write(&path, "two", false).await.unwrap_err();
        assert_eq!((error.code().id, std::fs::read_to_string(&path).unwrap().as_str()), ("KVN112", "one"));
        write(&path, "two", true).await.unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 1, "a temporary file is left");
    }
}
