//! The visible effects of programs in containers, on the node and in the API.

mod flannel;
mod kubevirt;
mod machines;
mod multus;
mod multus_thin;
mod ovs_cni;
mod whereabouts;

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::error::Result;
use crate::world::cni::nics::Sandbox;
use crate::world::objects::{items, text};
use crate::world::scene::Scene;

/// A container that is started, run or stopped.
pub(super) struct Task<'a> {
    pub scene: &'a Scene,
    /// The pod that it is in.
    pub sandbox: &'a Sandbox,
    pub container: &'a Value,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum ProgramState {
    /// It stays.
    Running {
        /// Whether its probes succeed.
        ready: bool,
    },
    /// It has done its work.
    Completed,
    /// It failed.
    Failed(String),
}

/// A program in a container. All that it does can be repeated.
pub(super) trait Program: Sync {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        self.tend(task)
    }

    /// Its continuous work.
    fn tend(&self, _task: &Task<'_>) -> Result<ProgramState> {
        Ok(ProgramState::Running { ready: true })
    }

    /// Whether it is idle once it has started.
    fn is_quiet(&self) -> bool {
        true
    }

    /// What it does on SIGTERM.
    fn stop(&self, _task: &Task<'_>) -> Result<()> {
        Ok(())
    }

    /// How long it takes to start once the image is present.
    fn seconds(&self) -> f64 {
        0.5
    }
}

/// The program of a container, by its image and its command.
pub(super) fn of(container: &Value) -> &'static dyn Program {
    let command = executable(container);
    match (image_name(text(container, "/image")), command) {
        ("flannel-cni-plugin", _) => &flannel::InstallPlugin,
        ("flannel", "flanneld") => &flannel::Daemon,
        ("flannel", _) => &flannel::InstallConfiguration,
        ("multus" | "multus-cni", "multus-daemon") => &multus::Daemon,
        ("multus" | "multus-cni", "thin_entrypoint") => &multus_thin::Entrypoint,
        ("multus" | "multus-cni", "") => &multus_thin::EntrypointOf2018,
        ("multus" | "multus-cni", _) => &multus::Install,
        ("ovs-cni-plugin", "marker") => &ovs_cni::Marker,
        ("ovs-cni-plugin", "") => &ovs_cni::InstallOf2018,
        ("ovs-cni-plugin", _) => &ovs_cni::Install,
        ("whereabouts", _) => &whereabouts::Install,
        ("virt-operator", _) => &kubevirt::Operator,
        ("virt-controller", _) => &machines::Controller,
        ("virt-handler", _) => &machines::Handler,
        _ => &Anything,
    }
}

/// Whether a program ends on a node without Open vSwitch.
pub(super) fn needs_switch(container: &Value) -> bool {
    (image_name(text(container, "/image")), executable(container)) == ("ovs-cni-plugin", "marker")
}

/// Whether all programs in a pod are idle.
pub(super) fn are_quiet(pod: &Value) -> bool {
    items(pod, "/spec/containers").iter().all(|container| of(container).is_quiet())
}

/// The last part of an image's name, without tag and digest.
fn image_name(image: &str) -> &str {
    let last = image.rsplit('/').next().unwrap_or_default();
    last.split([':', '@']).next().unwrap_or_default()
}

fn executable(container: &Value) -> &str {
    let first = items(container, "/command").first().and_then(Value::as_str).unwrap_or_default();
    first.rsplit('/').next().unwrap_or_default()
}

/// A program without visible effects.
struct Anything;

impl Program for Anything {
    fn start(&self, task: &Task<'_>) -> Result<ProgramState> {
        Ok(match executable(task.container) {
            "true" => ProgramState::Completed,
            "false" => ProgramState::Failed(String::new()),
            _ => ProgramState::Running { ready: true },
        })
    }
}

impl Task<'_> {
    /// The path on the node of a path in the container; none when no directory of the node is mounted there.
    pub fn on_node(&self, path: &str) -> Option<Utf8PathBuf> {
        let (volume, rest) = self.mounted(path)?;
        let base = text(volume, "/hostPath/path");
        (!base.is_empty()).then(|| Utf8Path::new(base).join(rest))
    }

    /// The text of a file that comes from a `ConfigMap`.
    pub fn configured(&self, path: &str) -> Result<Option<String>> {
        let Some((volume, key)) = self.mounted(path) else { return Ok(None) };
        let map = text(volume, "/configMap/name");
        let found = self.scene.get("v1", "ConfigMap", Some(&self.sandbox.namespace), map)?;
        Ok(found.and_then(|map| map["data"][key.as_str()].as_str().map(str::to_owned)))
    }

    /// The volume that is mounted deepest above a path, and the rest of the path.
    fn mounted(&self, path: &str) -> Option<(&Value, Utf8PathBuf)> {
        let under = |mount: &Value| {
            let rest = Utf8Path::new(path).strip_prefix(text(mount, "/mountPath")).ok()?;
            Some((text(mount, "/name").to_owned(), rest.to_owned()))
        };
        let mounts = items(self.container, "/volumeMounts").iter();
        let (name, rest) = mounts.filter_map(under).min_by_key(|(_, rest)| rest.as_str().len())?;
        let volumes = items(&self.sandbox.spec, "/volumes").iter();
        volumes.into_iter().find(|volume| text(volume, "/name") == name).map(|volume| (volume, rest))
    }

    /// The value of an option `--name=value` or `-name value`.
    pub fn option(&self, name: &str) -> Option<&str> {
        let words = || items(self.container, "/command").iter().chain(items(self.container, "/args"));
        let mut words = words()
            .filter_map(Value::as_str)
            .skip_while(|word| word.trim_start_matches('-').split('=').next() != Some(name));
        let found = words.next()?;
        Some(found.split_once('=').map_or_else(|| words.next().unwrap_or_default(), |(_, value)| value))
    }

    /// Copies a program into a directory of the node.
    pub fn install(&self, directory: &str, program: &str, content: &str) -> Result<()> {
        match self.on_node(directory) {
            Some(directory) => self.scene.node.put_file(directory.join(program), content.as_bytes(), 0o755),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_is_known_wherever_it_comes_from() {
        for (image, name) in [
            ("ghcr.io/flannel-io/flannel:v0.28.10", "flannel"),
            ("mirror:5000/flannel@sha256:00", "flannel"),
            ("nfvpe/multus:latest", "multus"),
            ("busybox", "busybox"),
        ] {
            assert_eq!(image_name(image), name);
        }
    }
}
