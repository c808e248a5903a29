//! The networks of pods: what the container runtime, Multus and the CNI plugins do on the node.

mod flannel;
pub(super) mod host_local;
mod multus;
pub(super) mod nics;
mod plugins;
pub(super) mod runtime;
mod switch;

pub(super) use switch::BY_COMMAND;
