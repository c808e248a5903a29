//! A node on the other side of a pipe: an agent there speaks the host boundary in frames over its standard input and output.
//!
//! The agent is the same program as the controller, so files, process groups, deadlines and waits behave as on the machine
//! itself. A caller that gives up ends its operation on the node. When the connection ends, the agent completes the
//! operations in progress, except waits, and ends.

mod client;
#[cfg(test)]
mod contract_tests;
mod server;
#[cfg(test)]
mod tests;
mod wire;

pub use client::AgentHost;
pub use server::serve;
