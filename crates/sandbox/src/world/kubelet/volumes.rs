//! The volumes of pods: the objects that they need, and the paths that they create on the node.

use serde_json::Value;

use crate::error::Result;
use crate::world::objects::{items, namespace, text};
use crate::world::scene::Scene;

/// The kubelet's message for the first volume whose object does not exist.
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

/// The paths on the node that the runtime creates if missing.
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
