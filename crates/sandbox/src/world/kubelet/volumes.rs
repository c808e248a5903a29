//! The volumes of pods: what they need from the API, and what they make on the node.

use serde_json::Value;

use crate::error::Result;
use crate::world::objects::{items, namespace, text};
use crate::world::scene::Scene;

/// The first volume whose object is not there, as kubelet says it.
pub(super) fn missing(scene: &Scene, pod: &Value) -> Result<Option<String>> {
    for volume in items(pod, "/spec/volumes") {
        for (field, name, kind, word) in
            [("configMap", "name", "ConfigMap", "configmap"), ("secret", "secretName", "Secret", "secret")]
        {
            let Some(source) = volume.get(field).filter(|source| source["optional"] != true) else {
                continue;
            };
            let wanted = source[name].as_str().unwrap_or_default();
            if scene.get("v1", kind, Some(namespace(pod)), wanted)?.is_none() {
                let volume = text(volume, "/name");
                return Ok(Some(format!(
                    "MountVolume.SetUp failed for volume \"{volume}\" : {word} \"{wanted}\" not found"
                )));
            }
        }
    }
    Ok(None)
}

/// The paths of the node that the runtime makes when they are not there.
pub(super) fn make(scene: &Scene, spec: &Value) -> Result<()> {
    for volume in items(spec, "/volumes") {
        let path = text(volume, "/hostPath/path").trim_end_matches('/');
        if path.is_empty() || scene.node.status(path)?.is_some() {
            continue;
        }
        match text(volume, "/hostPath/type") {
            "FileOrCreate" => scene.node.put_file(path, b"", 0o644)?,
            "" | "DirectoryOrCreate" => scene.node.put_directory(path)?,
            _ => {}
        }
    }
    Ok(())
}
