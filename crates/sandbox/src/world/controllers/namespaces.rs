//! The defaults of every namespace: a `ServiceAccount` and the cluster's CA certificate.

use serde_json::json;

use super::MANAGER;
use crate::error::Result;
use crate::world::objects::{is_leaving, name};
use crate::world::scene::{Scene, versions};

const CERTIFICATE: &str = "/etc/kubernetes/pki/ca.crt";

/// Adds what is missing.
pub(in crate::world) fn run(scene: &Scene) -> Result<()> {
    let (accounts, maps) = (scene.list("v1", "ServiceAccount")?, scene.list("v1", "ConfigMap")?);
    let depends_on =
        format!("{} {} {}", versions(scene.list("v1", "Namespace")?.iter()), accounts.len(), maps.len());
    scene.unless_settled("namespaces", depends_on, || fill(scene))
}

fn fill(scene: &Scene) -> Result<()> {
    let certificate = scene.node.text(CERTIFICATE)?.unwrap_or_default();
    for namespace in scene.list("v1", "Namespace")?.iter().filter(|namespace| !is_leaving(namespace)) {
        let place = name(namespace);
        let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": place}});
        scene.create(MANAGER, &account)?;
        // Kubernetes before 1.20 has no such object.
        if !scene.is_old() {
            let metadata = json!({"name": "kube-root-ca.crt", "namespace": place});
            let data = json!({"ca.crt": certificate});
            scene.create(
                MANAGER,
                &json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}),
            )?;
        }
    }
    Ok(())
}
