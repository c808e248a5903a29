//! KubeVirt: its operator and the resource that tells the operator what to run.

mod nodes;
mod removal;

use async_trait::async_trait;
use camino::Utf8Path;
use serde_json::Value;

use self::nodes::Capabilities;
use super::objects::{self, Live};
use crate::cluster::{Condition, ObjectKey};
use crate::components::kubevirt::{DEVICE_PLUGINS, KUBEVIRT, KUBEVIRT_CR, SOCKETS};
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Note, Reach, Step};
use crate::engine::traces::Traces;
use crate::error::Result;
use crate::profile::Release;
use crate::support;

/// The status field with the version of all components.
const VERSION: &str = "/status/observedKubeVirtVersion";

const ABOUT: About = About {
    id: "kubevirt",
    title: "KubeVirt",
    requires: &["taints", "flannel", "cni-order"],
    reach: Reach::Anywhere,
};

/// Deploys KubeVirt.
pub struct KubeVirt;

/// What is applied first, and what follows once that runs.
struct Manifests {
    operator: Vec<Value>,
    resource: Vec<Value>,
}

#[async_trait]
impl Step for KubeVirt {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        (KUBEVIRT.is_used)(&cx.profile)
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        objects::refuse_unfit(cx, &KUBEVIRT).await?;
        let capabilities = capabilities(cx).await?;
        let manifests = manifests(cx, &capabilities).await?;
        let objects: Vec<Value> = manifests.operator.iter().chain(&manifests.resource).cloned().collect();
        let live = objects::observe(cx, &objects).await?;
        let mut findings = diff(&manifests, &live, cx.profile.timeouts.kubevirt)?;
        let notes = capabilities.note().into_iter().chain(capabilities.gate_notes(&cx.profile));
        notes.for_each(|(warning, text)| findings.notes.push(Note { warning, text }));
        let version = &cx.profile.kubevirt.version;
        if let Some(cluster) = cx.cluster().await
            && let Some(warning) = support::kubevirt_on(version, &cluster.version().await?.git_version)
        {
            findings.warn(warning);
        }
        findings.version = Some(version.clone());
        Ok(findings)
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Value>> {
        let manifests = manifests(cx, &capabilities(cx).await?).await?;
        Ok(manifests.operator.into_iter().chain(manifests.resource).collect())
    }

    fn traces(&self, cx: &Context) -> Traces {
        (KUBEVIRT.traces)(&cx.profile, &cx.facts)
    }

    async fn before_removal(&self, cx: &Context, installed: bool) -> Result<Vec<Change>> {
        let Some(cluster) = cx.cluster().await.filter(|_| installed) else { return Ok(Vec::new()) };
        for object in cluster.list("kubevirt.io/v1", "KubeVirt", None, None).await? {
            removal::refuse_blocked(&cluster, &ObjectKey::of(&object)).await?;
        }
        Ok(Vec::new())
    }

    /// virt-handler's labels and annotations stay on the nodes when it goes.
    async fn after_removal(&self, cx: &Context) -> Result<Vec<Change>> {
        let Some(cluster) = cx.cluster().await else { return Ok(Vec::new()) };
        if !cluster.list("kubevirt.io/v1", "KubeVirt", None, None).await?.is_empty() {
            return Ok(Vec::new());
        }
        let nodes = cluster.list("v1", "Node", None, None).await?;
        let mut changes: Vec<Change> = nodes.iter().filter_map(removal::clean).collect();
        if cx.this_node().await.is_some() {
            changes
                .extend(removal::sockets(cx.host.as_ref(), Utf8Path::new(DEVICE_PLUGINS), &SOCKETS).await?);
        }
        Ok(changes)
    }
}

/// The changes to the live objects, and the waits for what the operator makes of them.
fn diff(manifests: &Manifests, live: &Live, timeout: u64) -> Result<Findings> {
    let mut findings = objects::diff(ABOUT.id, &manifests.operator, live, timeout)?;
    let resource = objects::diff(ABOUT.id, &manifests.resource, live, timeout)?;
    findings.changes.extend(resource.changes);
    findings.notes.extend(resource.notes);
    let changed = !findings.changes.is_empty();
    for object in manifests.resource.iter().filter(|object| object["kind"] == "KubeVirt") {
        let live = live.get(&ObjectKey::of(object));
        let version = operator_version(&manifests.operator);
        if let Some((warning, text)) = move_between(live, version.as_deref()) {
            findings.notes.push(Note { warning, text });
        }
        let conditions = conditions(object, version);
        let waits = conditions.into_iter().map(|condition| wait(condition, live, timeout));
        findings.changes.extend(waits.filter(|(holds, _)| changed || !holds).map(|(_, wait)| wait));
    }
    Ok(findings)
}

async fn capabilities(cx: &Context) -> Result<Capabilities> {
    let nodes = cx.nodes().await?;
    Ok(Capabilities::of(&cx.profile, cx.facts.kvm, cx.this_node().await.as_deref(), &nodes))
}

async fn manifests(cx: &Context, capabilities: &Capabilities) -> Result<Manifests> {
    let operator = cx.manifest(&KUBEVIRT).await?.objects;
    let resource = cx.manifest_with(&KUBEVIRT_CR, capabilities.render).await?.objects;
    Ok(Manifests { operator, resource })
}

/// What must hold in the end: all parts have the operator's version, because a KubeVirt that is being upgraded stays
/// available, and they run.
fn conditions(resource: &Value, version: Option<String>) -> Vec<Condition> {
    let object = ObjectKey::of(resource);
    let upgraded = version.map(|value| {
        let (object, pointer) = (object.clone(), VERSION.to_owned());
        Condition::Field { object, pointer, value }
    });
    let available = Condition::True { object, kind: "Available".into() };
    upgraded.into_iter().chain([available]).collect()
}

/// The note about a change of version, and whether it is a warning.
fn move_between(live: Option<&Value>, wanted: Option<&str>) -> Option<(bool, String)> {
    let (from, to) = (live?.pointer(VERSION)?.as_str()?, wanted?);
    if from == to {
        return None;
    }
    let releases = Release::parse(from).zip(Release::parse(to));
    let is_back = releases.is_some_and(|(from, to)| to < from);
    let running = "running VMs keep their old launcher until they restart";
    Some(if is_back {
        (
            true,
            format!("KubeVirt is downgraded from {from} to {to}, which is hardly tested upstream; {running}"),
        )
    } else if releases.is_some_and(|(from, to)| from.major != to.major || from.minor + 1 < to.minor) {
        (
            true,
            format!(
                "KubeVirt is upgraded from {from} to {to}: upstream supports one minor version at a time; {running}"
            ),
        )
    } else {
        (false, format!("KubeVirt is upgraded from {from} to {to}; {running}"))
    })
}

/// The wait for a condition, and whether it holds already.
fn wait(condition: Condition, live: Option<&Value>, timeout: u64) -> (bool, Change) {
    let (holds, now) = match live {
        Some(live) => crate::cluster::holds_in(&condition, std::slice::from_ref(live)),
        None => (false, "absent".into()),
    };
    (holds, Change::Wait { condition, timeout, now })
}

/// The version that the operator installs: the tag of its image, or what its environment says when the image is named by
/// a digest.
fn operator_version(operator: &[Value]) -> Option<String> {
    let is_operator =
        |object: &&Value| object["kind"] == "Deployment" && object["metadata"]["name"] == "virt-operator";
    let deployment = operator.iter().find(is_operator)?;
    let container = deployment.pointer("/spec/template/spec/containers/0")?;
    let settings = container["env"].as_array().map(Vec::as_slice).unwrap_or_default();
    let setting = |name: &str| {
        settings.iter().find(|setting| setting["name"] == name).and_then(|s| s["value"].as_str())
    };
    let image = setting("VIRT_OPERATOR_IMAGE").or_else(|| container["image"].as_str())?;
    let name = image.rsplit('/').next().unwrap_or(image);
    let version = if name.contains('@') { setting("KUBEVIRT_VERSION")? } else { name.split_once(':')?.1 };
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::components::RenderFacts;
    use crate::host::fake::FakeHost;
    use crate::profile::Profile;
    use crate::steps::testing::{context, debian, lines};

    fn operator(version: &str) -> Value {
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "virt-operator", "namespace": "kubevirt"},
            "spec": {"replicas": 2, "template": {"spec": {"containers": [{"name": "virt-operator",
                "image": format!("quay.io/kubevirt/virt-operator:{version}"),
                "env": [{"name": "KUBEVIRT_VERSION", "value": version}]}]}}}})
    }

    fn resource() -> Value {
        json!({"apiVersion": "kubevirt.io/v1", "kind": "KubeVirt", "metadata": {"name": "kubevirt", "namespace": "kubevirt"},
            "spec": {"infra": {"replicas": 1}}})
    }

    /// As the API server shows an object that kvnet has applied and that works.
    fn live(mut object: Value, status: Value) -> (ObjectKey, Value) {
        object["metadata"]["labels"] =
            json!({"app.kubernetes.io/managed-by": "kvnet", "kvnet.dev/step": "kubevirt"});
        object["status"] = status;
        (ObjectKey::of(&object), object)
    }

    fn found(installed: &[(ObjectKey, Value)], version: &str) -> Findings {
        let manifests = Manifests { operator: vec![operator(version)], resource: vec![resource()] };
        let timeout = Profile::default().timeouts.kubevirt;
        diff(&manifests, &installed.iter().cloned().collect(), timeout).unwrap()
    }

    fn installed(version: &str) -> [(ObjectKey, Value); 2] {
        let available = json!({"observedKubeVirtVersion": version, "phase": "Deployed",
            "conditions": [{"type": "Available", "status": "True"}]});
        let ready = json!({"observedGeneration": 0, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 2});
        [live(operator(version), ready), live(resource(), available)]
    }

    #[test]
    fn the_operator_comes_before_its_resource_and_both_are_waited_for() {
        assert_eq!(
            lines(&found(&[], "v1.5.0")),
            [
                "create Deployment kubevirt/virt-operator",
                "wait for Deployment kubevirt/virt-operator to be ready (now: absent)",
                "create KubeVirt kubevirt/kubevirt",
                "wait for KubeVirt kubevirt/kubevirt to have observedKubeVirtVersion v1.5.0 (now: absent)",
                "wait for KubeVirt kubevirt/kubevirt to be Available (now: absent)",
            ]
        );
        assert_eq!(lines(&found(&installed("v1.5.0"), "v1.5.0")), [] as [&str; 0]);
    }

    #[test]
    fn an_upgrade_waits_for_the_new_version_because_the_old_one_is_available() {
        assert_eq!(
            lines(&found(&installed("v1.5.0"), "v1.5.1")),
            [
                "change Deployment kubevirt/virt-operator",
                "wait for Deployment kubevirt/virt-operator to be ready (now: 2 of 2 ready)",
                "wait for KubeVirt kubevirt/kubevirt to have observedKubeVirtVersion v1.5.1 (now: observedKubeVirtVersion is v1.5.0)",
                "wait for KubeVirt kubevirt/kubevirt to be Available (now: it is Available)",
            ]
        );
    }

    #[test]
    fn a_move_to_another_version_names_both_and_warns_of_the_way_back() {
        let told = |from, to| {
            let findings = found(&installed(from), to);
            findings
                .notes
                .iter()
                .find(|note| note.text.contains("launcher"))
                .map(|note| (note.warning, note.text.clone()))
        };
        let (warning, text) = told("v1.5.0", "v1.5.1").unwrap();
        assert!(!warning && text.contains("upgraded from v1.5.0 to v1.5.1"), "{text}");
        assert!(!told("v1.8.2", "v1.9.0").unwrap().0);
        let (warning, text) = told("v1.5.0", "v1.9.0").unwrap();
        assert!(warning && text.contains("one minor version at a time"), "{text}");
        let (warning, text) = told("v1.5.10", "v1.5.9").unwrap();
        assert!(warning && text.contains("downgraded from v1.5.10 to v1.5.9"), "{text}");
        assert_eq!(told("v1.5.0", "v1.5.0"), None);
    }

    #[test]
    fn an_operator_without_a_version_is_not_waited_for_by_one() {
        let container = |container: Value| {
            let mut operator = operator("v1.5.0");
            operator["spec"]["template"]["spec"]["containers"][0] = container;
            operator_version(&[operator])
        };
        let env = json!([{"name": "KUBEVIRT_VERSION", "value": "v1.5.1"}]);
        let digest = "quay.io:443/kubevirt/virt-operator@sha256:00";
        assert_eq!(container(json!({"image": digest})), None);
        assert_eq!(container(json!({"image": digest, "env": env})).as_deref(), Some("v1.5.1"));
        let tag = "quay.io:443/kubevirt/virt-operator:v1.5.0";
        assert_eq!(container(json!({"image": tag, "env": env})).as_deref(), Some("v1.5.0"));
    }

    #[tokio::test]
    async fn a_single_node_gets_one_copy_and_emulation_is_told() {
        let mut profile = Profile::default();
        profile.kubevirt.source.kind = crate::profile::SourceKind::File;
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), operator("v1.9.0").to_string()).unwrap();
        profile.kubevirt.source.path = file.path().to_str().unwrap().into();
        let cx = context(&Arc::new(FakeHost::new()), profile, debian());
        let findings = Step::find(&KubeVirt, &cx).await.unwrap();
        let object =
            findings.changes.iter().filter_map(Change::object).find(|object| object["kind"] == "KubeVirt");
        let spec = &object.unwrap()["spec"];
        assert_eq!(spec["infra"]["replicas"], 1);
        let settings = &spec["configuration"]["developerConfiguration"];
        assert_eq!(settings["useEmulation"], true);
        assert_eq!(
            settings["disabledFeatureGates"],
            json!(["ImageVolume", "ExternalNetResourceInjection", "Template"])
        );
        assert_eq!(settings.get("featureGates"), None);
        assert!(
            findings.notes.iter().any(|note| note.text.contains("software emulation")),
            "{:?}",
            findings.notes
        );
        let facts = RenderFacts { emulation: true, single_node: true, image_volumes: false };
        assert_eq!(capabilities(&cx).await.unwrap().render, facts);
    }
}
