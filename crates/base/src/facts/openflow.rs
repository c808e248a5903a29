//! What carries frames inside Open vSwitch: settings of bridges and ports, `OpenFlow`'s view of ports, and `ofproto/trace`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::gather::printed;
use super::ovs::{Row, table, text, uuids};
use crate::error::Result;
use crate::host::Host;

/// Port states in which frames do not pass.
const SWITCHED_OFF: [&str; 4] = ["PORT_DOWN", "NO_RECV", "NO_FWD", "NO_FLOOD"];

/// A bridge's settings, its `OpenFlow` ports, and its flows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Switch {
    /// The bridge's name.
    pub name: String,
    /// `secure`: without flows nothing passes; else empty or `standalone`.
    pub fail_mode: String,
    /// Whether a controller is set that is not connected.
    pub controller_away: bool,
    /// The ports, by name; the bridge's own left out.
    pub ports: BTreeMap<String, SwitchPort>,
    /// The flows, as they are listed.
    pub flows: Vec<String>,
    /// Why `ovs-vswitchd` tells nothing about the bridge.
    pub silent: Option<String>,
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SwitchPort {
    /// `OpenFlow`'s number; none when it has none.
    pub number: Option<u32>,
    /// What is disabled: `NO_RECV`.
    pub off: Vec<String>,
    /// `trunk`, `access`; empty when it follows from the rest.
    pub vlan_mode: String,
    /// Whether it reaches no other protected port.
    pub protected: bool,
    /// Whether a mirror sends to it: then nothing else does.
    pub mirrored_to: bool,
    /// A spanning tree's state in which nothing passes.
    pub blocked: Option<String>,
    /// Its rate limit, in kbit/s, and its source.
    pub slowed: Option<(u64, &'static str)>,
}

/// The result of `ofproto/trace` for one frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Traced {
    /// The numbers of the datapath's ports that it leaves by.
    pub outputs: Vec<u32>,
    /// The last rule that it met, with its actions: `in_port=6, priority 100: drop`.
    pub rule: String,
}

impl Switch {
    /// Reads one bridge. What cannot be read is [`Switch::silent`].
    pub async fn read(host: &dyn Host, settings: &Settings, bridge: &str) -> Result<Self> {
        let mut switch = settings.of(bridge);
        let shown = printed(host, &["ovs-ofctl", "--timeout=5", "show", bridge]).await?;
        let flows = printed(host, &["ovs-ofctl", "--timeout=5", "--no-stats", "dump-flows", bridge]).await?;
        match (shown, flows) {
            (Ok(shown), Ok(flows)) => {
                switch.add_ports(&shown);
                switch.flows = parse_flows(&flows);
            }
            (Err(why), _) | (_, Err(why)) => switch.silent = Some(why),
        }
        Ok(switch)
    }

    /// Reads `ovs-ofctl show`.
    fn add_ports(&mut self, shown: &str) {
        let mut last = String::new();
        for line in shown.lines() {
            if let Some((number, name)) = heading(line) {
                name.clone_into(&mut last);
                self.ports.entry(last.clone()).or_default().number = Some(number);
            } else if line.trim_start().starts_with("LOCAL(") {
                last.clear();
            } else if let (Some(words), Some(port)) =
                (line.trim().strip_prefix("config:"), self.ports.get_mut(&last))
            {
                let off = |word: &&str| SWITCHED_OFF.contains(word);
                port.off = words.split_whitespace().filter(off).map(str::to_owned).collect();
            }
        }
    }

    /// The flows that drop what they match.
    pub fn drops(&self) -> impl Iterator<Item = &str> {
        let ends = |flow: &&String| flow.ends_with("actions=drop");
        self.flows.iter().filter(ends).map(String::as_str)
    }
}

/// ` 6(veth1): addr:...`
fn heading(line: &str) -> Option<(u32, &str)> {
    let (number, rest) = line.trim().split_once('(')?;
    Some((number.parse().ok()?, rest.split_once("): addr:")?.0))
}

/// One flow a line, without the heading and the statistics that some versions always print.
fn parse_flows(text: &str) -> Vec<String> {
    let is_flow = |line: &&str| line.contains("actions=");
    let statistics = ["cookie=0x0", "duration=", "n_packets=", "n_bytes=", "idle_age=", "hard_age="];
    let bare = |line: &str| {
        let words = line.split([' ', ',']).filter(|word| !word.is_empty());
        let kept: Vec<&str> =
            words.filter(|word| !statistics.iter().any(|start| word.starts_with(start))).collect();
        kept.join(",").replace(",actions=", " actions=")
    };
    text.lines().filter(is_flow).map(|line| bare(line.trim())).collect()
}

/// The settings of all bridges and ports that the plain list does not have.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    tables: Vec<Vec<Row>>,
}

impl Settings {
    /// Asks the database.
    pub async fn read(host: &dyn Host) -> Result<std::result::Result<Self, String>> {
        let words = "ovs-vsctl --timeout=10 --format=json \
            -- --columns=name,ports,fail_mode,controller,mirrors list Bridge \
            -- --columns=_uuid,name,vlan_mode,protected,status,rstp_status,interfaces,qos list Port \
            -- --columns=_uuid,is_connected list Controller \
            -- --columns=_uuid,output_port list Mirror \
            -- --columns=_uuid,ingress_policing_rate list Interface \
            -- --columns=_uuid,other_config list QoS";
        let words: Vec<&str> = words.split_whitespace().collect();
        let said = printed(host, &words).await?;
        Ok(said.map(|text| Self::parse(&text)))
    }

    fn parse(printed: &str) -> Self {
        Self { tables: printed.lines().map(|line| table(line).unwrap_or_default()).collect() }
    }

    fn rows(&self, table: usize) -> &[Row] {
        self.tables.get(table).map(Vec::as_slice).unwrap_or_default()
    }

    fn of(&self, bridge: &str) -> Switch {
        let mut switch = Switch { name: bridge.to_owned(), ..Switch::default() };
        let Some(row) = self.rows(0).iter().find(|row| text(row, "name") == bridge) else { return switch };
        switch.fail_mode = text(row, "fail_mode");
        let of = |key| uuids(row, key);
        let (ports, controllers, mirrors) = (of("ports"), of("controller"), of("mirrors"));
        let mut own = self.rows(2).iter().filter(|row| is_in(row, &controllers));
        switch.controller_away =
            !controllers.is_empty() && own.all(|row| row.get("is_connected") != Some(&Value::Bool(true)));
        let mirrors = self.rows(3).iter().filter(|row| is_in(row, &mirrors));
        let targets: Vec<String> = mirrors.flat_map(|row| uuids(row, "output_port")).collect();
        for row in self.rows(1).iter().filter(|row| is_in(row, &ports) && text(row, "name") != bridge) {
            let port = SwitchPort {
                vlan_mode: text(row, "vlan_mode"),
                protected: row.get("protected") == Some(&Value::Bool(true)),
                mirrored_to: is_in(row, &targets),
                blocked: blocked(row),
                slowed: self.slowed(row),
                ..SwitchPort::default()
            };
            switch.ports.insert(text(row, "name"), port);
        }
        switch
    }
}

impl Settings {
    /// A port's rate limit, in either direction.
    fn slowed(&self, port: &Row) -> Option<(u64, &'static str)> {
        let interfaces = uuids(port, "interfaces");
        let rates = self.rows(4).iter().filter(|row| is_in(row, &interfaces));
        let policed =
            rates.filter_map(|row| row.get("ingress_policing_rate")?.as_u64()).filter(|rate| *rate > 0);
        let qos = uuids(port, "qos");
        let shaped = self.rows(5).iter().filter(|row| is_in(row, &qos)).filter_map(|row| {
            let pairs = row.get("other_config")?.get(1)?.as_array()?;
            let rate: u64 = pairs.iter().find(|pair| pair[0] == "max-rate")?[1].as_str()?.parse().ok()?;
            Some(rate / 1000)
        });
        let policed = policed.map(|rate| (rate, "ingress_policing_rate"));
        policed.chain(shaped.map(|rate| (rate, "qos"))).min_by_key(|(rate, _)| *rate)
    }
}

fn blocked(row: &Row) -> Option<String> {
    let state = |column: &str, key: &str| {
        let pairs = row.get(column)?.get(1)?.as_array()?;
        pairs.iter().find(|pair| pair[0] == key)?[1].as_str().map(str::to_lowercase)
    };
    let found = state("status", "stp_state").or_else(|| state("rstp_status", "rstp_port_state"))?;
    (!["forwarding", "disabled"].contains(&found.as_str())).then_some(found)
}

/// Follows one frame through a bridge. It teaches the bridge nothing.
pub async fn follow(
    host: &dyn Host,
    bridge: &str,
    frame: &str,
) -> Result<std::result::Result<Traced, String>> {
    Ok(printed(host, &["ovs-appctl", "--timeout=5", "ofproto/trace", bridge, frame])
        .await?
        .and_then(|text| traced(&text)))
}

/// The datapath's number of each port, from `dpif/show`.
pub async fn numbers(host: &dyn Host) -> Result<BTreeMap<String, u32>> {
    let text = printed(host, &["ovs-appctl", "--timeout=5", "dpif/show"]).await?.unwrap_or_default();
    let number = |line: &str| {
        let (name, rest) = line.trim().split_once(' ')?;
        let own = rest.split_once(':')?.0.split_once('/')?.1;
        Some((name.to_owned(), own.parse().ok()?))
    };
    Ok(text.lines().filter_map(number).collect())
}

fn traced(text: &str) -> std::result::Result<Traced, String> {
    let actions = text.lines().find_map(|line| line.strip_prefix("Datapath actions: "));
    let Some(actions) = actions else {
        return Err(text.lines().next().unwrap_or("it prints nothing").to_owned());
    };
    let mut lines = text.lines().peekable();
    let mut rule = String::new();
    while let Some(line) = lines.next() {
        // ` 0. in_port=6, priority 100`: a table's number and what matched.
        if let Some((table, matched)) = line.trim().split_once(". ")
            && table.parse::<u8>().is_ok()
        {
            let action = lines.peek().map(|next| next.trim()).unwrap_or_default();
            rule = format!("{}: {action}", matched.trim());
        } else if let Some(why) = line.trim().strip_prefix("-> ") {
            rule = format!("{rule} ({why})");
        }
    }
    Ok(Traced { outputs: outputs(actions), rule })
}

/// Numbers outside of brackets: `push_vlan(vid=100,pcp=0),2,pop_vlan,1`.
fn outputs(actions: &str) -> Vec<u32> {
    let mut depth = 0_u32;
    let parts = actions.split(|c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => (),
        }
        c == ',' && depth == 0
    });
    parts.filter_map(|part| part.trim().parse().ok()).collect()
}

fn is_in(row: &Row, ids: &[String]) -> bool {
    uuids(row, "_uuid").first().is_some_and(|id| ids.contains(id))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Open vSwitch 3.1.0.
    const SHOWN: &str = " 6(veth9b27dd4e): addr:8a:b8:42:b6:12:76\n     config:     0\n     state:      0\n \
         7(veth377ef37b): addr:a6:b9:23:0f:3a:40\n     config:     NO_RECV NO_FLOOD\n     state:      LIVE\n \
         LOCAL(blue): addr:32:ca:39:f3:f3:41\n     config:     PORT_DOWN\n     state:      LINK_DOWN\n";
    const DROPPED: &str = "Flow: arp,in_port=6,dl_src=02:00:00:00:00:01\n\nbridge(\"blue\")\n--------------\n \
         0. in_port=6, priority 100\n    drop\n\nFinal flow: unchanged\nMegaflow: recirc_id=0,eth,arp,in_port=6\n\
         Datapath actions: drop\n";

    #[test]
    fn ports_are_switched_off_and_the_bridges_own_does_not_matter() {
        let mut switch = Switch::default();
        switch.add_ports(SHOWN);
        assert_eq!(switch.ports["veth9b27dd4e"].number, Some(6));
        assert_eq!(switch.ports["veth377ef37b"].off, ["NO_RECV", "NO_FLOOD"]);
        assert!(switch.ports["veth9b27dd4e"].off.is_empty() && switch.ports.len() == 2);
    }

    #[test]
    fn a_frame_is_dropped_by_a_rule_or_leaves_by_ports() {
        let dropped = traced(DROPPED).unwrap();
        assert_eq!((dropped.rule.as_str(), dropped.outputs.len()), ("in_port=6, priority 100: drop", 0));
        let passed = DROPPED
            .replace("Datapath actions: drop", "Datapath actions: push_vlan(vid=100,pcp=0),2,pop_vlan,1,3");
        assert_eq!(traced(&passed).unwrap().outputs, [2, 1, 3]);
        assert!(traced("ovs-appctl: no such bridge").is_err());
    }

    #[test]
    fn flows_without_statistics() {
        let text = "NXST_FLOW reply (xid=0x4):\n cookie=0x0, duration=1.3s, table=0, n_packets=6, n_bytes=8, idle_age=0, priority=0 actions=NORMAL\n \
             priority=100,in_port=6 actions=drop\n";
        let switch = Switch { flows: parse_flows(text), ..Switch::default() };
        assert_eq!(
            switch.flows,
            ["table=0,priority=0 actions=NORMAL", "priority=100,in_port=6 actions=drop"]
        );
        assert_eq!(switch.drops().collect::<Vec<_>>(), ["priority=100,in_port=6 actions=drop"]);
    }

    #[test]
    fn settings_of_a_bridge() {
        let printed = r#"{"data":[["blue",["set",[["uuid","p1"],["uuid","p2"]]],"secure",["uuid","c1"],["uuid","m1"]]],"headings":["name","ports","fail_mode","controller","mirrors"]}
{"data":[[["uuid","p1"],"blue",["set",[]],false,["map",[]],["map",[]],["uuid","i1"],["set",[]]],[["uuid","p2"],"veth1","trunk",true,["map",[["stp_state","blocking"]]],["map",[]],["uuid","i2"],["uuid","q1"]]],"headings":["_uuid","name","vlan_mode","protected","status","rstp_status","interfaces","qos"]}
{"data":[[["uuid","c1"],false]],"headings":["_uuid","is_connected"]}
{"data":[[["uuid","m1"],["uuid","p2"]]],"headings":["_uuid","output_port"]}
{"data":[[["uuid","i2"],1]],"headings":["_uuid","ingress_policing_rate"]}
{"data":[[["uuid","q1"],["map",[["max-rate","64000"]]]]],"headings":["_uuid","other_config"]}"#;
        let switch = Settings::parse(printed).of("blue");
        assert_eq!((switch.fail_mode.as_str(), switch.controller_away), ("secure", true));
        let port = &switch.ports["veth1"];
        assert!(port.protected && port.mirrored_to && switch.ports.len() == 1);
        assert_eq!(port.slowed, Some((1, "ingress_policing_rate")));
        assert_eq!((port.vlan_mode.as_str(), port.blocked.as_deref()), ("trunk", Some("blocking")));
    }
}
