//! The program as its users meet it: the real binary, without a node and without a cluster.

mod access;
mod attacked;
mod closed;
mod doctor;
mod documents;
mod errors;
mod formats;
mod help;
mod input;
mod layers;
mod logs;
mod output;
mod profile;
mod sandbox;
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
