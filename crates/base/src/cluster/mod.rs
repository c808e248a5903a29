//! The Kubernetes API: typed by JSON values, so that one path serves every kind and every version.

mod absent;
mod access;
mod address;
pub mod addresses;
mod api;
mod apply;
mod client;
mod components;
mod conditions;
mod console;
mod diff;
mod discovery;
mod exec;
mod expected;
#[cfg(test)]
mod fake_tests;
mod find;
mod gate;
mod health;
mod key;
mod kinds;
pub mod kubeconfig;
#[cfg(test)]
mod live_tests;
mod login;
mod place;
mod plugin;
mod pods;
mod refusal;
mod request;
mod taped;
mod wait;
mod watch;

use std::sync::Arc;

pub use absent::is_absent;
pub use client::{ClusterId, ConnectOptions, ServerVersion, Tell, contexts};
pub use conditions::{condition_of, holds_in, replaces_pods, rolled_out};
pub use console::{Console, ConsoleInput, ConsoleOutput};
pub use diff::{FieldDiff, differences, is_recorded};
pub use discovery::Listing;
pub use gate::client_of;
pub use key::{Condition, ObjectKey};
pub use place::Place;
pub use pods::lasting::code_of;
pub use pods::reasons::{Cause, Reason, reason};
pub use pods::{has_succeeded, is_ready, why_waiting};
pub use wait::Progress;

/// The field manager of everything that kvnet applies.
pub const FIELD_MANAGER: &str = "kvnet";
/// The label that marks what kvnet created; only such objects are deleted by `down`.
pub const MANAGED_BY_LABEL: &str = "app.kubernetes.io/managed-by";
/// The label that names the step that an object belongs to.
pub const STEP_LABEL: &str = "kvnet.dev/step";
/// The value of [`MANAGED_BY_LABEL`].
pub const MANAGED_BY: &str = "kvnet";

/// A connection to a cluster. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    client: kube::Client,
    login: login::Login,
    server: Arc<str>,
    /// The address with the proxy on the way to it.
    route: Arc<str>,
    /// The digest of the server's CA.
    authority: Option<Arc<str>>,
    place: Arc<Place>,
    answer_time: std::time::Duration,
    kinds: Arc<kinds::Kinds>,
    health: health::Health,
    offers: Arc<apply::Offers>,
    tape: Option<crate::tape::Tape>,
}
