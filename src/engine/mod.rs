//! Plans and applies steps.

pub mod change;
pub mod execute;
pub mod graph;
pub mod journal;
pub mod on_node;
pub mod plan;
pub mod runner;
pub mod step;
pub mod teardown;
pub mod traces;
