//! Plans and applies steps.

pub mod cancel;
pub mod change;
pub(crate) mod checkpoint;
pub mod context;
pub mod events;
pub mod execute;
pub mod graph;
pub mod journal;
pub mod plan;
pub mod redact;
pub mod runner;
pub mod state;
pub mod step;
pub mod target;
pub mod teardown;
pub mod traces;
