//! Small files of this machine whose paths come from elsewhere: a kubeconfig, keys, tokens. Never a pipe that waits for
//! a writer, an endless device, or a kernel file.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags};

/// How many bytes such a file may have.
pub const MOST: u64 = 1 << 20;

/// What was read.
#[derive(Debug)]
pub struct Small {
    /// All of the file.
    pub content: Vec<u8>,
    /// Whether anyone other than its owner, root and the group root can write the file itself, or replace it.
    pub open_to: Option<String>,
}

/// Reads a regular file of at most [`MOST`] bytes. Never blocks: anything else is refused before it is read.
pub fn read(path: &Path) -> io::Result<Small> {
    let file = open(path)?;
    let metadata = file.metadata()?;
    if metadata.len() > MOST {
        return Err(unusable("it is bigger than 1 MiB"));
    }
    let mut content = Vec::new();
    (&file).take(MOST + 1).read_to_end(&mut content)?;
    if content.len() as u64 > MOST {
        return Err(unusable("it is bigger than 1 MiB"));
    }
    Ok(Small { content, open_to: open_to(path, &metadata) })
}

/// Opens a regular file of any size for reading. Never blocks.
pub fn open(path: &Path) -> io::Result<File> {
    // Without NONBLOCK, opening a FIFO waits for a writer.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = File::from(rustix::fs::openat(CWD, path, flags, Mode::empty())?);
    refuse(&file, &file.metadata()?)?;
    Ok(file)
}

fn refuse(file: &File, metadata: &Metadata) -> io::Result<()> {
    use std::os::unix::fs::FileTypeExt;
    let kind = metadata.file_type();
    let what = if kind.is_dir() {
        "it is a directory"
    } else if kind.is_fifo() {
        "it is a pipe, not a regular file"
    } else if kind.is_socket() {
        "it is a socket, not a regular file"
    } else if !kind.is_file() {
        "it is a device, not a regular file"
    } else if is_of_the_kernel(file)? {
        "it is a kernel file, not a regular file"
    } else {
        return Ok(());
    };
    Err(unusable(what))
}

/// Files of `/proc` and `/sys` claim to be regular, with a size of 0 or of a page.
fn is_of_the_kernel(file: &File) -> io::Result<bool> {
    const SYSFS_MAGIC: rustix::fs::FsWord = 0x6265_6572;
    let system = rustix::fs::fstatfs(file)?.f_type;
    Ok([rustix::fs::PROC_SUPER_MAGIC, SYSFS_MAGIC].contains(&system))
}

fn open_to(path: &Path, metadata: &Metadata) -> Option<String> {
    let loose = |metadata: &Metadata| {
        metadata.mode() & 0o002 != 0 || (metadata.mode() & 0o020 != 0 && metadata.gid() != 0)
    };
    if loose(metadata) {
        return Some(format!("its mode is {:04o}", metadata.mode() & 0o7777));
    }
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let around = std::fs::metadata(directory).ok()?;
    // In a sticky directory only the owner of a file can move it away.
    let sticky = around.mode() & 0o1000 != 0;
    (loose(&around) && !sticky)
        .then(|| format!("the mode of {} is {:04o}", directory.display(), around.mode() & 0o7777))
}

fn unusable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn why(path: &str) -> String {
        read(Path::new(path)).unwrap_err().to_string()
    }

    #[test]
    fn what_is_no_regular_file_is_refused_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let fifo = directory.path().join("fifo");
        rustix::fs::mknodat(CWD, &fifo, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(why(fifo.to_str().unwrap()).contains("pipe"));
        for (path, says) in [
            ("/dev/zero", "device"),
            ("/dev/tty", ""),
            ("/proc/self/status", "kernel"),
            ("/proc/kmsg", ""),
            ("/sys/kernel/uevent_seqnum", "kernel"),
            ("/", "directory"),
            ("/nonexistent", "No such file"),
        ] {
            assert!(why(path).contains(says), "{path}: {}", why(path));
        }
    }

    #[test]
    fn a_file_may_have_a_mebibyte() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, vec![b'x'; 1 << 20]).unwrap();
        assert_eq!(read(&path).unwrap().content.len(), 1 << 20);
        std::fs::write(&path, vec![b'x'; (1 << 20) + 1]).unwrap();
        assert!(why(path.to_str().unwrap()).contains("1 MiB"));
    }

    #[test]
    fn a_file_that_others_can_change_or_replace_is_known() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "x").unwrap();
        let mode = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        mode(&path, 0o644);
        assert_eq!(read(&path).unwrap().open_to, None);
        mode(&path, 0o646);
        assert_eq!(read(&path).unwrap().open_to.unwrap(), "its mode is 0646");
        mode(&path, 0o600);
        mode(directory.path(), 0o777);
        assert!(read(&path).unwrap().open_to.unwrap().contains("the mode of"));
        mode(directory.path(), 0o1777);
        assert_eq!(read(&path).unwrap().open_to, None);
    }
}
