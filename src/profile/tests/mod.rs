//! Tests of loading as a whole.

mod properties;
mod refusals;
mod resolving;
