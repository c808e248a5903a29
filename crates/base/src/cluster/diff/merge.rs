//! Client-side apply, for an API server without server-side apply: desired over live, without what kvnet no longer
//! wants.

use serde_json::{Map, Value};

use super::lists::{Merge, key_values, merge_of};
use super::owners::{Member, Owners, is_leaf};
use super::values::{is_stored_as_absent, same_scalar};
use super::walk::same;
use super::{comparable, record};

/// The JSON merge patch that makes `live` like `desired` and leaves foreign fields alone; none when it would change
/// nothing.
pub fn merge_patch(desired: &Value, live: &Value) -> Option<Value> {
    let desired = comparable(desired);
    let record = record::of(live);
    let tree = record.as_ref().map(|record| record::tree(record, live));
    let owners = Owners::of(live).or_applied(tree.as_ref());
    let live = live.as_object()?;
    let merged = Value::Object(map(&mut Vec::new(), &desired, live, &owners));
    patch(&Value::Object(live.clone()), &merged)
}

/// What of an object differs from another, as a merge patch: null removes, lists are one value.
fn patch(before: &Value, after: &Value) -> Option<Value> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else {
        return (before != after).then(|| after.clone());
    };
    let gone =
        before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let changed = after.iter().filter_map(|(name, value)| {
        let change = before.get(name).map_or_else(|| Some(value.clone()), |before| patch(before, value))?;
        Some((name.clone(), change))
    });
    let all: Map<String, Value> = gone.chain(changed).collect();
    (!all.is_empty()).then_some(Value::Object(all))
}

fn map(
    path: &mut Vec<String>,
    desired: &Map<String, Value>,
    live: &Map<String, Value>,
    owners: &Owners,
) -> Map<String, Value> {
    let mut merged = live.clone();
    for (name, wanted) in desired.iter().filter(|(_, wanted)| !wanted.is_null()) {
        match live.get(name).filter(|there| !there.is_null()) {
            None if is_stored_as_absent(name, wanted) => {}
            None => _ = merged.insert(name.clone(), wanted.clone()),
            Some(there) => {
                path.push(name.clone());
                merged.insert(name.clone(), value(path, wanted, there, &owners.field(name)));
                path.pop();
            }
        }
    }
    for name in owners.applied_keys().filter(|name| desired.get(name).is_none_or(Value::is_null)) {
        let left = live.get(&name).and_then(|there| without(there, &owners.field(&name)));
        match left {
            Some(left) => _ = merged.insert(name, left),
            None => _ = merged.shift_remove(&name),
        }
    }
    merged
}

fn value(path: &mut Vec<String>, desired: &Value, live: &Value, owners: &Owners) -> Value {
    match (desired, live) {
        (Value::Object(desired), Value::Object(live)) => map(path, desired, live, owners).into(),
        (Value::Array(desired), Value::Array(live)) => list(path, desired, live, owners).into(),
        _ if same_scalar(path, desired, live) => live.clone(),
        _ => desired.clone(),
    }
}

fn list(path: &mut Vec<String>, desired: &[Value], live: &[Value], owners: &Owners) -> Vec<Value> {
    let name = path.last().cloned().unwrap_or_default();
    let members: Vec<&Value> = desired.iter().chain(live).collect();
    match merge_of(&name, owners, &members) {
        Merge::ByKeys(keys) => by_keys(path, &keys, (desired, live), owners),
        Merge::Set => {
            let gone: Vec<Value> = owners.applied_values().filter(|value| !desired.contains(value)).collect();
            let stays = live.iter().filter(|value| !gone.contains(value));
            stays.chain(desired.iter().filter(|value| !live.contains(value))).cloned().collect()
        }
        Merge::Whole if same(path, desired, live) => live.to_vec(),
        Merge::Whole => desired.to_vec(),
    }
}

/// Members stay in their place; new ones come after them.
fn by_keys(
    path: &mut Vec<String>,
    keys: &[String],
    (desired, live): (&[Value], &[Value]),
    owners: &Owners,
) -> Vec<Value> {
    let wanted = |member: &Value| {
        let values = key_values(member, keys);
        desired.iter().find(|other| key_values(other, keys) == values)
    };
    let applied: Vec<Map<String, Value>> = owners.applied_members().collect();
    let mut merged = Vec::new();
    for member in live {
        let values = key_values(member, keys).unwrap_or_default();
        match wanted(member) {
            Some(other) => {
                merged.push(value(path, other, member, &owners.member(&Member::Keys(values))));
            }
            None if applied.contains(&values) => {}
            None => merged.push(member.clone()),
        }
    }
    let is_new = |member: &&Value| {
        let values = key_values(member, keys);
        !live.iter().any(|other| key_values(other, keys) == values)
    };
    merged.extend(desired.iter().filter(is_new).cloned());
    merged
}

/// A live value without the parts that kvnet applied; none when nothing is left.
fn without(live: &Value, owners: &Owners) -> Option<Value> {
    let Some(node) = owners.applied else { return Some(live.clone()) };
    match live {
        _ if is_leaf(node) => None,
        Value::Object(live) => {
            let mut left = live.clone();
            for name in owners.applied_keys() {
                match live.get(&name).and_then(|there| without(there, &owners.field(&name))) {
                    Some(value) => _ = left.insert(name, value),
                    None => _ = left.shift_remove(&name),
                }
            }
            (!left.is_empty()).then_some(Value::Object(left))
        }
        Value::Array(live) => {
            let members: Vec<Map<String, Value>> = owners.applied_members().collect();
            let values: Vec<Value> = owners.applied_values().collect();
            let is_applied = |member: &Value| {
                let named = |keys: &Map<String, Value>| {
                    let names: Vec<String> = keys.keys().cloned().collect();
                    key_values(member, &names).as_ref() == Some(keys)
                };
                values.contains(member) || members.iter().any(named)
            };
            let left: Vec<Value> = live.iter().filter(|member| !is_applied(member)).cloned().collect();
            (!left.is_empty()).then_some(Value::Array(left))
        }
        _ => None,
    }
}
