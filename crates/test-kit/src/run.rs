//! Runs the binary in a place of its own.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// Debian's `nobody`: cannot write anywhere that matters.
const NOBODY: u32 = 65_534;

/// The binary that cargo built with the test programs: two folders above them.
pub fn kvnet() -> &'static Path {
    static KVNET: LazyLock<PathBuf> = LazyLock::new(|| {
        let program = std::env::current_exe().unwrap();
        program.ancestors().nth(2).unwrap().join("kvnet")
    });
    &KVNET
}

/// How the binary is started.
#[derive(Clone, Copy, Debug)]
pub enum As {
    /// As whoever runs the tests; for commands that change nothing.
    Tester,
    /// As a user who may change nothing on this machine.
    Nobody,
    /// As that user, with the state directory on a file system without space.
    NobodyOnFullDisk,
    /// As that user, with the state directory on a read-only file system.
    NobodyOnReadOnlyDisk,
}

/// A temporary directory that stands for the user's home, with kubeconfigs in it.
pub struct Place(tempfile::TempDir);

impl Place {
    pub fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let place = Self(directory);
        // Nobody listens on port 1.
        place.kubeconfig("refused.yaml", "https://127.0.0.1:1");
        place.give("state");
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        owned_by_nobody(&self.path(name));
    }

    /// A kubeconfig with the context `here` for that server.
    pub fn kubeconfig(&self, name: &str, server: &str) {
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: here\n\
             clusters: [{{name: c, cluster: {{server: '{server}'}}}}]\n\
             users: [{{name: u, user: {{token: token-canary}}}}]\n\
             contexts: [{{name: here, context: {{cluster: c, user: u}}}}]\n"
        );
        self.write(name, &text);
    }

    /// A directory that only the unprivileged user can use.
    pub fn give(&self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o700)).unwrap();
        owned_by_nobody(&self.path(name));
    }

    /// A directory that only the tester can use.
    pub fn mine(&self, name: &str) {
        fs::create_dir(self.path(name)).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o700)).unwrap();
    }

    /// Runs the binary with a clean environment; `DIR` in an argument is this place.
    pub fn kvnet(&self, who: As, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
        self.command(who, arguments, variables).output().unwrap()
    }

    /// The same, to be started. The process is the binary's.
    pub fn command(&self, who: As, arguments: &[&str], variables: &[(&str, &str)]) -> Command {
        let here = self.0.path().to_str().unwrap();
        let script = start(who);
        // kvnet refuses a state directory of another user.
        if is_root() {
            let owner = if matches!(who, As::Tester) { 0 } else { NOBODY };
            chown(self.path("state"), Some(owner), Some(owner)).unwrap();
        }
        let mut command = Command::new("/bin/bash");
        command.args(["-c", &script, "kvnet"]).args(arguments.iter().map(|text| text.replace("DIR", here)));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", here).env("KVNET_STATE_DIR", self.path("state")).env("PLACE", here);
        // The program is opened as root, so that the user need not have a way to it.
        command.env("PROGRAM", kvnet()).stdin(Stdio::null());
        command.envs(variables.iter().map(|(name, value)| (name, value.replace("DIR", here))));
        command
    }
}

fn owned_by_nobody(path: &Path) {
    if is_root() {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
}

/// The script that starts `$PROGRAM` with the arguments.
fn start(who: As) -> String {
    let drop_rights = if is_root() {
        let id = NOBODY;
        format!(
            "exec 9<\"$PROGRAM\"; exec /usr/bin/setpriv --reuid={id} --regid={id} --clear-groups /proc/self/fd/9 \"$@\""
        )
    } else {
        "exec \"$PROGRAM\" \"$@\"".into()
    };
    let mounted = |script: &str| {
        let namespace = if is_root() { "--mount" } else { "--mount --user --map-root-user" };
        let script = format!("set -eu; {script}; {drop_rights}").replace('\'', "'\\''");
        format!("exec unshare {namespace} bash -c '{script}' kvnet \"$@\"")
    };
    // In a user namespace the tester is number 0.
    let owner = if is_root() { NOBODY } else { 0 };
    let options = format!("mode=700,uid={owner},gid={owner}");
    match who {
        As::Tester => "exec \"$PROGRAM\" \"$@\"".into(),
        As::Nobody => drop_rights,
        As::NobodyOnFullDisk => mounted(&format!(
            "mount -t tmpfs -o size=64k,{options} full \"$PLACE/state\"; \
             head -c 64k /dev/zero >\"$PLACE/state/filler\""
        )),
        As::NobodyOnReadOnlyDisk => {
            mounted(&format!("mount -t tmpfs -o ro,{options} still \"$PLACE/state\""))
        }
    }
}

pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
