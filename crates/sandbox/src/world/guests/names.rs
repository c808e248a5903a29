//! Names in pods: host name, resolver configuration, and DNS answers.

use super::reach::{self, Asked};
use super::{failed, prints};
use crate::api::Ran;
use crate::error::Result;
use crate::world::cni::nics::Sandbox;
use crate::world::objects::{is_true, text};
use crate::world::scene::{Scene, label};

const DOMAIN: &str = "cluster.local";
const SERVERS: (&str, &str) = ("k8s-app", "kube-dns");

/// `cat` of the files that the kubelet writes.
pub(super) fn cat(scene: &Scene, sandbox: &Sandbox, path: &str) -> Result<Ran> {
    Ok(match path {
        "/etc/hostname" => prints(format!("{}\n", sandbox.pod)),
        "/etc/resolv.conf" => {
            let space = &sandbox.namespace;
            let server = address(scene, "kube-system", "kube-dns")?.unwrap_or_default();
            prints(format!(
                "search {space}.svc.{DOMAIN} svc.{DOMAIN} {DOMAIN}\nnameserver {server}\noptions ndots:5\n"
            ))
        }
        _ => failed(1, format!("cat: can't open '{path}': No such file or directory")),
    })
}

/// `nslookup`: the address of a Service, from a DNS server that runs and that the pod reaches.
pub(super) fn nslookup(scene: &Scene, sandbox: &Sandbox, name: &str) -> Result<Ran> {
    let server = address(scene, "kube-system", "kube-dns")?.filter(|_| !sandbox.nics.is_empty());
    let Some(server) = server.filter(|_| is_served(scene, sandbox).unwrap_or_default()) else {
        return Ok(Ran {
            code: 1,
            stdout: ";; connection timed out; no servers could be reached\n\n".into(),
            stderr: String::new(),
        });
    };
    let heading = format!("Server:\t\t{server}\nAddress:\t{server}:53\n\n");
    let service = name.strip_suffix(&format!(".svc.{DOMAIN}")).and_then(|name| name.split_once('.'));
    let found = match service {
        Some((service, space)) => address(scene, space, service)?,
        None => None,
    };
    Ok(match found {
        Some(found) => prints(format!("{heading}Name:\t{name}\nAddress: {found}\n\n")),
        None => Ran {
            code: 1,
            stdout: format!("{heading}** server can't find {name}: NXDOMAIN\n\n"),
            stderr: String::new(),
        },
    })
}

/// Whether a DNS server is ready and can be reached: the Service's address leads to its pods.
fn is_served(scene: &Scene, sandbox: &Sandbox) -> Result<bool> {
    let pods = scene.list("v1", "Pod")?;
    for pod in pods.iter().filter(|pod| label(pod, SERVERS.0) == SERVERS.1 && is_true(pod, "Ready")) {
        let Ok(target) = text(pod, "/status/podIP").parse() else { continue };
        if reach::reached(scene, sandbox, &Asked::of(target))?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn address(scene: &Scene, namespace: &str, service: &str) -> Result<Option<String>> {
    let found = scene.get("v1", "Service", Some(namespace), service)?;
    Ok(found
        .map(|service| text(&service, "/spec/clusterIP").to_owned())
        .filter(|address| !address.is_empty()))
}
