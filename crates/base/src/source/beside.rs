//! Fields of a profile that a manifest other than kvnet's own contradicts.

use serde_json::Value;

use super::Component;
use super::adapt::installed_version;
use crate::error::{Error, Result, code};
use crate::profile::{MultusFlavour, Profile};

/// Refuses the fields that a manifest decides and that a user has set otherwise.
///
/// # Errors
/// `KVN104` at the field.
pub(super) fn refuse_contradictions(
    component: Component,
    profile: &Profile,
    objects: &[Value],
) -> Result<()> {
    let (part, version) = match component {
        Component::Flannel => ("flannel", &profile.flannel.version),
        Component::Multus => ("multus", &profile.multus.version),
        Component::OvsCni => ("ovs-cni", &profile.ovs_cni.version),
        Component::KubeVirt => ("virt-", &profile.kubevirt.version),
        Component::KubeVirtCr | Component::Vm => return Ok(()),
    };
    let section = component.section();
    let path = format!("{section}.version");
    if profile.is_written(&path)
        && !profile.is_written(&format!("{section}.image"))
        && let Some(installed) = installed_version(objects, part).filter(|installed| installed != version)
    {
        return Err(refused(profile, &path, &format!("is {version}, but the manifest is for {installed}")));
    }
    match component {
        Component::Flannel => flannel_namespace(profile, objects),
        Component::Multus => flavour(profile, objects),
        Component::KubeVirt => namespace(profile, objects),
        _ => Ok(()),
    }
}

/// The error for a field.
pub(super) fn refused(profile: &Profile, path: &str, message: &str) -> Error {
    Error::new(&code::PROFILE_VALUE, format!("`{path}` {message}"))
        .at(profile.place_of(path))
        .hint("remove the field, or use a matching manifest")
}

fn flavour(profile: &Profile, objects: &[Value]) -> Result<()> {
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

/// The namespace of the workloads.
fn namespace_of(objects: &[Value]) -> Option<&str> {
    let is_workload = |object: &&Value| matches!(object["kind"].as_str(), Some("Deployment" | "DaemonSet"));
    objects.iter().find(is_workload)?["metadata"]["namespace"].as_str()
}

fn flannel_namespace(profile: &Profile, objects: &[Value]) -> Result<()> {
    let wanted = profile.flannel.namespace.as_str();
    let other = namespace_of(objects).filter(|there| *there != wanted);
    match other.filter(|_| profile.is_written("flannel.namespace")) {
        None => Ok(()),
        Some(there) => {
            let message = format!("is `{wanted}`, but the manifest's objects are in `{there}`");
            Err(refused(profile, "flannel.namespace", &message))
        }
    }
}

/// KubeVirt's own resource must be where its operator is.
fn namespace(profile: &Profile, objects: &[Value]) -> Result<()> {
    let there = namespace_of(objects);
    let wanted = profile.kubevirt.namespace.as_str();
    match there.filter(|there| *there != wanted) {
        None => Ok(()),
        Some(there) => Err(Error::new(
            &code::PROFILE_VALUE,
            format!("`kubevirt.namespace` is `{wanted}`, but the manifest's workloads are in `{there}`"),
        )
        .at(profile.place_of("kubevirt.namespace"))
        .hint(format!("write `namespace: {there}`"))),
    }
}

#[cfg(test)]
mod tests {
    use camino::Utf8PathBuf;
    use serde_json::Value;

    use crate::error::Result;
    use crate::facts::Facts;
    use crate::profile::{Profile, load_text, schema};
    use crate::source::{Component, RenderFacts, SourceOptions, Sources, embedded};

    const FACTS: RenderFacts = RenderFacts { emulation: false, single_node: true, image_volumes: true };

    fn sources() -> Sources {
        Sources::new(SourceOptions {
            stand_ins: false,
            mirror: None,
            cache_dir: "/nonexistent".into(),
            lock_file: None,
            timeout: std::time::Duration::from_secs(1),
        })
    }

    /// All that a component's section decides, with the place of a refusal.
    async fn rendered(component: Component, profile: &Profile) -> Result<Vec<Value>> {
        let (sources, facts) = (sources(), Facts::default());
        let mut objects = sources.load(component, profile, &facts, &FACTS).await?.objects;
        if component == Component::KubeVirt {
            objects.extend(sources.load(Component::KubeVirtCr, profile, &facts, &FACTS).await?.objects);
        }
        Ok(objects)
    }

    /// A foreign manifest: kvnet's own, in a file.
    fn manifest(directory: &camino::Utf8Path, section: &str, component: Component) -> Utf8PathBuf {
        let profile = Profile::default();
        let objects = match component {
            Component::KubeVirt => {
                let values =
                    serde_json::json!({"version": "v1.9.0", "namespace": "kubevirt", "definitions": []});
                embedded::objects_of(&["sandbox/kubevirt-operator.yaml.tera"], &values).unwrap()
            }
            _ => embedded::render(component, &profile, &Facts::default(), FACTS).unwrap(),
        };
        let path = directory.join(format!("{section}.yaml"));
        let text: Vec<String> = objects.iter().map(|object| format!("---\n{object}\n")).collect();
        std::fs::write(&path, text.concat()).unwrap();
        path
    }

    /// Another value for a field; none for those that say where the manifest comes from, and those that a step follows by
    /// itself: the name of Multus' file, and emulation, which also depends on the node.
    fn another(section: &str, field: &str) -> Option<&'static str> {
        Some(match (section, field) {
            (_, "enabled" | "source" | "emulation") | ("multus", "confFile") => return None,
            ("kubevirt", "version") => "v1.8.4",
            (_, "version") => "v0.9.9",
            (_, "image" | "cniPluginImage") => "ghcr.io/flannel-io/flannel:v0.1.2",
            (_, "namespace") => "elsewhere",
            (_, "backend") => "host-gw",
            (_, "flavour") => "thin",
            (_, "memoryLimit") => "123Mi",
            (_, "confFile" | "masterCni") => "55-other.conflist",
            (_, "infraReplicas") => "2",
            (_, "featureGates" | "disabledFeatureGates") => "[SomeGate]",
            other => panic!("{other:?} is a new field: say here what it does beside a manifest"),
        })
    }

    #[tokio::test]
    async fn every_field_beside_a_manifest_changes_it_or_is_refused_at_its_line() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        let schema = schema();
        let definitions = &schema["definitions"];
        for (section, definition, component) in [
            ("flannel", "Flannel", Component::Flannel),
            ("multus", "Multus", Component::Multus),
            ("ovsCni", "OvsCni", Component::OvsCni),
            ("kubevirt", "KubeVirt", Component::KubeVirt),
        ] {
            let path = manifest(&directory, section, component);
            let own = format!("source: {{from: file, path: {path}}}");
            for from in ["", own.as_str()] {
                if from.is_empty() && component == Component::KubeVirt {
                    continue;
                }
                let load = |line: &str| {
                    let text = format!("extends: default\n{section}:\n  enabled: true\n  {line}\n  {from}\n");
                    load_text(&text, "p.yaml", &[])
                };
                let before = rendered(component, &load("").unwrap().profile).await.unwrap();
                for field in definitions[definition]["properties"].as_object().unwrap().keys() {
                    let Some(value) = another(section, field) else { continue };
                    let told = format!("{section}.{field} {from}");
                    let after = match load(&format!("{field}: {value}")) {
                        Ok(loaded) => rendered(component, &loaded.profile).await,
                        Err(error) => Err(error),
                    };
                    match after {
                        Ok(after) => assert_ne!(after, before, "{told} has no effect"),
                        Err(error) => {
                            assert!(!from.is_empty(), "{told}: {error}");
                            assert!(
                                error.place().unwrap_or_default().starts_with("p.yaml:4:"),
                                "{told}: {error}"
                            );
                            assert!(
                                error.message().contains(&format!("`{section}.{field}`")),
                                "{told}: {error}"
                            );
                        }
                    }
                }
            }
        }
    }

    #[tokio::test]
    async fn what_is_written_as_kvnet_would_have_it_is_applied_too() {
        let directory = tempfile::tempdir().unwrap();
        let directory = Utf8PathBuf::from_path_buf(directory.path().to_owned()).unwrap();
        let path = manifest(&directory, "flannel", Component::Flannel);
        let text = std::fs::read_to_string(&path).unwrap();
        let theirs = text.replace("vxlan", "wireguard").replace("flannel:v0.28.10", "flannel:v0.28.9");
        std::fs::write(&path, theirs).unwrap();
        let load = |line: &str| {
            let text = format!("flannel:\n  {line}\n  source: {{from: file, path: {path}}}\n");
            load_text(&text, "p.yaml", &[]).unwrap().profile
        };
        let all = |profile: Profile| async move {
            Value::Array(rendered(Component::Flannel, &profile).await.unwrap()).to_string()
        };
        let left = all(load("")).await;
        assert!(left.contains("wireguard") && left.contains("flannel:v0.28.9"), "{left}");
        assert!(all(load("backend: vxlan")).await.contains("vxlan"));
        let image = all(load("image: ghcr.io/flannel-io/flannel:v0.28.10")).await;
        assert!(image.contains("flannel:v0.28.10") && !image.contains("flannel:v0.28.9"), "{image}");
        let error = rendered(Component::Flannel, &load("version: v0.28.10")).await.unwrap_err();
        assert_eq!(error.place(), Some("p.yaml:2:12"));
        assert!(error.message().contains("is v0.28.10, but the manifest is for v0.28.9"), "{error}");
    }
}
