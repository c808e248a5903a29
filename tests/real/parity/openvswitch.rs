//! The real database of Open vSwitch and the real `ovs-vsctl`, in a temporary folder, without its kernel module and without
//! the switch itself.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::kubernetes::Parts;
use kvnet_test_kit::parity::switch::{Story, answer};

/// For the database to listen.
const PATIENCE: Duration = Duration::from_secs(20);
/// The packages that it is made of; the rest is on every Debian, or on the rig's node.
const PACKAGES: [&str; 3] = ["openvswitch-switch_", "openvswitch-common_", "lib"];

/// Debian's packages, unpacked.
struct Programs {
    folder: tempfile::TempDir,
    libraries: String,
}

/// A database that ends with this.
struct Database<'a> {
    programs: &'a Programs,
    folder: tempfile::TempDir,
    server: Child,
}

impl Drop for Database<'_> {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// The answers of the real program; each story has a new database.
pub fn answers(parts: &Parts, stories: &[Story]) -> Vec<Vec<Value>> {
    let programs = Programs::unpack(&parts.debian);
    let told = |story: &Story| {
        let database = Database::start(&programs);
        story.lines.iter().map(|line| database.run(line)).collect()
    };
    stories.iter().map(told).collect()
}

impl Programs {
    /// From the packages that the rig's nodes install.
    fn unpack(debian: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("kvnet-parity-").tempdir().expect("a folder");
        let packages = std::fs::read_dir(debian.join("var/lib/kvnet-rig/apt")).expect("the packages");
        for package in packages {
            let package = package.expect("a package");
            let name = package.file_name().to_string_lossy().into_owned();
            if PACKAGES.iter().any(|start| name.starts_with(start))
                && Path::new(&name).extension().is_some_and(|end| end == "deb")
            {
                let mut command = Command::new("dpkg-deb");
                command.arg("--extract").arg(package.path()).arg(folder.path());
                assert!(command.status().expect("dpkg-deb runs").success(), "{name}");
            }
        }
        let library = |root: &Path| root.join("usr/lib/x86_64-linux-gnu").display().to_string();
        let libraries = format!("{}:{}", library(folder.path()), library(debian));
        Self { folder, libraries }
    }

    fn command(&self, program: &str, state: &Path) -> Command {
        let mut command = Command::new(self.folder.path().join(program));
        command.env("LD_LIBRARY_PATH", &self.libraries).stdin(Stdio::null());
        for variable in ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"] {
            command.env(variable, state);
        }
        command
    }
}

impl<'a> Database<'a> {
    /// A new database, as the start script of the package makes it.
    fn start(programs: &'a Programs) -> Self {
        let folder = tempfile::Builder::new().prefix("kvnet-parity-").tempdir().expect("a folder");
        let (file, socket) = (folder.path().join("conf.db"), folder.path().join("db.sock"));
        let schema = programs.folder.path().join("usr/share/openvswitch/vswitch.ovsschema");
        let mut create = programs.command("usr/bin/ovsdb-tool", folder.path());
        assert!(create.arg("create").arg(&file).arg(schema).status().expect("ovsdb-tool runs").success());
        let mut server = programs.command("usr/sbin/ovsdb-server", folder.path());
        let remote = format!("--remote=punix:{}", socket.display());
        server.arg(&file).arg(remote).stderr(Stdio::null());
        let server = server.spawn().expect("ovsdb-server runs");
        let begin = Instant::now();
        while !socket.exists() {
            assert!(begin.elapsed() < PATIENCE, "the database does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        let database = Self { programs, folder, server };
        let version = "-- init -- set Open_vSwitch . db-version=8.3.1 ovs-version=3.1.0";
        let made = database.output(&version.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        database
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("db.sock")
    }

    fn output(&self, words: &[String]) -> std::process::Output {
        let mut command = self.programs.command("usr/bin/ovs-vsctl", self.folder.path());
        // Its complaints begin with the name that it was called by.
        command
            .arg0("ovs-vsctl")
            .arg("--no-wait")
            .arg(format!("--db=unix:{}", self.socket().display()))
            .args(words);
        command.output().expect("ovs-vsctl runs")
    }

    fn run(&self, words: &[String]) -> Value {
        let output = self.output(words);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        answer(output.status.code().unwrap_or(-1), &text(&output.stdout), &text(&output.stderr))
    }
}
