//! Names of objects, and conditions of objects.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::encode;
use crate::error::{Error, Result, code};
use crate::terminal::{clean, cut};

/// How many characters a name may have.
const LONGEST: usize = 253;

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectKey {
    /// Group and version: `apps/v1`, `v1`.
    pub api_version: String,
    /// The kind: `DaemonSet`.
    pub kind: String,
    /// The namespace; none for objects of the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
    /// The name.
    pub name: String,
}

impl ObjectKey {
    /// A key of an object in a namespace, or of the cluster.
    pub fn new(api_version: &str, kind: &str, namespace: Option<&str>, name: &str) -> Self {
        Self {
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(str::to_owned),
            name: name.to_owned(),
        }
    }

    /// The key of an object; missing parts are empty.
    pub fn of(object: &Value) -> Self {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let namespace = object.pointer("/metadata/namespace").and_then(Value::as_str).map(str::to_owned);
        Self {
            api_version: text("/apiVersion"),
            kind: text("/kind"),
            namespace,
            name: text("/metadata/name"),
        }
    }
}

/// A name as a part of a path. The API server accepts no name with a slash or a percent sign; `..` would lead
/// elsewhere.
/// Fails with `KVN312` when nothing can have that name.
pub(super) fn segment(kind: &str, name: &str) -> Result<String> {
    let wrong = |why: &str| {
        let message =
            format!("`{}` cannot be the name of a {kind}", cut(&clean(name).replace('\n', "\u{fffd}"), 80));
        Err(Error::new(&code::OBJECT_NAME, message).because(why))
    };
    let is_odd = |c: char| {
        c.is_whitespace() || c.is_control() || clean(c.encode_utf8(&mut [0; 4])).starts_with('\u{fffd}')
    };
    match name {
        "" => wrong("it is empty"),
        "." | ".." => wrong("it would lead to another path of the API"),
        _ if name.contains(['/', '%', '\\']) => wrong("it has a `/`, `%` or backslash"),
        _ if name.contains(is_odd) => wrong("it has a blank or a control character"),
        _ if name.len() > LONGEST => wrong("it is longer than 253 characters"),
        _ => Ok(encode(name)),
    }
}

impl fmt::Display for ObjectKey {
    /// `DaemonSet kube-system/kube-multus-ds`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}

/// A condition that a watch can observe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "condition", rename_all = "kebab-case", rename_all_fields = "camelCase")]
pub enum Condition {
    /// A CRD's condition Established is True.
    Established {
        /// The CRD's name.
        crd: String,
    },
    /// A DaemonSet, Deployment or StatefulSet has rolled out its newest generation, at least one pod, all ready.
    RolledOut {
        /// The object.
        object: ObjectKey,
    },
    /// Every node is Ready.
    NodesReady,
    /// Every node has a range of pod addresses (`spec.podCIDR`).
    NodesAddressed,
    /// A node's capacity has a resource: `ovs-cni.network.kubevirt.io/blue`.
    NodeResource {
        /// The resource's name.
        resource: String,
    },
    /// A condition of `status.conditions` is True.
    True {
        /// The object.
        object: ObjectKey,
        /// The condition's type.
        kind: String,
    },
    /// A field of the status has a value: `status.phase` = `Running`.
    Field {
        /// The object.
        object: ObjectKey,
        /// A JSON pointer: `/status/phase`.
        pointer: String,
        /// The value.
        value: String,
    },
    /// The object does not exist.
    Gone {
        /// The object.
        object: ObjectKey,
    },
    /// A file on the node exists. Waited for by the host, not by the API.
    File {
        /// The path.
        path: camino::Utf8PathBuf,
    },
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Established { crd } => write!(f, "CustomResourceDefinition {crd} to be established"),
            Self::RolledOut { object } => write!(f, "{object} to be ready"),
            Self::NodesReady => f.write_str("all nodes to be Ready"),
            Self::NodesAddressed => f.write_str("all nodes to have a podCIDR"),
            Self::NodeResource { resource } => write!(f, "a node to offer {resource}"),
            Self::True { object, kind } => write!(f, "{object} to be {kind}"),
            Self::Field { object, pointer, value } => {
                write!(f, "{object} to have {} {value}", pointer.rsplit('/').next().unwrap_or(pointer))
            }
            Self::Gone { object } => write!(f, "{object} to be gone"),
            Self::File { path } => write!(f, "file {path} to exist"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_leads_to_nothing_else() {
        let long = "x".repeat(254);
        for name in [
            "",
            ".",
            "..",
            "../kube-system",
            "a/b",
            "a%2fb",
            "a b",
            " ",
            "a\n",
            "\u{1b}[2J",
            "\u{202e}a",
            "a\\b",
            &long,
        ] {
            let error = segment("namespace", name).unwrap_err();
            assert_eq!(
                (error.code().id, error.code().kind),
                ("KVN312", crate::error::Kind::User),
                "{name:?}"
            );
            assert!(error.message().chars().all(|c| !c.is_control()), "{name:?}");
        }
    }

    #[test]
    fn a_name_that_the_api_server_takes_is_taken() {
        assert_eq!(segment("ClusterRole", "system:node-proxier").unwrap(), "system%3Anode-proxier");
        assert_eq!(segment("Pod", "coredns-5d78c9869d-x.y").unwrap(), "coredns-5d78c9869d-x.y");
        assert_eq!(segment("Pod", "a?b#c").unwrap(), "a%3Fb%23c");
    }
}
