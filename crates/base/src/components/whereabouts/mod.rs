//! whereabouts: the IPAM plugin that gives out addresses across the cluster.

use serde::Serialize;
use serde_json::{Value, json};

use super::edit::images;
use super::render::bin_dir;
use super::{Component, Custom, Known, Release, RenderFacts, Traces, Workloads, objects_of, raw};
use crate::error::Result;
use crate::facts::Facts;
use crate::manifest;
use crate::profile::{Profile, PullPolicy};
use crate::support::Part;

/// The IPAM plugin of the cluster.
pub static WHEREABOUTS: Component = Component {
    id: "whereabouts",
    step: "whereabouts",
    section: "whereabouts",
    is_used: |profile| profile.whereabouts.enabled,
    render,
    traces,
    workloads: Workloads {
        namespace: |_| NAMESPACE,
        names: &["whereabouts"],
        group: "whereabouts.cni.cncf.io",
        daemon: "whereabouts",
        selector: "app=whereabouts",
        plugins: PLUGINS,
        is_needed_by: |called| called.iter().any(|plugin| PLUGINS.contains(&plugin.as_str())),
    },
    derived: None,
    release: Some(Release {
        part: Part::Whereabouts,
        purpose: "gives out addresses across the cluster",
        question: "whereabouts-version",
        field: "whereabouts.version",
        version: |profile| &profile.whereabouts.version,
        image: "whereabouts",
        manifest: Some(Custom {
            source: |profile| &profile.whereabouts.source,
            address: |profile| raw(REPOSITORIES[0], &profile.whereabouts.version, MANIFEST),
            known: KNOWN,
            repository: "/whereabouts/",
            stand_in: render,
            refuse: |_, _| Ok(()),
            adapt: |profile, objects| {
                adapt(profile, objects);
                Ok(())
            },
        }),
    }),
};

/// The namespace of its pods, and of the pools that they keep.
pub const NAMESPACE: &str = "kube-system";
const PLUGINS: &[&str] = &["whereabouts"];
const REPOSITORIES: &[&str] = &["k8snetworkplumbingwg/whereabouts"];
const MANIFEST: &str = "doc/crds/daemonset-install.yaml";
const KNOWN: &[Known] = &[
    known("v0.9.0", "9a6bb71f8957275b6303e2833724e8c3ee993dde5a89f7e3250ab664e02c1d7c"),
    known("v0.9.2", "c0d0a429eff59b7ca7620b5f0fe77f5821c569156bd2f56a64d1d2c38ae9a01e"),
];

const fn known(version: &'static str, sha256: &'static str) -> Known {
    Known { repositories: REPOSITORIES, version, path: MANIFEST, sha256 }
}

/// Where its pods write what the plugin reads on every node. The plugin looks there by itself, whatever the runtime's own
/// directory is.
const CONF_DIR: &str = "/etc/cni/net.d";
const OWN_DIR: &str = "whereabouts.d";
const DEFINITIONS: &str = "whereabouts/definitions.yaml.tera";
const WORKLOAD: &str = "whereabouts/whereabouts.yaml.tera";

#[derive(Serialize)]
struct Values<'a> {
    namespace: &'a str,
    image: String,
    pull_policy: PullPolicy,
    conf_dir: &'a str,
    cni_bin_dir: &'a str,
}

fn render(profile: &Profile, facts: &Facts, _: RenderFacts) -> Result<Vec<Value>> {
    let values = Values {
        namespace: NAMESPACE,
        image: image(profile),
        pull_policy: profile.images.pull_policy,
        conf_dir: CONF_DIR,
        cni_bin_dir: bin_dir(profile, facts),
    };
    objects_of(&[DEFINITIONS, WORKLOAD], &values)
}

fn image(profile: &Profile) -> String {
    match profile.whereabouts.image.as_str() {
        "" => format!("ghcr.io/k8snetworkplumbingwg/whereabouts:{}", profile.whereabouts.version),
        chosen => chosen.to_owned(),
    }
}

/// The release's manifest names a moving tag, whatever release it is of.
fn adapt(profile: &Profile, objects: &mut [Value]) {
    images(objects, "whereabouts", &image(profile));
}

/// Adds the definitions that a manifest lacks: the release has them in files of their own.
pub fn add_definitions(objects: &mut Vec<Value>) -> Result<()> {
    for definition in objects_of(&[DEFINITIONS], &json!({}))? {
        let is_it = |object: &Value| {
            object["kind"] == definition["kind"]
                && object["metadata"]["name"] == definition["metadata"]["name"]
        };
        if !objects.iter().any(is_it) {
            objects.push(definition);
        }
    }
    manifest::sort(objects);
    Ok(())
}

fn traces(_: &Profile, facts: &Facts) -> Traces {
    let own = camino::Utf8Path::new(CONF_DIR).join(OWN_DIR);
    let mut files = vec![own.join("whereabouts.conf"), own.join("whereabouts.kubeconfig")];
    for directory in &facts.cni_bin_dirs {
        files.extend(PLUGINS.iter().map(|name| directory.join(name)));
    }
    Traces { files, directories: vec![own], ..Traces::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(objects: &[Value]) -> Vec<&str> {
        objects.iter().filter_map(|object| object["metadata"]["name"].as_str()).collect()
    }

    #[test]
    fn a_manifest_without_definitions_gets_them_before_what_needs_them() {
        let profile = Profile::default();
        let own = render(&profile, &Facts::default(), RenderFacts::default()).unwrap();
        let mut bare: Vec<Value> =
            own.iter().filter(|object| object["kind"] != "CustomResourceDefinition").cloned().collect();
        assert_eq!(bare.len() + 3, own.len());
        add_definitions(&mut bare).unwrap();
        assert_eq!(names(&bare), names(&own));
        let whole = own.clone();
        add_definitions(&mut bare).unwrap();
        assert_eq!(bare.len(), whole.len());
    }

    #[test]
    fn the_image_is_the_releases_unless_one_is_chosen() {
        let mut profile = Profile::default();
        let mut theirs = [json!({"kind": "DaemonSet", "spec": {"template": {"spec": {"containers": [
            {"name": "whereabouts", "image": "ghcr.io/k8snetworkplumbingwg/whereabouts:latest"}]}}}})];
        let image = "/spec/template/spec/containers/0/image";
        adapt(&profile, &mut theirs);
        assert_eq!(theirs[0].pointer(image).unwrap(), "ghcr.io/k8snetworkplumbingwg/whereabouts:v0.9.2");
        profile.whereabouts.image = "mirror.example/whereabouts:own".into();
        adapt(&profile, &mut theirs);
        assert_eq!(theirs[0].pointer(image).unwrap(), "mirror.example/whereabouts:own");
    }

    #[test]
    fn what_its_pods_leave_is_known() {
        let facts = Facts { cni_bin_dirs: vec!["/opt/cni/bin".into()], ..Facts::default() };
        let traces = traces(&Profile::default(), &facts);
        assert_eq!(
            traces.files,
            [
                "/etc/cni/net.d/whereabouts.d/whereabouts.conf",
                "/etc/cni/net.d/whereabouts.d/whereabouts.kubeconfig",
                "/opt/cni/bin/whereabouts"
            ]
        );
        assert_eq!(traces.directories, ["/etc/cni/net.d/whereabouts.d"]);
    }
}
