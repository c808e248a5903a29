//! A sandbox after `up` that smoke tests run on, and ways to change it behind kvnet's back.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use camino::Utf8PathBuf;
use kvnet::cluster::ObjectKey;
use kvnet::profile;
use kvnet::sandbox::api::Removal;
use kvnet::sandbox::store::Store;
use kvnet::sandbox::{Options, Sandbox};
use serde_json::Value;

use crate::KVNET;
use kvnet_test_kit::run::text;

/// The sandbox is in the program, so none of this touches the machine.
pub fn kvnet(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(KVNET);
    command.args(arguments).arg("--sandbox-dir").arg(directory.join("box"));
    command.env_clear().env("HOME", directory).stdin(Stdio::null()).current_dir(directory);
    command
}

/// How a run of cases ended.
pub struct Ran {
    pub code: Option<i32>,
    pub report: Value,
    pub err: String,
}

impl Ran {
    pub fn case(&self, name: &str) -> &Value {
        let cases = self.report["cases"].as_array().expect("cases");
        cases
            .iter()
            .find(|case| case["case"] == name)
            .unwrap_or_else(|| panic!("no {name} in {}", self.report))
    }

    pub fn names(&self, status: &str) -> Vec<&str> {
        let cases = self.report["cases"].as_array().expect("cases").iter();
        cases.filter(|case| case["status"] == status).filter_map(|case| case["case"].as_str()).collect()
    }
}

/// A directory with a sandbox in it, after `up`.
pub struct Place(pub tempfile::TempDir);

pub const WITHOUT_KUBEVIRT: [&str; 2] = ["--skip", "kubevirt,vm"];
pub static UP: LazyLock<Place> = LazyLock::new(|| Place::up(&WITHOUT_KUBEVIRT));

impl Place {
    pub fn up(options: &[&str]) -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let arguments = [&["up", "--timeout", "120"], options].concat();
        let output = kvnet(place.0.path(), &arguments).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        place
    }

    /// Another one that is as this one is now.
    pub fn copy(&self) -> Self {
        let copy = Self(tempfile::tempdir().unwrap());
        copy_tree(&self.path("box"), &copy.path("box"));
        copy
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn smoke(&self, arguments: &[&str]) -> Ran {
        let arguments = [&["smoke", "-o", "json"], arguments, &WITHOUT_KUBEVIRT].concat();
        let output = kvnet(self.0.path(), &arguments).output().unwrap();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        let report = serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}{err}"));
        Ran { code: output.status.code(), report, err }
    }

    /// Opens the sandbox and does something to it behind kvnet's back.
    pub fn change(&self, change: impl FnOnce(&Sandbox)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let _inside = runtime.enter();
        let directory = Utf8PathBuf::from_path_buf(self.path("box")).unwrap();
        let options = Options { directory: Some(directory), ..Options::default() };
        let profile = profile::load("default", &[]).unwrap().profile;
        let sandbox = Sandbox::open(&options, &profile).unwrap();
        change(&sandbox);
        sandbox.settle().unwrap();
    }

    /// Everything that the sandbox consists of, by its key.
    pub fn values(&self) -> BTreeMap<String, Value> {
        let directory = Utf8PathBuf::from_path_buf(self.path("box")).unwrap();
        let store = Store::on_disk(&directory).unwrap();
        let all = |store: &kvnet::sandbox::store::Transaction<'_>| {
            store.range("").map(|(key, value)| (key.to_owned(), value.as_ref().clone())).collect()
        };
        store.read(all).unwrap()
    }

    /// Whether no object of a case is left.
    pub fn is_clean(&self) -> bool {
        let values = self.values();
        let left: Vec<&String> =
            values.keys().filter(|key| key.starts_with("api/") && key.contains("kvnet-smoke")).collect();
        for key in &left {
            eprintln!("{key} is left");
        }
        left.is_empty()
    }
}

pub fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
    // kvnet refuses a state directory that others may change.
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
}

pub fn network(name: &str) -> ObjectKey {
    ObjectKey::new("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", Some("default"), name)
}

pub fn delete(sandbox: &Sandbox, key: &ObjectKey) {
    assert!(sandbox.api().delete(key, Removal::Asked).unwrap(), "{key}");
}

pub fn update(sandbox: &Sandbox, key: &ObjectKey, change: impl FnOnce(&mut Value)) {
    let mut object = sandbox.api().get(key).unwrap().unwrap_or_else(|| panic!("there is no {key}"));
    change(&mut object);
    sandbox.api().update("somebody", &object).unwrap();
}

pub fn configure(sandbox: &Sandbox, name: &str, change: impl FnOnce(&mut serde_json::Map<String, Value>)) {
    update(sandbox, &network(name), |network| {
        let mut config: Value = serde_json::from_str(network["spec"]["config"].as_str().unwrap()).unwrap();
        change(config.as_object_mut().unwrap());
        network["spec"]["config"] = config.to_string().into();
    });
}

pub fn ovs_vsctl(sandbox: &Sandbox, arguments: &[&str]) {
    use kvnet::host::Host;
    let command = kvnet::host::Command::new(["ovs-vsctl"].iter().chain(arguments).copied());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let node = sandbox.node().clone();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(runtime.block_on(node.run(&command)).unwrap().success()));
    });
}
