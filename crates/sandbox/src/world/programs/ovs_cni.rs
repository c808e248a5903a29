//! ovs-cni: its plugin, and the marker that tells the scheduler which bridges the node has.

use serde_json::Value;

use super::{Program, ProgramState, Task};
use crate::error::Result;
use crate::world::cni::BY_COMMAND;
use crate::world::objects::text;

const DOMAIN: &str = "ovs-cni.network.kubevirt.io/";
/// How many pods may use a bridge.
const AMOUNT: &str = "1k";
const TARGET: &str = "/host/opt/cni/bin";

/// Copies the plugins to the node.
pub(super) struct Install;

impl Program for Install {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        for program in ["ovs", "ovs-mirror-producer", "ovs-mirror-consumer"] {
            task.install(TARGET, program, "ovs-cni by the database")?;
        }
        Ok(ProgramState::Completed)
    }
}

/// The only container of 2018: copies the plugin to the node and sleeps.
pub(super) struct InstallOf2018;

impl Program for InstallOf2018 {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        task.install(TARGET, "ovs", BY_COMMAND)?;
        Ok(ProgramState::Running { ready: true })
    }
}

/// Publishes the bridges as resources of the node.
pub(super) struct Marker;

impl Program for Marker {
    fn is_quiet(&self) -> bool {
        false
    }

    fn tend(&self, task: &Task<'_>) -> Result<ProgramState> {
        let Some(switch) = task.scene.node.open_vswitch()? else {
            let socket = text(task.container, "/args/6");
            return Ok(ProgramState::Failed(format!("Failed to connect to Open vSwitch at {socket}")));
        };
        let Some(node) = task.scene.own_node()? else { return Ok(ProgramState::Running { ready: true }) };
        let bridges: Vec<String> =
            switch.bridges.iter().map(|bridge| format!("{DOMAIN}{}", bridge.name)).collect();
        let mut written = node.clone();
        publish(&mut written["status"]["capacity"], &bridges);
        task.scene.save("marker", &node, written)?;
        Ok(ProgramState::Running { ready: true })
    }
}

fn publish(resources: &mut Value, bridges: &[String]) {
    let Some(resources) = resources.as_object_mut() else { return };
    resources.retain(|name, _| !name.starts_with(DOMAIN) || bridges.contains(name));
    for bridge in bridges {
        resources.insert(bridge.clone(), AMOUNT.into());
    }
}
