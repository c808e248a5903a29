//! Parses paths and queries.

use std::collections::HashMap;

/// A path of the API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `/version`.
    Version,
    /// `/api`, `/apis`, `/apis/GROUP`, or the resources of a version; the group and the version as far as given.
    Discovery { group: Option<String>, version: Option<String>, legacy: bool },
    /// The description of the API, in its second or third version.
    Description { third: bool },
    /// Objects.
    Objects(ObjectsPath),
    /// Not served.
    Unknown,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ObjectsPath {
    pub group: String,
    pub version: String,
    pub namespace: Option<String>,
    pub plural: String,
    pub name: Option<String>,
    pub subresource: String,
}

impl Route {
    pub fn parse(path: &str) -> Self {
        let parts: Vec<String> = path.split('/').filter(|part| !part.is_empty()).map(decode).collect();
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let discovery = |group: Option<&str>, version: Option<&str>, legacy| Self::Discovery {
            group: group.map(str::to_owned),
            version: version.map(str::to_owned),
            legacy,
        };
        match parts.as_slice() {
            ["version"] => Self::Version,
            ["openapi", "v2"] => Self::Description { third: false },
            ["openapi", "v3"] => Self::Description { third: true },
            ["api"] => discovery(Some(""), None, true),
            ["api", version] => discovery(Some(""), Some(version), true),
            ["api", version, rest @ ..] => objects("", version, rest),
            ["apis"] => discovery(None, None, false),
            ["apis", group] => discovery(Some(group), None, false),
            ["apis", group, version] => discovery(Some(group), Some(version), false),
            ["apis", group, version, rest @ ..] => objects(group, version, rest),
            _ => Self::Unknown,
        }
    }
}

fn objects(group: &str, version: &str, rest: &[&str]) -> Route {
    let (namespace, rest) = match rest {
        // The namespace itself, and its status.
        ["namespaces", _] | ["namespaces", _, "status" | "finalize"] => (None, rest),
        ["namespaces", namespace, rest @ ..] => (Some((*namespace).to_owned()), rest),
        _ => (None, rest),
    };
    let text = |at: usize| rest.get(at).map(|part| (*part).to_owned());
    let Some(plural) = text(0) else { return Route::Unknown };
    Route::Objects(ObjectsPath {
        group: group.to_owned(),
        version: version.to_owned(),
        namespace,
        plural,
        name: text(1),
        subresource: text(2).unwrap_or_default(),
    })
}

/// The parameters of a query; of one that is given several times, all values in order.
pub(super) fn query(text: &str) -> HashMap<String, Vec<String>> {
    let mut parameters: HashMap<String, Vec<String>> = HashMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        parameters.entry(decode(name)).or_default().push(decode(&value.replace('+', " ")));
    }
    parameters
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        let hex = tail.get(..2).and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        if let Some(byte) = hex.filter(|_| *first == b'%') {
            bytes.push(byte);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_objects() {
        let Route::Objects(path) = Route::parse("/apis/apps/v1/namespaces/ns/daemonsets/x/status") else {
            panic!()
        };
        assert_eq!((path.namespace.as_deref(), path.name.as_deref()), (Some("ns"), Some("x")));
        assert_eq!((path.plural.as_str(), path.subresource.as_str()), ("daemonsets", "status"));
        let Route::Objects(path) = Route::parse("/api/v1/namespaces/ns") else { panic!() };
        assert_eq!(
            (path.namespace, path.plural.as_str(), path.name.as_deref()),
            (None, "namespaces", Some("ns"))
        );
        assert_eq!(Route::parse("/nowhere"), Route::Unknown);
    }

    #[test]
    fn queries_are_decoded() {
        let query = query("labelSelector=a%3Db%2Cc&command=ip&command=a+b&watch");
        assert_eq!(
            (query["labelSelector"][0].as_str(), &query["command"]),
            ("a=b,c", &vec!["ip".to_owned(), "a b".into()])
        );
        assert_eq!(query["watch"], [""]);
    }
}
