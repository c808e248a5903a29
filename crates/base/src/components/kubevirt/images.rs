//! The images that no manifest of KubeVirt names: its operator derives them from its own, unless it is told each.
//!
//! As in v1.9.0: `getConfig` in pkg/virt-operator/util/config.go takes registry, prefix and tag from the operator's image, and
//! each other image from a variable if that is set. Everything after a colon is the tag there, also a digest behind it; so the
//! operator's own image must have its digest alone, and then `KUBEVIRT_VERSION` is the version.

use serde_json::{Value, json};

use crate::error::{Error, Result, code};
use crate::formats::Release;
use crate::lock::Lock;
use crate::profile::Profile;

/// An image of the operator.
struct Image {
    /// The variable that names it.
    variable: &'static str,
    /// The last part of its name.
    name: &'static str,
    /// The first release with it.
    since: Release,
}

const fn image(variable: &'static str, name: &'static str, minor: u32) -> Image {
    Image { variable, name, since: Release::new(1, minor, 0) }
}

/// All but those of templates, which have versions of their own.
const IMAGES: [Image; 10] = [
    image("VIRT_API_IMAGE", "virt-api", 0),
    image("VIRT_CONTROLLER_IMAGE", "virt-controller", 0),
    image("VIRT_HANDLER_IMAGE", "virt-handler", 0),
    image("VIRT_LAUNCHER_IMAGE", "virt-launcher", 0),
    image("VIRT_EXPORTPROXY_IMAGE", "virt-exportproxy", 0),
    image("VIRT_EXPORTSERVER_IMAGE", "virt-exportserver", 0),
    image("GS_IMAGE", "libguestfs-tools", 0),
    image("PR_HELPER_IMAGE", "pr-helper", 0),
    image("SIDECAR_SHIM_IMAGE", "sidecar-shim", 3),
    image("VIRT_SYNCHRONIZATIONCONTROLLER_IMAGE", "virt-synchronization-controller", 6),
];
const TEMPLATE_IMAGES: [(&str, &str); 2] = [
    ("VIRT_TEMPLATE_APISERVER_IMAGE", "virt-template-apiserver"),
    ("VIRT_TEMPLATE_CONTROLLER_IMAGE", "virt-template-controller"),
];
/// The tag of those, in the releases that kvnet knows: pkg/virt-operator/resource/generate/components/data/virt-template.
const TEMPLATE_VERSIONS: [(&str, &str); 2] = [("v1.8.2", "v0.1.7"), ("v1.9.0", "v0.2.2")];
/// The first release that takes its images from variables.
const FIRST: Release = Release::new(1, 0, 0);

const OWN: &str = "VIRT_OPERATOR_IMAGE";
const VERSION: &str = "KUBEVIRT_VERSION";
/// The option of a release without an operator.
const LAUNCHER: &str = "--launcher-image";

/// The images that KubeVirt will run besides those that its objects name.
pub fn derived(profile: &Profile, objects: &[Value]) -> Vec<String> {
    let Some(container) = objects.iter().find_map(operator) else {
        return objects.iter().flat_map(launchers).collect();
    };
    missing(profile, container).into_iter().map(|(_, image)| image).collect()
}

/// Gives the operator all of its images by digest.
///
/// # Errors
/// `KVN442` for an image that the lock does not have; `KVN104` for a release that cannot be told.
pub fn pin(profile: &Profile, objects: &mut [Value], lock: &Lock) -> Result<()> {
    for object in objects.iter_mut() {
        pin_launchers(object, lock)?;
        let Some(container) = operator(object) else { continue };
        if Release::parse(&profile.kubevirt.version).is_some_and(|release| release < FIRST) {
            let message =
                format!("KubeVirt {} cannot be told its images by digest", profile.kubevirt.version);
            let error = Error::new(&code::PROFILE_VALUE, message).at(profile.place_of("kubevirt.version"));
            return Err(
                error.hint("`--locked` needs KubeVirt v1.0.0 or newer, or v0.8.0 without an operator")
            );
        }
        let mut settings: Vec<(String, String)> = Vec::new();
        for (variable, image) in missing(profile, container) {
            settings.push((variable.to_owned(), lock.pinned(&image)?));
        }
        let own = own_image(container).to_owned();
        settings.push((OWN.to_owned(), lock.pinned_without_tag(&own)?));
        if let Some(tag) = tag(container) {
            settings.push((VERSION.to_owned(), tag));
        }
        let Some(container) = object.pointer_mut("/spec/template/spec/containers/0") else { continue };
        for (name, value) in settings {
            put(container, &name, &value);
        }
    }
    Ok(())
}

/// The container of the operator, if the object is its Deployment.
fn operator(object: &Value) -> Option<&Value> {
    let is_it = object["kind"] == "Deployment" && object["metadata"]["name"] == "virt-operator";
    is_it.then(|| object.pointer("/spec/template/spec/containers/0"))?
}

/// The variables that are not set, each with the image that the operator would derive.
fn missing(profile: &Profile, container: &Value) -> Vec<(&'static str, String)> {
    let own = own_image(container);
    let Some((start, _)) = own.rsplit_once("virt-operator") else { return Vec::new() };
    let version = tag(container).unwrap_or_else(|| profile.kubevirt.version.clone());
    // A tag of one's own says nothing about what is in it.
    let release = Release::parse(&version).or_else(|| Release::parse(&profile.kubevirt.version));
    let release = release.unwrap_or(FIRST);
    let of_release = IMAGES.iter().filter(|image| image.since <= release);
    let mut all: Vec<(&'static str, String)> =
        of_release.map(|image| (image.variable, format!("{start}{}:{version}", image.name))).collect();
    let templates = TEMPLATE_VERSIONS.iter().filter(|(of, _)| *of == version).flat_map(|(_, tag)| {
        TEMPLATE_IMAGES.iter().map(move |(variable, name)| (*variable, format!("{start}{name}:{tag}")))
    });
    all.extend(templates);
    all.retain(|(variable, _)| setting(container, variable).is_none());
    all
}

/// The name by which the operator knows itself.
fn own_image(container: &Value) -> &str {
    let named = [OWN, "OPERATOR_IMAGE"].into_iter().find_map(|name| setting(container, name));
    named.or_else(|| container["image"].as_str()).unwrap_or_default()
}

/// The version that the operator installs: its tag, or the variable where it has a digest.
fn tag(container: &Value) -> Option<String> {
    let image = own_image(container);
    let name = image.split('@').next().unwrap_or_default().rsplit('/').next().unwrap_or_default();
    let tag = name.split_once(':').map(|(_, tag)| tag);
    tag.or_else(|| setting(container, VERSION)).map(str::to_owned)
}

fn setting<'a>(container: &'a Value, name: &str) -> Option<&'a str> {
    let settings = container["env"].as_array()?;
    let found = settings.iter().find(|setting| setting["name"] == name)?;
    found["value"].as_str().filter(|value| !value.is_empty())
}

fn put(container: &mut Value, name: &str, value: &str) {
    if !container["env"].is_array() {
        container["env"] = json!([]);
    }
    let Some(settings) = container["env"].as_array_mut() else { return };
    match settings.iter_mut().find(|setting| setting["name"] == name) {
        Some(setting) => setting["value"] = json!(value),
        None => settings.push(json!({"name": name, "value": value})),
    }
}

/// The launcher's image, which virt-controller of a release without an operator gets as an option.
fn launchers(object: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let _ = each_launcher(&mut object.clone(), &mut |image| {
        found.push(image.clone());
        Ok(())
    });
    found
}

fn pin_launchers(object: &mut Value, lock: &Lock) -> Result<()> {
    each_launcher(object, &mut |image| {
        *image = lock.pinned(image)?;
        Ok(())
    })
}

fn each_launcher(object: &mut Value, change: &mut dyn FnMut(&mut String) -> Result<()>) -> Result<()> {
    let containers = object.pointer_mut("/spec/template/spec/containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        for list in ["command", "args"] {
            let Some(words) = container.get_mut(list).and_then(Value::as_array_mut) else { continue };
            let Some(at) = words.iter().position(|word| word == LAUNCHER) else { continue };
            if let Some(Value::String(image)) = words.get_mut(at + 1) {
                change(image)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "images_tests.rs"]
mod tests;
