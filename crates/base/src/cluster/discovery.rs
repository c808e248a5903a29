//! Which kinds of objects the API server has: all of them, including those that kvnet does not know.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::Value;

use super::Cluster;
use super::expected::Expected;
use super::request::{ApiAnswer, ApiCall};
use crate::error::{Error, Kind, Result};

/// How many groups are asked at the same time.
const AT_ONCE: usize = 8;

/// The kinds whose objects can be listed and deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// API version and kind, each kind once: in the version that its group prefers, if it is served there.
    pub kinds: Vec<(String, String)>,
    /// API versions that are currently unavailable, although the API server lists them.
    pub silent: Vec<String>,
}

impl Cluster {
    /// Requests all groups and their kinds. An extension whose server is down is [silent](Listing::silent).
    pub async fn deletable_kinds(&self) -> Result<Listing> {
        let groups = self
            .call(&ApiCall::get("/apis").expects(Expected::Groups))
            .await?
            .done("the list of API groups")?;
        let versions: Vec<String> = std::iter::once("v1".to_owned()).chain(versions(&groups)).collect();
        let asked = versions.iter().map(|version| async move { self.resources(version).await });
        let answers: Vec<Option<Value>> =
            stream::iter(asked.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
        let mut listing = Listing::default();
        let mut known = BTreeSet::new();
        for (version, answer) in versions.iter().zip(answers) {
            let Some(list) = answer else {
                listing.silent.push(version.clone());
                continue;
            };
            self.kinds.learn(version, &list);
            let group = version.split_once('/').map_or("", |(group, _)| group);
            for kind in deletable(&list) {
                if known.insert((group.to_owned(), kind.clone())) {
                    listing.kinds.push((version.clone(), kind));
                }
            }
        }
        Ok(listing)
    }

    /// The resources of one API version; none when it is unavailable. An extension that is down is answered with 503,
    /// which is not worth the retries that the API server itself gets.
    async fn resources(&self, version: &str) -> Result<Option<Value>> {
        let path = if version.contains('/') { format!("/apis/{version}") } else { format!("/api/{version}") };
        let call = ApiCall::get(path).expects(Expected::Resources);
        match self.call(&call.clone().once()).await {
            Ok(ApiAnswer::Done(list)) => return Ok(Some(list)),
            Ok(ApiAnswer::Refused(refusal)) if refusal.code == 404 => return Ok(None),
            Ok(ApiAnswer::Refused(refusal)) => return Err(refusal.into_error(version)),
            Err(error) if error.kind() == Kind::Transient && self.is_extension(version).await? => {
                return Ok(None);
            }
            Err(_) => {}
        }
        self.call(&call).await?.done(version).map(Some)
    }

    /// Whether an extension API server serves a version.
    async fn is_extension(&self, version: &str) -> Result<bool, Error> {
        let Some((group, version)) = version.split_once('/') else { return Ok(false) };
        let services = self.list("apiregistration.k8s.io/v1", "APIService", None, None).await?;
        Ok(services.iter().any(|service| {
            let spec = &service["spec"];
            spec["group"] == group && spec["version"] == version && spec["service"].is_object()
        }))
    }
}

/// All versions of all groups, the preferred one of each group first.
fn versions(groups: &Value) -> Vec<String> {
    let mut versions = Vec::new();
    for group in groups["groups"].as_array().into_iter().flatten() {
        let preferred = group["preferredVersion"]["groupVersion"].as_str();
        let all = group["versions"].as_array().into_iter().flatten();
        let all = all.filter_map(|version| version["groupVersion"].as_str());
        let others = all.filter(|version| Some(*version) != preferred);
        versions.extend(preferred.into_iter().chain(others).map(str::to_owned));
    }
    versions
}

/// The kinds of a list of resources that can be listed and deleted; subresources are none.
fn deletable(list: &Value) -> Vec<String> {
    let can = |row: &Value, verb: &str| {
        row["verbs"].as_array().is_some_and(|verbs| verbs.iter().any(|other| other == verb))
    };
    let rows = list["resources"].as_array().into_iter().flatten();
    let rows = rows.filter(|row| row["name"].as_str().is_some_and(|name| !name.contains('/')));
    let rows = rows.filter(|row| can(row, "list") && can(row, "delete"));
    rows.filter_map(|row| row["kind"].as_str()).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_preferred_version_of_a_group_comes_first() {
        let version = |version: &str| json!({"groupVersion": version});
        let groups = json!({"groups": [{
            "preferredVersion": version("autoscaling/v2"),
            "versions": [version("autoscaling/v1"), version("autoscaling/v2")],
        }]});
        assert_eq!(versions(&groups), ["autoscaling/v2", "autoscaling/v1"]);
        assert!(versions(&json!({})).is_empty());
    }

    #[test]
    fn only_what_can_be_listed_and_deleted_counts() {
        let list = json!({"resources": [
            {"name": "pods", "kind": "Pod", "verbs": ["list", "delete"]},
            {"name": "pods/status", "kind": "Pod", "verbs": ["list", "delete"]},
            {"name": "bindings", "kind": "Binding", "verbs": ["create"]},
            {"name": "nodes", "kind": "NodeMetrics", "verbs": ["get", "list"]},
        ]});
        assert_eq!(deletable(&list), ["Pod"]);
    }
}
