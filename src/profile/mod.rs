//! Profiles: what a node should become.

mod model;

pub use model::*;
