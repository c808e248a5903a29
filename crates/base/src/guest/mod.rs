//! The guest's own view, on its serial console or through its agent.

mod agent;
mod links;
mod shell;

pub use agent::nics as agent_nics;
pub use links::{Link, ips_of, links};
pub use shell::{Ended, Shell, Terminal};

/// A NIC as the guest sees it: its name there and its state.
pub type GuestNic = (String, Link);
