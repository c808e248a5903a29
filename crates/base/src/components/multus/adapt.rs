//! The profile's fields in a manifest of Multus'.

use serde_json::{Value, json};

use crate::components::edit::{containers, edit, has_image, images, set};
use crate::components::refused;
use crate::error::Result;
use crate::profile::{MultusFlavour, Profile};

pub(super) fn refuse(profile: &Profile, objects: &[Value]) -> Result<()> {
    const DAEMON: &str = "multus-daemon";
    let has_daemon = objects.iter().any(|object| {
        let pod = &object["spec"]["template"]["spec"];
        object["kind"] == "DaemonSet" && pod.to_string().contains(DAEMON)
    });
    let is_workload = objects.iter().any(|object| object["kind"] == "DaemonSet");
    let wants_daemon = profile.multus.flavour == MultusFlavour::Thick;
    if !profile.is_written("multus.flavour") || !is_workload || has_daemon == wants_daemon {
        return Ok(());
    }
    let (wanted, there) = if wants_daemon { ("thick", "thin") } else { ("thin", "thick") };
    Err(refused(
        profile,
        "multus.flavour",
        &format!("is {wanted}, but the manifest is for the {there} Multus"),
    ))
}

pub(super) fn adapt(profile: &Profile, objects: &mut [Value]) -> Result<()> {
    let multus = &profile.multus;
    if profile.is_written("multus.masterCni") && !multus.master_cni.is_empty() {
        master_cni(profile, objects)?;
    }
    for container in containers(objects, "containers").filter(|container| has_image(container, "multus")) {
        set(container, &["resources", "limits", "memory"], json!(multus.memory_limit));
    }
    if !multus.image.is_empty() {
        images(objects, "multus", &multus.image);
    }
    Ok(())
}

/// The thick Multus has the file in its configuration, the thin one in an argument.
fn master_cni(profile: &Profile, objects: &mut [Value]) -> Result<()> {
    const ARGUMENT: &str = "--multus-master-cni-file-name=";
    let name = &profile.multus.master_cni;
    let mut is_set = objects.iter().any(|object| object["data"]["daemon-config.json"].is_string());
    edit(objects, "daemon-config.json", |config| {
        config.insert("multusMasterCNI".into(), json!(name));
    })?;
    for container in containers(objects, "containers").filter(|container| has_image(container, "multus")) {
        let Some(arguments) = container.get_mut("args").and_then(Value::as_array_mut) else { continue };
        let makes_it = arguments.iter().any(|it| it == "--multus-conf-file=auto");
        let given = |it: &Value| it.as_str().is_some_and(|text| text.starts_with(ARGUMENT));
        if makes_it || arguments.iter().any(given) {
            arguments.retain(|argument| !given(argument));
            arguments.push(json!(format!("{ARGUMENT}{name}")));
            is_set = true;
        }
    }
    // Where the manifest has no option for it, it is right only when the file is the pod network's anyway.
    if is_set || *name == profile.flannel.conf_file {
        return Ok(());
    }
    Err(refused(
        profile,
        "multus.masterCni",
        "has no place in this manifest, whose Multus does not write its own file",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::edit::tests::daemon;

    #[test]
    fn multus_gets_the_limit_and_the_image_of_the_profile() {
        let mut profile = Profile::default();
        profile.multus.memory_limit = "256Mi".into();
        profile.multus.image = "mirror.example/multus:v4".into();
        let mut objects = [daemon("kube-multus", "ghcr.io/k8snetworkplumbingwg/multus-cni:snapshot-thick")];
        adapt(&profile, &mut objects).unwrap();
        let pod = &objects[0]["spec"]["template"]["spec"];
        let limits = &pod["containers"][0]["resources"]["limits"];
        assert_eq!(*limits, json!({"cpu": "100m", "memory": "256Mi"}));
        assert_eq!(pod["containers"][0]["image"], "mirror.example/multus:v4");
        assert_eq!(pod["initContainers"][0]["image"], "mirror.example/multus:v4");
    }
}
