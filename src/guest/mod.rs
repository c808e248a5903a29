//! What a guest says about itself, on its serial console or through its agent.

mod agent;
mod links;
mod network_data;
mod network_data_v1;
mod shell;

pub use agent::nics as agent_nics;
pub use links::{Link, ips_of, links};
pub use network_data::{Entry, NetworkData};
pub use shell::{Ended, Shell, Terminal};

/// A NIC as the guest sees it: its name there and its state.
pub type GuestNic = (String, Link);
