//! How lists and maps of an object merge: which lists have items with keys, and what counts as one value.

use serde_json::{Map, Value};

/// How the items of a list are told apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ListKind {
    /// The list is one value.
    Atomic,
    /// Items are told apart by these fields.
    Keyed(Vec<String>),
    /// Items are values that occur once.
    Set,
}

/// What is known about a place in an object: by a CRD's schema, or by the names of fields of built-in kinds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape<'a> {
    schema: Option<&'a Value>,
    /// Whether the kind is one of a CRD: then field names mean nothing below `metadata`.
    custom: bool,
    /// The names of the last two fields on the way here.
    field: &'a str,
    parent: &'a str,
}

/// Lists of built-in kinds whose items have keys: the field, the field around it (empty for any), the keys.
const KEYED: &[(&str, &str, &[&str])] = &[
    ("containers", "", &["name"]),
    ("initContainers", "", &["name"]),
    ("ephemeralContainers", "", &["name"]),
    ("env", "", &["name"]),
    ("volumes", "", &["name"]),
    ("volumeMounts", "", &["mountPath"]),
    ("volumeDevices", "", &["devicePath"]),
    ("imagePullSecrets", "", &["name"]),
    ("secrets", "", &["name"]),
    ("hostAliases", "", &["ip"]),
    ("conditions", "", &["type"]),
    ("ownerReferences", "metadata", &["uid"]),
    ("addresses", "status", &["type"]),
    ("webhooks", "", &["name"]),
    ("topologySpreadConstraints", "", &["topologyKey", "whenUnsatisfiable"]),
    ("podIPs", "status", &["ip"]),
    ("hostIPs", "status", &["ip"]),
];
/// Maps of built-in kinds that are one value.
const ATOMIC_MAPS: &[(&str, &str)] = &[
    ("nodeSelector", ""),
    ("roleRef", ""),
    ("labelSelector", ""),
    ("namespaceSelector", ""),
    ("objectSelector", ""),
    ("podSelector", ""),
    ("fieldRef", ""),
    ("configMapKeyRef", ""),
    ("secretKeyRef", ""),
    ("resourceFieldRef", ""),
    ("requiredDuringSchedulingIgnoredDuringExecution", "nodeAffinity"),
    ("secretRef", ""),
    // An owner is one value, whatever is in it.
    ("ownerReferences", "metadata"),
    ("claimRef", ""),
];

impl<'a> Shape<'a> {
    /// The root of an object; `schema` is the whole schema of a custom resource.
    pub fn root(schema: Option<&'a Value>) -> Self {
        Self { schema, custom: schema.is_some(), field: "", parent: "" }
    }

    /// A field of a map.
    pub fn field(self, name: &'a str) -> Self {
        let metadata = self.field.is_empty() && name == "metadata";
        let schema = self.schema.and_then(|schema| {
            schema["properties"]
                .get(name)
                .or_else(|| Some(&schema["additionalProperties"]).filter(|s| s.is_object()))
        });
        Self { schema, custom: self.custom && !metadata, field: name, parent: self.field }
    }

    /// An item of a list.
    pub fn item(self) -> Self {
        Self { schema: self.schema.and_then(|schema| schema.get("items")), ..self }
    }

    /// Whether it is a place in a custom resource, below `metadata` excepted.
    pub fn is_custom(self) -> bool {
        self.custom
    }

    pub fn list(self) -> ListKind {
        if self.custom {
            return self.declared_list();
        }
        if self.field == "finalizers" || self.field == "podCIDRs" {
            return ListKind::Set;
        }
        // A Service's ports are told apart by number, a container's by the number inside it.
        if self.field == "ports" {
            let number = if self.parent == "spec" { "port" } else { "containerPort" };
            return ListKind::Keyed(vec![number.to_owned(), "protocol".to_owned()]);
        }
        let fits =
            |row: &&(&str, &str, &[&str])| row.0 == self.field && (row.1.is_empty() || row.1 == self.parent);
        match KEYED.iter().find(fits) {
            Some((_, _, keys)) => ListKind::Keyed(keys.iter().map(ToString::to_string).collect()),
            None => ListKind::Atomic,
        }
    }

    fn declared_list(self) -> ListKind {
        let Some(schema) = self.schema else { return ListKind::Atomic };
        match schema["x-kubernetes-list-type"].as_str() {
            Some("set") => ListKind::Set,
            Some("map") => {
                let keys =
                    schema["x-kubernetes-list-map-keys"].as_array().map(Vec::as_slice).unwrap_or_default();
                ListKind::Keyed(keys.iter().filter_map(Value::as_str).map(str::to_owned).collect())
            }
            _ => ListKind::Atomic,
        }
    }

    /// Whether a map here is one value.
    pub fn is_atomic_map(self) -> bool {
        if self.custom {
            return self.schema.is_some_and(|schema| schema["x-kubernetes-map-type"] == "atomic");
        }
        // The selector of a workload or a Service; other maps of that name do not exist.
        let selector = self.field == "selector" && self.parent == "spec";
        let fits = |row: &(&str, &str)| row.0 == self.field && (row.1.is_empty() || row.1 == self.parent);
        selector || ATOMIC_MAPS.iter().any(fits)
    }

    /// Whether the kind declares a field: entries of free maps are owned by themselves too.
    pub fn declares(self, name: &str) -> bool {
        if self.custom {
            return self.schema.is_some_and(|schema| schema["properties"].get(name).is_some())
                || (self.field.is_empty() && ["apiVersion", "kind", "metadata"].contains(&name));
        }
        !["labels", "annotations", "data", "binaryData", "stringData", "limits", "requests", "matchLabels"]
            .contains(&self.field)
    }

    /// What a key field of a list's item means when it is absent.
    pub fn key_default(self, key: &str) -> Option<Value> {
        if self.custom {
            return self.schema?.get("items")?.get("properties")?.get(key)?.get("default").cloned();
        }
        (key == "protocol").then(|| Value::from("TCP"))
    }

    /// The key of a list's item: its fields in the order of their names.
    pub fn key(self, keys: &[String], item: &Value) -> Map<String, Value> {
        let mut names: Vec<&String> = keys.iter().collect();
        names.sort_unstable();
        let value = |name: &String| item.get(name).cloned().or_else(|| self.key_default(name));
        names.into_iter().filter_map(|name| Some((name.clone(), value(name)?))).collect()
    }
}
