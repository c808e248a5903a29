//! What kvnet survives: kills, faults, hostile input. What was tried is counted in `docs/survives.md`.

mod api_faults;
mod corpora;
mod down;
mod essence;
mod expired;
mod foreign;
mod host;
mod host_faults;
mod hostile;
mod hostile_box;
#[path = "../../fuzz/inputs.rs"]
mod inputs;
mod inside;
mod kill;
mod local;
mod mutations;
mod properties;
mod secrets;
mod secrets_box;
mod server;
mod two;
