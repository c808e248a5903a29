//! Open vSwitch: its database, its daemons, and `ovs-vsctl`.

mod daemon;
mod database;
mod datum;
mod doors;
mod parse;
mod schema;
mod switch;
mod vsctl;

pub(super) use self::daemon::{purge, start_daemon, start_database, stop_daemon, stop_database};
pub use self::doors::SwitchPort;
pub(super) use self::doors::{add_port, remove_port, state};
pub(super) use self::vsctl::run;
