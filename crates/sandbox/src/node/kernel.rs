//! The kernel's modules, and the settings that come with them.

use camino::Utf8Path;

use super::files::Files;
use super::seed::{self, Seed};
use crate::store::Transaction;

const LIST: &str = "/proc/modules";
/// Modules that are loaded after the start, those that a runtime needs.
const LOADED: [&str; 2] = ["overlay", "nf_conntrack"];
/// Modules that can be loaded, with those that they need.
const LOADABLE: [(&str, &[&str]); 5] = [
    ("bridge", &[]),
    ("br_netfilter", &["bridge"]),
    ("nsh", &[]),
    ("openvswitch", &["nsh", "nf_conntrack"]),
    ("vxlan", &[]),
];
const BRIDGE_SETTINGS: [&str; 3] =
    ["bridge-nf-call-arptables", "bridge-nf-call-ip6tables", "bridge-nf-call-iptables"];

/// What the kernel shows at the start. One without the module openvswitch has all it has built in, as those of containers.
pub(super) fn plant(transaction: &mut Transaction<'_>, seed: &Seed) {
    if !seed.openvswitch_module {
        settings(transaction);
        return;
    }
    seed::file(transaction, LIST, 0o444, "");
    for module in LOADED {
        insert(transaction, module);
    }
}

pub(super) fn is_loaded(transaction: &Transaction<'_>, module: &str) -> bool {
    let files = Files { transaction, user: 0 };
    matches!(files.stat(Utf8Path::new(&format!("/sys/module/{module}"))), Ok(Some(_)))
}

/// Whether a module is loaded or can be.
pub(super) fn is_there(transaction: &Transaction<'_>, seed: &Seed, module: &str) -> bool {
    let offered = LOADABLE.iter().any(|(name, _)| *name == module);
    is_loaded(transaction, module) || (offered && seed.openvswitch_module)
}

pub(super) fn release(transaction: &Transaction<'_>) -> String {
    let files = Files { transaction, user: 0 };
    let text = files.read(Utf8Path::new("/proc/sys/kernel/osrelease")).ok().flatten().unwrap_or_default();
    String::from_utf8_lossy(&text).trim().to_owned()
}

/// Loads a module with those that it needs; false when the kernel does not have it.
pub(super) fn load(transaction: &mut Transaction<'_>, seed: &Seed, module: &str) -> bool {
    if !is_there(transaction, seed, module) {
        return false;
    }
    let needs = LOADABLE.iter().find(|(name, _)| *name == module).map_or(&[][..], |(_, needs)| needs);
    for needed in needs {
        load(transaction, seed, needed);
    }
    if !is_loaded(transaction, module) {
        insert(transaction, module);
    }
    true
}

fn insert(transaction: &mut Transaction<'_>, module: &str) {
    let files = Files { transaction, user: 0 };
    let before = files.read(Utf8Path::new(LIST)).ok().flatten().unwrap_or_default();
    let text = format!("{module} 32768 0 - Live 0x0000000000000000\n{}", String::from_utf8_lossy(&before));
    seed::file(transaction, LIST, 0o444, &text);
    seed::directory(transaction, &format!("/sys/module/{module}"), 0o755);
    if module == "br_netfilter" {
        settings(transaction);
    }
}

fn settings(transaction: &mut Transaction<'_>) {
    for name in BRIDGE_SETTINGS {
        seed::file(transaction, &format!("/proc/sys/net/bridge/{name}"), 0o644, "1\n");
    }
}
