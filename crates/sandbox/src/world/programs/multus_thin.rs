//! Multus without a daemon: the thin one of today, and the one of 2018.

use camino::Utf8PathBuf;
use serde_json::{Value, json};

use super::multus::capabilities;
use super::{Program, ProgramState, Task};
use crate::error::Result;
use crate::world::cni::runtime::Configuration;

const TARGET: &str = "/host/opt/cni/bin";
const DIRECTORY: &str = "/host/etc/cni/net.d";
const KUBECONFIG: &str = "multus.d/multus.kubeconfig";

/// The thin Multus of today.
pub(super) struct Entrypoint;

impl Program for Entrypoint {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        let Some(directory) = directory(task) else {
            return Ok(ProgramState::Failed(format!("{DIRECTORY} is not mounted")));
        };
        let configuration = match master(task, &directory)? {
            Ok(configuration) => configuration,
            Err(complaint) => return Ok(ProgramState::Failed(complaint)),
        };
        write_kubeconfig(task, &directory)?;
        write(task, &directory, &configuration)?;
        Ok(ProgramState::Running { ready: true })
    }

    /// It only looks at its master's file again when it also cleans up.
    fn is_quiet(&self) -> bool {
        false
    }

    fn tend(&self, task: &Task<'_>) -> Result<ProgramState> {
        if let Some(directory) = directory(task).filter(|_| cleans_up(task))
            && let Ok(configuration) = master(task, &directory)?
        {
            write(task, &directory, &configuration)?;
        }
        Ok(ProgramState::Running { ready: true })
    }

    fn stop(&self, task: &Task<'_>) -> Result<()> {
        let Some(directory) = directory(task).filter(|_| cleans_up(task)) else { return Ok(()) };
        for name in ["00-multus.conf", "00-multus.conflist"] {
            task.scene.node.remove_file(directory.join(name))?;
        }
        Ok(())
    }

    fn seconds(&self) -> f64 {
        1.0
    }
}

fn cleans_up(task: &Task<'_>) -> bool {
    task.option("cleanup-config-on-exit") == Some("true")
}

fn directory(task: &Task<'_>) -> Option<Utf8PathBuf> {
    task.on_node(task.option("multus-autoconfig-dir").unwrap_or(DIRECTORY))
}

fn master(task: &Task<'_>, directory: &Utf8PathBuf) -> Result<Result<Configuration, String>> {
    let names = task.scene.node.names(directory)?.unwrap_or_default();
    let is_one = |name: &&String| match task.option("multus-master-cni-file-name") {
        Some(master) => *name == master,
        None => {
            [".conf", ".conflist"].iter().any(|end| name.ends_with(end))
                && !name.starts_with("00-multus.conf")
        }
    };
    let Some(name) = names.iter().find(is_one) else {
        return Ok(Err("failed to find the cluster master CNI plugin: no configuration found".into()));
    };
    let text = task.scene.node.text(directory.join(name))?.unwrap_or_default();
    let whole: Value = serde_json::from_str(&text).unwrap_or_default();
    let Some(configuration) = Configuration::parse(&whole) else {
        return Ok(Err(format!("cannot parse the master CNI config file {name}")));
    };
    if whole["cniVersion"].as_str().is_none() {
        return Ok(Err("cannot get cniVersion in master CNI config file".into()));
    }
    Ok(Ok(configuration))
}

/// A list when the master's configuration is of CNI 1.0.0 or newer.
fn write(task: &Task<'_>, directory: &Utf8PathBuf, master: &Configuration) -> Result<()> {
    let version = master.whole["cniVersion"].as_str().unwrap_or("0.3.1");
    let mut own = json!({
        "cniVersion": version,
        "name": "multus-cni-network",
        "type": "multus",
        "capabilities": capabilities(master),
        "cniConf": "/host/etc/cni/multus/net.d",
    });
    if let Some(file) = task.option("readiness-indicator-file") {
        own["readinessindicatorfile"] = file.into();
    }
    let kubeconfig = task.option("multus-kubeconfig-file-host");
    own["kubeconfig"] = kubeconfig.unwrap_or("/etc/cni/net.d/multus.d/multus.kubeconfig").into();
    own["delegates"] = json!([master.whole]);
    let (name, whole) = if version.starts_with('0') {
        ("00-multus.conf", own)
    } else {
        let list = json!({"cniVersion": version, "name": "multus-cni-network", "plugins": [own]});
        ("00-multus.conflist", list)
    };
    task.scene.node.put_file(directory.join(name), whole.to_string().as_bytes(), 0o600)
}

fn write_kubeconfig(task: &Task<'_>, directory: &Utf8PathBuf) -> Result<()> {
    let text = "# Kubeconfig file for Multus CNI plugin.\napiVersion: v1\nkind: Config\n";
    task.scene.node.put_file(directory.join(KUBECONFIG), text.as_bytes(), 0o600)
}

/// Multus v3.1: copies a fixed configuration with flannel in it, and sleeps.
pub(super) struct EntrypointOf2018;

impl Program for EntrypointOf2018 {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        let Some(directory) = directory(task) else {
            return Ok(ProgramState::Failed(format!("{DIRECTORY} is not mounted")));
        };
        task.install(TARGET, "multus", "multus")?;
        write_kubeconfig(task, &directory)?;
        let whole = json!({
            "name": "multus-cni-network",
            "type": "multus",
            "delegates": [{"type": "flannel", "name": "flannel.1", "delegate": {"isDefaultGateway": true}}],
            "kubeconfig": "/etc/cni/net.d/multus.d/multus.kubeconfig",
        });
        let text = format!("{whole:#}\n");
        task.scene.node.put_file(directory.join("70-multus.conf"), text.as_bytes(), 0o644)?;
        Ok(ProgramState::Running { ready: true })
    }
}
