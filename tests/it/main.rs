//! The program as its users meet it: the real binary, without a node and without a cluster.
#![allow(missing_docs, reason = "a test program")]

mod access;
mod attacked;
mod closed;
#[path = "../survives/count.rs"]
mod count;
mod doctor;
mod documents;
mod errors;
mod formats;
mod help;
mod input;
#[allow(dead_code, reason = "the other program's tests use the rest")]
mod kept;
mod layers;
mod logs;
mod output;
mod profile;
mod run;
mod sandbox;
mod served;
mod server;
mod silent;
mod smoke;
mod smoke_broken;
mod smoke_documents;
mod smoke_junit;
mod smoke_place;
mod trust;
mod walkthrough;
mod widths;
mod wizard;
mod wizard_terminal;
