//! Multus with a daemon (thick): its shim, its configuration, its socket.

use camino::Utf8PathBuf;
use serde_json::{Map, Value, json};

use super::{Program, ProgramState, Task};
use crate::error::Result;
use crate::world::cni::runtime::Configuration;
use crate::world::objects::items;

const TARGET: &str = "/host/opt/cni/bin";
const SETTINGS: &str = "/etc/cni/net.d/multus.d/daemon-config.json";
const WRITTEN: &str = "00-multus.conf";
/// Files that Multus never takes for its master's.
const OWN_PREFIX: &str = "00-multus";

/// Copies Multus' plugins to the node, of the flavour that the pod is of.
pub(super) struct Install;

impl Program for Install {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        let words = items(task.container, "/command").iter().chain(items(task.container, "/args"));
        let is_thick =
            words.filter_map(Value::as_str).any(|word| word.contains("thick") || word.contains("shim"));
        let plugin = if is_thick { "multus-shim" } else { "multus" };
        for program in [plugin, "passthru"] {
            task.install(TARGET, program, program)?;
        }
        Ok(ProgramState::Completed)
    }
}

pub(super) struct Daemon;

/// Its settings, as far as they matter here.
struct Settings {
    directory: Utf8PathBuf,
    /// The directory as the container sees it.
    mounted: String,
    master: Option<String>,
    readiness: Option<Utf8PathBuf>,
    socket: Utf8PathBuf,
}

impl Program for Daemon {
    /// Waits for its prerequisites, then writes its configuration, and rewrites it when its master's changes.
    fn is_quiet(&self) -> bool {
        false
    }

    fn tend(&self, task: &Task<'_>) -> Result<ProgramState> {
        let Some(settings) = settings(task)? else {
            return Ok(ProgramState::Failed(format!(
                "failed to read the config file: open {SETTINGS}: no such file or directory"
            )));
        };
        let node = &task.scene.node;
        if let Some(readiness) = &settings.readiness
            && node.status(readiness)?.is_none()
        {
            withdraw(task, &settings)?;
            return Ok(ProgramState::Running { ready: true });
        }
        node.put_socket(&settings.socket)?;
        if let Some((name, configuration)) = master(task, &settings)? {
            let text = written(&settings, &name, &configuration);
            node.put_file(settings.directory.join(WRITTEN), text.as_bytes(), 0o600)?;
        }
        Ok(ProgramState::Running { ready: true })
    }

    fn stop(&self, task: &Task<'_>) -> Result<()> {
        match settings(task)? {
            Some(settings) => withdraw(task, &settings),
            None => Ok(()),
        }
    }

    fn seconds(&self) -> f64 {
        1.5
    }
}

fn withdraw(task: &Task<'_>, settings: &Settings) -> Result<()> {
    task.scene.node.remove_file(settings.directory.join(WRITTEN))?;
    task.scene.node.remove_file(&settings.socket)
}

fn settings(task: &Task<'_>) -> Result<Option<Settings>> {
    let Some(text) = task.configured(SETTINGS)? else { return Ok(None) };
    let given: Value = serde_json::from_str(&text).unwrap_or_default();
    let path = |key: &str| given[key].as_str().and_then(|path| task.on_node(path));
    let (Some(directory), Some(sockets)) = (path("multusAutoconfigDir"), path("socketDir")) else {
        return Ok(None);
    };
    Ok(Some(Settings {
        directory,
        mounted: given["multusAutoconfigDir"].as_str().unwrap_or_default().to_owned(),
        master: given["multusMasterCNI"].as_str().map(str::to_owned),
        readiness: path("readinessindicatorfile"),
        socket: sockets.join("multus.sock"),
    }))
}

/// The file of the master, with its name: the given one, else the first that is not Multus' own.
fn master(task: &Task<'_>, settings: &Settings) -> Result<Option<(String, Configuration)>> {
    let names = task.scene.node.names(&settings.directory)?.unwrap_or_default();
    let is_one = |name: &&String| {
        let fits = [".conf", ".conflist"].iter().any(|end| name.ends_with(end));
        match &settings.master {
            Some(master) => *name == master,
            None => fits && !name.starts_with(OWN_PREFIX),
        }
    };
    let Some(name) = names.iter().find(is_one) else { return Ok(None) };
    let text = task.scene.node.text(settings.directory.join(name))?.unwrap_or_default();
    let whole: Option<Value> = serde_json::from_str(&text).ok();
    Ok(whole
        .and_then(|whole| Configuration::parse(&whole))
        .map(|configuration| (name.clone(), configuration)))
}

fn written(settings: &Settings, master: &str, configuration: &Configuration) -> String {
    json!({
        "capabilities": capabilities(configuration),
        "cniVersion": configuration.whole["cniVersion"].as_str().unwrap_or("0.3.1"),
        "logLevel": "verbose",
        "logToStderr": true,
        "name": "multus-cni-network",
        "clusterNetwork": format!("{}/{master}", settings.mounted.trim_end_matches('/')),
        "type": "multus-shim",
    })
    .to_string()
}

/// Those of all plugins of the master.
pub(super) fn capabilities(configuration: &Configuration) -> Map<String, Value> {
    let all = configuration.plugins.iter().filter_map(|plugin| plugin["capabilities"].as_object());
    all.flatten().map(|(name, value)| (name.clone(), value.clone())).collect()
}
