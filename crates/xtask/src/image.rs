//! The container image, as an OCI layout in a tar: the binary, the roots of TLS, and a user that is not root.

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::archive::{self, Entry};
use crate::project::Project;
use crate::signature::sha256;
use crate::target::Target;

/// The user, as `nonroot` of other images from scratch.
const USER: u64 = 65532;
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// Makes the image of all these binaries.
pub fn make(project: &Project, binaries: &[(Target, Vec<u8>)]) -> Result<Vec<u8>> {
    let mut blobs = Blobs::default();
    let shared = layer(&mut blobs, base(), project.epoch)?;
    let mut manifests = Vec::new();
    for (target, binary) in binaries {
        let own = layer(&mut blobs, program(binary), project.epoch)?;
        let mut manifest = platform(&mut blobs, project, *target, &[&shared, &own])?;
        manifest["platform"] = json!({"architecture": target.arch, "os": "linux"});
        manifests.push(manifest);
    }
    let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests});
    let mut index = blobs.add(INDEX, serde_json::to_vec(&index)?);
    index["annotations"] = json!({
        "org.opencontainers.image.ref.name": project.version,
        // By which containerd's `ctr images import` names it.
        "io.containerd.image.name": format!("localhost/kvnet:{}", project.version),
    });
    let top = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [index]});
    let mut entries = blobs.entries;
    entries.push(Entry::file("index.json", serde_json::to_vec(&top)?));
    entries.push(Entry::file("oci-layout", r#"{"imageLayoutVersion":"1.0.0"}"#));
    archive::tar(entries, project.epoch)
}

/// The blobs of the layout so far.
#[derive(Default)]
struct Blobs {
    entries: Vec<Entry>,
    seen: Vec<String>,
}

impl Blobs {
    /// Adds a blob, and returns its descriptor.
    fn add(&mut self, kind: &str, content: Vec<u8>) -> Value {
        let (digest, size) = (sha256(&content), content.len());
        if !self.seen.contains(&digest) {
            self.entries.push(Entry::file(format!("blobs/sha256/{digest}"), content));
            self.seen.push(digest.clone());
        }
        json!({"mediaType": kind, "digest": format!("sha256:{digest}"), "size": size})
    }
}

/// A layer: its descriptor, and the digest of what is in it.
struct Layer {
    descriptor: Value,
    content: String,
}

fn layer(blobs: &mut Blobs, entries: Vec<Entry>, epoch: u64) -> Result<Layer> {
    let tar = archive::tar(entries, epoch)?;
    let content = format!("sha256:{}", sha256(&tar));
    Ok(Layer { descriptor: blobs.add(LAYER, archive::gzip(&tar)?), content })
}

/// What all platforms have.
fn base() -> Vec<Entry> {
    vec![
        Entry::directory("etc/", 0o755, 0),
        Entry::file(
            "etc/passwd",
            format!("root:x:0:0:root:/root:/\nkvnet:x:{USER}:{USER}:kvnet:/home/kvnet:/\n"),
        ),
        Entry::file("etc/group", format!("root:x:0:\nkvnet:x:{USER}:\n")),
        Entry::directory("etc/ssl/", 0o755, 0),
        Entry::directory("etc/ssl/certs/", 0o755, 0),
        Entry::file("etc/ssl/certs/ca-certificates.crt", roots()),
        Entry::directory("home/", 0o755, 0),
        Entry::directory("home/kvnet/", 0o700, USER),
        Entry::directory("tmp/", 0o1777, 0),
    ]
}

/// What a platform has of its own.
fn program(binary: &[u8]) -> Vec<Entry> {
    vec![
        Entry::directory("usr/", 0o755, 0),
        Entry::directory("usr/bin/", 0o755, 0),
        Entry::program("usr/bin/kvnet", binary),
    ]
}

/// Mozilla's roots, as PEM.
fn roots() -> String {
    let mut text = String::new();
    for root in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let encoded = STANDARD.encode(root);
        let lines: Vec<String> =
            encoded.as_bytes().chunks(64).map(|it| String::from_utf8_lossy(it).into()).collect();
        text += &format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    }
    text
}

/// The manifest of a platform, as a descriptor.
fn platform(blobs: &mut Blobs, project: &Project, target: Target, layers: &[&Layer]) -> Result<Value> {
    let labels = labels(project)?;
    let config = json!({
        "architecture": target.arch,
        "os": "linux",
        "created": project.time()?,
        "config": {
            "User": format!("{USER}:{USER}"),
            "Env": ["PATH=/usr/bin", "HOME=/home/kvnet"],
            "Entrypoint": ["/usr/bin/kvnet"],
            "WorkingDir": "/home/kvnet",
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": layers.iter().map(|it| &it.content).collect::<Vec<_>>()},
        "history": layers.iter().map(|_| json!({"created_by": "cargo xtask release"})).collect::<Vec<_>>(),
    });
    let config = blobs.add(CONFIG, serde_json::to_vec(&config)?);
    let layers: Vec<&Value> = layers.iter().map(|it| &it.descriptor).collect();
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers, "annotations": labels,
    });
    Ok(blobs.add(MANIFEST, serde_json::to_vec(&manifest)?))
}

fn labels(project: &Project) -> Result<Value> {
    Ok(json!({
        "org.opencontainers.image.created": project.time()?,
        "org.opencontainers.image.description": project.description,
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": project.commit.as_deref().unwrap_or("unknown"),
        "org.opencontainers.image.source": project.repository,
        "org.opencontainers.image.title": "kvnet",
        "org.opencontainers.image.version": project.version,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_roots_are_certificates() {
        let text = roots();
        assert_eq!(text.matches("BEGIN").count(), webpki_root_certs::TLS_SERVER_ROOT_CERTS.len());
        assert!(text.lines().all(|line| line.len() <= 64));
    }

    #[test]
    fn a_blob_is_there_once() {
        let mut blobs = Blobs::default();
        assert_eq!(blobs.add(LAYER, b"x".to_vec()), blobs.add(LAYER, b"x".to_vec()));
        assert_eq!(blobs.entries.len(), 1);
    }
}
