//! The networks of pods: what the container runtime, Multus and the CNI plugins do on the node.

mod addresses;
mod bridge;
pub(super) mod elsewhere;
mod flannel;
mod go_json;
mod host_local;
mod masters;
mod multus;
mod multus_request;
pub(super) mod nics;
mod plugins;
mod ranges;
pub(super) mod runtime;
mod switch;
mod whereabouts;

pub(super) use switch::{BY_COMMAND, NO_DATABASE};
pub(super) use whereabouts::FILE as WHEREABOUTS_FILE;
