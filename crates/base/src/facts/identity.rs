//! Which node of a cluster this machine is. Decided once for each run, from the machine and the cluster; a step that
//! changes this machine runs only when it is a node of the cluster that kvnet talks to.

use std::net::IpAddr;
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use super::Facts;

/// What identifies this machine, besides its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    /// /etc/machine-id; empty when there is none.
    pub machine_id: String,
    /// The kernel's id of this boot; empty when it has none.
    pub boot_id: String,
    /// The machine's own addresses, without loopback.
    pub addresses: Vec<IpAddr>,
}

/// Which node a machine is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identity {
    /// The node of that name.
    Node(Arc<str>),
    /// Not a node of the cluster, with the reason for people: `node cp-1 has another machine-id`.
    Stranger(String),
}

impl Identity {
    /// The machine-id decides; where it is unknown, or several nodes have it, as clones of one image do, the name does,
    /// then the addresses. A node with another machine-id is never this machine, whatever its name. Neither is one with
    /// the same machine-id that booted at another time and shares neither name nor address: that is a clone.
    pub fn of(facts: &Facts, nodes: &[Value]) -> Self {
        let evidence: Vec<Evidence<'_>> = nodes.iter().map(|node| Evidence::of(facts, node)).collect();
        let possible: Vec<&Evidence<'_>> = evidence.iter().filter(|it| it.is_possible()).collect();
        match best(&possible).as_slice() {
            [one] => Self::Node(one.name.into()),
            [] => Self::Stranger(nearest(&evidence)),
            several => {
                let names: Vec<&str> = several.iter().map(|it| it.name).collect();
                Self::Stranger(format!("nodes {} match it equally", names.join(" and ")))
            }
        }
    }

    /// The node's name, if it is one.
    pub fn name(&self) -> Option<Arc<str>> {
        match self {
            Self::Node(name) => Some(name.clone()),
            Self::Stranger(_) => None,
        }
    }
}

/// The evidence for and against a node being this machine; none where one of the two is unknown.
struct Evidence<'a> {
    name: &'a str,
    machine: Option<bool>,
    boot: Option<bool>,
    named: bool,
    addressed: bool,
}

impl<'a> Evidence<'a> {
    fn of(facts: &Facts, node: &'a Value) -> Self {
        let marks = &facts.marks;
        let text = |pointer: &str| node.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
        let same = |one: &str, other: &str| {
            (!one.is_empty() && !other.is_empty()).then(|| one.eq_ignore_ascii_case(other))
        };
        let own = |address: &str| address.parse().is_ok_and(|address| marks.addresses.contains(&address));
        let listed = node.pointer("/status/addresses").and_then(Value::as_array).map(Vec::as_slice);
        let of_type = |wanted: &'static str| {
            let entries = listed.unwrap_or_default().iter().filter(move |entry| entry["type"] == wanted);
            entries.filter_map(|entry| entry["address"].as_str())
        };
        let mut names = [text("/metadata/name"), text("/metadata/labels/kubernetes.io~1hostname")]
            .into_iter()
            .chain(of_type("Hostname"));
        Self {
            name: text("/metadata/name"),
            machine: same(&marks.machine_id, text("/status/nodeInfo/machineID")),
            boot: same(&marks.boot_id, text("/status/nodeInfo/bootID")),
            named: names.any(|name| is_called(&facts.hostname, name)),
            addressed: of_type("InternalIP").chain(of_type("ExternalIP")).any(own),
        }
    }

    fn is_possible(&self) -> bool {
        match self.machine {
            Some(true) => self.named || self.addressed || self.boot != Some(false),
            Some(false) => false,
            None => self.named || self.addressed,
        }
    }

    fn strength(&self) -> [bool; 3] {
        [self.machine == Some(true), self.named, self.addressed]
    }
}

/// Those with the most evidence.
fn best<'a, 'b>(possible: &[&'a Evidence<'b>]) -> Vec<&'a Evidence<'b>> {
    let most = possible.iter().map(|it| it.strength()).max();
    possible.iter().filter(|it| Some(it.strength()) == most).copied().collect()
}

/// kubeadm writes names in lower case; clouds name nodes by the whole name, and hosts by its first part.
fn is_called(hostname: &str, name: &str) -> bool {
    let short = |name: &str| name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let qualified = hostname.contains('.') && name.contains('.');
    !hostname.is_empty()
        && (hostname.eq_ignore_ascii_case(name) || (!qualified && short(hostname) == short(name)))
}

/// Why the node that is most like this machine is not it.
fn nearest(evidence: &[Evidence<'_>]) -> String {
    if let Some(clone) = evidence.iter().find(|it| it.machine == Some(true)) {
        return format!(
            "node {} has this machine's machine-id, but neither its name nor an address of it: one is a clone of the other",
            clone.name
        );
    }
    if let Some(other) = evidence.iter().find(|it| it.named || it.addressed) {
        let shared = if other.named { "name" } else { "address" };
        return format!("node {} has its {shared}, but another machine-id", other.name);
    }
    match evidence {
        [] => "the cluster has no nodes yet".into(),
        [one] => format!("its only node is {}", one.name),
        several => {
            let shown: Vec<&str> = several.iter().take(4).map(|it| it.name).collect();
            let more = several.len() - shown.len();
            let more = if more == 0 { String::new() } else { format!(" and {more} more") };
            format!("its nodes are {}{more}", shown.join(", "))
        }
    }
}

/// The addresses of the machine in `/proc/net/fib_trie` (IPv4) and `/proc/net/if_inet6`, without those of the loopback and
/// without link-local ones.
pub fn addresses(fib_trie: &str, if_inet6: &str) -> Vec<IpAddr> {
    let mut found = Vec::new();
    let mut last = None;
    for line in fib_trie.lines().map(str::trim) {
        if let Some(address) = line.strip_prefix("|-- ") {
            last = address.parse::<IpAddr>().ok();
        } else if line == "/32 host LOCAL" {
            found.extend(last);
        }
    }
    let six = if_inet6.lines().filter_map(|line| line.split_whitespace().next());
    found.extend(
        six.filter_map(|digits| u128::from_str_radix(digits, 16).ok()).map(|bits| IpAddr::V6(bits.into())),
    );
    found.retain(|address| !is_everybodys(address));
    found.sort();
    found.dedup();
    found
}

/// Whether every machine has such an address.
fn is_everybodys(address: &IpAddr) -> bool {
    let link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    address.is_loopback() || address.is_unspecified() || link_local
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn facts() -> Facts {
        let marks = Marks {
            machine_id: "aa11".into(),
            boot_id: "b-1".into(),
            addresses: vec!["10.0.0.10".parse().unwrap()],
        };
        Facts { hostname: "CP-1".into(), marks, ..Facts::default() }
    }

    fn node(name: &str, machine: &str, boot: &str, address: &str) -> Value {
        json!({
            "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name}},
            "status": {
                "nodeInfo": {"machineID": machine, "bootID": boot},
                "addresses": [{"type": "InternalIP", "address": address}, {"type": "Hostname", "address": name}],
            },
        })
    }

    #[test]
    fn the_machine_id_decides_then_the_name_then_the_addresses() {
        let table = [
            // kubeadm writes the name in lower case.
            (vec![node("cp-1", "aa11", "b-1", "10.0.0.10")], Some("cp-1")),
            // A name of its own: `cluster.init.nodeName`.
            (
                vec![node("control", "aa11", "b-1", "10.9.9.9"), node("cp-1", "cc33", "b-9", "")],
                Some("control"),
            ),
            // The laptop that is called as a node of the cluster is.
            (vec![node("cp-1", "bb22", "b-2", "10.7.0.1")], None),
            // Home networks share their addresses too.
            (vec![node("other", "bb22", "b-2", "10.0.0.10")], None),
            // Clones of one image: the name tells which one this is.
            (
                vec![node("w-1", "aa11", "b-2", "10.0.0.11"), node("cp-1", "aa11", "b-1", "10.0.0.10")],
                Some("cp-1"),
            ),
            // A bastion made from the image of the only node.
            (vec![node("w-1", "aa11", "b-2", "10.0.0.11")], None),
            // Nodes without a machine-id.
            (vec![node("cp-1.example.org", "", "", "10.7.0.1")], Some("cp-1.example.org")),
            (
                vec![node("ip-10-0-0-10", "", "", "10.0.0.10"), node("x", "", "", "10.0.0.9")],
                Some("ip-10-0-0-10"),
            ),
            (vec![node("x", "", "", "10.0.0.9")], None),
            (vec![], None),
        ];
        for (nodes, expected) in table {
            let identity = Identity::of(&facts(), &nodes);
            assert_eq!(identity.name().as_deref(), expected, "{nodes:?}: {identity:?}");
        }
    }

    #[test]
    fn the_reason_names_the_node_that_is_nearest() {
        let reason = |nodes: &[Value]| match Identity::of(&facts(), nodes) {
            Identity::Stranger(reason) => reason,
            Identity::Node(name) => panic!("{name}"),
        };
        assert_eq!(reason(&[node("cp-1", "bb22", "", "")]), "node cp-1 has its name, but another machine-id");
        assert_eq!(reason(&[node("x", "bb22", "", ""), node("y", "", "", "")]), "its nodes are x, y");
        assert!(reason(&[node("w-1", "aa11", "b-2", "")]).contains("clone"));
        assert_eq!(reason(&[]), "the cluster has no nodes yet");
    }

    #[test]
    fn two_nodes_for_which_the_same_speaks_are_told_and_none_is_taken() {
        let nodes = [node("a", "aa11", "b-1", "10.1.1.1"), node("b", "aa11", "b-1", "10.1.1.2")];
        assert_eq!(
            Identity::of(&facts(), &nodes),
            Identity::Stranger("nodes a and b match it equally".into())
        );
    }

    #[test]
    fn addresses_are_the_machines_own() {
        let trie = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     |-- 10.0.0.0\n        \
                    /24 link UNICAST\n     |-- 10.0.0.10\n        /32 host LOCAL\n     |-- 127.0.0.1\n        /32 host LOCAL\n     \
                    |-- 10.0.0.255\n        /32 link BROADCAST\n";
        let six = "20010db8000000000000000000000001 02 40 00 80 eth0\nfe800000000000000000000000000001 02 40 20 80 eth0\n\
                   00000000000000000000000000000001 01 80 10 80 lo\n";
        let found: Vec<String> = addresses(trie, six).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["10.0.0.10", "2001:db8::1"]);
    }
}
