//! Archives that only depend on what is in them.

use std::io::Write;

use anyhow::Result;
use flate2::{Compression, GzBuilder};
use tar::{Builder, EntryType, Header};

/// A file or a directory of an archive.
#[derive(Debug)]
pub struct Entry {
    path: String,
    mode: u32,
    owner: u64,
    content: Option<Vec<u8>>,
}

impl Entry {
    /// A file that everybody may read.
    pub fn file(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { path: path.into(), mode: 0o644, owner: 0, content: Some(content.into()) }
    }

    /// A program.
    pub fn program(path: impl Into<String>, content: impl Into<Vec<u8>>) -> Self {
        Self { mode: 0o755, ..Self::file(path, content) }
    }

    /// A directory of a user.
    pub fn directory(path: impl Into<String>, mode: u32, owner: u64) -> Self {
        Self { path: path.into(), mode, owner, content: None }
    }
}

/// A tar archive with the entries in the order of their names; every entry has the same time.
pub fn tar(mut entries: Vec<Entry>, epoch: u64) -> Result<Vec<u8>> {
    entries.sort_by(|one, other| one.path.cmp(&other.path));
    let mut builder = Builder::new(Vec::new());
    for entry in entries {
        let content = entry.content.as_deref().unwrap_or_default();
        let mut header = Header::new_ustar();
        header.set_entry_type(if entry.content.is_some() {
            EntryType::Regular
        } else {
            EntryType::Directory
        });
        header.set_mode(entry.mode);
        header.set_uid(entry.owner);
        header.set_gid(entry.owner);
        header.set_mtime(epoch);
        header.set_size(content.len().try_into()?);
        builder.append_data(&mut header, &entry.path, content)?;
    }
    Ok(builder.into_inner()?)
}

/// Compresses, without a name and a time.
pub fn gzip(content: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = GzBuilder::new().write(Vec::new(), Compression::best());
    encoder.write_all(content)?;
    Ok(encoder.finish()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_the_entries_is_not_in_the_bytes() {
        let one = || Entry::file("b", "1");
        let other = || Entry::program("a", "2");
        let bytes = tar(vec![one(), other()], 7).unwrap();
        assert_eq!(bytes, tar(vec![other(), one()], 7).unwrap());
        let mut archive = tar::Archive::new(&*bytes);
        let seen: Vec<_> = archive
            .entries()
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let header = entry.header();
                (entry.path().unwrap().display().to_string(), header.mode().unwrap(), header.mtime().unwrap())
            })
            .collect();
        assert_eq!(seen, [("a".into(), 0o755, 7), ("b".into(), 0o644, 7)]);
    }

    #[test]
    fn a_compressed_file_has_no_time() {
        let bytes = gzip(b"x").unwrap();
        assert_eq!(bytes[4..8], [0; 4]);
    }
}
