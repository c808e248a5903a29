//! Lists: selection, resource version and paging.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::asked::Asked;
use super::kinds::Kind;
use super::objects::{Answer, shown};
use super::select::Selector;
use super::status::{Cause, Status};
use crate::store::Transaction;

/// The version of the token's form.
const TOKEN: &str = "meta.k8s.io/v1";
/// A token's version when the list may go on as things are now.
const NOW: i64 = -1;
const EXPIRED: &str = "The provided continue parameter is too old to display a consistent list result. You can start a new list without the continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with the provided token results in an inconsistent list - objects that were created, modified, or deleted between the time the first chunk was returned and now may show up in the list.";

/// A continue token.
struct Token {
    revision: i64,
    /// The first key that is left, below the list's own.
    start: String,
}

impl Token {
    fn parse(text: &str) -> Answer<Self> {
        let refused = |why: &str| {
            Status::bad_request(format!("invalid continue token: continue key is not valid: {why}"))
        };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|error| refused(&error.to_string()))?;
        let token: Value = serde_json::from_slice(&bytes).map_err(|error| refused(&error.to_string()))?;
        let revision = token["rv"].as_i64().filter(|revision| *revision != 0);
        let start = token["start"].as_str().filter(|start| !start.is_empty());
        match (token["v"] == TOKEN, revision, start) {
            (true, Some(revision), Some(start)) => Ok(Self { revision, start: start.to_owned() }),
            _ => Err(refused("server does not recognize this encoded version")),
        }
    }

    fn text(&self) -> String {
        URL_SAFE_NO_PAD.encode(json!({"v": TOKEN, "rv": self.revision, "start": self.start}).to_string())
    }
}

/// The store's keys of a list begin so.
fn prefix(kind: &Kind, namespace: Option<&str>) -> String {
    match namespace {
        _ if !kind.namespaced => format!("{}-/", kind.prefix()),
        Some(namespace) => format!("{}{namespace}/", kind.prefix()),
        None => kind.prefix(),
    }
}

/// The objects of a kind that a selector chooses, as they are now.
pub(super) fn matching(
    store: &Transaction<'_>,
    kind: &Kind,
    namespace: Option<&str>,
    selector: &Selector,
) -> Vec<Value> {
    let prefix = prefix(kind, namespace);
    let all = store.range(&prefix).filter(|(_, object)| selector.fits(object));
    all.map(|(_, object)| shown(object, kind)).collect()
}

/// The values below a key as they were; none when that is forgotten.
fn values_at(
    store: &Transaction<'_>,
    prefix: &str,
    revision: Option<u64>,
) -> Option<BTreeMap<String, Arc<Value>>> {
    let now = store.range(prefix);
    let mut values: BTreeMap<String, Arc<Value>> =
        now.map(|(key, value)| (key.to_owned(), value.clone())).collect();
    let Some(revision) = revision else { return Some(values) };
    let changes = store.changes_after(revision)?;
    for change in changes.into_iter().rev().filter(|change| change.key.starts_with(prefix)) {
        match change.before {
            Some(before) => values.insert(change.key, before),
            None => values.remove(&change.key),
        };
    }
    Some(values)
}

/// A list, or a page of it with the continue token.
pub(super) fn list(
    store: &Transaction<'_>,
    asked: &Asked,
    namespace: Option<&str>,
    kind: &Kind,
) -> Answer<Value> {
    let selector = selector(asked, kind)?;
    let number = |name: &str| asked.parameter(name).and_then(|text| text.parse::<usize>().ok());
    let limit = number("limit").filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let token = asked.parameter("continue").filter(|text| !text.is_empty()).map(Token::parse).transpose()?;
    check_version(asked, token.is_some())?;
    let prefix = prefix(kind, namespace);
    let revision = token.as_ref().and_then(|token| u64::try_from(token.revision).ok());
    let Some(values) = values_at(store, &prefix, revision) else { return Err(expired(token, kind)) };
    let start = token.map(|token| format!("{prefix}{}", token.start));
    let rest = values.range(start.unwrap_or_default()..).filter(|(_, object)| selector.fits(object));
    let rest: Vec<(&String, &Arc<Value>)> = rest.collect();
    let items: Vec<Value> = rest.iter().take(limit).map(|(_, object)| item(object, kind)).collect();
    let revision = revision.unwrap_or_else(|| store.revision());
    let mut metadata = json!({"resourceVersion": revision.to_string()});
    // Lists of custom resources have an empty token, others none.
    if kind.schema.is_some() {
        metadata["continue"] = "".into();
    }
    if rest.len() > limit {
        let last = rest.get(limit - 1).and_then(|(key, _)| key.strip_prefix(&prefix)).unwrap_or_default();
        let next = Token { revision: i64::try_from(revision).unwrap_or(NOW), start: format!("{last}\0") };
        metadata["continue"] = next.text().into();
        if selector.is_empty() && kind.tracks {
            metadata["remainingItemCount"] = (rest.len() - limit).into();
        }
    }
    Ok(
        json!({"kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata, "items": items}),
    )
}

/// An item of a list: the real server leaves out what all items share, except for custom resources.
fn item(object: &Arc<Value>, kind: &Kind) -> Value {
    let mut item = shown(object, kind);
    if let Some(map) = item.as_object_mut().filter(|_| kind.schema.is_none()) {
        map.shift_remove("apiVersion");
        map.shift_remove("kind");
    }
    item
}

/// A version that is asked for has to be one, and has no place beside a token.
fn check_version(asked: &Asked, goes_on: bool) -> Answer<()> {
    let version = asked.parameter("resourceVersion").unwrap_or_default();
    if goes_on && !["", "0"].contains(&version) {
        return Err(Status::bad_request("specifying resource version is not allowed when using continue"));
    }
    if asked.parameter("resourceVersionMatch").is_some_and(|text| !text.is_empty()) && version.is_empty() {
        let why = "resourceVersionMatch is forbidden unless resourceVersion is provided";
        let cause = Cause::forbidden("resourceVersionMatch", why);
        return Err(Status::invalid_of("meta.k8s.io", "ListOptions", "", &[cause]));
    }
    revision(version)
        .map(|_| ())
        .map_err(|why| Status::bad_request(format!("invalid resource version: {}", why.message)))
}

/// The revision that a version means; none for an empty one.
pub(super) fn revision(version: &str) -> Answer<Option<u64>> {
    if version.is_empty() {
        return Ok(None);
    }
    version.parse().map(Some).map_err(|_| {
        let why = format!("strconv.ParseUint: parsing \"{version}\": invalid syntax");
        Status::internal(format!("resourceVersion: Invalid value: \"{version}\": {why}"))
    })
}

/// The store has forgotten what the list began with; it can go on with what is there now.
#[allow(clippy::unnecessary_box_returns, reason = "all refusals are boxed, because they are large and rare")]
fn expired(token: Option<Token>, kind: &Kind) -> Box<Status> {
    let mut status = Status::expired(EXPIRED);
    // One that cannot apply does not go on.
    status.token = token
        .filter(|_| kind.tracks)
        .map(|token| Token { revision: NOW, ..token }.text())
        .unwrap_or_default();
    status
}

/// What a request says about which objects it means.
pub(super) fn selector(asked: &Asked, kind: &Kind) -> Answer<Selector> {
    Selector::parse(kind, asked.parameter("labelSelector"), asked.parameter("fieldSelector"))
}
