//! Who owns what, from `metadata.managedFields`, narrowed field by field.

use serde_json::{Map, Value};

use crate::cluster::FIELD_MANAGER;

/// What is known about one path: whether kvnet applied it, and which other managers own it.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners<'a> {
    /// The node of kvnet's own tree; none when kvnet did not apply this path.
    pub applied: Option<&'a Value>,
    /// The nodes of the other managers' trees.
    pub others: Vec<(&'a str, &'a Value)>,
}

/// One member of a list, as trees name it.
pub(super) enum Member<'a> {
    /// By the values of its merge keys: `k:{"name":"x"}`.
    Keys(Map<String, Value>),
    /// By its value: `v:"x"`.
    Value(&'a Value),
}

impl<'a> Owners<'a> {
    pub fn of(live: &'a Value) -> Self {
        let mut owners = Self::default();
        let entries = live.pointer("/metadata/managedFields").and_then(Value::as_array);
        for entry in entries.map(Vec::as_slice).unwrap_or_default() {
            owners.add(entry);
        }
        owners
    }

    /// The same, with this tree for what kvnet applied when the API server has none.
    pub fn or_applied(mut self, tree: Option<&'a Value>) -> Self {
        self.applied = self.applied.or(tree);
        self
    }

    fn add(&mut self, entry: &'a Value) {
        let text = |field: &str| entry.get(field).and_then(Value::as_str).unwrap_or_default();
        let Some(fields) = entry.get("fieldsV1") else { return };
        if !text("subresource").is_empty() {
            return;
        }
        match (text("manager"), text("operation")) {
            (FIELD_MANAGER, "Apply") => self.applied = Some(fields),
            (FIELD_MANAGER, _) => {}
            (other, _) => self.others.push((other, fields)),
        }
    }

    /// Of a field of a map.
    pub fn field(&self, name: &str) -> Self {
        let key = format!("f:{name}");
        self.narrow(|node| node.get(&key))
    }

    /// Of a member of a list.
    pub fn member(&self, member: &Member) -> Self {
        self.narrow(|node| {
            let node = node.as_object()?;
            node.iter().find(|(name, _)| member.is_named(name)).map(|(_, node)| node)
        })
    }

    /// A leaf of another manager owns everything beneath it; a leaf of kvnet says nothing about what is beneath, because
    /// the server may have filled it.
    fn narrow(&self, step: impl Fn(&'a Value) -> Option<&'a Value>) -> Self {
        let others = self.others.iter().filter_map(|(name, node)| {
            if is_leaf(node) {
                return Some((*name, *node));
            }
            step(node).map(|node| (*name, node))
        });
        Self { applied: self.applied.and_then(&step), others: others.collect() }
    }

    /// The fields that kvnet applied beneath this path.
    pub fn applied_keys(&self) -> impl Iterator<Item = String> + use<'a> {
        children(self.applied).filter_map(|name| name.strip_prefix("f:")).map(str::to_owned)
    }

    /// The members, by their keys, that kvnet applied to this list.
    pub fn applied_members(&self) -> impl Iterator<Item = Map<String, Value>> + use<'a> {
        children(self.applied).filter_map(keys_of)
    }

    /// The values that kvnet applied to this set.
    pub fn applied_values(&self) -> impl Iterator<Item = Value> + use<'a> {
        children(self.applied)
            .filter_map(|name| name.strip_prefix("v:").and_then(|value| serde_json::from_str(value).ok()))
    }

    /// Every tree's node for this path, kvnet's first.
    pub fn nodes(&self) -> impl Iterator<Item = &'a Value> {
        self.applied.into_iter().chain(self.others.iter().map(|(_, node)| *node))
    }

    /// The names of the other managers.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.others.iter().map(|(name, _)| (*name).to_owned()).collect();
        names.sort();
        names.dedup();
        names
    }
}

impl Member<'_> {
    fn is_named(&self, name: &str) -> bool {
        match self {
            Self::Keys(keys) => keys_of(name).is_some_and(|named| named == *keys),
            Self::Value(value) => {
                let named = name.strip_prefix("v:").and_then(|text| serde_json::from_str::<Value>(text).ok());
                named.as_ref() == Some(*value)
            }
        }
    }
}

/// Whether a node represents a whole value.
pub(super) fn is_leaf(node: &Value) -> bool {
    node.as_object().is_none_or(Map::is_empty)
}

/// The names of a node's children.
pub(super) fn children(node: Option<&Value>) -> impl Iterator<Item = &str> {
    node.and_then(Value::as_object).into_iter().flat_map(Map::keys).map(String::as_str)
}

/// The merge keys of a member's name.
pub(super) fn keys_of(name: &str) -> Option<Map<String, Value>> {
    serde_json::from_str(name.strip_prefix("k:")?).ok()
}
