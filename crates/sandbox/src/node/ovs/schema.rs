//! The tables and columns of Open vSwitch 3.1's database that the sandbox has.

#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// Its columns, sorted by name.
    pub(super) columns: &'static [Column],
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// What its elements, or the keys of its map, are.
    pub(super) key: AtomKind,
    /// What the values of its map are; none when it is a set.
    pub(super) value: Option<AtomKind>,
    /// How few elements it may have.
    pub(super) min: usize,
    /// How many elements it may have.
    pub(super) max: usize,
}

/// The kind of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AtomKind {
    /// A whole number in a range.
    Integer(i64, i64),
    /// `true` or `false`.
    Boolean,
    /// A text; one of these, when there are any.
    Text(&'static [&'static str]),
    /// A row of that table.
    Row(&'static str),
}

const ANY: AtomKind = AtomKind::Integer(i64::MIN, i64::MAX);
const COUNT: AtomKind = AtomKind::Integer(0, i64::MAX);
const VLAN: AtomKind = AtomKind::Integer(0, 4095);
const TEXT: AtomKind = AtomKind::Text(&[]);
const MANY: usize = usize::MAX;

const fn one(name: &'static str, key: AtomKind) -> Column {
    Column { name, key, value: None, min: 1, max: 1 }
}

const fn optional(name: &'static str, key: AtomKind) -> Column {
    Column { name, key, value: None, min: 0, max: 1 }
}

const fn set(name: &'static str, key: AtomKind, max: usize) -> Column {
    Column { name, key, value: None, min: 0, max }
}

const fn map(name: &'static str, value: AtomKind) -> Column {
    Column { name, key: TEXT, value: Some(value), min: 0, max: MANY }
}

/// Every table that a command may name, also those that the sandbox does not have.
pub(super) const NAMES: &str = "\
    AutoAttach Bridge CT_Timeout_Policy CT_Zone Controller Datapath Flow_Sample_Collector_Set Flow_Table \
    IPFIX Interface Manager Mirror NetFlow Open_vSwitch Port QoS Queue SSL sFlow";

/// The tables of the sandbox.
pub(super) static TABLES: [Table; 4] = [
    Table { name: "Open_vSwitch", columns: &SWITCH },
    Table { name: "Bridge", columns: &BRIDGE },
    Table { name: "Port", columns: &PORT },
    Table { name: "Interface", columns: &INTERFACE },
];

static SWITCH: [Column; 17] = [
    set("bridges", AtomKind::Row("Bridge"), MANY),
    one("cur_cfg", ANY),
    set("datapath_types", TEXT, MANY),
    map("datapaths", AtomKind::Row("Datapath")),
    optional("db_version", TEXT),
    one("dpdk_initialized", AtomKind::Boolean),
    optional("dpdk_version", TEXT),
    map("external_ids", TEXT),
    set("iface_types", TEXT, MANY),
    set("manager_options", AtomKind::Row("Manager"), MANY),
    one("next_cfg", ANY),
    map("other_config", TEXT),
    optional("ovs_version", TEXT),
    optional("ssl", AtomKind::Row("SSL")),
    map("statistics", TEXT),
    optional("system_type", TEXT),
    optional("system_version", TEXT),
];

const PROTOCOLS: AtomKind =
    AtomKind::Text(&["OpenFlow10", "OpenFlow11", "OpenFlow12", "OpenFlow13", "OpenFlow14", "OpenFlow15"]);

static BRIDGE: [Column; 22] = [
    optional("auto_attach", AtomKind::Row("AutoAttach")),
    set("controller", AtomKind::Row("Controller"), MANY),
    optional("datapath_id", TEXT),
    one("datapath_type", TEXT),
    one("datapath_version", TEXT),
    map("external_ids", TEXT),
    optional("fail_mode", AtomKind::Text(&["secure", "standalone"])),
    set("flood_vlans", VLAN, 4096),
    Column {
        name: "flow_tables",
        key: AtomKind::Integer(0, 254),
        value: Some(AtomKind::Row("Flow_Table")),
        min: 0,
        max: MANY,
    },
    optional("ipfix", AtomKind::Row("IPFIX")),
    one("mcast_snooping_enable", AtomKind::Boolean),
    set("mirrors", AtomKind::Row("Mirror"), MANY),
    one("name", TEXT),
    optional("netflow", AtomKind::Row("NetFlow")),
    map("other_config", TEXT),
    set("ports", AtomKind::Row("Port"), MANY),
    set("protocols", PROTOCOLS, MANY),
    one("rstp_enable", AtomKind::Boolean),
    map("rstp_status", TEXT),
    optional("sflow", AtomKind::Row("sFlow")),
    map("status", TEXT),
    one("stp_enable", AtomKind::Boolean),
];

static PORT: [Column; 22] = [
    optional("bond_active_slave", TEXT),
    one("bond_downdelay", ANY),
    one("bond_fake_iface", AtomKind::Boolean),
    optional("bond_mode", AtomKind::Text(&["active-backup", "balance-slb", "balance-tcp"])),
    one("bond_updelay", ANY),
    set("cvlans", VLAN, 4096),
    map("external_ids", TEXT),
    one("fake_bridge", AtomKind::Boolean),
    Column { name: "interfaces", key: AtomKind::Row("Interface"), value: None, min: 1, max: MANY },
    optional("lacp", AtomKind::Text(&["active", "off", "passive"])),
    optional("mac", TEXT),
    one("name", TEXT),
    map("other_config", TEXT),
    one("protected", AtomKind::Boolean),
    optional("qos", AtomKind::Row("QoS")),
    map("rstp_statistics", ANY),
    map("rstp_status", TEXT),
    map("statistics", ANY),
    map("status", TEXT),
    optional("tag", VLAN),
    set("trunks", VLAN, 4096),
    optional(
        "vlan_mode",
        AtomKind::Text(&["access", "dot1q-tunnel", "native-tagged", "native-untagged", "trunk"]),
    ),
];

const UP_DOWN: AtomKind = AtomKind::Text(&["down", "up"]);

static INTERFACE: [Column; 35] = [
    optional("admin_state", UP_DOWN),
    map("bfd", TEXT),
    map("bfd_status", TEXT),
    optional("cfm_fault", AtomKind::Boolean),
    set("cfm_fault_status", TEXT, MANY),
    optional("cfm_flap_count", ANY),
    optional("cfm_health", AtomKind::Integer(0, 100)),
    optional("cfm_mpid", ANY),
    set("cfm_remote_mpids", ANY, MANY),
    optional("cfm_remote_opstate", UP_DOWN),
    optional("duplex", AtomKind::Text(&["full", "half"])),
    optional("error", TEXT),
    map("external_ids", TEXT),
    optional("ifindex", AtomKind::Integer(0, 4_294_967_295)),
    one("ingress_policing_burst", COUNT),
    one("ingress_policing_kpkts_burst", COUNT),
    one("ingress_policing_kpkts_rate", COUNT),
    one("ingress_policing_rate", COUNT),
    optional("lacp_current", AtomKind::Boolean),
    optional("link_resets", ANY),
    optional("link_speed", ANY),
    optional("link_state", UP_DOWN),
    map("lldp", TEXT),
    optional("mac", TEXT),
    optional("mac_in_use", TEXT),
    optional("mtu", ANY),
    optional("mtu_request", AtomKind::Integer(1, i64::MAX)),
    one("name", TEXT),
    optional("ofport", ANY),
    optional("ofport_request", AtomKind::Integer(1, 65279)),
    map("options", TEXT),
    map("other_config", TEXT),
    map("statistics", ANY),
    map("status", TEXT),
    one("type", TEXT),
];

impl Table {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        TABLES.iter().find(|table| table.name == name)
    }

    /// A column by its whole name.
    pub(super) fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}

impl Column {
    /// Whether it cannot be changed once the row is there.
    pub(super) fn is_read_only(&self) -> bool {
        self.name == "name"
    }

    /// Whether it is printed without brackets.
    pub(super) fn is_scalar(&self) -> bool {
        self.value.is_none() && self.max == 1
    }

    /// What it holds, in the words of Open vSwitch.
    pub(super) fn describe(&self) -> String {
        let name = |kind: AtomKind| match kind {
            AtomKind::Integer(..) => "integer",
            AtomKind::Boolean => "boolean",
            AtomKind::Text(_) => "string",
            AtomKind::Row(_) => "uuid",
        };
        let key = name(self.key);
        if self.min == 1 && self.max == 1 {
            return key.to_owned();
        }
        let number = match (self.min, self.max) {
            (0, MANY) => String::new(),
            (0, max) => format!("up to {max} "),
            (min, MANY) => format!("{min} or more "),
            (min, max) => format!("{min} to {max} "),
        };
        let of = if number.is_empty() { "of ".to_owned() } else { format!("of {number}") };
        match self.value {
            Some(value) => format!("map {of}({key}, {}) pairs", name(value)),
            None => format!("set {of}{key}s"),
        }
    }
}
