//! Plans and applies steps.

pub mod change;
pub mod context;
pub mod events;
pub mod graph;
pub mod journal;
pub mod plan;
pub mod redact;
pub mod state;
pub mod step;
