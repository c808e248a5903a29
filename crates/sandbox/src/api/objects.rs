//! Reading and writing objects in the store: what every way to write has in common.

use serde_json::{Map, Value, json};

use super::apply::apply;
use super::asked::check_name;
use super::fields::{self, Manager, compare};
use super::kinds::Kind;
use super::schema::Shape;
use super::status::{Cause, Status};
use super::{crd, defaults, delete, validate};
use crate::store::Transaction;

/// An answer, or a refusal.
pub(super) type Answer<T> = Result<T, Box<Status>>;

/// The written object, and its writer.
pub(super) struct Target<'a> {
    pub kind: &'a Kind,
    pub namespace: Option<&'a str>,
    pub name: &'a str,
    /// The field manager.
    pub manager: &'a str,
    /// `status`, or empty.
    pub subresource: &'a str,
    pub now: &'a str,
}

/// A kind of write.
pub(super) enum Edit<'a> {
    /// Server-side apply.
    Apply { configuration: &'a Value, force: bool },
    /// Replace.
    Replace(&'a Value),
    /// A merge patch.
    Merge(&'a Value),
    /// A strategic merge patch, which knows the items of lists.
    Strategic(&'a Value),
    /// A JSON patch.
    Operations(&'a Value),
}

/// An object as the kind that was asked for.
pub(super) fn read(
    store: &Transaction<'_>,
    kind: &Kind,
    namespace: Option<&str>,
    name: &str,
) -> Option<Value> {
    store.value(&kind.key(namespace, name)).map(|object| shown(object, kind))
}

/// A stored object in the version that was asked for.
pub(super) fn shown(object: &Value, kind: &Kind) -> Value {
    let mut shown = json!({"apiVersion": kind.api_version(), "kind": kind.kind});
    if let (Value::Object(shown), Value::Object(object)) = (&mut shown, object) {
        let rest = object.iter().filter(|(name, _)| *name != "apiVersion" && *name != "kind");
        shown.extend(rest.map(|(name, value)| (name.clone(), value.clone())));
    }
    shown
}

pub(super) fn create(store: &mut Transaction<'_>, target: &Target<'_>, object: &Value) -> Answer<Value> {
    if !target.name.is_empty()
        && let Some(live) = store.value(&target.key())
    {
        let leaving = !live["metadata"]["deletionTimestamp"].is_null();
        let refusal = if leaving { Status::still_there } else { Status::already_exists };
        return Err(refusal(target.kind, target.name));
    }
    if object["metadata"]["resourceVersion"].as_str().is_some_and(|version| !version.is_empty()) {
        return Err(Status::internal("resourceVersion should not be set on objects to be created"));
    }
    let mut after = object.clone();
    target.header(&mut after);
    target.prepare(&mut after, None);
    let writer = target.writer("Update");
    let compared = compare(&target.skeleton(), &without_owners(&after), target.shape());
    let mut managers = fields::managers(object);
    fields::hand_over(&mut managers, &writer, &compared);
    // A server that cannot apply does not know the field.
    fields::set_managers(&mut after, if target.kind.tracks { managers } else { Vec::new() });
    insert(store, target, after)
}

/// Changes an object; an apply creates a missing one. Returns whether it is new.
pub(super) fn edit(
    store: &mut Transaction<'_>,
    target: &Target<'_>,
    edit: &Edit<'_>,
) -> Answer<(Value, bool)> {
    let live = store.value(&target.key()).map(|live| shown(live, target.kind));
    let Some(live) = live else {
        return match edit {
            Edit::Apply { configuration, force } if target.subresource.is_empty() => {
                let configuration = &target.applied(configuration);
                let mut after =
                    apply(&target.skeleton(), configuration, target.shape(), target.writer("Apply"), *force)?;
                target.prepare(&mut after, None);
                insert(store, target, after).map(|object| (object, true))
            }
            _ => Err(Status::not_found(target.kind, target.name)),
        };
    };
    let after = changed(&live, target, edit)?;
    update(store, target, &live, after).map(|object| (object, false))
}

/// The result of an edit of the live object.
fn changed(live: &Value, target: &Target<'_>, edit: &Edit<'_>) -> Answer<Value> {
    let mut after = match edit {
        Edit::Apply { configuration, force } => {
            check_version(target, live, configuration)?;
            check_uid(target, live, configuration)?;
            let configuration = &target.applied(configuration);
            let mut after = apply(live, configuration, target.shape(), target.writer("Apply"), *force)?;
            target.prepare(&mut after, Some(live));
            return Ok(after);
        }
        Edit::Replace(object) => (*object).clone(),
        Edit::Merge(patch) => {
            let mut after = live.clone();
            super::patch::merge(&mut after, patch);
            after
        }
        Edit::Strategic(patch) => {
            let mut after = live.clone();
            super::patch::strategic(&mut after, patch, target.shape());
            after
        }
        Edit::Operations(patch) => super::patch::json(live, patch, !target.kind.tracks)?,
    };
    check_version(target, live, &after)?;
    check_replacement(target, live, &after, edit)?;
    target.header(&mut after);
    target.prepare(&mut after, Some(live));
    // An object without managers has no owned fields.
    if fields::managers(live).is_empty() || !target.kind.tracks {
        fields::set_managers(&mut after, Vec::new());
        return Ok(after);
    }
    let compared = compare(&without_owners(live), &without_owners(&after), target.shape());
    let mut managers = fields::managers(live);
    fields::hand_over(&mut managers, &target.writer("Update"), &compared);
    fields::set_managers(&mut after, managers);
    Ok(after)
}

/// Checks the writer's preconditions.
fn check_replacement(target: &Target<'_>, live: &Value, after: &Value, edit: &Edit<'_>) -> Answer<()> {
    let metadata = &after["metadata"];
    let text = |name: &str| metadata[name].as_str().unwrap_or_default();
    if after["kind"] != live["kind"] {
        let why = "converting it to the kind of the path: unknown conversion";
        let cause = Cause::value("patch", &after.to_string().into(), why);
        return Err(Status::invalid_of("", "", "", &[cause]));
    }
    if !matches!(edit, Edit::Replace(_)) {
        check_name(after, None, target.name)?;
        return check_uid(target, live, after);
    }
    let is_versioned = target.kind.schema.is_some() || is_definition(target.kind);
    if is_versioned && text("resourceVersion").is_empty() {
        return Err(Status::versionless(target.kind, target.name));
    }
    let (uid, is) = (text("uid"), live["metadata"]["uid"].as_str().unwrap_or_default());
    if !uid.is_empty() && uid != is {
        let place = format!("{}/{}", target.kind.plural, target.namespace.unwrap_or_default());
        let why = format!(
            "StorageError: invalid object, Code: 4, Key: /registry/{place}/{}, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: {uid}, UID in object meta: {is}",
            target.name
        );
        return Err(Status::conflict(target.kind, target.name, &why));
    }
    if !text("deletionTimestamp").is_empty() && live["metadata"]["deletionTimestamp"].is_null() {
        let why = "field is immutable";
        let cause = Cause::value("metadata.deletionTimestamp", &metadata["deletionTimestamp"], why);
        return Err(Status::invalid(target.kind, target.name, &[cause.clone(), cause]));
    }
    Ok(())
}

/// Rejects a configuration or a patch for another object of the same name.
fn check_uid(target: &Target<'_>, live: &Value, wanted: &Value) -> Answer<()> {
    let uid = &wanted["metadata"]["uid"];
    if uid.is_null() || *uid == live["metadata"]["uid"] {
        return Ok(());
    }
    let cause = Cause::value("metadata.uid", uid, "field is immutable");
    Err(Status::invalid(target.kind, target.name, &[cause]))
}

/// Rejects a write with another resource version.
fn check_version(target: &Target<'_>, live: &Value, wanted: &Value) -> Answer<()> {
    let named = wanted["metadata"]["resourceVersion"].as_str().filter(|version| !version.is_empty());
    match named {
        Some(version) if live["metadata"]["resourceVersion"] != version => {
            Err(Status::stale(target.kind, target.name))
        }
        _ => Ok(()),
    }
}

fn without_owners(object: &Value) -> Value {
    let mut object = object.clone();
    let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) else { return object };
    metadata.shift_remove("managedFields");
    object
}

fn insert(store: &mut Transaction<'_>, target: &Target<'_>, mut object: Value) -> Answer<Value> {
    check_namespace(store, target)?;
    if target.kind.schema.is_none() {
        defaults::admit(target.kind, &mut object);
    }
    validate::check(target.kind, &object, None)?;
    if is_definition(target.kind) {
        crd::begin(&mut object);
    }
    let revision = store.revision() + 1;
    let metadata = &mut object["metadata"];
    metadata["uid"] = uid(revision).into();
    metadata["creationTimestamp"] = target.now.into();
    if target.kind.counts {
        metadata["generation"] = 1.into();
    }
    let object = put(store, target, object);
    if is_definition(target.kind) {
        crd::establish(store, target.kind, &target.key(), target.now);
    }
    Ok(object)
}

fn is_definition(kind: &Kind) -> bool {
    kind.kind == "CustomResourceDefinition" && kind.group == "apiextensions.k8s.io"
}

/// A namespaced object needs a namespace that is not terminating.
fn check_namespace(store: &Transaction<'_>, target: &Target<'_>) -> Answer<()> {
    let Some(namespace) = target.namespace.filter(|_| target.kind.namespaced) else { return Ok(()) };
    let Some(found) = store.value(&format!("api/core/namespaces/-/{namespace}")) else {
        let message = format!("namespaces \"{namespace}\" not found");
        let details = json!({"name": namespace, "kind": "namespaces"});
        return Err(Box::new(Status {
            code: 404,
            reason: "NotFound",
            message,
            details,
            ..Status::default()
        }));
    };
    if found["status"]["phase"] == "Terminating" {
        return Err(Status::terminating(target.kind, target.name, namespace));
    }
    Ok(())
}

fn update(store: &mut Transaction<'_>, target: &Target<'_>, live: &Value, mut after: Value) -> Answer<Value> {
    if same(live, &after) {
        return Ok(live.clone());
    }
    validate::check(target.kind, &after, Some(live))?;
    if target.kind.counts_changes() && desired(live) != desired(&after) {
        let generation = live["metadata"]["generation"].as_u64().unwrap_or_default();
        after["metadata"]["generation"] = (generation + 1).into();
    }
    let leaves = !after["metadata"]["deletionTimestamp"].is_null() && finalizers(&after) == 0;
    // An object whose last finalizer is removed goes at once: nobody sees it without.
    if leaves {
        after["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
        delete::finish(store, target.kind, target.namespace, target.name, target.now);
        return Ok(ordered(after));
    }
    let object = put(store, target, after);
    if is_definition(target.kind) && object["spec"]["names"] != live["spec"]["names"] {
        crd::establish(store, target.kind, &target.key(), target.now);
    }
    Ok(object)
}

/// Number of finalizers.
pub(super) fn finalizers(object: &Value) -> usize {
    object["metadata"]["finalizers"].as_array().map_or(0, Vec::len)
}

/// Whether only managers' timestamps would change.
fn same(live: &Value, after: &Value) -> bool {
    let plain = |object: &Value| {
        let mut object = object.clone();
        for entry in object["metadata"]["managedFields"].as_array_mut().into_iter().flatten() {
            entry["time"] = Value::Null;
        }
        object
    };
    plain(live) == plain(after)
}

/// All but the status and the metadata.
fn desired(object: &Value) -> Map<String, Value> {
    let mut desired = object.as_object().cloned().unwrap_or_default();
    desired.retain(|name, _| !["metadata", "status", "apiVersion", "kind"].contains(&name.as_str()));
    desired
}

fn put(store: &mut Transaction<'_>, target: &Target<'_>, mut object: Value) -> Value {
    object["metadata"]["resourceVersion"] = (store.revision() + 1).to_string().into();
    let object = ordered(object);
    store.put(&target.key(), object.clone());
    object
}

/// Without nulls and empty strings where the real server has no field.
fn ordered(mut object: Value) -> Value {
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.retain(|_, value| !value.is_null());
    }
    object
}

/// An id that is as unique as the revision in which its object came.
fn uid(revision: u64) -> String {
    format!("{:08x}-4b76-4e65-8074-{:012x}", revision, revision.wrapping_mul(0x9e37_79b9) & 0xffff_ffff_ffff)
}

impl Target<'_> {
    fn key(&self) -> String {
        self.kind.key(self.namespace, self.name)
    }

    fn shape(&self) -> Shape<'_> {
        Shape::root(self.kind.schema.as_deref())
    }

    fn writer(&self, operation: &str) -> Manager {
        Manager {
            name: self.manager.to_owned(),
            operation: operation.to_owned(),
            api_version: self.kind.api_version(),
            time: self.now.to_owned(),
            subresource: self.subresource.to_owned(),
            fields: fields::Set::new(),
        }
    }

    /// A configuration without what is written through another path.
    fn applied(&self, configuration: &Value) -> Value {
        let mut configuration = configuration.clone();
        if let Some(map) =
            configuration.as_object_mut().filter(|_| self.kind.has_status && self.subresource.is_empty())
        {
            map.shift_remove("status");
        }
        configuration
    }

    /// The object before it has anything.
    fn skeleton(&self) -> Value {
        let mut object = json!({});
        self.header(&mut object);
        object
    }

    /// What the path says about the object, at its begin.
    fn header(&self, object: &mut Value) {
        let mut metadata = Map::new();
        metadata.insert("name".into(), self.name.into());
        if let Some(namespace) = self.namespace.filter(|_| self.kind.namespaced) {
            metadata.insert("namespace".into(), namespace.into());
        }
        let given = object["metadata"].as_object().cloned().unwrap_or_default();
        metadata.extend(given.into_iter().filter(|(name, _)| name != "name" && name != "namespace"));
        let mut whole =
            json!({"apiVersion": self.kind.api_version(), "kind": self.kind.kind, "metadata": metadata});
        if let (Value::Object(whole), Value::Object(object)) = (&mut whole, &*object) {
            for (name, value) in
                object.iter().filter(|(name, _)| !["apiVersion", "kind", "metadata"].contains(&name.as_str()))
            {
                whole.insert(name.clone(), value.clone());
            }
        }
        *object = whole;
    }

    /// Restores immutable fields, applies defaults, and drops unknown fields.
    fn prepare(&self, object: &mut Value, live: Option<&Value>) {
        if !self.subresource.is_empty() {
            if let Some(live) = live {
                let status = object["status"].take();
                let metadata = object["metadata"].take();
                *object = live.clone();
                object["status"] = status;
                if !metadata["managedFields"].is_null() {
                    object["metadata"]["managedFields"] = metadata["managedFields"].clone();
                }
                // Of a built-in kind, the metadata is written through this path too.
                let written = ["labels", "annotations", "finalizers", "ownerReferences"];
                for name in written.iter().filter(|_| self.kind.schema.is_none()) {
                    match object["metadata"].as_object_mut() {
                        Some(map) if metadata[name].is_null() => _ = map.shift_remove(*name),
                        Some(map) => _ = map.insert((*name).to_owned(), metadata[name].clone()),
                        None => {}
                    }
                }
            }
        } else if self.kind.has_status || self.kind.kind == "KubeVirt" {
            Self::keep_status(object, live);
        }
        let server = [
            "uid",
            "creationTimestamp",
            "generation",
            "resourceVersion",
            "deletionTimestamp",
            "deletionGracePeriodSeconds",
        ];
        for name in server {
            if name == "generation" && !self.kind.counts && live.is_none() {
                continue;
            }
            let value = live.map_or(Value::Null, |live| live["metadata"][name].clone());
            let Some(metadata) = object["metadata"].as_object_mut() else { continue };
            if value.is_null() {
                metadata.shift_remove(name);
            } else {
                metadata.insert(name.to_owned(), value);
            }
        }
        if let Some(metadata) = object["metadata"].as_object_mut() {
            metadata.shift_remove("selfLink");
        }
        without_nothing(&mut object["metadata"], &["labels", "annotations", "finalizers", "ownerReferences"]);
        if self.kind.schema.is_none() {
            without_nothing(object, &["data", "binaryData"]);
        }
        match &self.kind.schema {
            Some(schema) if self.kind.tracks => validate::prune_object(object, schema),
            Some(_) => {}
            None => defaults::fill(self.kind, object),
        }
        if self.kind.group == "extensions" && self.kind.kind == "DaemonSet" {
            defaults::count_templates(object, live);
        }
        if self.kind.kind == "Secret" && self.kind.group.is_empty() {
            encode_strings(object);
        }
    }

    fn keep_status(object: &mut Value, live: Option<&Value>) {
        let status = live.map_or(Value::Null, |live| live["status"].clone());
        let Some(map) = object.as_object_mut() else { return };
        if status.is_null() {
            map.shift_remove("status");
        } else {
            map.insert("status".into(), status);
        }
    }
}

/// Removes maps and lists that are empty, which the real server does not keep.
fn without_nothing(object: &mut Value, names: &[&str]) {
    let Some(map) = object.as_object_mut() else { return };
    for name in names {
        let is_empty = |value: &Value| {
            value.as_object().is_some_and(Map::is_empty) || value.as_array().is_some_and(Vec::is_empty)
        };
        if map.get(*name).is_some_and(is_empty) {
            map.shift_remove(*name);
        }
    }
}

/// `stringData` is only written: it becomes `data`.
fn encode_strings(secret: &mut Value) {
    use base64::Engine as _;
    let Some(strings) = secret.as_object_mut().and_then(|secret| secret.shift_remove("stringData")) else {
        return;
    };
    if !secret["data"].is_object() {
        secret["data"] = json!({});
    }
    for (name, text) in strings.as_object().into_iter().flatten() {
        let text = text.as_str().unwrap_or_default();
        secret["data"][name] = base64::engine::general_purpose::STANDARD.encode(text).into();
    }
}
