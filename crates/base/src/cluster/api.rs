//! Reading and writing objects.

use futures::{StreamExt, TryStreamExt, stream};
use http::Method;
use serde_json::{Value, json};

use super::expected::Expected;
use super::refusal::{Refusal, absent};
use super::request::{ApiAnswer, ApiCall};
use super::{Cluster, FIELD_MANAGER, ObjectKey};
use crate::error::{Error, Result, code};
use crate::formats::object::text;

/// How many requests of [`Cluster::get_many`] are in flight.
const CONCURRENT_READS: usize = 16;
/// How many objects a page of a list has; more than any list that kvnet reads on a small cluster.
const PAGE: usize = 500;
/// How often a write is retried on a conflict.
pub(super) const STALE_WRITES: usize = 5;

impl Cluster {
    /// The object; none when it does not exist, or when its kind is not served yet.
    pub async fn get(&self, key: &ObjectKey) -> Result<Option<Value>> {
        let path = match self.object_path(key).await {
            Err(error) if error.code() == &code::CLUSTER_KIND => return Ok(None),
            path => path?,
        };
        match self.call(&ApiCall::get(path).expects(Expected::Object(key.clone()))).await? {
            ApiAnswer::Done(object) => Ok(Some(object)),
            ApiAnswer::Refused(refusal) => absent(refusal, &key.to_string()).map(|()| None),
        }
    }

    /// The objects in the order of the keys, read at the same time.
    pub async fn get_many(&self, keys: &[ObjectKey]) -> Result<Vec<Option<Value>>> {
        // Owned keys: a future that borrows from the slice would not be `Send` for every lifetime.
        let reads = keys.iter().cloned().map(|key| async move { self.get(&key).await });
        stream::iter(reads.collect::<Vec<_>>()).buffered(CONCURRENT_READS).try_collect().await
    }

    /// The objects of a kind; none of a kind that is not served. Without a namespace, those of all namespaces.
    pub async fn list(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
        label_selector: Option<&str>,
    ) -> Result<Vec<Value>> {
        let path = match self.list_path(api_version, kind, namespace).await {
            Err(error) if error.code() == &code::CLUSTER_KIND => return Ok(Vec::new()),
            path => path?,
        };
        let query = query(&[("labelSelector", label_selector)]);
        Ok(self.list_all(&path, &query, api_version, kind).await?.0)
    }

    /// All pages of a list with their resource version; the items carry apiVersion and kind.
    pub(super) async fn list_all(
        &self,
        path: &str,
        query: &str,
        api_version: &str,
        kind: &str,
    ) -> Result<(Vec<Value>, String)> {
        let mut objects = Vec::new();
        let mut token = String::new();
        let expected = Expected::List(api_version.to_owned(), kind.to_owned());
        loop {
            let page = format!("{path}?limit={PAGE}{query}{token}");
            let mut list = match self.call(&ApiCall::get(page).expects(expected.clone())).await? {
                ApiAnswer::Done(list) => list,
                ApiAnswer::Refused(refusal) => {
                    absent(refusal, &format!("list of {kind}"))?;
                    return Ok((objects, String::new()));
                }
            };
            objects.extend(take_items(&mut list, api_version, kind));
            match text(&list, "/metadata/continue") {
                "" => return Ok((objects, text(&list, "/metadata/resourceVersion").to_owned())),
                next => token = format!("&continue={}", encode(next)),
            }
        }
    }

    /// Changes an object by a JSON merge patch.
    /// Fails with `KVN304` when the object does not exist.
    pub async fn patch_merge(&self, key: &ObjectKey, patch: &Value) -> Result<Value> {
        self.patch(key, "application/merge-patch+json", patch).await
    }

    /// Changes an object by a JSON patch, whose `test` operations make it safe against changes in between.
    pub async fn patch_json(&self, key: &ObjectKey, operations: &Value) -> Result<Value> {
        self.patch(key, "application/json-patch+json", operations).await
    }

    /// As [`Cluster::patch_json`], for the object's status.
    pub async fn patch_status(&self, key: &ObjectKey, operations: &Value) -> Result<Value> {
        let target = format!("{}/status?fieldManager={FIELD_MANAGER}", self.object_path(key).await?);
        self.write(ApiCall::send(Method::PATCH, target, "application/json-patch+json", operations), key).await
    }

    async fn patch(&self, key: &ObjectKey, content_type: &'static str, patch: &Value) -> Result<Value> {
        let target = format!("{}?fieldManager={FIELD_MANAGER}", self.object_path(key).await?);
        self.write(ApiCall::send(Method::PATCH, target, content_type, patch), key).await
    }

    /// Replaces the live object, or creates it when there is none.
    pub async fn replace(&self, object: &Value) -> Result<Value> {
        let key = ObjectKey::of(object);
        let path = self.object_path(&key).await?;
        for _ in 0..STALE_WRITES {
            let live = self.get(&key).await?;
            let call = replacement(&path, object, live.as_ref()).expects(Expected::Object(key.clone()));
            match self.call(&call).await? {
                ApiAnswer::Done(object) => return Ok(object),
                // It was changed, deleted or created in between: read it again.
                ApiAnswer::Refused(refusal) if refusal.stale() || refusal.reason == "AlreadyExists" => {}
                ApiAnswer::Refused(refusal) => return Err(refusal.into_error(&key.to_string())),
            }
        }
        Err(busy(&key))
    }

    pub(super) async fn write(&self, call: ApiCall, key: &ObjectKey) -> Result<Value> {
        let call = call.expects(Expected::Object(key.clone()));
        for _ in 0..STALE_WRITES {
            match self.call(&call).await? {
                ApiAnswer::Refused(refusal) if refusal.stale() => {}
                outcome => return outcome.done(&key.to_string()),
            }
        }
        Err(busy(key))
    }

    /// Requests an object's deletion: exactly of the one that exists now, not of a later one of that name. Returns
    /// whether there was one. `grace` is in seconds.
    /// Fails with `KVN303` when the object was replaced meanwhile.
    pub async fn delete(&self, key: &ObjectKey, grace: Option<u32>) -> Result<bool> {
        let Some(live) = self.get(key).await? else { return Ok(false) };
        let mut options = json!({
            "apiVersion": "v1",
            "kind": "DeleteOptions",
            "propagationPolicy": propagation(&key.kind),
            "preconditions": {"uid": text(&live, "/metadata/uid")},
        });
        if let Some(grace) = grace {
            options["gracePeriodSeconds"] = grace.into();
        }
        let path = self.object_path(key).await?;
        let call = ApiCall::send(Method::DELETE, path, "application/json", &options)
            .expects(Expected::Deletion(key.clone()));
        for _ in 0..STALE_WRITES {
            match self.call(&call).await? {
                ApiAnswer::Done(_) => return Ok(true),
                ApiAnswer::Refused(refusal) if refusal.code == 409 => {
                    let now = self.get(key).await?;
                    if is_leaving(key, &live, now.as_ref(), &refusal)? {
                        return Ok(true);
                    }
                }
                // Gone between the read and the delete: another client deleted it, or a retry of ours worked.
                ApiAnswer::Refused(refusal) => return absent(refusal, &key.to_string()).map(|()| true),
            }
        }
        Err(busy(key))
    }
}

/// Whether an object whose deletion failed is terminating nevertheless. A terminating namespace refuses a second
/// request, which may have been sent only because the answer to the first was lost.
fn is_leaving(key: &ObjectKey, before: &Value, now: Option<&Value>, refusal: &Refusal) -> Result<bool> {
    let Some(now) = now else { return Ok(true) };
    if text(now, "/metadata/uid") != text(before, "/metadata/uid") {
        let message = format!("{key} was replaced while it was being deleted");
        return Err(Error::new(&code::CLUSTER_CONFLICT, message)
            .because(&refusal.message)
            .hint("run the command again: it reads the current state"));
    }
    Ok(!text(now, "/metadata/deletionTimestamp").is_empty())
}

/// Workloads stay until their pods are gone, so that "gone" means that nothing runs any more; other objects own
/// nothing, or have their own finalizers.
fn propagation(kind: &str) -> &'static str {
    match kind {
        "DaemonSet" | "Deployment" | "StatefulSet" | "ReplicaSet" | "Job" | "CronJob" => "Foreground",
        _ => "Background",
    }
}

/// The object without the fields that an apply must not have.
pub(super) fn appliable(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.shift_remove("managedFields");
    }
    object
}

/// A PUT over the live object, or a POST when there is none.
fn replacement(path: &str, object: &Value, live: Option<&Value>) -> ApiCall {
    let mut object = appliable(object);
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for field in ["uid", "resourceVersion", "creationTimestamp", "generation", "selfLink"] {
            metadata.shift_remove(field);
        }
        if let Some(live) = live {
            metadata.insert("resourceVersion".into(), text(live, "/metadata/resourceVersion").into());
        }
    }
    if live.is_some() {
        let target = format!("{path}?fieldManager={FIELD_MANAGER}");
        return ApiCall::send(Method::PUT, target, "application/json", &object);
    }
    creation(path, &object)
}

/// A POST of the object that is to have this path.
pub(super) fn creation(path: &str, object: &Value) -> ApiCall {
    let collection = path.rsplit_once('/').map_or(path, |(collection, _)| collection);
    let target = format!("{collection}?fieldManager={FIELD_MANAGER}");
    ApiCall::send(Method::POST, target, "application/json", object)
}

pub(super) fn busy(key: &ObjectKey) -> Error {
    let message = format!("{key} keeps being changed by another client");
    Error::new(&code::CLUSTER_CONFLICT, message)
        .hint("run the command again; `metadata.managedFields` of the object tells who writes to it")
}

/// The items of a list; lists leave out what all items share.
fn take_items(list: &mut Value, api_version: &str, kind: &str) -> Vec<Value> {
    let Some(Value::Array(items)) = list.get_mut("items").map(Value::take) else { return Vec::new() };
    let mut items = items;
    // What is not an object has no name either, so it is of no use.
    items.retain(Value::is_object);
    for item in items.iter_mut().filter_map(Value::as_object_mut) {
        item.insert("apiVersion".into(), api_version.into());
        item.insert("kind".into(), kind.into());
    }
    items
}

/// More query parameters, each with its `&`.
pub(super) fn query(parameters: &[(&str, Option<&str>)]) -> String {
    let present = parameters.iter().filter_map(|(name, value)| Some((name, (*value)?)));
    present.map(|(name, value)| ["&", name, "=", &encode(value)].concat()).collect()
}

/// Percent-encodes everything that is not unreserved.
pub(super) fn encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.extend(
                [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])),
            );
        }
        encoded
    })
}
