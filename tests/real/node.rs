//! A node of the rig, as a guard: it is stopped when the story ends, also when it ends with a panic.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const RIG: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/rig");
/// Nodes are called `real-PROCESS-STORY`: each run has its own.
const PREFIX: &str = "real-";
const KVNET: &str = env!("CARGO_BIN_EXE_kvnet");

/// A running node with kvnet on it.
pub struct Node {
    name: String,
    started: Instant,
}

impl Node {
    /// A fresh node with a control plane that has given the node its pod addresses, and nothing else.
    pub fn start(story: &str) -> Self {
        Self::start_with(story, &[])
    }

    /// As [`Node::start`], with further options of the rig.
    pub fn start_with(story: &str, options: &[&str]) -> Self {
        let node = Self::boot(story, options);
        node.wait_for_pod_addresses();
        node
    }

    /// A fresh node without any cluster.
    pub fn start_empty(story: &str) -> Self {
        Self::start_empty_with(story, &[])
    }

    /// As [`Node::start_empty`], with further options of the rig.
    pub fn start_empty_with(story: &str, options: &[&str]) -> Self {
        Self::boot(story, &[&["--no-init"], options].concat())
    }

    fn boot(story: &str, options: &[&str]) -> Self {
        stop_orphans();
        let name = format!("{PREFIX}{}-{story}", std::process::id());
        let node = Self { name, started: Instant::now() };
        let mut arguments = vec!["start", node.name.as_str()];
        arguments.extend(options);
        let started = rig(&arguments);
        must(&arguments, &started);
        node.say_substitutions(&String::from_utf8_lossy(&started.stderr));
        node.copy(Path::new(KVNET), "/usr/local/bin/kvnet");
        node.say("the node is up");
        node
    }

    /// What the rig has in the place of something real.
    fn say_substitutions(&self, told: &str) {
        for line in told.lines().filter_map(|line| line.strip_prefix("rig: substituted")) {
            self.say(&format!("substituted{line}"));
        }
    }

    /// The controller manager gives them out some seconds after `kubeadm init` has ended.
    pub fn wait_for_pod_addresses(&self) {
        self.sh("kubectl wait node --all --for=jsonpath='{.spec.podCIDR}' --timeout=60s");
    }

    fn story(&self) -> &str {
        self.name.rsplit('-').next().unwrap_or_default()
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// Tells what is going on.
    pub fn say(&self, what: &str) {
        eprintln!("{:9} {:6.1} s: {what}", self.story(), self.started.elapsed().as_secs_f64());
    }

    /// Runs a command, whatever its exit code.
    pub fn run(&self, argv: &[&str]) -> Output {
        let mut arguments = vec!["exec", self.name()];
        arguments.extend(argv);
        rig(&arguments)
    }

    /// What a shell script prints; it must succeed.
    pub fn sh(&self, script: &str) -> String {
        let output = self.run(&["bash", "-euo", "pipefail", "-c", script]);
        must(&[script], &output);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Whether a shell script succeeds.
    pub fn holds(&self, script: &str) -> bool {
        self.run(&["bash", "-euo", "pipefail", "-c", script]).status.success()
    }

    /// Runs a shell script until it succeeds, for a minute at most.
    pub fn until(&self, what: &str, script: &str) {
        self.until_in(Duration::from_mins(1), what, script);
    }

    /// Runs a shell script until it succeeds, for `limit` at most.
    pub fn until_in(&self, limit: Duration, what: &str, script: &str) {
        let deadline = Instant::now() + limit;
        while !self.holds(script) {
            assert!(Instant::now() < deadline, "timed out: {what}");
        }
    }

    /// What a shell script prints, as JSON.
    pub fn json(&self, script: &str) -> serde_json::Value {
        let text = self.sh(script);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{script}: {error}: {text}"))
    }

    /// Copies a file into the node.
    pub fn copy(&self, source: &Path, destination: &str) {
        let arguments = ["copy", self.name(), source.to_str().expect("UTF-8"), destination];
        must(&arguments, &rig(&arguments));
    }

    /// Writes a file in the node.
    pub fn write(&self, path: &str, text: &str) {
        let file = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(file.path(), text).expect("written");
        self.copy(file.path(), path);
    }

    /// Applies manifests with kubectl.
    pub fn apply(&self, manifests: &str) {
        self.write("/root/apply.yaml", manifests);
        self.sh("kubectl apply -f /root/apply.yaml");
    }

    /// Reboots and waits until the API server answers again.
    pub fn reboot(&self) {
        must(&["reboot"], &rig(&["reboot", self.name()]));
    }

    /// Serves the upstream manifests to the node; returns the mirror's address.
    pub fn mirror(&self) -> String {
        let output = rig(&["mirror", self.name()]);
        must(&["mirror"], &output);
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// Serves a folder that is laid out like the manifests.
    pub fn mirror_of(&self, folder: &Path) {
        let arguments = ["mirror", self.name(), folder.to_str().expect("UTF-8")];
        must(&arguments, &rig(&arguments));
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if std::thread::panicking() && std::env::var_os("KVNET_REAL_KEEP").is_some() {
            self.say("failed; the node is kept");
            return;
        }
        self.say("the story ends");
        rig(&["stop", self.name()]);
    }
}

/// Where the rig has the upstream manifests.
pub fn manifests() -> std::path::PathBuf {
    let output = rig(&["manifests"]);
    must(&["manifests"], &output);
    String::from_utf8_lossy(&output.stdout).trim().into()
}

/// Copies a folder with all that is in it.
pub fn copy_tree(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("made");
    for entry in std::fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_tree(&source, &target);
        } else {
            std::fs::copy(&source, &target).expect("copied");
        }
    }
}

/// A run that was killed could not stop its nodes; runs at the same time keep theirs.
fn stop_orphans() {
    let list = rig(&["list"]);
    must(&["list"], &list);
    let list = String::from_utf8_lossy(&list.stdout).into_owned();
    for name in list.lines().filter_map(|line| line.split_whitespace().next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|process| !Path::new("/proc").join(process).exists()) {
            rig(&["stop", name]);
        }
    }
}

fn rig(arguments: &[&str]) -> Output {
    Command::new(RIG).args(arguments).stdin(Stdio::null()).output().expect("the rig runs")
}

fn must(what: &[&str], output: &Output) {
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {}\n{out}\n{err}", what.join(" "), output.status);
}
