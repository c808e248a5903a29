//! Applying an object: by server-side apply, or, where the API server has none, by a create or a patch.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use http::Method;
use serde_json::Value;

use super::api::{STALE_WRITES, appliable, busy, creation};
use super::diff::{differences, merge_patch, recorded};
use super::expected::Expected;
use super::request::{ApiAnswer, ApiCall};
use super::{Cluster, FIELD_MANAGER, ObjectKey};
use crate::cluster::FieldDiff;
use crate::error::{Error, Result, code};

const APPLY: &str = "application/apply-patch+yaml";
const MERGE: &str = "application/merge-patch+json";

/// The warning where there is no server-side apply.
const WITHOUT: &str = "this API server has no server-side apply: kvnet creates and patches, records what it set in the annotation `kvnet.dev/applied`, and cannot tell who changed a field since";

/// Whether the API server has server-side apply, as far as its answers have shown, and whether the user was told.
#[derive(Debug, Default)]
pub(super) struct Offers {
    apply: OnceLock<bool>,
    told: AtomicBool,
}

impl Offers {
    /// Only a server with server-side apply tracks field managers.
    pub fn learn(&self, answer: &Value) {
        if answer.pointer("/metadata/managedFields").is_some() {
            self.set(true);
        }
    }

    /// The first answer counts.
    fn set(&self, has_apply: bool) {
        self.apply.get_or_init(|| has_apply);
    }

    fn is_absent(&self) -> bool {
        self.apply.get() == Some(&false)
    }
}

impl Cluster {
    /// Applies an object and returns the result. `force` takes fields from other managers; where the API server does
    /// not track managers, it overwrites what is not as kvnet set it.
    /// Fails with `KVN303` with every field that another manager owns, `KVN304` with the server's causes, `KVN306`.
    pub async fn apply(&self, object: &Value, force: bool) -> Result<Value> {
        let key = ObjectKey::of(object);
        let path = self.object_path(&key).await?;
        if self.offers.is_absent() {
            return self.apply_here(object, &key, &path, force).await;
        }
        let target = format!("{path}?fieldManager={FIELD_MANAGER}&force={force}");
        let call = ApiCall::send(Method::PATCH, target, APPLY, &appliable(object))
            .expects(Expected::Object(key.clone()));
        for _ in 0..STALE_WRITES {
            match self.call(&call).await? {
                ApiAnswer::Refused(refusal) if refusal.code == 415 => {
                    self.offers.set(false);
                    return self.apply_here(object, &key, &path, force).await;
                }
                ApiAnswer::Refused(refusal) if refusal.stale() => {}
                outcome => return outcome.done(&key.to_string()),
            }
        }
        Err(busy(&key))
    }

    /// The warning before anything is applied, once; none where the API server has server-side apply. Requests its
    /// OpenAPI when its objects have not shown that yet.
    pub async fn without_apply(&self) -> Result<Option<&'static str>> {
        if self.offers.apply.get().is_none() {
            self.offers.set(self.describes_apply().await?);
        }
        Ok(self.applied_here())
    }

    /// As [`Cluster::without_apply`], as far as it is known.
    pub fn applied_here(&self) -> Option<&'static str> {
        (self.offers.is_absent() && !self.offers.told.swap(true, Ordering::Relaxed)).then_some(WITHOUT)
    }

    /// Servers with OpenAPI v3 can apply; v2 lists the patch types.
    async fn describes_apply(&self) -> Result<bool> {
        for version in ["/openapi/v3", "/openapi/v2"] {
            match self.call(&ApiCall::get(version).expects(Expected::Description)).await? {
                ApiAnswer::Done(_) if version == "/openapi/v3" => return Ok(true),
                ApiAnswer::Done(description) => return Ok(offers_apply(&description)),
                ApiAnswer::Refused(refusal) if refusal.code == 404 => {}
                ApiAnswer::Refused(refusal) => return Err(refusal.into_error("the API server's description")),
            }
        }
        // Then the first apply shows it.
        Ok(true)
    }

    async fn apply_here(&self, object: &Value, key: &ObjectKey, path: &str, force: bool) -> Result<Value> {
        let object = recorded(&appliable(object));
        for _ in 0..STALE_WRITES {
            let live = self.get(key).await?;
            let call = match &live {
                None => creation(path, &object),
                Some(live) => {
                    refuse_taken(key, &differences(&object, live), force)?;
                    let Some(difference) = merge_patch(&object, live) else { return Ok(live.clone()) };
                    ApiCall::send(
                        Method::PATCH,
                        format!("{path}?fieldManager={FIELD_MANAGER}"),
                        MERGE,
                        &at(live, difference),
                    )
                }
            };
            match self.call(&call.expects(Expected::Object(key.clone()))).await? {
                // It was changed, deleted or created in between: read it again.
                ApiAnswer::Refused(refusal) if refusal.stale() || refusal.reason == "AlreadyExists" => {}
                ApiAnswer::Refused(refusal) if live.is_some() && refusal.reason == "NotFound" => {}
                outcome => return outcome.done(&key.to_string()),
            }
        }
        Err(busy(key))
    }
}

/// A patch of exactly this version of an object.
fn at(live: &Value, mut patch: Value) -> Value {
    patch["metadata"]["resourceVersion"] = live["metadata"]["resourceVersion"].clone();
    patch
}

/// An owned field is not taken without `force`.
fn refuse_taken(key: &ObjectKey, differences: &[FieldDiff], force: bool) -> Result<()> {
    let taken = differences.iter().filter(|field| !field.owners.is_empty() && !force);
    let taken: Vec<String> =
        taken.map(|field| format!("{} was changed by another client", field.path)).collect();
    if taken.is_empty() {
        return Ok(());
    }
    Err(Error::new(&code::CLUSTER_CONFLICT, format!("{key}: {}", taken.join(", "))))
}

fn offers_apply(description: &Value) -> bool {
    let paths = description["paths"].as_object().into_iter().flatten();
    paths.into_iter().any(|(_, path)| {
        path["patch"]["consumes"].as_array().is_some_and(|types| types.iter().any(|one| one == APPLY))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_names_what_a_patch_may_be() {
        let of = |types: Value| json!({"paths": {"/a": {"get": {}}, "/b": {"patch": {"consumes": types}}}});
        assert!(offers_apply(&of(json!([MERGE, APPLY]))));
        assert!(!offers_apply(&of(json!([MERGE]))));
        assert!(!offers_apply(&json!({})));
    }
}
