//! The state of Open vSwitch, from one run of `ovs-vsctl`.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use crate::error::{Error, Result, code};
use crate::formats::cni::Port;
use crate::host::{Command, Host};

/// All bridges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OvsState {
    /// The real bridges, by name.
    pub bridges: Vec<OvsBridge>,
}

/// A real bridge. VLAN bridges on it are ports with [`fake_bridge`](OvsPort::fake_bridge).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OvsBridge {
    /// Its name.
    pub name: String,
    /// `system` or `netdev`; empty means `system`.
    pub datapath_type: String,
    /// Its external ids.
    pub external_ids: BTreeMap<String, String>,
    /// Its ports, by name.
    pub ports: Vec<OvsPort>,
}

/// A port of a bridge.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OvsPort {
    /// Its name.
    pub name: String,
    /// Its VLAN.
    pub tag: Option<u16>,
    /// The VLANs that it carries tagged.
    pub trunks: Vec<u16>,
    /// Whether it is a VLAN bridge.
    pub fake_bridge: bool,
    /// Its interfaces.
    pub interfaces: Vec<OvsInterface>,
    /// Its external ids.
    pub external_ids: BTreeMap<String, String>,
}

/// An interface of a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OvsInterface {
    /// Its name.
    pub name: String,
    /// `internal`, `system`, `vxlan`; empty means `system`.
    pub kind: String,
    /// Why the switch could not set it up.
    pub error: Option<String>,
}

/// Lists bridges, ports and interfaces: one process and one transaction.
pub fn list_command() -> Command {
    let words = "ovs-vsctl --timeout=10 --format=json \
        -- --columns=name,ports,datapath_type,external_ids list Bridge \
        -- --columns=_uuid,name,tag,trunks,fake_bridge,interfaces,external_ids list Port \
        -- --columns=_uuid,name,type,error list Interface";
    Command::new(words.split_whitespace())
}

impl OvsState {
    /// Reads what [`list_command`] printed: one JSON table a line.
    /// Fails with `KVN604` when it is something else.
    pub fn parse(printed: &str) -> Result<Self> {
        let mut tables = printed.lines().filter(|line| !line.trim().is_empty()).map(table);
        let (Some(bridges), Some(ports), Some(interfaces), None) =
            (tables.next(), tables.next(), tables.next(), tables.next())
        else {
            return Err(unreadable("three tables were expected"));
        };
        let interfaces = by_uuid(&interfaces?, interface);
        let ports = by_uuid(&ports?, |row| port(row, &interfaces));
        let mut bridges: Vec<_> = bridges?.iter().map(|row| bridge(row, &ports)).collect();
        bridges.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Self { bridges })
    }

    /// Reads the node.
    pub async fn read(host: &dyn Host) -> Result<Self> {
        let command = list_command();
        Self::parse(&host.run(&command).await?.ok(&command)?.stdout)
    }

    /// The port that ovs-cni made for a pod's NIC, and the name of its bridge.
    pub fn port_of_pod(&self, uid: &str, nic: &str) -> Option<(&str, &OvsPort)> {
        let (bridge, port) = self.ports().find(|(_, port)| port.is_of(uid, nic))?;
        Some((&bridge.name, port))
    }

    /// Whether a bridge has a port of some pod's NIC on a VLAN, made by an ovs-cni that does not write which pod it is.
    pub fn has_nameless_port(&self, bridge: &str, vlan: Option<u16>, nic: &str) -> bool {
        let ports = self.bridge(bridge).map(|bridge| bridge.ports.as_slice()).unwrap_or_default();
        ports.iter().any(|port| {
            let ids = &port.external_ids;
            let of_nic = ids.get("contIface").is_some_and(|name| name == nic);
            of_nic && !ids.contains_key("contPodUid") && port.tag == vlan
        })
    }

    /// Whether a bridge has ports of pods' NICs, and none says which pod it is: an ovs-cni of 2018 writes the NIC only.
    pub fn is_nameless(&self, bridge: &str, nic: Option<&str>) -> bool {
        let ports = self.bridge(bridge).map(|bridge| bridge.ports.as_slice()).unwrap_or_default();
        let has = |port: &OvsPort, key: &str| port.external_ids.contains_key(key);
        let of_nic = |port: &OvsPort| {
            port.external_ids.get("contIface").is_some_and(|name| nic.is_none_or(|nic| nic == name))
        };
        ports.iter().any(of_nic) && !ports.iter().any(|port| has(port, "contPodUid") || has(port, "owner"))
    }

    /// A real bridge.
    pub fn bridge(&self, name: &str) -> Option<&OvsBridge> {
        self.bridges.iter().find(|bridge| bridge.name == name)
    }

    /// A VLAN bridge: its parent and its port.
    pub fn vlan_bridge(&self, name: &str) -> Option<(&OvsBridge, &OvsPort)> {
        self.port(name).filter(|(_, port)| port.fake_bridge)
    }

    /// A port and the bridge that it is on.
    pub fn port(&self, name: &str) -> Option<(&OvsBridge, &OvsPort)> {
        self.ports().find(|(_, port)| port.name == name)
    }

    /// Every port with the bridge that it is on.
    pub fn ports(&self) -> impl Iterator<Item = (&OvsBridge, &OvsPort)> {
        self.bridges.iter().flat_map(|bridge| bridge.ports.iter().map(move |port| (bridge, port)))
    }
}

impl OvsPort {
    /// Whether it is the port of a pod's NIC, as ovs-cni records it.
    pub fn is_of(&self, uid: &str, nic: &str) -> bool {
        let is = |key: &str, value: &str| self.external_ids.get(key).is_some_and(|id| id == value);
        is("contPodUid", uid) && is("contIface", nic)
    }

    /// The port, as a configuration would request it.
    pub fn on(&self, bridge: &str) -> Port {
        let mut trunks = self.trunks.clone();
        trunks.sort_unstable();
        // VLAN 0 is none.
        let vlan = self.tag.filter(|tag| *tag != 0);
        Port { bridge: bridge.to_owned(), vlan, trunks }
    }
}

impl OvsBridge {
    /// The datapath with the default spelled out.
    pub fn datapath(&self) -> &str {
        if self.datapath_type.is_empty() { "system" } else { &self.datapath_type }
    }

    /// The ports without the bridge's own and those of VLAN bridges.
    pub fn guest_ports(&self) -> impl Iterator<Item = &OvsPort> {
        self.ports.iter().filter(|port| port.name != self.name && !port.fake_bridge)
    }

    /// Why the switch could not set the bridge up.
    pub fn error(&self) -> Option<&str> {
        let own = self.ports.iter().find(|port| port.name == self.name)?;
        own.interfaces.iter().find_map(|interface| interface.error.as_deref())
    }
}

/// What joins bridges, and what prevents loops.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Joins {
    /// The bridges with a spanning tree.
    pub guarded: Vec<String>,
    /// Patch ports, each with its peer.
    pub patches: Vec<(String, String)>,
}

impl Joins {
    /// Lists both.
    pub fn command() -> Command {
        let words = "ovs-vsctl --timeout=10 --format=json \
            -- --columns=name,stp_enable,rstp_enable list Bridge \
            -- --columns=name,type,options list Interface";
        Command::new(words.split_whitespace())
    }

    /// Reads what [`Joins::command`] printed; what cannot be read is not in it.
    pub fn parse(printed: &str) -> Self {
        let mut tables = printed.lines().map(|line| table(line).unwrap_or_default());
        let (bridges, interfaces) =
            (tables.next().unwrap_or_default(), tables.next_back().unwrap_or_default());
        let is_on = |row: &Row, key: &str| row.get(key).and_then(Value::as_bool) == Some(true);
        let guarded = bridges.iter().filter(|row| is_on(row, "stp_enable") || is_on(row, "rstp_enable"));
        let patches = interfaces.iter().filter(|row| text(row, "type") == "patch");
        Self {
            guarded: guarded.map(|row| text(row, "name")).collect(),
            patches: patches
                .filter_map(|row| Some((text(row, "name"), map(row, "options").remove("peer")?)))
                .collect(),
        }
    }
}

/// The columns of a row, by name.
pub(super) type Row = HashMap<String, Value>;

/// Reads a table that `ovs-vsctl --format=json` printed on a line.
pub(super) fn table(line: &str) -> Result<Vec<Row>> {
    let value: Value = serde_json::from_str(line).map_err(unreadable)?;
    let list = |key: &str| value.get(key).and_then(Value::as_array).cloned();
    let (Some(headings), Some(data)) = (list("headings"), list("data")) else {
        return Err(unreadable("a table has no headings or data"));
    };
    let names: Vec<String> = headings.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect();
    let row = |cells: Value| match cells {
        Value::Array(cells) => names.iter().cloned().zip(cells).collect(),
        _ => Row::new(),
    };
    Ok(data.into_iter().map(row).collect())
}

fn unreadable(cause: impl std::fmt::Display) -> Error {
    Error::new(&code::OVS_UNAVAILABLE, "cannot parse the output of `ovs-vsctl`").because(cause)
}

fn by_uuid<T>(rows: &[Row], read: impl Fn(&Row) -> T) -> HashMap<String, T> {
    rows.iter().filter_map(|row| Some((uuids(row, "_uuid").pop()?, read(row)))).collect()
}

fn bridge(row: &Row, ports: &HashMap<String, OvsPort>) -> OvsBridge {
    let mut ports: Vec<_> = uuids(row, "ports").iter().filter_map(|uuid| ports.get(uuid).cloned()).collect();
    ports.sort_by(|one, other| one.name.cmp(&other.name));
    let external_ids = map(row, "external_ids");
    OvsBridge { name: text(row, "name"), datapath_type: text(row, "datapath_type"), external_ids, ports }
}

fn port(row: &Row, interfaces: &HashMap<String, OvsInterface>) -> OvsPort {
    let numbers =
        |key| set(row, key).iter().filter_map(|value| u16::try_from(value.as_u64()?).ok()).collect();
    let tags: Vec<u16> = numbers("tag");
    OvsPort {
        name: text(row, "name"),
        tag: tags.first().copied(),
        trunks: sorted(numbers("trunks")),
        fake_bridge: row.get("fake_bridge").and_then(Value::as_bool).unwrap_or_default(),
        interfaces: uuids(row, "interfaces")
            .iter()
            .filter_map(|uuid| interfaces.get(uuid).cloned())
            .collect(),
        external_ids: map(row, "external_ids"),
    }
}

/// The database keeps a set in no order.
fn sorted(mut numbers: Vec<u16>) -> Vec<u16> {
    numbers.sort_unstable();
    numbers
}

fn interface(row: &Row) -> OvsInterface {
    let error = set(row, "error").iter().find_map(|value| value.as_str().map(str::to_owned));
    let error = error.filter(|error| !error.is_empty());
    OvsInterface { name: text(row, "name"), kind: text(row, "type"), error }
}

pub(super) fn text(row: &Row, key: &str) -> String {
    row.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// OVSDB writes a set of one as the element itself, any other as `["set",[...]]`.
fn set(row: &Row, key: &str) -> Vec<Value> {
    let Some(value) = row.get(key) else { return Vec::new() };
    match tagged(value, "set").and_then(Value::as_array) {
        Some(items) => items.clone(),
        None => vec![value.clone()],
    }
}

pub(super) fn uuids(row: &Row, key: &str) -> Vec<String> {
    let values = set(row, key);
    values.iter().filter_map(|value| Some(tagged(value, "uuid")?.as_str()?.to_owned())).collect()
}

fn map(row: &Row, key: &str) -> BTreeMap<String, String> {
    let pairs = row.get(key).and_then(|value| tagged(value, "map")?.as_array());
    let pair = |pair: &Value| Some((pair.get(0)?.as_str()?.to_owned(), pair.get(1)?.as_str()?.to_owned()));
    pairs.into_iter().flatten().filter_map(pair).collect()
}

fn tagged<'a>(value: &'a Value, tag: &str) -> Option<&'a Value> {
    (value.get(0)?.as_str()? == tag).then(|| value.get(1))?
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Printed by Open vSwitch 3.1.0, the uuids shortened.
    const PRINTED: &str = r#"{"data":[["red",["uuid","p2"],"netdev",["map",[]]],["blue",["set",[["uuid","p1"],["uuid","p3"]]],"",["map",[["kvnet","created"]]]]],"headings":["name","ports","datapath_type","external_ids"]}
{"data":[[["uuid","p1"],"blue",["set",[]],["set",[]],false,["uuid","i1"],["map",[]]],[["uuid","p2"],"red",["set",[]],["set",[]],false,["uuid","i2"],["map",[]]],[["uuid","p3"],"blue100",100,["set",[]],true,["uuid","i3"],["map",[]]]],"headings":["_uuid","name","tag","trunks","fake_bridge","interfaces","external_ids"]}
{"data":[[["uuid","i2"],"red","internal","could not add network device red to ofproto (No such device)"],[["uuid","i3"],"blue100","internal",["set",[]]],[["uuid","i1"],"blue","internal",["set",[]]]],"headings":["_uuid","name","type","error"]}
"#;

    #[test]
    fn bridges_with_their_ports() {
        let state = OvsState::parse(PRINTED).unwrap();
        let names: Vec<_> = state.bridges.iter().map(|bridge| bridge.name.as_str()).collect();
        assert_eq!(names, ["blue", "red"]);
        let blue = state.bridge("blue").unwrap();
        assert_eq!((blue.datapath(), blue.external_ids["kvnet"].as_str()), ("system", "created"));
        assert_eq!(blue.guest_ports().count(), 0);
        let (parent, port) = state.vlan_bridge("blue100").unwrap();
        assert_eq!((parent.name.as_str(), port.tag), ("blue", Some(100)));
        assert!(state.vlan_bridge("blue").is_none());
    }

    #[test]
    fn errors_of_the_switch() {
        let state = OvsState::parse(PRINTED).unwrap();
        assert_eq!(state.bridge("blue").unwrap().error(), None);
        let error = state.bridge("red").unwrap().error();
        assert_eq!(error, Some("could not add network device red to ofproto (No such device)"));
    }

    #[test]
    fn patches_and_spanning_trees() {
        let printed = r#"{"data":[["blue",false,true],["red",false,false]],"headings":["name","stp_enable","rstp_enable"]}
{"data":[["p0","patch",["map",[["peer","p1"]]]],["blue","internal",["map",[]]],["p1","patch",["map",[]]]],"headings":["name","type","options"]}
"#;
        let joins = Joins::parse(printed);
        assert_eq!(joins.guarded, ["blue"]);
        assert_eq!(joins.patches, [("p0".to_owned(), "p1".to_owned())]);
        assert_eq!(Joins::parse("nonsense"), Joins::default());
    }

    #[test]
    fn an_empty_switch_and_nonsense() {
        let empty = "{\"data\":[],\"headings\":[]}\n".repeat(3);
        assert_eq!(OvsState::parse(&empty).unwrap(), OvsState::default());
        for text in ["", "x", "{}\n{}\n{}"] {
            assert_eq!(OvsState::parse(text).unwrap_err().code(), &code::OVS_UNAVAILABLE, "{text}");
        }
    }
}
