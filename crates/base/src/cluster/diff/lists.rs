//! How the server merges a list: learned from `managedFields`, else from the field's name.

use serde_json::{Map, Value};

use super::owners::{Owners, children, is_leaf, keys_of};

/// The way two lists are merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// Members are found by the values of these fields.
    ByKeys(Vec<String>),
    /// Members are values without order.
    Set,
    /// The list is one value.
    Whole,
}

/// Merge keys of the built-in kinds.
const BY_KEYS: &[(&str, &[&str])] = &[
    ("conditions", &["type"]),
    ("containers", &["name"]),
    ("env", &["name"]),
    ("ephemeralContainers", &["name"]),
    ("hostAliases", &["ip"]),
    ("imagePullSecrets", &["name"]),
    ("initContainers", &["name"]),
    ("ownerReferences", &["uid"]),
    ("ports", &["containerPort", "protocol"]),
    ("ports", &["port", "protocol"]),
    ("resourceClaims", &["name"]),
    ("secrets", &["name"]),
    ("topologySpreadConstraints", &["topologyKey", "whenUnsatisfiable"]),
    ("volumeDevices", &["devicePath"]),
    ("volumeMounts", &["mountPath"]),
    ("volumes", &["name"]),
    ("webhooks", &["name"]),
];

/// How the list `field` is merged; `members` are those of either side.
pub(super) fn merge_of(field: &str, owners: &Owners, members: &[&Value]) -> Merge {
    let merge = learned(owners).unwrap_or_else(|| built_in(field, members));
    match merge {
        // Without its keys a member cannot be found; that happens when a list only looks like a built-in one.
        Merge::ByKeys(keys) if !members.iter().all(|member| key_values(member, &keys).is_some()) => {
            Merge::Whole
        }
        merge => merge,
    }
}

fn learned(owners: &Owners) -> Option<Merge> {
    owners.nodes().find_map(|node| {
        if is_leaf(node) {
            return Some(Merge::Whole);
        }
        children(Some(node)).find_map(|name| {
            if let Some(keys) = keys_of(name) {
                return Some(Merge::ByKeys(keys.keys().cloned().collect()));
            }
            name.starts_with("v:").then_some(Merge::Set)
        })
    })
}

fn built_in(field: &str, members: &[&Value]) -> Merge {
    if field == "finalizers" {
        return Merge::Set;
    }
    let has = |key: &str| members.iter().all(|member| member.get(key).is_some());
    let row = BY_KEYS.iter().find(|(name, keys)| *name == field && has(keys[0]));
    row.map_or(Merge::Whole, |(_, keys)| Merge::ByKeys(keys.iter().map(|key| (*key).to_owned()).collect()))
}

/// The values of a member's merge keys, with the server's defaults for those that are left out.
pub(super) fn key_values(member: &Value, keys: &[String]) -> Option<Map<String, Value>> {
    let member = member.as_object()?;
    keys.iter()
        .map(|key| Some((key.clone(), member.get(key).cloned().or_else(|| key_default(key))?)))
        .collect()
}

fn key_default(key: &str) -> Option<Value> {
    (key == "protocol").then(|| "TCP".into())
}
