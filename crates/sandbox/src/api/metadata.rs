//! Validates object metadata.

use serde_json::Value;

use super::kinds::Kind;
use super::status::Cause;
use crate::formats::names::{is_domain, is_piece};

const DNS_LABEL: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const OLD_LABEL: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character (e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
const DNS_SUBDOMAIN: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
const NAME_PART: &str = "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
pub(super) const LABEL_VALUE: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const NO_DOMAIN: &str = "name is neither a standard finalizer name nor is it fully qualified";
/// Finalizers of Kubernetes itself, which have no domain.
const STANDARD: [&str; 3] = ["kubernetes", "orphan", "foregroundDeletion"];

/// Checks the metadata of an object that is about to be stored.
pub(super) fn check(kind: &Kind, object: &Value, before: Option<&Value>, causes: &mut Vec<Cause>) {
    let metadata = &object["metadata"];
    names(kind, metadata["name"].as_str().unwrap_or_default(), causes);
    for (name, value) in metadata["labels"].as_object().into_iter().flatten() {
        for why in wrong_with_qualified(name) {
            causes.push(Cause::value("metadata.labels", &name.as_str().into(), &why));
        }
        if value.as_str().is_some_and(|value| value.len() > 63) {
            causes.push(Cause::value("metadata.labels", value, "must be no more than 63 characters"));
        } else if !is_label_value(value.as_str().unwrap_or_default()) {
            causes.push(Cause::value("metadata.labels", value, LABEL_VALUE));
        }
    }
    for name in metadata["annotations"].as_object().into_iter().flatten().map(|(name, _)| name) {
        for why in wrong_with_qualified(&name.to_lowercase()) {
            causes.push(Cause::value("metadata.annotations", &name.as_str().into(), &why));
        }
    }
    owners(metadata, causes);
    finalizers(kind, metadata, before, causes);
}

fn owners(metadata: &Value, causes: &mut Vec<Cause>) {
    for owner in metadata["ownerReferences"].as_array().into_iter().flatten() {
        for (field, why) in [
            ("apiVersion", "version must not be empty"),
            ("kind", "must not be empty"),
            ("name", "must not be empty"),
            ("uid", "must not be empty"),
        ] {
            let value = owner[field].as_str().unwrap_or_default();
            if value.is_empty() {
                causes.push(Cause::value(format!("metadata.ownerReferences.{field}"), &"".into(), why));
            }
        }
    }
}

fn finalizers(kind: &Kind, metadata: &Value, before: Option<&Value>, causes: &mut Vec<Cause>) {
    let of = |metadata: &Value| -> Vec<String> {
        let all = metadata["finalizers"].as_array().into_iter().flatten();
        all.filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let all = of(metadata);
    for name in &all {
        for why in wrong_with_qualified(name) {
            causes.push(Cause::value("metadata.finalizers", &name.as_str().into(), &why));
        }
    }
    if kind.schema.is_none() {
        for (index, name) in all.iter().enumerate() {
            if !name.contains('/') && !STANDARD.contains(&name.as_str()) {
                let field = format!("metadata.finalizers[{index}]");
                causes.push(Cause::value(field, &name.as_str().into(), NO_DOMAIN));
            }
        }
    }
    let Some(before) = before.map(|before| &before["metadata"]) else { return };
    let had = of(before);
    let mut new: Vec<&String> = all.iter().filter(|name| !had.contains(name)).collect();
    new.sort_unstable();
    if !before["deletionTimestamp"].is_null() && !new.is_empty() {
        let shown = new.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
        let why = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{shown}}}"
        );
        let cause = Cause::forbidden("metadata.finalizers", &why);
        // The real server looks twice at a kind of its own.
        causes.extend(kind.schema.is_none().then(|| cause.clone()));
        causes.push(cause);
    }
}

fn names(kind: &Kind, name: &str, causes: &mut Vec<Cause>) {
    if name.is_empty() {
        causes.push(Cause::required("metadata.name", "name or generateName is required"));
        return;
    }
    // Their names may be anything that fits into a path.
    if kind.group == "rbac.authorization.k8s.io" {
        return;
    }
    let (fits, why, most) = match kind.kind.as_str() {
        "Namespace" if !is_piece(name) && is_domain(name) => (false, "must not contain dots", 63),
        "Namespace" => (is_piece(name), DNS_LABEL, 63),
        "Service" => (is_piece(name) && name.starts_with(|c: char| c.is_ascii_lowercase()), OLD_LABEL, 63),
        _ => (is_domain(name), DNS_SUBDOMAIN, 253),
    };
    if name.len() > most {
        let why = format!("must be no more than {most} characters");
        causes.push(Cause::value("metadata.name", &name.into(), &why));
    }
    if !fits {
        causes.push(Cause::value("metadata.name", &name.into(), why));
    }
}

/// Whether a label may have that value.
pub(super) fn is_label_value(value: &str) -> bool {
    value.is_empty() || is_name(value)
}

fn is_name(text: &str) -> bool {
    let ends = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let inside = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    text.len() <= 63
        && text.chars().all(inside)
        && ends(text.chars().next())
        && ends(text.chars().next_back())
}

/// What is wrong with a name that may have a domain before it.
pub(super) fn wrong_with_qualified(text: &str) -> Vec<String> {
    let (domain, name) = match text.split_once('/') {
        Some((domain, name)) => (Some(domain), name),
        None => (None, text),
    };
    let mut wrong = Vec::new();
    match domain {
        Some("") => wrong.push("prefix part must be non-empty".to_owned()),
        Some(domain) if !is_domain(domain) => {
            wrong.push(format!("prefix part {DNS_SUBDOMAIN}"));
        }
        _ => {}
    }
    if name.is_empty() {
        wrong.push("name part must be non-empty".to_owned());
    }
    if !is_name(name) {
        wrong.push(NAME_PART.to_owned());
    }
    wrong
}
