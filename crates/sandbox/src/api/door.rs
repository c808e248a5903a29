//! Handles each request in one transaction of the store; and the controllers' direct access.

use serde_json::{Value, json};

use super::asked::{Asked, check_applied_kind, check_name, check_namespace, nameless, yaml};
use super::delete::{self, Options};
use super::kinds::{self, Kind};
use super::lists::{list, matching, revision, selector};
use super::objects::{self, Answer, Edit, Target};
use super::route::{ObjectsPath, Route};
use super::select::Selector;
use super::status::Status;
use super::streams::{LogRequest, Session};
use super::{ApiServer, discovery, options, watch};
use crate::cluster::ObjectKey;
use crate::error::{Error, Result, code};
use crate::store::Transaction;

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";
const OPERATIONS: &str = "application/json-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
/// What a patch of a custom resource may be, and what it may be besides where the server can apply.
const PATCHES: &str = "application/json-patch+json, application/merge-patch+json";
const PATCHES_AND_APPLY: &str =
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";

/// What the server does about a request.
#[derive(Debug)]
pub(super) enum Answered {
    Json(u16, Value),
    Text(u16, String),
    Watch(Box<watch::Start>),
    Log(LogRequest),
    Session(Session),
}

/// The objects of a kind that a controller lists.
pub type ObjectFilter<'a> = Option<&'a str>;

/// How a controller deletes an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removal {
    /// Like a user: with finalizers and grace period.
    Asked,
    /// At once, as a kubelet does when a pod has terminated.
    AtOnce,
}

impl ApiServer {
    pub(super) fn answer(&self, asked: &Asked) -> Answer<Answered> {
        let answered = if asked.is_rehearsal() {
            if !self.0.version.applies() {
                return Err(Status::bad_request("dryRun is not supported yet"));
            }
            self.rehearse(asked)
        } else {
            self.0.store.write(|store| self.decide(store, asked))
        };
        answered.unwrap_or_else(|error| {
            let message = error.to_string();
            Err(Box::new(Status { code: 500, reason: "InternalError", message, ..Status::default() }))
        })
    }

    pub(super) fn decide(&self, store: &mut Transaction<'_>, asked: &Asked) -> Answer<Answered> {
        let nothing = || Ok(Answered::Text(404, "404 page not found\n".into()));
        match Route::parse(&asked.path) {
            Route::Version => Ok(Answered::Json(200, discovery::version(self.0.version))),
            Route::Discovery { group, version, legacy } => {
                let found =
                    discovery::answer(self.0.version, store, group.as_deref(), version.as_deref(), legacy);
                match found {
                    Some(found) => Ok(Answered::Json(200, found)),
                    None if group.as_deref().is_some_and(|group| self.has_group(group)) => {
                        Err(Status::no_resource())
                    }
                    None => nothing(),
                }
            }
            Route::Objects(path) => {
                // KubeVirt serves consoles in a group of their own.
                let group = path.group.strip_prefix("subresources.").filter(|_| !path.subresource.is_empty());
                let group = group.unwrap_or(&path.group);
                match kinds::by_path(self.0.version, store, group, &path.version, &path.plural) {
                    Some(kind) => self.objects(store, asked, &path, &kind),
                    None if self.has_group(group) => Err(Status::no_resource()),
                    None => nothing(),
                }
            }
            Route::Description { third } => match discovery::description(self.0.version, third) {
                Some(description) => Ok(Answered::Json(200, description)),
                None => nothing(),
            },
            Route::Unknown => nothing(),
        }
    }

    /// Whether the release brings a group along: whatever is missing there, the server itself says so.
    fn has_group(&self, group: &str) -> bool {
        kinds::groups(self.0.version).iter().any(|(name, ..)| *name == group)
    }

    fn objects(
        &self,
        store: &mut Transaction<'_>,
        asked: &Asked,
        path: &ObjectsPath,
        kind: &Kind,
    ) -> Answer<Answered> {
        let namespace = path.namespace.as_deref();
        let Some(name) = path.name.as_deref() else { return self.collection(store, asked, namespace, kind) };
        if let Some(answered) = stream(store, asked, path, kind, name)? {
            return Ok(answered);
        }
        let has_path = path.subresource.is_empty() || (path.subresource == "status" && kind.has_status);
        if !has_path {
            let is_custom = kind.schema.is_some();
            return Err(if is_custom { Status::not_found(kind, name) } else { Status::no_resource() });
        }
        let now = self.0.clock.stamp();
        let target = Target {
            kind,
            namespace,
            name,
            manager: asked.manager(),
            subresource: &path.subresource,
            now: &now,
        };
        match asked.method.as_str() {
            "GET" => {
                let found = objects::read(store, kind, namespace, name);
                found.map(|object| Answered::Json(200, object)).ok_or_else(|| Status::not_found(kind, name))
            }
            "PUT" => {
                options::check(asked, "UpdateOptions", false)?;
                let object = asked.object(&kind.kind)?;
                asked.check_kind(&object, kind)?;
                if object["metadata"]["name"].as_str().unwrap_or_default().is_empty() {
                    return Err(nameless(name));
                }
                check_name(&object, None, name)?;
                check_namespace(&object, namespace)?;
                objects::edit(store, &target, &Edit::Replace(&object))
                    .map(|(object, _)| Answered::Json(200, object))
            }
            "PATCH" => patch(store, asked, &target),
            "DELETE" if path.subresource.is_empty() => {
                let body = if asked.body.is_empty() { json!({}) } else { asked.object("DeleteOptions")? };
                let mut options = Options::parse(&body);
                options.propagation =
                    options.propagation.or(asked.parameter("propagationPolicy").map(str::to_owned));
                options.propagation =
                    options.propagation.or_else(|| kind.orphans().then(|| "Orphan".to_owned()));
                options.grace = options
                    .grace
                    .or(asked.parameter("gracePeriodSeconds").and_then(|text| text.parse().ok()));
                options::check_propagation(options.propagation.as_deref())?;
                delete::delete(store, kind, namespace, name, &options, &now)
                    .map(|answer| Answered::Json(200, answer))
            }
            _ => Err(Status::not_allowed()),
        }
    }

    fn collection(
        &self,
        store: &mut Transaction<'_>,
        asked: &Asked,
        namespace: Option<&str>,
        kind: &Kind,
    ) -> Answer<Answered> {
        match asked.method.as_str() {
            "GET" if asked.is_set("watch") => Self::watch(store, asked, namespace, kind),
            "GET" => list(store, asked, namespace, kind).map(|list| Answered::Json(200, list)),
            "POST" => {
                options::check(asked, "CreateOptions", false)?;
                let mut object = asked.object(&kind.kind)?;
                asked.check_kind(&object, kind)?;
                check_namespace(&object, namespace)?;
                let name = name_for(store, &mut object);
                let now = self.0.clock.stamp();
                let target = Target {
                    kind,
                    namespace,
                    name: &name,
                    manager: asked.manager(),
                    subresource: "",
                    now: &now,
                };
                objects::create(store, &target, &object).map(|object| Answered::Json(201, object))
            }
            "DELETE" => {
                let selector = selector(asked, kind)?;
                let now = self.0.clock.stamp();
                let before = list(store, asked, namespace, kind)?;
                for object in matching(store, kind, namespace, &selector) {
                    let metadata = &object["metadata"];
                    let (namespace, name) =
                        (metadata["namespace"].as_str(), metadata["name"].as_str().unwrap_or_default());
                    delete::delete(store, kind, namespace, name, &Options::default(), &now)?;
                }
                Ok(Answered::Json(200, before))
            }
            _ => Err(Status::not_allowed()),
        }
    }

    fn watch(
        store: &Transaction<'_>,
        asked: &Asked,
        namespace: Option<&str>,
        kind: &Kind,
    ) -> Answer<Answered> {
        let selector = selector(asked, kind)?;
        let version = asked.parameter("resourceVersion").unwrap_or_default();
        let from = revision(version)?.filter(|revision| *revision > 0).unwrap_or_else(|| store.revision());
        let anew = ["", "0"].contains(&version);
        let initial = if anew { matching(store, kind, namespace, &selector) } else { Vec::new() };
        Ok(Answered::Watch(Box::new(watch::Start {
            kind: kind.clone(),
            namespace: namespace.map(str::to_owned),
            selector,
            revision: from,
            bookmarks: asked.is_set("allowWatchBookmarks"),
            seconds: asked.parameter("timeoutSeconds").and_then(|text| text.parse().ok()),
            initial,
        })))
    }
}

fn stream(
    store: &Transaction<'_>,
    asked: &Asked,
    path: &ObjectsPath,
    kind: &Kind,
    name: &str,
) -> Answer<Option<Answered>> {
    let namespace = path.namespace.clone().unwrap_or_default();
    let known = ["exec", "log", "attach", "console"].contains(&path.subresource.as_str());
    if !known {
        return Ok(None);
    }
    let Some(object) = objects::read(store, kind, Some(&namespace), name) else {
        return Err(Status::not_found(kind, name));
    };
    let container = asked.parameter("container").map(str::to_owned);
    let container = super::streams::container(&object, name, container.as_deref())?;
    Ok(Some(match path.subresource.as_str() {
        "log" => Answered::Log(LogRequest {
            namespace,
            pod: name.to_owned(),
            container,
            tail: asked.parameter("tailLines").and_then(|text| text.parse().ok()),
        }),
        subresource => Answered::Session(Session {
            namespace,
            name: name.to_owned(),
            container,
            argv: asked.query.get("command").cloned().unwrap_or_default(),
            is_console: subresource == "console",
        }),
    }))
}

fn patch(store: &mut Transaction<'_>, asked: &Asked, target: &Target<'_>) -> Answer<Answered> {
    let media_type = asked.media_type();
    let is_custom = target.kind.schema.is_some();
    let known = [MERGE, OPERATIONS].contains(&media_type)
        || (media_type == STRATEGIC && !is_custom)
        || (media_type == APPLY && target.kind.tracks);
    if !known && !is_custom {
        return Err(Status::patch_type());
    }
    if !known {
        return Err(Status::media_type(if target.kind.tracks { PATCHES_AND_APPLY } else { PATCHES }));
    }
    if target.kind.tracks {
        options::check(asked, "PatchOptions", media_type == APPLY)?;
    }
    let body = if media_type == APPLY { yaml(&asked.body)? } else { asked.json()? };
    let edit = match media_type {
        APPLY => {
            check_applied(&body, target)?;
            Edit::Apply { configuration: &body, force: asked.is_set("force") }
        }
        MERGE if !body.is_object() => {
            return Err(Status::bad_request("error decoding patch: it is no object"));
        }
        MERGE => Edit::Merge(&body),
        STRATEGIC => Edit::Strategic(&body),
        _ => Edit::Operations(&body),
    };
    let (object, new) = objects::edit(store, target, &edit)?;
    Ok(Answered::Json(if new { 201 } else { 200 }, object))
}

fn check_applied(body: &Value, target: &Target<'_>) -> Answer<()> {
    if !body["metadata"]["managedFields"].is_null() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    check_applied_kind(body, target.kind)?;
    check_name(body, target.namespace, target.name)
}

/// The name of a new object, generated from `generateName` if needed.
fn name_for(store: &Transaction<'_>, object: &mut Value) -> String {
    if let Some(name) = object["metadata"]["name"].as_str() {
        return name.to_owned();
    }
    let Some(start) = object["metadata"]["generateName"].as_str().map(str::to_owned) else {
        return String::new();
    };
    let name = format!("{start}{:05x}", store.revision() + 1);
    object["metadata"]["name"] = name.as_str().into();
    name
}

/// The controllers' direct access: no HTTP, no injected faults, the same validation.
impl ApiServer {
    /// An object; none when it does not exist.
    pub fn get(&self, key: &ObjectKey) -> Result<Option<Value>> {
        self.0.store.read(|store| {
            let kind = kinds::by_name(self.0.version, store, &key.api_version, &key.kind)?;
            objects::read(store, &kind, key.namespace.as_deref(), &key.name)
        })
    }

    /// The objects of a kind, of one namespace or of all; none of a kind that is not served.
    pub fn list(&self, api_version: &str, kind: &str, namespace: ObjectFilter<'_>) -> Result<Vec<Value>> {
        self.0.store.read(|store| {
            let kind = kinds::by_name(self.0.version, store, api_version, kind);
            kind.map(|kind| matching(store, &kind, namespace, &Selector::default())).unwrap_or_default()
        })
    }

    /// Creates an object with its status; an existing one is left unchanged.
    pub fn create(&self, manager: &str, object: &Value) -> Result<Value> {
        let status = object["status"].clone();
        let made =
            self.on(manager, "", object, |store, target| match objects::create(store, target, object) {
                Err(status) if status.reason == "AlreadyExists" => {
                    Ok(objects::read(store, target.kind, target.namespace, target.name).unwrap_or_default())
                }
                made => made,
            })?;
        if status.is_null() || made["status"] == status {
            return Ok(made);
        }
        let mut whole = made.clone();
        whole["status"] = status;
        self.update_status(manager, &whole)
    }

    /// Replaces the live object, except its status.
    pub fn update(&self, manager: &str, object: &Value) -> Result<Value> {
        self.on(manager, "", object, |store, target| {
            objects::edit(store, target, &Edit::Replace(object)).map(|(object, _)| object)
        })
    }

    /// Replaces the status of the live object.
    pub fn update_status(&self, manager: &str, object: &Value) -> Result<Value> {
        self.on(manager, "status", object, |store, target| {
            objects::edit(store, target, &Edit::Replace(object)).map(|(object, _)| object)
        })
    }

    /// Deletes an object; returns whether it existed.
    pub fn delete(&self, key: &ObjectKey, removal: Removal) -> Result<bool> {
        let now = self.0.clock.stamp();
        let answered = self.0.store.write(|store| {
            let Some(kind) = kinds::by_name(self.0.version, store, &key.api_version, &key.kind) else {
                return Ok(false);
            };
            let (namespace, name) = (key.namespace.as_deref(), key.name.as_str());
            if objects::read(store, &kind, namespace, name).is_none() {
                return Ok(false);
            }
            if removal == Removal::AtOnce {
                delete::finish(store, &kind, namespace, name, &now);
                return Ok(true);
            }
            delete::delete(store, &kind, namespace, name, &delete::now_options(), &now).map(|_| true)
        })?;
        answered.map_err(|status| refused(&key.to_string(), &status))
    }

    fn on(
        &self,
        manager: &str,
        subresource: &str,
        object: &Value,
        act: impl FnOnce(&mut Transaction<'_>, &Target<'_>) -> Answer<Value>,
    ) -> Result<Value> {
        let key = ObjectKey::of(object);
        let now = self.0.clock.stamp();
        let answered = self.0.store.write(|store| {
            let Some(kind) = kinds::by_name(self.0.version, store, &key.api_version, &key.kind) else {
                return Err(Status::bad_request(format!("{key} is not served")));
            };
            let subresource = if kind.has_status { subresource } else { "" };
            let namespace = key.namespace.as_deref().or(kind.namespaced.then_some("default"));
            let target = Target { kind: &kind, namespace, name: &key.name, manager, subresource, now: &now };
            act(store, &target)
        })?;
        answered.map_err(|status| refused(&key.to_string(), &status))
    }
}

/// A rejected controller is a bug in the sandbox.
fn refused(what: &str, status: &Status) -> Error {
    Error::new(&code::INTERNAL, format!("the sandbox cannot store {what}")).because(&status.message)
}
