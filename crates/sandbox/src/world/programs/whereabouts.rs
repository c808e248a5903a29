//! whereabouts' pods: they copy the plugin to the node, with the kubeconfig that it uses, and watch.

use serde_json::json;

use super::{Program, ProgramState, Task};
use crate::error::Result;
use crate::world::cni::WHEREABOUTS_FILE;

const TARGET: &str = "/host/opt/cni/bin";
const DIRECTORY: &str = "/host/etc/cni/net.d";
const KUBECONFIG: &str = "whereabouts.d/whereabouts.kubeconfig";

/// Its one container. That it looks for addresses of pods that are gone is not modelled.
pub(super) struct Install;

impl Program for Install {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        let Some(directory) = task.on_node(DIRECTORY) else {
            return Ok(ProgramState::Failed(format!("{DIRECTORY} is not mounted")));
        };
        let node = &task.scene.node;
        let text =
            "# Kubeconfig file for the Whereabouts CNI plugin.\napiVersion: v1\nkind: Config\nclusters: []\n";
        node.put_file(directory.join(KUBECONFIG), text.as_bytes(), 0o600)?;
        // The file names the directory as the container has it, without `/host`.
        let kubeconfig = format!("{}/{KUBECONFIG}", DIRECTORY.trim_start_matches("/host"));
        let whole = json!({"datastore": "kubernetes", "kubernetes": {"kubeconfig": kubeconfig},
            "reconciler_cron_expression": "30 4 * * *"});
        let file = directory.join("whereabouts.d").join(WHEREABOUTS_FILE);
        node.put_file(file, format!("{whole:#}\n").as_bytes(), 0o600)?;
        task.install(TARGET, "whereabouts", "whereabouts")?;
        Ok(ProgramState::Running { ready: true })
    }
}
