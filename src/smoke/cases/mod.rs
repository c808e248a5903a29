//! All cases, by name. A new one is a record here and a function in one of these files.

mod addresses;
mod after_down;
mod leaks;
mod names;
mod networks;
mod plain;
mod reboot;
mod restart;
mod vm;

use std::time::Duration;

use super::case::{Case, Need, usual};
pub use reboot::finish as finish_reboot;

/// Every case, sorted by name.
pub static CASES: &[Case] = &[
    Case {
        name: "a-bridge-network",
        title: "pods on the walkthrough's `a-bridge-network` reach each other and its gateway",
        tags: &["networks", "walkthrough"],
        needs: &[Need::Multus, Need::Network("a-bridge-network")],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(networks::walkthrough(ctx, "a-bridge-network")),
    },
    Case {
        name: "addresses",
        title: "no two pods in the cluster share an address, also when they start at the same moment, and no guest has a pod's",
        tags: &["default", "networks", "quick"],
        needs: &[],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(addresses::run(ctx)),
    },
    Case {
        name: "after-down",
        title: "after `kvnet down` the node still starts a plain pod",
        tags: &["down"],
        needs: &[Need::Down],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(after_down::run(ctx)),
    },
    Case {
        name: "attachments",
        title: "a pod on each network of the profile has its NIC: MAC, MTU, address and port as declared",
        tags: &["networks", "quick"],
        needs: &[Need::Multus, Need::AnyNetwork],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(networks::attachments(ctx)),
    },
    Case {
        name: "default-network",
        title: "pods on the default network have addresses and reach each other: ping, full packets, TCP, UDP",
        tags: &["default", "quick"],
        needs: &[],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(plain::run(ctx)),
    },
    Case {
        name: "dns",
        title: "a pod resolves the names of Services",
        tags: &["default", "quick"],
        needs: &[],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(names::run(ctx)),
    },
    Case {
        name: "flannel-network",
        title: "pods on the walkthrough's `flannel-network` have a second NIC on the pod network",
        tags: &["networks", "walkthrough"],
        needs: &[Need::Multus, Need::Network("flannel-network")],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(networks::walkthrough(ctx, "flannel-network")),
    },
    Case {
        name: "leaks",
        title: "20 pods with secondary NICs come and go without leaking ports or addresses",
        tags: &["networks", "slow"],
        needs: &[Need::Multus, Need::AnyNetwork, Need::OwnNode],
        alone: true,
        deadline: usual,
        run: |ctx| Box::pin(leaks::run(ctx)),
    },
    Case {
        name: "multus-restart",
        title: "Multus recovers from a restart while pods start, and the pods get their NICs, at a second start at the latest",
        tags: &["disruptive", "networks"],
        needs: &[Need::Multus, Need::AnyNetwork],
        alone: true,
        deadline: |profile| usual(profile) + Duration::from_secs(profile.timeouts.ready),
        run: |ctx| Box::pin(restart::run(ctx)),
    },
    Case {
        name: "reboot",
        title: "after a node reboot pods come back with their NICs and reach each other",
        tags: &["disruptive", "networks", "slow"],
        needs: &[Need::Multus, Need::Pairs, Need::OwnNode, Need::Reboot],
        alone: true,
        deadline: |profile| usual(profile) + Duration::from_secs(profile.timeouts.ready),
        run: |ctx| Box::pin(reboot::begin(ctx)),
    },
    Case {
        name: "same-network",
        title: "two pods on one network reach each other: ping, full packets, TCP, UDP",
        tags: &["networks", "quick", "reach"],
        needs: &[Need::Multus, Need::Pairs],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(networks::same_network(ctx)),
    },
    Case {
        name: "vlan-isolation",
        title: "pods on one VLAN reach each other, and no pod on another VLAN",
        tags: &["networks", "quick", "reach"],
        needs: &[Need::Multus, Need::Vlans],
        alone: false,
        deadline: usual,
        run: |ctx| Box::pin(networks::vlan_isolation(ctx)),
    },
    Case {
        name: "vmi",
        title: "a VM like the profile's starts, and its NICs work from outside and inside",
        tags: &["kubevirt", "slow"],
        needs: &[Need::KubeVirt],
        alone: false,
        deadline: |profile| usual(profile) + Duration::from_secs(profile.timeouts.vm),
        run: |ctx| Box::pin(vm::run(ctx)),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_fit_into_names_of_namespaces() {
        for pair in CASES.windows(2) {
            assert!(pair[0].name < pair[1].name, "{} comes before {}", pair[0].name, pair[1].name);
        }
        for case in CASES {
            let fits = |c: char| c.is_ascii_lowercase() || c == '-';
            assert!(case.name.len() <= 30 && case.name.chars().all(fits), "{}", case.name);
            assert!(case.tags.is_sorted() && !case.title.ends_with('.'), "{}", case.name);
        }
    }
}
