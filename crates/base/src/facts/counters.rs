//! Traffic counters of an Open vSwitch port.

use serde_json::Value;

use crate::error::Result;
use crate::host::{Command, Host};

/// Packets of one interface since its creation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets from the pod or VM.
    pub received: u64,
    /// Packets to it.
    pub sent: u64,
}

/// The counters of an interface; none when there is no such interface or it has none yet.
pub async fn read(host: &dyn Host, interface: &str) -> Result<Option<Counters>> {
    let by_name = format!("name={interface}");
    let command = Command::new([
        "ovs-vsctl",
        "--timeout=10",
        "--format=json",
        "--columns=statistics",
        "find",
        "Interface",
        &by_name,
    ]);
    Ok(parse(&host.run(&command).await?.ok(&command)?.stdout))
}

/// `{"data":[[["map",[["rx_packets",5],["tx_packets",7]]]]],...}`
fn parse(printed: &str) -> Option<Counters> {
    let table: Value = serde_json::from_str(printed).ok()?;
    let pairs = table.pointer("/data/0/0/1")?.as_array()?;
    let number = |name: &str| pairs.iter().find(|pair| pair[0] == name).and_then(|pair| pair[1].as_u64());
    Some(Counters { received: number("rx_packets")?, sent: number("tx_packets")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_found_by_their_names() {
        let printed = r#"{"data":[[["map",[["collisions",0],["rx_packets",5],["tx_packets",7]]]]],"headings":["statistics"]}"#;
        assert_eq!(parse(printed), Some(Counters { received: 5, sent: 7 }));
        for nothing in ["", r#"{"data":[],"headings":["statistics"]}"#, r#"{"data":[[["map",[]]]]}"#] {
            assert_eq!(parse(nothing), None, "{nothing}");
        }
    }
}
