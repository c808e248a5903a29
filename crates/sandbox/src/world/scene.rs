//! The shared context of the world: the objects, the node, the clock, and records about pods.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Value, json};

use super::objects::{hex, items, name, namespace, text, uid};
use super::pace::{Pace, Timers};
use crate::api::{ApiServer, Clock, KubernetesVersion, Removal};
use crate::cluster::ObjectKey;
use crate::error::Result;
use crate::node::SandboxHost;
use crate::store::Store;

/// The objects and the node, for controllers: synchronous, each call one transaction.
#[derive(Clone)]
pub(super) struct Scene {
    api: ApiServer,
    pub node: SandboxHost,
    pub store: Store,
    clock: Clock,
    timers: Arc<Mutex<Timers>>,
    /// What failed, and its inputs: not retried until they change.
    failures: Arc<Mutex<HashMap<String, String>>>,
    /// What had nothing to do for these inputs.
    settled: Arc<Mutex<HashMap<String, String>>>,
    lists: Arc<Mutex<Lists>>,
}

/// Lists of objects as they were at a revision.
#[derive(Default)]
struct Lists {
    revision: u64,
    known: HashMap<(String, String), Arc<Vec<Value>>>,
}

impl Lists {
    fn forget_changed(&mut self, store: &Store, now: u64) {
        let Some(changes) = store.changes_after(self.revision) else {
            self.known.clear();
            self.revision = now;
            return;
        };
        for changed in changes.iter().filter(|changed| changed.key.starts_with("api/")) {
            let plural = changed.key.split('/').nth(2).unwrap_or_default().replace('-', "");
            // A definition may bring any kind.
            let all = plural == "customresourcedefinitions";
            self.known.retain(|(_, kind), _| !all && !plural.starts_with(&kind.to_lowercase()));
        }
        self.revision = now;
    }
}

impl Scene {
    pub fn new(api: ApiServer, node: SandboxHost, store: Store, clock: Clock, pace: Pace) -> Self {
        Self {
            api,
            node,
            store,
            clock,
            timers: Arc::new(Mutex::new(Timers::new(pace))),
            failures: Arc::default(),
            settled: Arc::default(),
            lists: Arc::default(),
        }
    }

    /// The time as objects have it.
    pub fn now(&self) -> String {
        self.clock.stamp()
    }

    /// Whether `what` has taken the `seconds` that it takes on a real node.
    pub fn is_over(&self, what: &str, seconds: f64) -> bool {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner).is_over(what, seconds)
    }

    /// Whether something has failed already while all that it depends on was as it is now.
    pub fn has_failed(&self, what: &str, depends_on: &str) -> bool {
        let failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.get(what).is_some_and(|then| then == depends_on)
    }

    /// Remembers a failure.
    pub fn failed(&self, what: &str, depends_on: String) {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner).insert(what.to_owned(), depends_on);
    }

    /// Runs a function, unless it changed nothing the last time and its inputs are the same.
    pub fn unless_settled(
        &self,
        what: &str,
        depends_on: String,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        let lock = || self.settled.lock().unwrap_or_else(PoisonError::into_inner);
        if lock().get(what).is_some_and(|then| *then == depends_on) {
            return Ok(());
        }
        let before = self.revision()?;
        act()?;
        let waits = self.timers.lock().unwrap_or_else(PoisonError::into_inner).are_running();
        if self.revision()? == before && !waits {
            lock().insert(what.to_owned(), depends_on);
        }
        Ok(())
    }

    /// The number of the last change of anything.
    pub fn revision(&self) -> Result<u64> {
        #[expect(
            clippy::redundant_closure_for_method_calls,
            reason = "the method is of one lifetime, the closure of any"
        )]
        self.store.read(|store| store.revision())
    }

    /// How long until the next thing is over.
    pub fn next_due(&self) -> Option<std::time::Duration> {
        self.timers.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// The version of Kubernetes, as `v1.34.4`.
    pub fn kubernetes(&self) -> &'static str {
        self.api.version().git()
    }

    /// Whether the cluster is one of 2018.
    pub fn is_old(&self) -> bool {
        self.api.version() == KubernetesVersion::V1_11
    }

    pub fn get(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Result<Option<Value>> {
        self.api.get(&ObjectKey::new(api_version, kind, namespace, name))
    }

    /// All objects of a kind, kept until one of them changes.
    pub fn list(&self, api_version: &str, kind: &str) -> Result<Arc<Vec<Value>>> {
        let mut lists = self.lists.lock().unwrap_or_else(PoisonError::into_inner);
        // Reads what other processes wrote.
        let now = self.revision()?;
        lists.forget_changed(&self.store, now);
        let key = (api_version.to_owned(), kind.to_owned());
        if let Some(known) = lists.known.get(&key) {
            return Ok(known.clone());
        }
        let list = Arc::new(self.api.list(api_version, kind, None)?);
        lists.known.insert(key, list.clone());
        Ok(list)
    }

    /// The node's own object; none before kubelet has registered it.
    pub fn own_node(&self) -> Result<Option<Value>> {
        let own = self.node_name()?;
        Ok(self.list("v1", "Node")?.iter().find(|node| name(node) == own).cloned())
    }

    /// All nodes, the own one first.
    pub fn nodes(&self) -> Result<Vec<Value>> {
        let own = self.node_name()?;
        let mut nodes = self.list("v1", "Node")?.as_ref().clone();
        nodes.sort_by_key(|node| name(node) != own);
        Ok(nodes)
    }

    /// The name that the kubelet registers the node under: its host name in lower case, unless kubeadm was told another.
    pub fn node_name(&self) -> Result<String> {
        let flags = self.node.text("/var/lib/kubelet/kubeadm-flags.env")?.unwrap_or_default();
        let words = flags.split([' ', '"', '\n']);
        let given = words.into_iter().find_map(|word| word.strip_prefix("--hostname-override="));
        let hostname = self.node.text("/proc/sys/kernel/hostname")?.unwrap_or_default();
        Ok(given.map_or_else(|| hostname.trim().to_lowercase(), str::to_owned))
    }

    /// Creates an object unless one of its name is there.
    pub fn create(&self, manager: &str, object: &Value) -> Result<()> {
        if self.api.get(&ObjectKey::of(object))?.is_none() {
            self.api.create(manager, object)?;
        }
        Ok(())
    }

    /// Writes what differs between an object as it was read and as it should be.
    pub fn save(&self, manager: &str, before: &Value, after: Value) -> Result<()> {
        let status = (before["status"] != after["status"]).then(|| after["status"].clone());
        let latest =
            if same_but_status(before, &after) { None } else { Some(self.api.update(manager, &after)?) };
        if let Some(status) = status {
            let mut latest = latest.unwrap_or(after);
            latest["status"] = status;
            self.api.update_status(manager, &latest)?;
        }
        Ok(())
    }

    /// How many of a thing there have been, this one included.
    pub fn count(&self, what: &str) -> Result<u64> {
        let key = format!("node/count/{what}");
        self.store.write(|store| {
            let count = store.value(&key).and_then(|value| value.as_u64()).unwrap_or_default() + 1;
            store.put(&key, count.into());
            count
        })
    }

    /// How many of a thing there have been.
    pub fn counted(&self, what: &str) -> Result<u64> {
        let key = format!("node/count/{what}");
        self.store.read(|store| store.value(&key).and_then(|value| value.as_u64()).unwrap_or_default())
    }

    /// Asks for an object's deletion.
    pub fn delete(&self, object: &Value) -> Result<()> {
        self.api.delete(&ObjectKey::of(object), Removal::Asked).map(|_| ())
    }

    /// Removes a terminated pod.
    pub fn forget(&self, pod: &Value) -> Result<()> {
        self.api.delete(&ObjectKey::of(pod), Removal::AtOnce).map(|_| ())
    }

    fn source(&self, component: &str) -> Result<Value> {
        let mut source = json!({"component": component});
        if let Some(node) = self.own_node()?.filter(|_| OF_NODE.contains(&component)) {
            source["host"] = name(&node).into();
        }
        Ok(source)
    }

    /// Adds an event about an object; the same one is not repeated.
    pub fn event(&self, about: &Value, source: &str, kind: &str, reason: &str, message: &str) -> Result<()> {
        let place = Some(namespace(about)).filter(|space| !space.is_empty()).unwrap_or("default");
        let event_name =
            format!("{}.{}", name(about), hex(&format!("{} {reason} {message}", uid(about)), 16));
        let now = self.now();
        let mut involved = json!({
            "apiVersion": text(about, "/apiVersion"), "kind": text(about, "/kind"), "name": name(about), "uid": uid(about),
        });
        if !namespace(about).is_empty() {
            involved["namespace"] = namespace(about).into();
        }
        self.create(
            source,
            &json!({
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": event_name, "namespace": place},
                "involvedObject": involved,
                "type": kind,
                "reason": reason,
                "message": message,
                "count": 1,
                "source": self.source(source)?,
                "reportingComponent": source,
                "firstTimestamp": now,
                "lastTimestamp": now,
            }),
        )
    }
}

/// Those that speak for a node name it.
const OF_NODE: [&str; 2] = ["kubelet", "multus"];

fn same_but_status(one: &Value, other: &Value) -> bool {
    let (Some(one), Some(other)) = (one.as_object(), other.as_object()) else { return one == other };
    let mut names = one.keys().chain(other.keys()).filter(|name| *name != "status");
    names.all(|name| one.get(name) == other.get(name))
}

/// What tells whether objects have changed.
pub(super) fn versions<'a>(objects: impl IntoIterator<Item = &'a Value>) -> String {
    let version = |object: &Value| format!("{}@{} ", uid(object), text(object, "/metadata/resourceVersion"));
    objects.into_iter().map(version).collect()
}

pub(super) fn label<'a>(object: &'a Value, key: &str) -> &'a str {
    object["metadata"]["labels"][key].as_str().unwrap_or_default()
}

/// The containers of a pod, those that prepare it first.
pub(super) fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    items(pod, "/spec/initContainers").iter().chain(items(pod, "/spec/containers"))
}
