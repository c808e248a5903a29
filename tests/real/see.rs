//! Snapshots of a node: what is on its disk, in Open vSwitch and in the API server.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::node::Node;

/// What was seen, by name: `file /etc/hosts`, `ovs blue`, `Pod default/a`.
#[derive(Debug, Default)]
pub struct Snapshot(BTreeMap<String, String>);

/// A difference that is right, with the reason.
#[derive(Clone, Copy)]
pub struct Tolerated {
    /// How the names start.
    pub start: &'static str,
    /// Why it is right.
    #[allow(dead_code, reason = "read by people")]
    pub reason: &'static str,
}

impl Snapshot {
    /// The names of all that differs.
    pub fn differences(&self, other: &Self) -> Vec<String> {
        let names: BTreeSet<&String> = self.0.keys().chain(other.0.keys()).collect();
        let different = names.into_iter().filter(|name| self.0.get(*name) != other.0.get(*name));
        different.map(|name| format!("{name}: {}", shown(self.0.get(name), other.0.get(name)))).collect()
    }

    /// Nothing differs but what is tolerated.
    pub fn must_equal(&self, other: &Self, tolerated: &[Tolerated]) {
        let differences = self.differences(other);
        let wrong: Vec<&String> = differences
            .iter()
            .filter(|difference| !tolerated.iter().any(|known| difference.starts_with(known.start)))
            .collect();
        assert!(
            wrong.is_empty(),
            "differs:\n{}",
            wrong.iter().map(|line| format!("  {line}")).collect::<Vec<_>>().join("\n")
        );
    }

    fn and(mut self, other: Self) -> Self {
        self.0.extend(other.0);
        self
    }

    /// How much was seen; a snapshot of nothing would equal every other.
    fn of_some(self, least: usize) -> Self {
        assert!(self.0.len() >= least, "only {} things were seen", self.0.len());
        self
    }
}

/// Both texts, from shortly before the first character that differs.
fn shown(one: Option<&String>, other: Option<&String>) -> String {
    let (Some(one), Some(other)) = (one, other) else {
        let text = |text: Option<&String>| {
            text.map_or_else(|| "absent".into(), |text| text.chars().take(300).collect::<String>())
        };
        return format!("{} -> {}", text(one), text(other));
    };
    let same = one.chars().zip(other.chars()).take_while(|(one, other)| one == other).count();
    let part = |text: &String| text.chars().skip(same.saturating_sub(80)).take(300).collect::<String>();
    format!("..{} -> ..{}", part(one), part(other))
}

/// Disk, Open vSwitch and API server.
pub fn all(node: &Node) -> Snapshot {
    host(node).and(objects(node))
}

/// Disk and Open vSwitch.
pub fn host(node: &Node) -> Snapshot {
    files(node).and(switch(node))
}

/// Every file, link and directory that kvnet, its packages or its components might write.
pub fn files(node: &Node) -> Snapshot {
    let listing =
        node.sh("roots='/etc /opt/cni'; [ ! -e /root/.kube/config ] || roots+=' /root/.kube/config'; [ ! -e /var/lib/kvnet ] || roots+=' /var/lib/kvnet'
         find $roots -type l -printf 'file %p\\t%M %l\\n'; find $roots -type d -printf 'file %p/\\t%M\\n'
         find $roots -type f -printf 'file %p\\t%M ' -exec sh -c 'sha256sum <\"$1\"' sum {} \\;");
    // Every run leaves a log, also one that changes nothing.
    let logs = ["file /var/lib/kvnet/\t", "file /var/lib/kvnet/logs/"];
    let lines = listing.lines().filter(|line| !logs.iter().any(|log| line.starts_with(log)));
    let lines = lines.filter_map(|line| line.split_once('\t'));
    Snapshot(lines.map(|(name, text)| (name.to_owned(), text.to_owned())).collect()).of_some(100)
}

/// The bridges and ports of Open vSwitch, without counters.
pub fn switch(node: &Node) -> Snapshot {
    let absent = Snapshot(BTreeMap::from([("ovs".to_owned(), "not installed".to_owned())]));
    if !node.holds("command -v ovs-vsctl") {
        return absent;
    }
    let mut found = BTreeMap::new();
    for (table, columns) in [
        ("Bridge", "name,datapath_type,external_ids,other_config"),
        ("Port", "name,tag,trunks,fake_bridge,external_ids,other_config"),
        ("Interface", "name,type,options,external_ids"),
    ] {
        let rows =
            node.json(&format!("ovs-vsctl --timeout=10 --format=json --columns={columns} list {table}"));
        for row in rows["data"].as_array().expect("rows") {
            found.insert(format!("ovs {table} {}", row[0]), row.to_string());
        }
    }
    found.insert("ovs".into(), "installed".into());
    Snapshot(found)
}

/// Written all the time by the cluster itself: heartbeats, leader elections, events, and shadows of services.
const NOISE: [&str; 5] = ["leases.", "events", "endpointslices.", "endpoints", "componentstatuses"];

/// Every object of every kind that the API server serves, without what the API server counts and times.
pub fn objects(node: &Node) -> Snapshot {
    let kinds = node.sh("kubectl api-resources --verbs=list -o name");
    let kinds: Vec<&str> =
        kinds.lines().filter(|kind| !NOISE.iter().any(|noise| kind.starts_with(noise))).collect();
    let list = node.json(&format!("kubectl get {} --all-namespaces -o json", kinds.join(",")));
    let items = list["items"].as_array().expect("items");
    let mut found: BTreeMap<_, _> =
        items.iter().map(|item| (name_of(item), normal(item).to_string())).collect();
    for node in items.iter().filter(|item| item["kind"] == "Node") {
        found.extend(said_of(node));
    }
    Snapshot(found).of_some(100)
}

fn name_of(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str);
    let (kind, name) = (text("/kind").expect("a kind"), text("/metadata/name").expect("a name"));
    text("/metadata/namespace")
        .map_or_else(|| format!("{kind} {name}"), |space| format!("{kind} {space}/{name}"))
}

/// Written to nodes by many; each stands for itself.
fn said_of(node: &Value) -> Vec<(String, String)> {
    let fields = |what: &'static str, value: &Value| {
        let fields = value.as_object().cloned().unwrap_or_default();
        fields.into_iter().map(move |(key, value)| (format!("node {what} {key}"), value.to_string()))
    };
    let annotations = fields("annotation", &node["metadata"]["annotations"]);
    annotations.chain(fields("capacity", &node["status"]["capacity"])).chain(conditions(node)).collect()
}

/// Their types and statuses; not whether it is ready, which follows the network by some seconds.
fn conditions(node: &Value) -> Vec<(String, String)> {
    let all = node["status"]["conditions"].as_array().expect("conditions");
    all.iter()
        .filter(|condition| condition["type"] != "Ready")
        .map(|condition| (format!("node condition {}", condition["type"]), condition["status"].to_string()))
        .collect()
}

/// The cluster writes these itself, some seconds after a condition of the node has changed.
fn drop_condition_taints(spec: &mut Value) {
    let Some(taints) = spec.get_mut("taints").and_then(Value::as_array_mut) else { return };
    taints.retain(|taint| !taint["key"].as_str().is_some_and(|key| key.starts_with("node.kubernetes.io/")));
}

fn normal(object: &Value) -> Value {
    let mut object = object.clone();
    let fields = object.as_object_mut().expect("an object");
    fields.remove("status");
    let is_node = fields["kind"] == "Node";
    let metadata = fields["metadata"].as_object_mut().expect("metadata");
    for field in ["resourceVersion", "generation", "managedFields"] {
        metadata.remove(field);
    }
    if is_node {
        metadata.remove("annotations");
        drop_condition_taints(&mut fields["spec"]);
    }
    object.sort_all_objects();
    object
}

/// A place in the API server's audit log.
pub struct AuditMark(usize);

/// One request of kvnet.
#[derive(Debug)]
pub struct Request {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete`.
    pub verb: String,
    /// The path.
    #[allow(dead_code, reason = "shown when an assertion fails")]
    pub path: String,
}

impl Request {
    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        !matches!(self.verb.as_str(), "get" | "list" | "watch")
    }
}

const AUDIT_LOG: &str = "/var/log/kubernetes/audit.log";

impl AuditMark {
    /// The end of the log.
    pub fn now(node: &Node) -> Self {
        Self(node.sh(&format!("stat --format=%s {AUDIT_LOG}")).trim().parse().expect("a size"))
    }

    /// kvnet's requests since then.
    pub fn requests(&self, node: &Node) -> Vec<Request> {
        let log = node.sh(&format!("tail --bytes=+{} {AUDIT_LOG}", self.0 + 1));
        let records = log.lines().map(|line| serde_json::from_str::<Value>(line).expect("a record"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let ours = records.filter(|record| {
            // The log of 2018 does not tell the program; nobody else is the administrator while kvnet runs.
            let program = record["userAgent"].as_str();
            program.map_or_else(
                || record["user"]["username"] == "kubernetes-admin",
                |name| name.starts_with("kvnet/"),
            )
        });
        ours.map(|record| Request { verb: text(&record["verb"]), path: text(&record["requestURI"]) })
            .collect()
    }
}
