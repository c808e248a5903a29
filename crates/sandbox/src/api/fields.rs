//! Sets of fields, and their managers: `metadata.managedFields`.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::schema::{ListKind, Shape};

/// The path to a field: `f:NAME`, `k:{KEY}` of an item, `v:VALUE` of an item of a set.
pub(super) type Path = Vec<String>;
pub(super) type Set = BTreeSet<Path>;

/// Fields that the server sets itself, which no manager owns.
const NOBODYS: &[&[&str]] = &[
    &["f:apiVersion"],
    &["f:kind"],
    &["f:metadata"],
    &["f:metadata", "f:name"],
    &["f:metadata", "f:namespace"],
    &["f:metadata", "f:creationTimestamp"],
    &["f:metadata", "f:selfLink"],
    &["f:metadata", "f:uid"],
    &["f:metadata", "f:generation"],
    &["f:metadata", "f:managedFields"],
    &["f:metadata", "f:resourceVersion"],
];

/// A field manager's entry.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manager {
    pub name: String,
    /// `Apply` or `Update`.
    pub operation: String,
    pub api_version: String,
    /// When it last changed something; empty when it never did.
    pub time: String,
    pub subresource: String,
    pub fields: Set,
}

impl Manager {
    /// Whether two entries have the same manager.
    pub fn same(&self, other: &Self) -> bool {
        let who = |manager: &Self| {
            let Self { name, operation, api_version, subresource, .. } = manager.clone();
            (name, operation, api_version, subresource)
        };
        who(self) == who(other)
    }
}

pub(super) fn managers(object: &Value) -> Vec<Manager> {
    let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
    entries.map(|entries| entries.iter().map(manager).collect()).unwrap_or_default()
}

fn manager(entry: &Value) -> Manager {
    let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
    let mut fields = Set::new();
    read(&entry["fieldsV1"], &mut Path::new(), &mut fields);
    Manager {
        name: text("manager"),
        operation: text("operation"),
        api_version: text("apiVersion"),
        time: text("time"),
        subresource: text("subresource"),
        fields,
    }
}

fn read(tree: &Value, path: &mut Path, into: &mut Set) {
    for (step, below) in tree.as_object().into_iter().flatten() {
        if step == "." {
            into.insert(path.clone());
            continue;
        }
        path.push(step.clone());
        if below.as_object().is_some_and(Map::is_empty) {
            into.insert(path.clone());
        }
        read(below, path, into);
        path.pop();
    }
}

/// Writes the managers into an object, in the real server's order, without those that own nothing.
pub(super) fn set_managers(object: &mut Value, mut managers: Vec<Manager>) {
    managers.retain(|manager| !manager.fields.is_empty());
    managers.sort_by(|one, other| {
        let order = |m: &Manager| {
            (
                m.operation.clone(),
                m.time.clone(),
                m.name.clone(),
                m.api_version.clone(),
                m.subresource.clone(),
            )
        };
        order(one).cmp(&order(other))
    });
    let entries: Vec<Value> = managers.iter().map(entry).collect();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    if entries.is_empty() {
        metadata.shift_remove("managedFields");
    } else {
        metadata.insert("managedFields".into(), entries.into());
    }
}

fn entry(manager: &Manager) -> Value {
    let mut entry = json!({
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": manager.api_version,
        "time": manager.time,
        "fieldsType": "FieldsV1",
        "fieldsV1": tree(&manager.fields),
    });
    if let Some(map) = entry.as_object_mut().filter(|_| manager.time.is_empty()) {
        map.shift_remove("time");
    }
    if !manager.subresource.is_empty() {
        entry["subresource"] = manager.subresource.as_str().into();
    }
    entry
}

fn tree(fields: &Set) -> Value {
    let mut tree = json!({});
    for path in fields {
        let mut at = &mut tree;
        for step in path {
            at = &mut at[step];
            if at.is_null() {
                *at = json!({});
            }
        }
        at["."] = json!({});
    }
    without_lonely_dots(&mut tree);
    tree
}

/// A field that is owned itself has a dot only when fields below it are owned too.
fn without_lonely_dots(tree: &mut Value) {
    let Value::Object(map) = tree else { return };
    if map.len() == 1 {
        map.shift_remove(".");
    }
    map.sort_keys();
    map.values_mut().for_each(without_lonely_dots);
}

/// The fields of an applied configuration.
pub(super) fn of(object: &Value, shape: Shape<'_>) -> Set {
    let mut set = Set::new();
    collect(object, shape, &mut Path::new(), &mut set);
    owned(set)
}

/// Drops the fields that no manager can own.
pub(super) fn owned(mut set: Set) -> Set {
    for path in NOBODYS {
        set.remove(&path.iter().map(ToString::to_string).collect::<Path>());
    }
    set.retain(|path| {
        path.first().is_none_or(|first| first != "f:metadata")
            || path.get(1).is_none_or(|second| second != "f:managedFields")
    });
    set
}

fn collect(value: &Value, shape: Shape<'_>, path: &mut Path, set: &mut Set) {
    match value {
        Value::Object(map) if !shape.is_atomic_map() => {
            for (name, below) in map {
                path.push(format!("f:{name}"));
                let empty = below.is_null() || below.as_object().is_some_and(Map::is_empty);
                if empty || !shape.declares(name) {
                    set.insert(path.clone());
                }
                collect(below, shape.field(name), path, set);
                path.pop();
            }
        }
        Value::Array(items) => collect_items(items, shape, path, set),
        _ => _ = (!path.is_empty()).then(|| set.insert(path.clone())),
    }
}

fn collect_items(items: &[Value], shape: Shape<'_>, path: &mut Path, set: &mut Set) {
    let kind = shape.list();
    if kind == ListKind::Atomic {
        set.insert(path.clone());
        return;
    }
    for item in items {
        path.push(step_of(item, &kind, shape));
        set.insert(path.clone());
        collect(item, shape.item(), path, set);
        path.pop();
    }
}

/// How an item of a list is named in a path.
pub(super) fn step_of(item: &Value, kind: &ListKind, shape: Shape<'_>) -> String {
    match kind {
        ListKind::Keyed(keys) => format!("k:{}", Value::Object(shape.key(keys, item))),
        _ => format!("v:{item}"),
    }
}

/// The difference between two objects.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// Fields that are new or have another value.
    pub changed: Set,
    /// Removed fields.
    pub removed: Set,
}

/// Compares an object with what it becomes.
pub(super) fn compare(before: &Value, after: &Value, shape: Shape<'_>) -> Compared {
    let mut compared = Compared::default();
    walk(Some(before), Some(after), shape, &mut Path::new(), &mut compared);
    Compared { changed: owned(compared.changed), removed: owned(compared.removed) }
}

fn walk(
    before: Option<&Value>,
    after: Option<&Value>,
    shape: Shape<'_>,
    path: &mut Path,
    out: &mut Compared,
) {
    match (before, after) {
        (Some(one), Some(other)) if one == other => {}
        (Some(Value::Object(one)), Some(Value::Object(other))) if !shape.is_atomic_map() => {
            for name in one.keys().chain(other.keys().filter(|name| !one.contains_key(*name))) {
                path.push(format!("f:{name}"));
                walk(one.get(name), other.get(name), shape.field(name), path, out);
                path.pop();
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) if shape.list() != ListKind::Atomic => {
            walk_items(one, other, shape, path, out);
        }
        (Some(Value::Null), Some(Value::Array(other))) if shape.list() != ListKind::Atomic => {
            walk_items(&[], other, shape, path, out);
        }
        (None, Some(value)) => added(value, shape, path, &mut out.changed),
        (Some(value), None) => added(value, shape, path, &mut out.removed),
        (Some(_), Some(_)) => _ = out.changed.insert(path.clone()),
        (None, None) => {}
    }
}

fn walk_items(before: &[Value], after: &[Value], shape: Shape<'_>, path: &mut Path, out: &mut Compared) {
    let kind = shape.list();
    let named = |items: &[Value]| -> Vec<(String, Value)> {
        items.iter().map(|item| (step_of(item, &kind, shape), item.clone())).collect()
    };
    let (before, after) = (named(before), named(after));
    let find = |items: &[(String, Value)], step: &str| {
        items.iter().find(|(name, _)| name == step).map(|(_, item)| item.clone())
    };
    let steps: BTreeSet<&String> = before.iter().chain(&after).map(|(step, _)| step).collect();
    for step in steps {
        path.push(step.clone());
        walk(find(&before, step).as_ref(), find(&after, step).as_ref(), shape.item(), path, out);
        path.pop();
    }
}

/// Maps and lists that a typed object always has: no manager owns them.
const ALWAYS_THERE: &[&str] = &[
    "f:metadata",
    "f:spec",
    "f:status",
    "f:template",
    "f:strategy",
    "f:updateStrategy",
    "f:containers",
    "f:names",
];

/// A value that is new, or gone, as a whole: its map or list counts too.
fn added(value: &Value, shape: Shape<'_>, path: &mut Path, set: &mut Set) {
    let is_tree = match value {
        Value::Object(_) => !shape.is_atomic_map(),
        Value::Array(_) => shape.list() != ListKind::Atomic,
        _ => false,
    };
    let there = !shape.is_custom() && path.last().is_some_and(|last| ALWAYS_THERE.contains(&last.as_str()));
    if !is_tree || !there {
        set.insert(path.clone());
    }
    match value {
        Value::Object(map) if is_tree => {
            for (name, below) in map {
                path.push(format!("f:{name}"));
                added(below, shape.field(name), path, set);
                path.pop();
            }
        }
        Value::Array(items) if is_tree => {
            let kind = shape.list();
            for item in items {
                path.push(step_of(item, &kind, shape));
                added(item, shape.item(), path, set);
                path.pop();
            }
        }
        _ => {}
    }
}

/// Assigns the changes of an update to its manager, and removes them from all others.
pub(super) fn hand_over(managers: &mut Vec<Manager>, writer: &Manager, compared: &Compared) {
    for manager in managers.iter_mut() {
        let others = !manager.same(writer);
        manager
            .fields
            .retain(|path| !(compared.removed.contains(path) || others && compared.changed.contains(path)));
    }
    match managers.iter_mut().find(|manager| manager.same(writer)) {
        Some(own) => {
            own.fields.extend(compared.changed.iter().cloned());
            own.time.clone_from(&writer.time);
        }
        None => managers.push(Manager { fields: compared.changed.clone(), ..writer.clone() }),
    }
}

/// A path in messages: `.spec.containers[name="c"].image`.
pub(super) fn display(path: &Path) -> String {
    path.iter()
        .map(|step| match step.split_at(2) {
            ("k:", key) => {
                let key: Map<String, Value> = serde_json::from_str(key).unwrap_or_default();
                let fields: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
                format!("[{}]", fields.join(","))
            }
            ("v:", value) => format!("[={value}]"),
            (_, name) => format!(".{name}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_of_a_configuration_are_its_leaves_and_its_items() {
        let object = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": "x", "labels": {"a": "b"}},
            "spec": {
                "selector": {"matchLabels": {"a": "b"}},
                "template": {"spec": {"containers": [{"name": "c", "args": ["-v"], "ports": [{"containerPort": 80}]}]}},
            },
        });
        let expected = json!({
            "f:metadata": {"f:labels": {"f:a": {}}},
            "f:spec": {"f:selector": {}, "f:template": {"f:spec": {"f:containers": {"k:{\"name\":\"c\"}": {
                ".": {}, "f:args": {}, "f:name": {},
                "f:ports": {"k:{\"containerPort\":80,\"protocol\":\"TCP\"}": {".": {}, "f:containerPort": {}}},
            }}}}},
        });
        let set = of(&object, Shape::root(None));
        assert_eq!(tree(&set), expected);
        let mut again = Set::new();
        read(&expected, &mut Path::new(), &mut again);
        assert_eq!(again, set);
    }

    #[test]
    fn what_a_write_adds_is_owned_with_the_map_around_it() {
        let before = json!({"metadata": {}, "spec": {}});
        let after = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"replicas": 1}});
        let compared = compare(&before, &after, Shape::root(None));
        let expected =
            json!({"f:metadata": {"f:labels": {".": {}, "f:a": {}}}, "f:spec": {"f:replicas": {}}});
        assert_eq!(tree(&compared.changed), expected);
    }

    #[test]
    fn paths_read_like_the_servers() {
        let path = ["f:spec", "f:containers", "k:{\"name\":\"c\"}", "f:image"].map(str::to_owned).to_vec();
        assert_eq!(display(&path), ".spec.containers[name=\"c\"].image");
    }
}
