//! The sums of the artefacts, and their signature by OpenSSH, which nearly every machine can check.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};

use crate::run;

/// Who signs, in the list of allowed signers.
pub const SIGNER: &str = "kvnet-release";
/// What a signature is for: one of another namespace is not valid here.
pub const NAMESPACE: &str = "kvnet-release";

/// The SHA-256 of bytes, in hexadecimal.
pub fn sha256(content: &[u8]) -> String {
    Sha256::digest(content).iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

/// A private key, in a file that is gone with this value.
#[derive(Debug)]
pub struct Key {
    folder: tempfile::TempDir,
}

impl Key {
    /// Takes the text of the key.
    pub fn new(text: &str) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700))?;
        let key = Self { folder };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(key.path())?;
        // Without its last newline, which variables of CI lose, it is not a key.
        file.write_all(format!("{}\n", text.trim()).as_bytes())?;
        Ok(key)
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("key")
    }

    /// The line of the public key for a file of allowed signers.
    pub fn allowed_signer(&self) -> Result<String> {
        let mut command = Command::new("ssh-keygen");
        let public = run::output(command.arg("-y").arg("-P").arg("").arg("-f").arg(self.path()));
        let public =
            public.context("the signing key is not a private key of OpenSSH without a passphrase")?;
        let key: Vec<&str> = public.split_whitespace().take(2).collect();
        Ok(format!("{SIGNER} namespaces=\"{NAMESPACE}\" {}\n", key.join(" ")))
    }

    /// Writes the signature of a file beside it, as `FILE.sig`.
    pub fn sign(&self, file: &Path) -> Result<()> {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]).arg(self.path()).arg(file);
        run::output(&mut command).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_that_of_sha256sum() {
        assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }

    /// What the user types to verify: `ssh-keygen -Y verify`.
    fn verifies(folder: &Path) -> bool {
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-Y", "verify", "-n", NAMESPACE, "-I", SIGNER, "-f"]).arg(folder.join("signers"));
        let file = fs::File::open(folder.join("SUMS")).unwrap();
        command.arg("-s").arg(folder.join("SUMS.sig")).stdin(file).output().unwrap().status.success()
    }

    #[test]
    fn what_is_signed_verifies_until_it_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let made = folder.join("made");
        let mut command = Command::new("ssh-keygen");
        command.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&made);
        run::output(&mut command).unwrap();
        // As it comes out of a variable of CI.
        let text = fs::read_to_string(&made).unwrap();
        let key = Key::new(text.trim_end()).unwrap();
        fs::write(folder.join("signers"), key.allowed_signer().unwrap()).unwrap();
        fs::write(folder.join("SUMS"), "00  kvnet\n").unwrap();
        key.sign(&folder.join("SUMS")).unwrap();
        assert!(verifies(folder));
        fs::write(folder.join("SUMS"), "01  kvnet\n").unwrap();
        assert!(!verifies(folder));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        let error = Key::new("nonsense").unwrap().allowed_signer().unwrap_err();
        assert_eq!(error.to_string(), "the signing key is not a private key of OpenSSH without a passphrase");
    }
}
