//! The network links of a node in memory, and the file of the kernel that lists them.

use camino::Utf8Path;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::edit;
use super::entry::{Content, Entry};
use crate::store::Transaction;

const KEYS: &str = "link/";
const LIST: &str = "/proc/net/dev";
const HEADINGS: &str = "Inter-|   Receive                                                |  Transmit\n \
    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed\n";

/// A network link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NetworkLink {
    /// Its name, at most 15 bytes.
    pub name: String,
    /// `loopback`, `ether`, `bridge`, `vxlan`, `openvswitch`, `veth`.
    pub kind: String,
    /// Whether it is up.
    pub up: bool,
    /// Addresses with their prefix lengths, for example `10.0.0.10/24`.
    pub addresses: Vec<String>,
    /// Where the default route leads over it; none when there is no default route.
    pub gateway: Option<String>,
    /// The bridge or bond that it belongs to.
    pub master: Option<String>,
    /// Bytes of a frame's content.
    pub mtu: u32,
    /// The hardware address.
    pub mac: String,
}

/// All links, by name.
pub(super) fn all(transaction: &Transaction<'_>) -> Vec<NetworkLink> {
    transaction.range(KEYS).filter_map(|(_, value)| of(value)).collect()
}

pub(super) fn find(transaction: &Transaction<'_>, name: &str) -> Option<NetworkLink> {
    transaction.value(&key(name)).and_then(|value| of(value))
}

/// Adds or replaces a link.
pub(super) fn put(transaction: &mut Transaction<'_>, link: &NetworkLink) {
    if find(transaction, &link.name).as_ref() != Some(link) {
        transaction.put(&key(&link.name), serde_json::to_value(link).unwrap_or_default());
        list(transaction);
    }
}

/// Removes a link; fine when there is none.
pub(super) fn remove(transaction: &mut Transaction<'_>, name: &str) {
    if find(transaction, name).is_some() {
        transaction.remove(&key(name));
        list(transaction);
    }
}

fn list(transaction: &mut Transaction<'_>) {
    let line = |link: &NetworkLink| {
        format!(
            "{:>6}:       0       0    0    0    0     0          0         0        0       0    0    0    0     0       0          0\n",
            link.name
        )
    };
    let text = all(transaction).iter().fold(HEADINGS.to_owned(), |text, link| text + &line(link));
    let entry = Entry { content: Content::File(text.as_bytes()), mode: 0o444, uid: 0 };
    // Only a /proc that is no directory could stop it.
    let _ = edit::put(transaction, Utf8Path::new(LIST), &entry);
}

fn of(value: &Value) -> Option<NetworkLink> {
    NetworkLink::deserialize(value).ok()
}

fn key(name: &str) -> String {
    format!("{KEYS}{name}")
}
