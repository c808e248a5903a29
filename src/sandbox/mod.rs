//! A node and a cluster in memory, for the same engine and the same steps.

pub mod api;
pub mod node;
pub mod store;
