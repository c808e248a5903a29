//! Tests of loading as a whole.

mod properties;
mod raw;
mod refusals;
mod resolving;
