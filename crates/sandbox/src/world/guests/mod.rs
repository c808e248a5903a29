//! The insides of containers: commands answer from the current links and switches.

mod address;
mod connect;
pub(super) mod console;
pub(super) mod frames;
pub(super) mod inside;
mod names;
mod reach;

use async_trait::async_trait;
use tokio::io::DuplexStream;

use super::cni::nics::Sandbox;
use super::objects::{text, uid};
use super::scene::Scene;
use crate::api::{Containers, Ran};
use crate::error::Result;

/// Answers for all containers of the node.
pub(super) struct Guests(pub(super) Scene);

#[async_trait]
impl Containers for Guests {
    async fn run(&self, namespace: &str, pod: &str, _container: &str, argv: &[String]) -> Ran {
        match command(&self.0, namespace, pod, argv) {
            Ok(ran) => ran,
            Err(error) => failed(1, error.to_string()),
        }
    }

    async fn log(&self, namespace: &str, pod: &str, container: &str) -> String {
        let found = self.0.get("v1", "Pod", Some(namespace), pod).ok().flatten().unwrap_or_default();
        let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
        let statuses = statuses.iter().flat_map(|field| super::objects::items(&found, field));
        let status = statuses.into_iter().find(|status| status["name"] == container);
        let complaint =
            status.map(|status| text(status, "/lastState/terminated/message")).unwrap_or_default();
        complaint.to_owned()
    }

    async fn console(&self, namespace: &str, vm: &str) -> Option<DuplexStream> {
        console::connect(&self.0, namespace, vm).ok().flatten()
    }
}

fn command(scene: &Scene, namespace: &str, pod: &str, argv: &[String]) -> Result<Ran> {
    let found = scene.get("v1", "Pod", Some(namespace), pod)?.unwrap_or_default();
    if text(&found, "/spec/nodeName") != scene.node_name()? && !text(&found, "/spec/nodeName").is_empty() {
        return Ok(failed(126, "not simulated: commands in pods on other nodes".into()));
    }
    let Some(sandbox) = Sandbox::of(scene, uid(&found))?.filter(|sandbox| sandbox.ready) else {
        return Ok(failed(126, "container not found".into()));
    };
    let words: Vec<&str> = argv.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["ip", rest @ ..] => address::ip(scene, sandbox, rest),
        ["arping", rest @ ..] => reach::arping(scene, &sandbox, rest),
        ["ping", rest @ ..] => reach::ping(scene, &sandbox, rest),
        ["nc", rest @ ..] => connect::nc(scene, &sandbox, rest),
        ["traceroute", rest @ ..] => connect::traceroute(scene, &sandbox, rest),
        ["nslookup", name] => names::nslookup(scene, &sandbox, name),
        ["cat", path] => names::cat(scene, &sandbox, path),
        ["true"] => Ok(Ran::default()),
        [program, ..] => {
            Ok(failed(127, format!("exec: \"{program}\": executable file not found in $PATH: unknown")))
        }
        [] => Ok(failed(126, "no command".into())),
    }
}

fn prints(stdout: String) -> Ran {
    Ran { stdout, ..Ran::default() }
}

fn failed(code: i32, stderr: String) -> Ran {
    Ran { code, stdout: String::new(), stderr }
}
