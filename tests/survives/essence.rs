//! What a run has come to, without what differs from run to run by its nature: ids, times, addresses from a pool, the
//! names that controllers make up. Two runs that did the same have the same essence.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::survives::inside::Inside;

/// Values by name.
pub type Essence = BTreeMap<String, Value>;

/// What differs by its nature.
const LEFT_OUT: [&str; 6] = [
    "api/core/events/",
    "file/proc/net/dev",
    "file/var/lib/cni/",
    "link/veth",
    "node/count/",
    "node/sandbox/",
];
/// Fields that the server sets, and times.
const OF_THE_SERVER: [&str; 16] = [
    "activePods",
    "creationTimestamp",
    "firstTimestamp",
    "generation",
    "lastHeartbeatTime",
    "lastTimestamp",
    "lastTransitionTime",
    "lastUpdateTime",
    "observedGeneration",
    "phaseTransitionTimestamps",
    "podIP",
    "podIPs",
    "resourceVersion",
    "selfLink",
    "time",
    "uid",
];

pub fn essence(inside: &Inside) -> Essence {
    let mut essence = Essence::new();
    for (key, value) in inside.values() {
        if LEFT_OUT.iter().any(|start| key.starts_with(start)) || key == "ovs" {
            continue;
        }
        if key == "file/proc/modules" {
            // In the order in which they were loaded.
            let text = value["text"].as_str().unwrap_or_default();
            essence
                .insert(key, text.lines().collect::<std::collections::BTreeSet<_>>().into_iter().collect());
        } else if key.starts_with("api/") && value.pointer("/metadata/ownerReferences/0").is_some() {
            let (kind, summary) = of_controller(&key, &value);
            let all = essence.entry(kind).or_insert_with(|| json!([])).as_array_mut().unwrap();
            all.push(summary);
        } else {
            essence.insert(key, without_chance(without_given_macs(value)));
        }
    }
    essence.insert("ovs".into(), switch(inside));
    essence.insert("verified".into(), inside.is_verified().into());
    essence
}

/// The objects of a controller by their owner's name, and how each is.
fn of_controller(key: &str, value: &Value) -> (String, Value) {
    let owner = &value["metadata"]["ownerReferences"][0];
    let (kind, name) = (owner["kind"].as_str().unwrap(), owner["name"].as_str().unwrap());
    // A ReplicaSet has a hash in its name.
    let stem = if kind == "ReplicaSet" { name.rsplit_once('-').map_or(name, |(stem, _)| stem) } else { name };
    let place = key.rsplit_once('/').unwrap().0;
    let status = &value["status"];
    let summary = json!({"phase": status["phase"], "ready": status["readyReplicas"], "spec": value["spec"]["replicas"]});
    (format!("{place}/of {kind} {stem}"), summary)
}

/// A NIC that asks for no MAC address gets one by chance.
fn without_given_macs(mut value: Value) -> Value {
    let asked = value["spec"]["domain"]["devices"]["interfaces"].to_string().contains("macAddress");
    if value["kind"] == "VirtualMachineInstance" && !asked {
        for interface in value["status"]["interfaces"].as_array_mut().into_iter().flatten() {
            interface.as_object_mut().unwrap().shift_remove("mac");
        }
    }
    value
}

fn without_chance(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.retain(|name, _| !OF_THE_SERVER.contains(&name.as_str()));
            for (name, field) in fields.iter_mut() {
                *field = if name == "managedFields" { managed(field) } else { without_chance(field.take()) };
            }
        }
        Value::Array(items) => {
            for item in items.iter_mut() {
                *item = without_chance(item.take());
            }
        }
        Value::String(text) if text.parse::<std::net::IpAddr>().is_ok() => *text = "an address".into(),
        Value::String(text) if is_time(text) => *text = "a time".into(),
        _ => {}
    }
    value
}

/// What kvnet owns; who of the others wrote first is chance.
fn managed(fields: &Value) -> Value {
    let ours = fields.as_array().into_iter().flatten().filter(|entry| entry["manager"] == "kvnet");
    let mut ours: Vec<Value> = ours.cloned().map(without_chance).collect();
    ours.sort_by_key(ToString::to_string);
    ours.into()
}

/// `2026-01-31T12:00:00Z`, with or without parts of seconds.
fn is_time(text: &str) -> bool {
    text.len() >= 20 && text.as_bytes()[10] == b'T' && text.ends_with('Z') && text.starts_with("20")
}

/// Bridges with their ports; those of pods are only counted.
fn switch(inside: &Inside) -> Value {
    let Some(state) = inside.sandbox.node().open_vswitch().unwrap() else { return Value::Null };
    let bridges = state.bridges.into_iter().map(|bridge| {
        let (pods, own): (Vec<_>, Vec<_>) =
            bridge.ports.iter().partition(|port| port.external_ids.contains_key("contIface"));
        let own: Vec<String> = own.iter().map(|port| format!("{port:?}")).collect();
        json!({"name": bridge.name, "ids": bridge.external_ids, "own": own, "of pods": pods.len()})
    });
    bridges.collect()
}

/// What is not the same, in words.
pub fn differences(one: &Essence, other: &Essence) -> Vec<String> {
    let keys: std::collections::BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let mut found = Vec::new();
    for key in keys {
        compare(
            one.get(key).unwrap_or(&Value::Null),
            other.get(key).unwrap_or(&Value::Null),
            key,
            &mut found,
        );
    }
    found
}

/// The deepest places that differ, as people find them.
fn compare(one: &Value, other: &Value, place: &str, found: &mut Vec<String>) {
    match (one, other) {
        (Value::Object(ones), Value::Object(others)) => {
            let names: std::collections::BTreeSet<&String> = ones.keys().chain(others.keys()).collect();
            for name in names {
                compare(&one[name], &other[name], &format!("{place} .{name}"), found);
            }
        }
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            for (index, (this, that)) in ones.iter().zip(others).enumerate() {
                compare(this, that, &format!("{place} [{index}]"), found);
            }
        }
        _ if one == other => {}
        _ => {
            let short = |value: &Value| value.to_string().chars().take(160).collect::<String>();
            found.push(format!("{place}: {} became {}", short(one), short(other)));
        }
    }
}

pub fn assert_same(expected: &Essence, now: &Essence, what: &str) {
    let differences = differences(expected, now);
    assert!(differences.is_empty(), "{what}:\n{}", differences.join("\n"));
}
