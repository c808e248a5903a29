//! Dry runs: a request is served on a copy of the store, which is discarded.

use serde_json::Value;

use super::ApiServer;
use super::asked::Asked;
use super::door::Answered;
use super::objects::Answer;
use crate::error::Result;
use crate::store::Store;

impl ApiServer {
    /// What the answer would be. A new object has no version, a changed one still has that of before.
    pub(super) fn rehearse(&self, asked: &Asked) -> Result<Answer<Answered>> {
        let values: Vec<(String, Value)> = self.0.store.read(|store| {
            store.range("").map(|(key, value)| (key.to_owned(), value.as_ref().clone())).collect()
        })?;
        let versions: Vec<(Value, Value)> = values
            .iter()
            .map(|(_, value)| {
                (value["metadata"]["uid"].clone(), value["metadata"]["resourceVersion"].clone())
            })
            .collect();
        let copy = Store::in_memory();
        copy.write(|store| values.into_iter().for_each(|(key, value)| _ = store.put(&key, value)))?;
        let answered = copy.write(|store| self.decide(store, asked))?;
        Ok(answered.map(|answered| match answered {
            Answered::Json(code, mut object) => {
                let uid = object["metadata"]["uid"].clone();
                if let Some(metadata) = object["metadata"].as_object_mut().filter(|_| !uid.is_null()) {
                    match versions.iter().find(|(of, _)| *of == uid) {
                        Some((_, version)) => {
                            metadata.insert("resourceVersion".to_owned(), version.clone());
                        }
                        None => _ = metadata.shift_remove("resourceVersion"),
                    }
                }
                Answered::Json(code, object)
            }
            other => other,
        }))
    }
}
