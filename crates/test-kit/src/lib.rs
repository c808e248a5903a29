//! What several test programs use: the binary in a place of its own, a sandbox on a port, the comparison of two sandboxes, the
//! suite for the sandbox and the real thing, the counts of what was tried.
#![allow(missing_docs, reason = "only for tests")]
#![allow(clippy::missing_panics_doc, reason = "a test that panics fails, as it should")]
#![allow(clippy::new_without_default, clippy::return_self_not_must_use, reason = "only for tests")]
#![warn(unused_crate_dependencies)]

pub mod count;
pub mod kept;
pub mod parity;
pub mod run;
pub mod served;
