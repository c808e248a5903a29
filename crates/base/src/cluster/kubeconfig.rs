//! Adding a cluster to a kubeconfig without touching what is in it. Pure over text.

use serde_yaml::{Mapping, Value};

use crate::error::{Error, Result, code};

/// A kubeconfig with another cluster in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// The text to write; the existing one, byte for byte, when nothing is added.
    pub text: String,
    /// Whether anything is added.
    pub changed: bool,
    /// The name of the added cluster's context.
    pub context: String,
}

/// The lists of a kubeconfig, and the field under each of their names.
const LISTS: [(&str, &str); 3] = [("clusters", "cluster"), ("users", "user"), ("contexts", "context")];

/// Adds the current cluster, user and context of `added` to `existing`. Names that mean something else in `existing`
/// get a suffix; its current context stays, unless it has none.
/// Fails with `KVN600` when `existing` is not a kubeconfig, `KVN300` when `added` is not.
pub fn merge(existing: &str, added: &str) -> Result<Merged> {
    let new = Entry::current(&parse(added).ok_or_else(|| unreadable_added("it is not valid YAML"))?)?;
    if existing.trim().is_empty() {
        return Ok(Merged { text: added.to_owned(), changed: true, context: new.names[2].clone() });
    }
    let mut config = parse(existing).ok_or_else(unreadable_existing)?;
    let entry = new.named_for(&config);
    let mut changed = false;
    for (place, (list, field)) in LISTS.into_iter().enumerate() {
        changed |= insert(&mut config, list, field, &entry.names[place], &entry.values[place])?;
    }
    if text_of(&config, "current-context").is_empty() {
        config.insert("current-context".into(), entry.names[2].as_str().into());
        changed = true;
    }
    let context = entry.names[2].clone();
    if !changed {
        return Ok(Merged { text: existing.to_owned(), changed, context });
    }
    // A tag on a key can be read, but not written.
    let text =
        serde_yaml::to_string(&config).map_err(|error| match serde_yaml::to_string(&entry.values) {
            Ok(_) => unreadable_existing().because(error),
            Err(_) => unreadable_added(&error.to_string()),
        })?;
    Ok(Merged { text, changed, context })
}

/// One context with its cluster and user, in the order of [`LISTS`].
#[derive(Clone)]
struct Entry {
    names: [String; 3],
    values: [Value; 3],
}

impl Entry {
    /// The entries of the current context; else of the first one.
    fn current(config: &Mapping) -> Result<Self> {
        let current = text_of(config, "current-context");
        let first = items(config, "contexts").next().map(|item| text_in(item, "name")).unwrap_or_default();
        let name = if current.is_empty() { first } else { current };
        let find = |list: &str, field: &str, name: &str| {
            // An entry without a name cannot be current, so the copy would never be what it should.
            let named = |item: &&Value| !name.is_empty() && text_in(item, "name") == name;
            let item = items(config, list).find(named);
            item.and_then(|item| item.get(field))
                .cloned()
                .ok_or_else(|| unreadable_added(&format!("it has no {field} `{name}`")))
        };
        let context = find("contexts", "context", &name)?;
        let (cluster, user) = (text_in(&context, "cluster"), text_in(&context, "user"));
        let values = [find("clusters", "cluster", &cluster)?, find("users", "user", &user)?, context];
        Ok(Self { names: [cluster, user, name], values })
    }

    /// Renamed to names that are free in `config`, or mean the same there.
    fn named_for(&self, config: &Mapping) -> Self {
        let host = host_of(&text_in(&self.values[0], "server"));
        let suffixes = std::iter::once(String::new())
            .chain(std::iter::once(format!("-{host}")))
            .chain((2..).map(|number| format!("-{host}-{number}")));
        let mut candidates = suffixes.map(|suffix| self.with_suffix(&suffix));
        candidates.find(|entry| entry.fits(config)).unwrap_or_else(|| self.clone())
    }

    fn with_suffix(&self, suffix: &str) -> Self {
        let mut entry = self.clone();
        for name in &mut entry.names {
            name.push_str(suffix);
        }
        if let Some(context) = entry.values[2].as_mapping_mut() {
            context.insert("cluster".into(), entry.names[0].as_str().into());
            context.insert("user".into(), entry.names[1].as_str().into());
        }
        entry
    }

    fn fits(&self, config: &Mapping) -> bool {
        LISTS.into_iter().enumerate().all(|(place, (list, field))| {
            let item = items(config, list).find(|item| text_in(item, "name") == self.names[place]);
            item.is_none_or(|item| means_the_same(list, item.get(field), &self.values[place]))
        })
    }
}

/// A context may have a namespace of its own, and a cluster further settings: they are the user's.
fn means_the_same(list: &str, existing: Option<&Value>, added: &Value) -> bool {
    let Some(existing) = existing else { return false };
    match list {
        "clusters" => identity(existing) == identity(added),
        "contexts" => ["cluster", "user"].iter().all(|key| text_in(existing, key) == text_in(added, key)),
        _ => existing == added,
    }
}

/// Address and CA.
fn identity(cluster: &Value) -> [String; 3] {
    let field = |key: &str| text_in(cluster, key).split_whitespace().collect::<String>();
    let server = field("server").trim_end_matches('/').to_owned();
    [server, field("certificate-authority-data"), field("certificate-authority")]
}

/// Adds an item unless its name is there; whether it was added.
fn insert(config: &mut Mapping, list: &str, field: &str, name: &str, value: &Value) -> Result<bool> {
    if items(config, list).any(|item| text_in(item, "name") == name) {
        return Ok(false);
    }
    let mut item = Mapping::new();
    item.insert("name".into(), name.into());
    item.insert(field.into(), value.clone());
    let entry = config.entry(list.into()).or_insert_with(|| Value::Sequence(Vec::new()));
    if entry.is_null() {
        *entry = Value::Sequence(Vec::new());
    }
    entry.as_sequence_mut().ok_or_else(unreadable_existing)?.push(Value::Mapping(item));
    Ok(true)
}

/// A mapping whose lists are lists, or nothing.
fn parse(text: &str) -> Option<Mapping> {
    let config = serde_yaml::from_str::<Value>(text).ok()?;
    let config = config.as_mapping()?;
    let well_formed = LISTS
        .iter()
        .all(|(list, _)| config.get(*list).is_none_or(|value| value.is_null() || value.is_sequence()));
    well_formed.then(|| config.clone())
}

fn items<'a>(config: &'a Mapping, list: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    config.get(list).and_then(Value::as_sequence).into_iter().flatten()
}

fn text_of(config: &Mapping, key: &str) -> String {
    config.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn text_in(value: &Value, key: &str) -> String {
    value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The host of an address, without the brackets of IPv6.
fn host_of(server: &str) -> String {
    let authority = server.split_once("://").map_or(server, |(_, rest)| rest);
    let authority = authority.split('/').next().unwrap_or(authority);
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => authority.split(':').next().unwrap_or(authority),
    };
    if host.is_empty() { "2".to_owned() } else { host.to_owned() }
}

/// The parser's own message is omitted: it could reveal a key.
fn unreadable_existing() -> Error {
    Error::new(&code::KUBECONFIG_OTHER, "the existing kubeconfig cannot be read, so nothing is added to it")
        .hint("fix it or move it aside; `kubectl config view` shows where it is wrong")
}

fn unreadable_added(cause: &str) -> Error {
    Error::new(&code::CLUSTER_CONFIG, "the cluster's own kubeconfig cannot be read").because(cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(server: &str, ca: &str, key: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    certificate-authority-data: {ca}\n    server: {server}\n  name: kubernetes\ncontexts:\n- context:\n    cluster: kubernetes\n    user: kubernetes-admin\n  name: kubernetes-admin@kubernetes\ncurrent-context: kubernetes-admin@kubernetes\nusers:\n- name: kubernetes-admin\n  user:\n    client-key-data: {key}\n"
        )
    }

    #[test]
    fn what_could_not_be_written_again_is_refused() {
        let plain = config("https://10.0.0.1:6443", "A", "K");
        let tagged =
            config("https://10.0.0.2:6443", "B", "K").replace("client-key-data: K", "!x client-key: K");
        assert_eq!(merge(&tagged, &plain).unwrap_err().code(), &code::KUBECONFIG_OTHER);
        assert_eq!(merge(&plain, &tagged).unwrap_err().code(), &code::CLUSTER_CONFIG);
    }

    #[test]
    fn an_empty_file_becomes_the_added_one() {
        let added = config("https://10.0.0.1:6443", "A", "K");
        let merged = merge("\n", &added).unwrap();
        assert_eq!((merged.text, merged.context.as_str()), (added, "kubernetes-admin@kubernetes"));
    }

    #[test]
    fn the_same_cluster_changes_nothing_even_with_own_settings() {
        let added = config("https://10.0.0.1:6443", "A", "K");
        let existing = format!(
            "# mine\n{}",
            added
                .replace("    user: kubernetes-admin\n", "    user: kubernetes-admin\n    namespace: work\n")
        );
        let merged = merge(&existing, &added).unwrap();
        assert_eq!((merged.changed, merged.text), (false, existing.clone()));
    }

    #[test]
    fn another_cluster_of_the_same_name_is_added_under_its_host() {
        let existing = format!("{}extra: {{keep: 1}}\n", config("https://10.0.0.1:6443", "A", "K"));
        let added = config("https://10.0.0.2:6443", "B", "L");
        let merged = merge(&existing, &added).unwrap();
        assert_eq!(merged.context, "kubernetes-admin@kubernetes-10.0.0.2");
        let now = parse(&merged.text).unwrap();
        assert_eq!(text_of(&now, "current-context"), "kubernetes-admin@kubernetes");
        assert!(now.get("extra").is_some());
        assert_eq!(items(&now, "clusters").count(), 2);
        let context = items(&now, "contexts").nth(1).unwrap().get("context").unwrap();
        assert_eq!(text_in(context, "user"), "kubernetes-admin-10.0.0.2");
        // Once more changes nothing, and a third cluster on the same host finds a name too.
        assert!(!merge(&merged.text, &added).unwrap().changed);
        let third = merge(&merged.text, &config("https://10.0.0.2:6443", "C", "M")).unwrap();
        assert_eq!(third.context, "kubernetes-admin@kubernetes-10.0.0.2-2");
    }

    #[test]
    fn a_context_without_a_name_is_none() {
        let nameless = config("https://x", "A", "K").replace("kubernetes-admin@kubernetes", "''");
        assert_eq!(merge("", &nameless).unwrap_err().code().id, "KVN300");
    }

    #[test]
    fn lists_that_are_null_are_filled() {
        let existing = "apiVersion: v1\nkind: Config\nclusters: null\ncontexts: null\ncurrent-context: \"\"\nusers: null\n";
        let merged = merge(existing, &config("https://[::1]:6443", "A", "K")).unwrap();
        assert!(merged.text.contains("current-context: kubernetes-admin@kubernetes"));
    }

    #[test]
    fn what_cannot_be_read_is_refused_without_being_shown() {
        for existing in ["key: [s3cret", "just text", "clusters: {s3cret: 1}"] {
            let error = merge(existing, &config("https://x", "A", "K")).unwrap_err();
            assert_eq!(error.code().id, "KVN600");
            assert!(!error.to_string().contains("s3cret"));
        }
    }
}
