//! The Kubernetes API: typed by JSON values, so that one path serves every kind and every version.

mod api;
mod client;
mod diff;
mod key;
mod kinds;
mod refusal;
mod request;

use std::sync::Arc;

pub use client::{ConnectOptions, ServerVersion};
pub use diff::differences;
pub use key::{Condition, ObjectKey};

/// The field manager of everything that kvnet applies.
pub const FIELD_MANAGER: &str = "kvnet";
/// The label that marks what kvnet created; only such objects are deleted by `down`.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "kvnet";

/// A connection to a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    server: Arc<str>,
    origin: Arc<str>,
    kinds: Arc<kinds::Kinds>,
}
