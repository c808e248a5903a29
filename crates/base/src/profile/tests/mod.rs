//! Tests of loading as a whole.

mod plugins;
mod properties;
mod raw;
mod refusals;
mod resolving;
mod whereabouts;
