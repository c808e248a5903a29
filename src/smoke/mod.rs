//! Smoke tests: cases that test with real pods whether a cluster does what its profile says.
//!
//! Each case has a namespace, a deadline and a clean-up of its own. A case that cannot run says why and never counts as
//! passed.

mod case;
mod cases;
mod choose;
mod collect;
mod diagnose;
mod junit;
mod leaks;
mod offload;
pub(crate) mod report;
mod resume;
mod room;
mod runner;
mod talk;

pub use case::{Case, Need, Situation};
pub use cases::CASES;
pub use choose::{Choice, tags};
pub use collect::Collector;
pub use junit::junit;
pub use report::{CaseFailure, CaseResult, Check, Report, Status};
pub use resume::{Pending, boot};
pub use runner::{Listener, News, Run};
