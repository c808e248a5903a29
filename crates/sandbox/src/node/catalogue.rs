//! What the package lists of the distributions offer, and what is installed.

mod offers;

use serde_json::{Value, json};

use super::Distribution;
use super::seed::Seed;
use crate::formats::cni::RELEASED_PLUGINS;
use crate::store::Transaction;

const KEYS: &str = "package/";
/// The names of those that are there from the start.
const DEBIAN: &str = "apt base-files bash containerd.io coreutils cri-tools dpkg iproute2 kmod kubeadm kubectl kubelet kubernetes-cni libc6:amd64 netbase procps python3 systemd";
const FEDORA: &str =
    "bash coreutils cri-o cri-tools dnf5 glibc iproute kmod kubeadm kubectl kubelet procps-ng rpm systemd";
const OPENSUSE: &str =
    "bash coreutils cri-o cri-tools glibc iproute2 kmod kubeadm kubectl kubelet procps rpm systemd zypper";
const ARCH: &str = "bash containerd coreutils cri-tools glibc iproute2 kmod kubeadm kubectl kubelet pacman procps-ng systemd";
const ALPINE: &str = "alpine-base apk-tools busybox cni-plugins containerd cri-tools iproute2 kmod kubeadm kubectl kubelet musl openrc";

/// A package that can be installed.
#[derive(Debug)]
pub(super) struct Offer {
    /// Its name as the package manager lists it; Debian adds the architecture to some.
    pub(super) name: &'static str,
    pub(super) version: &'static str,
    /// The packages that it needs.
    pub(super) needs: &'static [&'static str],
    /// The files that it brings.
    files: &'static [&'static str],
    /// The directory that it puts the reference CNI plugins in.
    plugins: Option<&'static str>,
}

impl Offer {
    /// Where its files are.
    pub(super) fn paths(&self) -> Vec<String> {
        let plugins = self.plugins.into_iter();
        let plugins =
            plugins.flat_map(|directory| RELEASED_PLUGINS.map(|name| format!("{directory}/{name}")));
        self.files.iter().map(|path| (*path).to_owned()).chain(plugins).collect()
    }
}

/// What can be installed on a distribution.
pub(super) fn offers(distribution: Distribution) -> &'static [Offer] {
    match distribution {
        Distribution::Debian => &offers::DEBIAN,
        Distribution::Ubuntu => &offers::UBUNTU,
        Distribution::Fedora => &offers::FEDORA,
        Distribution::OpenSuse => &offers::OPENSUSE,
        Distribution::Arch => &offers::ARCH,
        Distribution::Alpine => &offers::ALPINE,
    }
}

/// Notes the packages that are there from the start.
pub(super) fn plant(transaction: &mut Transaction<'_>, seed: &Seed) {
    let names = match seed.distribution {
        Distribution::Debian | Distribution::Ubuntu => DEBIAN,
        Distribution::Fedora => FEDORA,
        Distribution::OpenSuse => OPENSUSE,
        Distribution::Arch => ARCH,
        Distribution::Alpine => ALPINE,
    };
    for name in names.split(' ').filter(|name| seed.cni_plugins || *name != "cni-plugins") {
        transaction.put(&key(name), json!({"version": "1.0", "needs": [], "files": []}));
    }
}

/// The installed packages, by name.
pub(super) fn installed(transaction: &Transaction<'_>) -> Vec<String> {
    let keys = transaction.range(KEYS).map(|(key, _)| key);
    keys.filter_map(|key| key.strip_prefix(KEYS)).map(str::to_owned).collect()
}

/// Whether a package is installed.
pub(super) fn is_installed(transaction: &Transaction<'_>, name: &str) -> bool {
    transaction.value(&key(name)).is_some()
}

/// What a list of an installed package says: `needs` or `files`.
pub(super) fn listed(transaction: &Transaction<'_>, name: &str, list: &str) -> Vec<String> {
    let value = transaction.value(&key(name));
    let items = value.and_then(|value| value[list].as_array()).map(Vec::as_slice).unwrap_or_default();
    items.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// Notes that a package is installed.
pub(super) fn note(transaction: &mut Transaction<'_>, offer: &Offer) {
    let (version, needs) = (offer.version, offer.needs);
    transaction.put(&key(offer.name), json!({"version": version, "needs": needs, "files": offer.paths()}));
}

/// Notes that a package is not installed any more.
pub(super) fn forget(transaction: &mut Transaction<'_>, name: &str) {
    transaction.remove(&key(name));
}

fn key(name: &str) -> String {
    format!("{KEYS}{name}")
}
