//! Plans and applies steps.

pub mod change;
pub mod context;
pub mod step;
