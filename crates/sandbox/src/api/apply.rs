//! Server-side apply: field ownership decides what is merged, what is removed, and which managers conflict.

use std::cmp::Ordering;
use std::collections::VecDeque;

use serde_json::{Map, Value};

use super::fields::{self, Manager, Path, Set, compare, display, step_of};
use super::schema::{ListKind, Shape};
use super::status::Status;

/// The result of applying to the live object, with its managers.
pub(super) fn apply(
    live: &Value,
    configuration: &Value,
    shape: Shape<'_>,
    writer: Manager,
    force: bool,
) -> Result<Value, Box<Status>> {
    let mut managers = fields::managers(live);
    let wanted = fields::of(configuration, shape);
    let before = managers.iter().find(|manager| manager.same(&writer)).map(|own| own.fields.clone());
    let mut merged = without_owners(live);
    merge(&mut merged, &without_owners(configuration), shape);
    let gone: Set = before.iter().flatten().filter(|path| !wanted.contains(*path)).cloned().collect();
    let others: Set = others(&managers, &writer).flat_map(|manager| manager.fields.clone()).collect();
    prune(&mut merged, &gone, &others, &wanted, shape);
    let compared = compare(&without_owners(live), &merged, shape);
    let conflicts = conflicts(&managers, &writer, &compared.changed);
    if !conflicts.is_empty() && !force {
        return Err(Box::new(Status::apply_conflict(&conflicts)));
    }
    for manager in managers.iter_mut().filter(|manager| !manager.same(&writer)) {
        manager.fields.retain(|path| !compared.changed.contains(path) && !compared.removed.contains(path));
    }
    let changes = merged != without_owners(live);
    match managers.iter_mut().find(|manager| manager.same(&writer)) {
        Some(own) if changes => *own = Manager { fields: wanted, ..writer },
        Some(own) => own.fields = wanted,
        // A manager that changed nothing gets no timestamp.
        None if !changes => managers.push(Manager { fields: wanted, time: String::new(), ..writer }),
        None => managers.push(Manager { fields: wanted, ..writer }),
    }
    fields::set_managers(&mut merged, managers);
    Ok(merged)
}

fn others<'a>(managers: &'a [Manager], writer: &'a Manager) -> impl Iterator<Item = &'a Manager> {
    managers.iter().filter(|manager| !manager.same(writer))
}

fn without_owners(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    object
}

/// The conflicting managers, with their fields.
fn conflicts(managers: &[Manager], writer: &Manager, changed: &Set) -> Vec<(Manager, Vec<String>)> {
    let mut conflicts: Vec<(Manager, Vec<String>)> = Vec::new();
    for manager in others(managers, writer) {
        let mut fields: Vec<&Path> = manager.fields.intersection(changed).collect();
        fields.sort_by(|one, other| level_by_level(one, other));
        let fields: Vec<String> = fields.into_iter().map(display).collect();
        if !fields.is_empty() {
            conflicts.push((manager.clone(), fields));
        }
    }
    conflicts.sort_by(|one, other| one.0.name.cmp(&other.0.name));
    conflicts
}

/// Paths that end at a level sort before those that go deeper.
fn level_by_level(one: &Path, other: &Path) -> Ordering {
    let common = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let goes_on = |path: &Path| path.len() > common + 1;
    goes_on(one).cmp(&goes_on(other)).then_with(|| one.cmp(other))
}

/// Merges a configuration into an object.
fn merge(live: &mut Value, configuration: &Value, shape: Shape<'_>) {
    match (live, configuration) {
        (Value::Object(live), Value::Object(wanted)) if !shape.is_atomic_map() => {
            for (name, value) in wanted {
                match live.get_mut(name) {
                    Some(there) if !there.is_null() => merge(there, value, shape.field(name)),
                    _ => _ = live.insert(name.clone(), value.clone()),
                }
            }
        }
        (Value::Array(live), Value::Array(wanted)) if shape.list() != ListKind::Atomic => {
            merge_items(live, wanted, shape);
        }
        (live, wanted) => live.clone_from(wanted),
    }
}

/// Items of the configuration come in its order, those that only the object has before them; as structured-merge-diff has it.
fn merge_items(live: &mut Vec<Value>, wanted: &[Value], shape: Shape<'_>) {
    let kind = shape.list();
    let step = |item: &Value| step_of(item, &kind, shape);
    let steps: Vec<String> = wanted.iter().map(step).collect();
    let mut there: VecDeque<(String, Value)> = live.drain(..).map(|item| (step(&item), item)).collect();
    let mut shared: VecDeque<&String> =
        steps.iter().filter(|name| there.iter().any(|(other, _)| other == *name)).collect();
    // Items that come later in the configuration than in the object.
    let mut passed: Vec<(String, Value)> = Vec::new();
    let mut next = 0;
    while next < steps.len() || !there.is_empty() {
        let is_wanted = there.front().is_some_and(|(name, _)| steps.contains(name));
        if !is_wanted && let Some((_, item)) = there.pop_front() {
            live.push(item);
            continue;
        }
        let turn = shared.front().copied();
        if there.front().is_some_and(|(name, _)| next >= steps.len() || turn != Some(name))
            && let Some(early) = there.pop_front()
        {
            passed.push(early);
            continue;
        }
        let Some(name) = steps.get(next) else { break };
        let own = match there.front() {
            Some((front, _)) if front == name => there.pop_front(),
            _ => passed.iter().position(|(other, _)| other == name).map(|place| passed.remove(place)),
        };
        if turn == Some(name) {
            shared.pop_front();
        }
        let merged = own.map(|(_, mut own)| {
            merge(&mut own, &wanted[next], shape.item());
            own
        });
        live.push(merged.unwrap_or_else(|| wanted[next].clone()));
        next += 1;
    }
}

/// Removes what only this manager owned and no longer applies.
fn prune(object: &mut Value, gone: &Set, others: &Set, wanted: &Set, shape: Shape<'_>) {
    let below =
        |set: &Set, path: &Path| set.iter().any(|other| other.len() >= path.len() && other.starts_with(path));
    let unwanted = gone.iter().filter(|path| !below(others, path) && !below(wanted, path));
    // Whole items first: without its key an item could not be found.
    let is_item = |path: &&&Path| path.last().is_some_and(|last| !last.starts_with("f:"));
    let (items, fields): (Vec<&Path>, Vec<&Path>) = unwanted.partition(|path| is_item(&path));
    for path in items {
        remove(object, path, shape);
    }
    // Then from the leaves up: a map goes with its last entry.
    for path in fields.into_iter().rev() {
        remove(object, path, shape);
    }
}

fn remove(value: &mut Value, path: &[String], shape: Shape<'_>) {
    let Some((step, rest)) = path.split_first() else { return };
    match (value, step.split_at(2)) {
        (Value::Object(map), ("f:", name)) => {
            if rest.is_empty() {
                map.shift_remove(name);
            } else if let Some(below) = map.get_mut(name) {
                remove(below, rest, shape.field(name));
                if is_empty(below) {
                    map.shift_remove(name);
                }
            }
        }
        (Value::Array(items), _) => {
            let kind = shape.list();
            let Some(place) = items.iter().position(|item| step_of(item, &kind, shape) == *step) else {
                return;
            };
            if rest.is_empty() {
                items.remove(place);
            } else {
                remove(&mut items[place], rest, shape.item());
            }
        }
        _ => {}
    }
}

fn is_empty(value: &Value) -> bool {
    value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(steps: &[&str]) -> Path {
        steps.iter().map(ToString::to_string).collect()
    }

    fn writer(name: &str) -> Manager {
        Manager {
            name: name.into(),
            operation: "Apply".into(),
            api_version: "v1".into(),
            time: "t".into(),
            subresource: String::new(),
            fields: Set::new(),
        }
    }

    fn applied(live: &Value, name: &str, data: &Value, force: bool) -> Result<Value, Box<Status>> {
        let configuration =
            json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}, "data": data});
        apply(live, &configuration, Shape::root(None), writer(name), force)
    }

    #[test]
    fn a_field_that_is_not_applied_any_more_goes() {
        let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
        let live = applied(&nothing, "kvnet", &json!({"a": "1", "b": "2"}), false).unwrap();
        let live = applied(&live, "kvnet", &json!({"a": "1"}), false).unwrap();
        assert_eq!(live["data"], json!({"a": "1"}));
        assert!(fields::managers(&live)[0].fields.contains(&path(&["f:data", "f:a"])));
    }

    #[test]
    fn another_owner_is_in_the_way_until_forced() {
        let nothing = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m"}});
        let live = applied(&nothing, "one", &json!({"a": "1", "b": "1"}), false).unwrap();
        let refused = applied(&live, "two", &json!({"a": "2"}), false).unwrap_err();
        assert_eq!(refused.message, "Apply failed with 1 conflict: conflict with \"one\": .data.a");
        let live = applied(&live, "two", &json!({"a": "2"}), true).unwrap();
        assert_eq!(live["data"], json!({"a": "2", "b": "1"}));
        // The same value is shared.
        let live = applied(&live, "one", &json!({"a": "2", "b": "1"}), false).unwrap();
        let live = applied(&live, "two", &json!({}), false).unwrap();
        assert_eq!(live["data"], json!({"a": "2", "b": "1"}));
    }

    #[test]
    fn items_keep_their_order_and_are_merged_by_key() {
        let live =
            json!({"spec": {"containers": [{"name": "a"}, {"name": "b", "image": "old"}, {"name": "c"}]}});
        let configuration = json!({"spec": {"containers": [{"name": "b", "image": "new"}, {"name": "d"}]}});
        let merged = apply(&live, &configuration, Shape::root(None), writer("w"), true).unwrap();
        let names: Vec<&str> = merged["spec"]["containers"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| c["name"].as_str().unwrap())
            .collect();
        assert_eq!(
            (names, merged["spec"]["containers"][1]["image"].as_str()),
            (vec!["a", "b", "c", "d"], Some("new"))
        );
    }
}
