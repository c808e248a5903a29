//! The walk over desired and live values.

use serde_json::{Map, Value};

use super::lists::{Merge, key_values, merge_of};
use super::owners::{Member, Owners};
use super::values::{is_stored_as_absent, same_scalar};
use crate::cluster::FieldDiff;

/// Fields beneath which the server sets no defaults: whatever only the live side has was set by another client.
const EXACT: &[&str] = &["openAPIV3Schema", "tolerations"];

/// Where the walk is, and what it has found.
#[derive(Default)]
pub(super) struct Walk {
    /// Readable: `spec.template.spec.containers[name=kube-multus]`.
    path: String,
    /// The names of the fields only.
    fields: Vec<String>,
    /// Inside a list that is one value: kvnet's ownership says nothing about its parts.
    whole: bool,
    found: Vec<FieldDiff>,
}

impl Walk {
    pub fn into_found(self) -> Vec<FieldDiff> {
        self.found
    }

    /// Compares a field of a map whose owners are `parent`.
    pub fn field(&mut self, name: &str, desired: Option<&Value>, live: Option<&Value>, parent: &Owners) {
        let owners = parent.field(name);
        let length = self.path.len();
        self.path.push_str(&segment(name, self.path.is_empty()));
        self.fields.push(name.to_owned());
        self.compare(desired, live, &owners);
        self.fields.pop();
        self.path.truncate(length);
    }

    fn compare(&mut self, desired: Option<&Value>, live: Option<&Value>, owners: &Owners) {
        let name = self.fields.last().cloned().unwrap_or_default();
        match (desired.filter(|value| !value.is_null()), live.filter(|value| !value.is_null())) {
            (None, Some(live)) if owners.applied.is_some() || self.is_exact() => {
                self.report(Some(live), None, owners);
            }
            (None, _) => {}
            (Some(desired), None) if is_stored_as_absent(&name, desired) => {}
            (Some(desired), None) => self.report(None, Some(desired), owners),
            (Some(desired), Some(live)) => self.both(&name, desired, live, owners),
        }
    }

    fn both(&mut self, name: &str, desired: &Value, live: &Value, owners: &Owners) {
        match (desired, live) {
            (Value::Object(desired), Value::Object(live)) => self.maps(desired, live, owners),
            (Value::Array(desired), Value::Array(live)) => self.lists(name, desired, live, owners),
            _ if same_scalar(&self.fields, desired, live) => {}
            _ => self.report(Some(live), Some(desired), owners),
        }
    }

    fn maps(&mut self, desired: &Map<String, Value>, live: &Map<String, Value>, owners: &Owners) {
        for (name, value) in desired {
            self.field(name, Some(value), live.get(name), owners);
        }
        let gone = owners.applied_keys().filter(|name| !desired.contains_key(name));
        for name in gone {
            self.field(&name, None, live.get(&name), owners);
        }
        if self.is_exact() {
            for (name, value) in live.iter().filter(|(name, _)| !desired.contains_key(*name)) {
                self.field(name, None, Some(value), owners);
            }
        }
    }

    /// Whether the server sets no defaults here.
    fn is_exact(&self) -> bool {
        let fields = || self.fields.iter().map(String::as_str);
        // The rules of a role are at the top; those of a webhook get a default scope.
        self.whole && (fields().next() == Some("rules") || fields().any(|field| EXACT.contains(&field)))
    }

    fn lists(&mut self, name: &str, desired: &[Value], live: &[Value], owners: &Owners) {
        let members: Vec<&Value> = desired.iter().chain(live).collect();
        match merge_of(name, owners, &members) {
            Merge::ByKeys(keys) => self.by_keys(&keys, desired, live, owners),
            Merge::Set => self.set(desired, live, owners),
            Merge::Whole => self.whole(desired, live, owners),
        }
    }

    fn by_keys(&mut self, keys: &[String], desired: &[Value], live: &[Value], owners: &Owners) {
        let find = |list: &[Value], values: &Map<String, Value>| {
            list.iter().find(|member| key_values(member, keys).as_ref() == Some(values)).cloned()
        };
        for member in desired {
            let Some(values) = key_values(member, keys) else { continue };
            let owners = owners.member(&Member::Keys(values.clone()));
            self.member(&label(&values), Some(member), find(live, &values).as_ref(), &owners);
        }
        for values in owners.applied_members() {
            if find(desired, &values).is_none() {
                let owners = owners.member(&Member::Keys(values.clone()));
                self.member(&label(&values), None, find(live, &values).as_ref(), &owners);
            }
        }
    }

    fn set(&mut self, desired: &[Value], live: &[Value], owners: &Owners) {
        for value in desired.iter().filter(|value| !live.contains(value)) {
            self.member(&show(value), Some(value), None, &owners.member(&Member::Value(value)));
        }
        for value in owners.applied_values().filter(|value| !desired.contains(value) && live.contains(value))
        {
            self.member(&show(&value), None, Some(&value), &owners.member(&Member::Value(&value)));
        }
    }

    /// Lists of the same length are compared member by member, because the server fills in defaults inside.
    fn whole(&mut self, desired: &[Value], live: &[Value], owners: &Owners) {
        if desired.len() != live.len() {
            let (before, after) = (Value::Array(live.to_vec()), Value::Array(desired.to_vec()));
            return self.report(Some(&before), Some(&after), owners);
        }
        let outer = std::mem::replace(&mut self.whole, true);
        let inner = Owners { applied: None, others: owners.others.clone() };
        for (index, (desired, live)) in desired.iter().zip(live).enumerate() {
            self.member(&index.to_string(), Some(desired), Some(live), &inner);
        }
        self.whole = outer;
    }

    fn member(&mut self, label: &str, desired: Option<&Value>, live: Option<&Value>, owners: &Owners) {
        let length = self.path.len();
        for part in ["[", label, "]"] {
            self.path.push_str(part);
        }
        self.compare(desired, live, owners);
        self.path.truncate(length);
    }

    fn report(&mut self, before: Option<&Value>, after: Option<&Value>, owners: &Owners) {
        self.found.push(FieldDiff {
            path: self.path.clone(),
            before: before.cloned(),
            after: after.cloned(),
            owners: owners.names(),
        });
    }
}

/// Whether two lists that are one value each, at a path of field names, are the same to the server.
pub(super) fn same(path: &[String], desired: &[Value], live: &[Value]) -> bool {
    let mut walk = Walk { fields: path.to_vec(), ..Walk::default() };
    walk.whole(desired, live, &Owners::default());
    walk.found.is_empty()
}

/// A field in a path; names that are no plain words, like those of labels, stand in brackets.
fn segment(name: &str, first: bool) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || "-_$".contains(c));
    match (plain, first) {
        (true, true) => name.to_owned(),
        (true, false) => format!(".{name}"),
        (false, _) => format!("[{name}]"),
    }
}

fn label(keys: &Map<String, Value>) -> String {
    let pairs: Vec<String> = keys.iter().map(|(key, value)| format!("{key}={}", show(value))).collect();
    pairs.join(",")
}

fn show(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
