//! Fields of a profile that a manifest other than kvnet's own contradicts.

use camino::Utf8PathBuf;
use serde_json::Value;

use crate::components::flannel::FLANNEL;
use crate::components::kubevirt::{KUBEVIRT, KUBEVIRT_CR};
use crate::components::{ALL, Component, RenderFacts};
use crate::error::Result;
use crate::facts::Facts;
use crate::profile::{Profile, load_text, schema};
use crate::source::{SourceOptions, Sources};

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
async fn rendered(component: &Component, profile: &Profile) -> Result<Vec<Value>> {
    let (sources, facts) = (sources(), Facts::default());
    let mut objects = sources.load(component, profile, &facts, &FACTS).await?.objects;
    if *component == KUBEVIRT {
        objects.extend(sources.load(&KUBEVIRT_CR, profile, &facts, &FACTS).await?.objects);
    }
    Ok(objects)
}

/// A foreign manifest: kvnet's own, in a file.
fn manifest(directory: &camino::Utf8Path, section: &str, component: &Component) -> Utf8PathBuf {
    let stand_in = component.custom().unwrap().stand_in;
    let objects = stand_in(&Profile::default(), &Facts::default(), FACTS).unwrap();
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
    for component in ALL.iter().copied().filter(|component| component.custom().is_some()) {
        let section = component.section;
        let named = |name: &&String| name.eq_ignore_ascii_case(section);
        let definition = definitions.as_object().unwrap().keys().find(named).unwrap();
        let path = manifest(&directory, section, component);
        let own = format!("source: {{from: file, path: {path}}}");
        for from in ["", own.as_str()] {
            if from.is_empty() && *component == KUBEVIRT {
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
                        assert!(error.message().contains(&format!("`{section}.{field}`")), "{told}: {error}");
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
    let path = manifest(&directory, "flannel", &FLANNEL);
    let text = std::fs::read_to_string(&path).unwrap();
    let theirs = text.replace("vxlan", "wireguard").replace("flannel:v0.28.10", "flannel:v0.28.9");
    std::fs::write(&path, theirs).unwrap();
    let load = |line: &str| {
        let text = format!("flannel:\n  {line}\n  source: {{from: file, path: {path}}}\n");
        load_text(&text, "p.yaml", &[]).unwrap().profile
    };
    let all = |profile: Profile| async move {
        Value::Array(rendered(&FLANNEL, &profile).await.unwrap()).to_string()
    };
    let left = all(load("")).await;
    assert!(left.contains("wireguard") && left.contains("flannel:v0.28.9"), "{left}");
    assert!(all(load("backend: vxlan")).await.contains("vxlan"));
    let image = all(load("image: ghcr.io/flannel-io/flannel:v0.28.10")).await;
    assert!(image.contains("flannel:v0.28.10") && !image.contains("flannel:v0.28.9"), "{image}");
    let error = rendered(&FLANNEL, &load("version: v0.28.10")).await.unwrap_err();
    assert_eq!(error.place(), Some("p.yaml:2:12"));
    assert!(error.message().contains("is v0.28.10, but the manifest is for v0.28.9"), "{error}");
}
