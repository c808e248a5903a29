//! What a kept sandbox consists of, and how two of them are compared.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kvnet_sandbox::store::Store;
use serde_json::Value;

/// Everything that a sandbox consists of, by its key.
pub type Values = BTreeMap<String, Value>;

/// The values of the sandbox that a directory keeps.
pub fn values(directory: &Path) -> Values {
    let directory = camino::Utf8Path::from_path(directory).unwrap();
    let store = Store::on_disk(directory).unwrap();
    of_store(&store)
}

/// The values of a sandbox.
pub fn of_store(store: &Store) -> Values {
    store
        .read(|store| store.range("").map(|(key, value)| (key.to_owned(), value.as_ref().clone())).collect())
        .unwrap()
}

/// What `down` leaves, and why.
const AFTER_DOWN: &[(&str, &str)] = &[
    ("api/core/events/", "events tell what happened"),
    (
        "api/core/pods/kube-system/coredns-",
        "they had addresses on flannel's network; their ReplicaSet has replaced them",
    ),
    ("file/proc/modules", "a kernel module stays loaded: other things may rely on it by then"),
    ("file/proc/sys/net/bridge/", "the settings of the module"),
    ("file/sys/module/", "the module"),
    (
        "file/var/lib/cni/",
        "what CNI plugins remember of pods: the last address that was given out, and the like",
    ),
    ("node/count/", "how many pods of a name there have been"),
];

/// What `down` has left besides that.
pub fn left_by_down(before: &Values, after: &Values) -> Vec<String> {
    let keys = before.keys().chain(after.keys()).collect::<BTreeSet<_>>();
    let tolerated = |key: &str| {
        AFTER_DOWN.iter().any(|(start, _)| key.starts_with(start))
            || (key == "ovs" && is_left_database(after))
            || (key.starts_with("node/sandbox/") && after.get(key).is_some_and(is_of_last_check))
    };
    // A directory in which there is nothing of kvnet's any more: packages, the runtime and kvnet itself make some.
    let directory = |key: &str| {
        let inside: Vec<&String> =
            after.keys().filter(|other| other.starts_with(&format!("{key}/"))).collect();
        let is_one = after.get(key).is_some_and(|value| value["kind"] == "directory");
        is_one
            && inside.iter().all(|key| {
                !before.contains_key(*key) && (tolerated(key) || after[*key]["kind"] == "directory")
            })
    };
    let differs = |key: &&&String| before.get(**key).map(plain) != after.get(**key).map(plain);
    let told =
        |key: &String| format!("{key}:\n{:?}\n{:?}", before.get(key).map(plain), after.get(key).map(plain));
    keys.iter()
        .filter(|key| !tolerated(key) && !directory(key))
        .filter(differs)
        .map(|key| told(key))
        .collect()
}

/// Whether a pod's sandbox is that of the pod that `down` tries at its end: it is deleted, and goes while kvnet ends.
fn is_of_last_check(sandbox: &Value) -> bool {
    sandbox["namespace"] == "kvnet-verify" && sandbox["pod"] == "plain"
}

/// Whether the package manager has left Open vSwitch's database, in which there is no bridge. Only those of Debian are
/// told to take it away.
fn is_left_database(values: &Values) -> bool {
    let distribution = values["node/seed"]["distribution"].as_str().unwrap();
    let bridges = values.get("ovs").and_then(|database| database["tables"]["Bridge"].as_object());
    let is_empty = bridges.is_some_and(serde_json::Map::is_empty);
    !["debian", "ubuntu"].contains(&distribution) && is_empty
}

/// A value without what counts and times, and without what KubeVirt leaves in the node's object: that it takes no
/// machines.
fn plain(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["resourceVersion", "generation", "managedFields", "annotations"] {
            metadata.remove(field);
        }
    }
    if value["kind"] == "Node" {
        let is_ours = |name: &str| !name.contains("kubevirt.io/");
        for pointer in ["/metadata/labels", "/status/capacity", "/status/allocatable"] {
            let fields = value.pointer_mut(pointer).and_then(Value::as_object_mut);
            fields.unwrap().retain(|name, _| is_ours(name));
        }
        value["spec"]["taints"].as_array_mut().unwrap().sort_by_key(|taint| taint["key"].to_string());
    }
    forget(&mut value, &TIMES);
    value
}

const TIMES: [&str; 4] = ["lastTransitionTime", "lastHeartbeatTime", "lastUpdateTime", "observedGeneration"];

/// What is another thing each time that the same is done: times, and what counts changes.
const OF_ITS_OWN: [&str; 10] = [
    "resourceVersion",
    "managedFields",
    "creationTimestamp",
    "lastTransitionTime",
    "lastHeartbeatTime",
    "lastUpdateTime",
    "startTime",
    "startedAt",
    "finishedAt",
    "kubevirt.io/heartbeat",
];

/// What is not the same after two runs that did the same.
const PASSING: [(&str, &str); 4] = [
    ("api/core/events/", "events tell what happened"),
    ("api/core/pods/kube-system/coredns-", "nobody waits for them: they may still be starting"),
    ("node/count/", "how many pods of a name there have been"),
    ("file/proc/net/", "links in the order in which they were made"),
];

/// Everything that is the same when the same was done, one line each: what is there twice is two lines. Ids are left out
/// with all that is named after them.
fn settled(values: &Values) -> Vec<String> {
    let mut lines = Vec::new();
    let given = given_names(values);
    for (key, value) in
        values.iter().filter(|(key, _)| !PASSING.iter().any(|(start, _)| key.starts_with(start)))
    {
        let mut value = value.clone();
        forget(&mut value, &OF_ITS_OWN);
        value.sort_all_objects();
        // Each has its writer: their order is that of who came first.
        if let Some(conditions) = value.pointer_mut("/status/conditions").and_then(Value::as_array_mut) {
            conditions.sort_by_key(|condition| condition["type"].to_string());
        }
        if let Some(network) = network_of_lease(key) {
            let line = format!("an address of {network}");
            if !LEAKS.contains(&network) || !lines.contains(&line) {
                lines.push(line);
            }
        } else if let ("ovs", Some(tables)) = (key.as_str(), value["tables"].as_object()) {
            let rows = tables.iter().flat_map(|(table, rows)| {
                rows.as_object().into_iter().flatten().map(move |row| (table, row.1))
            });
            lines.extend(rows.map(|(table, row)| masked(&format!("ovs {table}: {row}"))));
        } else {
            lines.push(masked(&format!("{key}: {value}")));
        }
    }
    for line in &mut lines {
        for (name, stem) in given.iter().filter(|(name, _)| line.contains(name.as_str())).collect::<Vec<_>>()
        {
            *line = line.replace(name.as_str(), &format!("{stem}*"));
        }
    }
    lines.sort();
    lines
}

/// Names that the API server made up, with what they start with.
fn given_names(values: &Values) -> Vec<(String, String)> {
    let text = |value: &Value, field: &str| value["metadata"][field].as_str().map(ToOwned::to_owned);
    let given = |value: &Value| Some((text(value, "name")?, text(value, "generateName")?));
    values.values().filter_map(given).collect()
}

/// A text with `*` in place of ids, and of the pod network's addresses, which go round.
fn masked(text: &str) -> String {
    let mut masked = String::new();
    let mut rest = text;
    let is_of_id = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c) || ":-.".contains(c);
    while let Some(start) = rest.find(is_of_id) {
        let (before, found) = rest.split_at(start);
        let (word, after) = found.split_at(found.find(|c| !is_of_id(c)).unwrap_or(found.len()));
        let is_id =
            word.len() >= SHORTEST_ID && !word.contains('.') && word.contains(|c: char| c.is_ascii_digit());
        masked.push_str(before);
        masked.push_str(if is_id || word.starts_with("10.244.0.") { "*" } else { word });
        rest = after;
    }
    masked + rest
}

/// Eight digits of a hash name a pod's link.
const SHORTEST_ID: usize = 8;

/// flannel's networks. A pod with two NICs of flannel leaves the address of one, as with the real plugin, so that a
/// verification which was killed leaves one more.
const LEAKS: [&str; 2] = ["cbr0", "flannel.1"];

/// The network of an address that was given out, or the last one that was.
fn network_of_lease(key: &str) -> Option<&str> {
    let directories = ["file/var/lib/cni/networks/", "file/mnt/cluster-ipam/"];
    let (network, name) = directories.iter().find_map(|start| key.strip_prefix(start))?.split_once('/')?;
    (name != "lock").then_some(network)
}

fn forget(value: &mut Value, names: &[&str]) {
    match value {
        Value::Object(fields) => {
            fields.retain(|name, _| !names.contains(&name.as_str()));
            fields.values_mut().for_each(|field| forget(field, names));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| forget(item, names)),
        _ => {}
    }
}

/// What differs between the ends of two runs that were to do the same.
pub fn differing(expected: &Values, found: &Values) -> Vec<String> {
    let (expected, found) = (settled(expected), settled(found));
    let without = |lines: &[String], others: &[String], sign: char| {
        let mut others: Vec<&String> = others.iter().collect();
        let mut rest = Vec::new();
        for line in lines {
            match others.binary_search(&line) {
                Ok(index) => _ = others.remove(index),
                Err(_) => rest.push(format!("{sign} {line}")),
            }
        }
        rest
    };
    let (less, more) = (without(&expected, &found, '-'), without(&found, &expected, '+'));
    if let ([one], [other]) = (less.as_slice(), more.as_slice()) {
        let same = one.chars().zip(other.chars()).skip(1).take_while(|(one, other)| one == other).count();
        let part = |line: &str| line.chars().skip(same.saturating_sub(200)).take(400).collect::<String>();
        return [one, other]
            .map(|line| format!("{} … {}", line.chars().take(100).collect::<String>(), part(line)))
            .to_vec();
    }
    [less, more].concat()
}
