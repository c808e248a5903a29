//! The questions, in order. What was seen or answered decides which of them are asked.

use super::answers::{LAYER_2, NO, NONE, YES};
use super::file::{self, Found};
use super::id::{Id, Segment};
use super::question::{Item, Question};
use super::ranges;
use crate::components::kubevirt::KUBEVIRT;
use crate::components::{self, Component};
use crate::facts::survey::{Card, Presence};
use crate::profile::{self, Release};
use crate::support::{self, Part};
use crate::wizard::View;

/// The networks of the profile that the new one builds on.
pub const OF_BASE: &str = "base";
/// Networks or versions of the user's choice.
pub const OWN: &str = "own";
/// The versions of the base, with a `KubeVirt` that supports the cluster.
pub const FIT: &str = "fit";
/// Prints the profile instead of writing it.
pub const STANDARD_OUTPUT: &str = "-";
/// The minor version of Kubernetes that removed the APIs of 2018's manifests.
const WITHOUT_OLD_APIS: u32 = 16;

/// The first question without an answer.
pub fn next(view: &View<'_>) -> Option<Question> {
    all(view).into_iter().find(|question| view.answers.of(&question.id).is_none())
}

/// Every question that follows from the answers so far.
pub fn all(view: &View<'_>) -> Vec<Question> {
    let mut list = vec![base(view)];
    cluster(view, &mut list);
    networks(view, &mut list);
    machines(view, &mut list);
    versions(view, &mut list);
    ending(view, &mut list);
    list
}

fn base(view: &View<'_>) -> Question {
    let items = profile::shipped().iter().map(|known| Item::new(known.name, known.description)).collect();
    let version = view.survey.cluster.version.as_deref().and_then(Release::parse);
    let is_old = version.is_some_and(|version| version.major == 1 && version.minor < WITHOUT_OLD_APIS);
    let default = if is_old { "walkthrough-2018" } else { "default" };
    let help = "Your profile only holds what differs from this one.";
    Question::choice(Id::Base, "Base profile", help, items, view.base_name.unwrap_or(default))
}

fn cluster(view: &View<'_>, list: &mut Vec<Question>) {
    let seen = &view.survey.cluster;
    let has_kubeadm = view.survey.tools.contains(&("kubeadm", true));
    if seen.presence == Presence::Absent && has_kubeadm {
        let help = "This node has no cluster. kvnet can run `kubeadm init` as its first step.";
        let labels = ["create one with `kubeadm init`", "create it myself, or use another kubeconfig"];
        let default = view.survey.facts.root;
        list.push(Question::yes_no(Id::CreateCluster, "Create a cluster", help, labels, default));
    }
    if seen.pod_subnet.is_none() {
        let help = match view.answers.of(&Id::CreateCluster) {
            Some(YES) => "Pods of the new cluster get their addresses from it.",
            _ => "Must be the cluster's own range, which could not be detected.",
        };
        list.push(Question::text(Id::PodSubnet, "Pod address range", help, ranges::pods(view)));
    }
    if let Some(other) = view.survey.other_pod_network() {
        let help = format!("{other} already provides a pod network on this node; two of them conflict.");
        let labels = ["install flannel anyway", "leave the pod network as it is"];
        list.push(Question::yes_no(Id::Flannel, "Install flannel", help, labels, false));
    }
}

fn networks(view: &View<'_>, list: &mut Vec<Question>) {
    let answers = view.answers;
    list.push(which_networks(view));
    let is_own = answers.is(&Id::Networks, OWN);
    if is_own {
        let help = "Open vSwitch bridges, separated by commas; existing ones are kept.";
        list.push(Question::text(Id::Bridges, "Bridges", help, proposed_bridge(view)));
    }
    for bridge in view.bridges() {
        list.extend(uplink(view, &bridge));
        if is_own {
            let title = format!("VLANs of {bridge}");
            let help = "Each becomes an isolated network: numbers separated by commas, or `none`.";
            list.push(Question::text(Id::Vlans(bridge), &title, help, NONE));
        }
    }
    if is_own {
        list.extend(answers.segments().into_iter().map(|segment| range(view, segment)));
    }
}

fn which_networks(view: &View<'_>) -> Question {
    let base = &view.base;
    let names: Vec<&str> = base.networks.iter().map(|network| network.name.as_str()).collect();
    let items = vec![
        Item::new(OF_BASE, format!("those of `{}`: {}", base.name, names.join(", "))),
        Item::new(OWN, "my own bridges, VLANs and address ranges"),
        Item::new(NONE, "none besides the pod network"),
    ];
    // Pods could not reach what the node reaches in such a range.
    let collides = ranges::of(base).iter().any(|range| ranges::overlaps_any(range, &view.survey.subnets));
    let default = if collides { OWN } else { OF_BASE };
    let help = "What pods and VMs can request in addition to their NIC on the pod network.";
    Question::choice(Id::Networks, "Networks", help, items, default)
}

/// A name that is free in the base and on the node.
fn proposed_bridge(view: &View<'_>) -> String {
    let is_free = |name: &&&str| !view.survey.links.iter().any(|link| link == **name);
    ["red", "green", "violet"].iter().find(is_free).copied().unwrap_or("kvnet-red").to_owned()
}

/// None when there is no NIC to choose: the bridge then connects what runs on the node.
fn uplink(view: &View<'_>, bridge: &str) -> Option<Question> {
    let help = "A free NIC connects the bridge to a physical network; without one it stays on the node.";
    let (id, title) = (Id::Uplink(bridge.into()), format!("Uplink of {bridge}"));
    let base = view.base.ovs.bridges.iter().find(|known| known.name == bridge);
    let default = base.and_then(|bridge| bridge.uplink.as_deref()).unwrap_or(NONE);
    if !view.survey.saw_cards {
        let help = format!("{help} Its name, or `none`.");
        return Some(Question::text(id, &title, help, default));
    }
    if view.survey.cards.is_empty() {
        return None;
    }
    let none = Item::new(NONE, "only what runs on this node");
    let cards = view.survey.cards.iter().map(|card| card_item(card, bridge));
    let items = std::iter::once(none).chain(cards).collect();
    Some(Question::choice(id, &title, help, items, NONE).proposing(default))
}

fn card_item(card: &Card, bridge: &str) -> Item {
    let name = &card.link.name;
    let state = if card.link.up { "up" } else { "down" };
    let other = card.bridge.as_deref().filter(|other| *other != bridge);
    let (label, refused) = match (&card.busy, other, &card.bridge) {
        (Some(busy), _, _) => {
            let who = if card.routed { "carries this node" } else { "in use" };
            let reason = format!("{name} {busy}: as an uplink it would cut this node off");
            (format!("{who}: {busy}"), Some(reason))
        }
        (None, Some(other), _) => {
            let reason = format!("{name} is the uplink of bridge {other}");
            (format!("on bridge {other}"), Some(reason))
        }
        (None, None, Some(_)) => (format!("{state}, on this bridge already"), None),
        (None, None, None) => (format!("{state}, free"), None),
    };
    Item { value: name.clone(), label, refused }
}

fn range(view: &View<'_>, segment: Segment) -> Question {
    let title = match segment.vlan {
        Some(vlan) => format!("Addresses of VLAN {vlan} of {}", segment.bridge),
        None => format!("Addresses of {}, untagged", segment.bridge),
    };
    // A physical network assigns addresses in its own way.
    let default = match view.answers.uplink(&segment.bridge) {
        Some(_) => LAYER_2.to_owned(),
        None => ranges::proposed(view, &segment),
    };
    let help = "A range that pods get addresses from, or `l2`: layer 2 only, pods set their own.";
    Question::text(Id::Range(segment), &title, help, default)
}

fn machines(view: &View<'_>, list: &mut Vec<Question>) {
    let answers = view.answers;
    let help = "Runs virtual machines in pods.";
    let labels = ["install it", "leave it out"];
    list.push(Question::yes_no(Id::KubeVirt, "KubeVirt", help, labels, view.base.kubevirt.enabled));
    if !answers.is(&Id::KubeVirt, YES) {
        return;
    }
    let has_kvm = if view.survey.facts.kvm { "This node has KVM." } else { "This node has no usable KVM." };
    let items = vec![
        Item::new("auto", "where a node has no KVM"),
        Item::new("on", "always: slow, works everywhere"),
        Item::new("off", "never: VMs need KVM"),
    ];
    let help = format!("{has_kvm} Emulation runs VMs without it, in software.");
    list.push(Question::choice(Id::Emulation, "Emulation", help, items, "auto"));
    let help = "A small one that shows that everything works; it is verified and can be removed.";
    let labels = ["create one", "do not create one"];
    list.push(Question::yes_no(Id::Vm, "Sample VM", help, labels, view.base.vm.enabled));
    if answers.is(&Id::Vm, YES) && answers.is(&Id::Networks, OWN) {
        list.push(vm_network(view));
    }
}

fn vm_network(view: &View<'_>) -> Question {
    let segments = view.answers.segments();
    let label = |segment: &Segment| match view.answers.range(segment) {
        Some(range) => format!("addresses of {range}"),
        None => "layer 2 only".into(),
    };
    let items: Vec<Item> =
        segments.iter().map(|segment| Item::new(segment.network(), label(segment))).collect();
    // A guest configures itself; on a network with addresses it gets its pod's by DHCP.
    let plain = segments.iter().find(|segment| view.answers.range(segment).is_none()).or(segments.first());
    let default = plain.map(Segment::network).unwrap_or_default();
    let help = "Its first NIC is on the pod network.";
    Question::choice(Id::VmNetwork, "Second NIC of the VM", help, items, &default)
}

/// The release of `KubeVirt` to use when the base's does not support the cluster's Kubernetes.
pub fn fitting_kubevirt(view: &View<'_>) -> Option<String> {
    let kubernetes = view.survey.cluster.version.as_deref()?;
    support::kubevirt_on(&view.base.kubevirt.version, kubernetes)?;
    support::newest_kubevirt(kubernetes)
}

fn versions(view: &View<'_>, list: &mut Vec<Question>) {
    let installs_kubevirt = view.answers.is(&Id::KubeVirt, YES);
    let wanted = |component: &Component| {
        if *component == KUBEVIRT { installs_kubevirt } else { (component.is_used)(&view.base) }
    };
    let all = components::releases().filter(|(component, _)| wanted(component));
    let all: Vec<_> = all.map(|(_, release)| (release, (release.version)(&view.base))).collect();
    let named: Vec<String> =
        all.iter().map(|(release, version)| format!("{} {}", release.part.name(), short(version))).collect();
    let mut items = vec![Item::new(OF_BASE, named.join(", ")), Item::new(OWN, "others, asked one by one")];
    let fitting = fitting_kubevirt(view).filter(|_| installs_kubevirt);
    if let Some(fitting) = &fitting {
        items.insert(0, Item::new(FIT, format!("these, but KubeVirt {fitting}, made for this Kubernetes")));
    }
    let default = if fitting.is_some() { FIT } else { OF_BASE };
    let help = "Those of the base profile were tested together.";
    list.push(Question::choice(Id::Versions, "Versions", help, items, default));
    if view.answers.is(&Id::Versions, OWN) {
        list.extend(all.into_iter().map(|(release, version)| {
            let default = fitting.as_deref().filter(|_| release.part == Part::KubeVirt).unwrap_or(version);
            let title = format!("Version of {}", release.part.name());
            Question::text(Id::Version(release.question), &title, "A release, such as v1.2.3.", default)
        }));
    }
}

/// A short commit hash.
fn short(version: &str) -> &str {
    version.get(..12).filter(|_| version.len() == 40).unwrap_or(version)
}

fn ending(view: &View<'_>, list: &mut Vec<Question>) {
    if !view.writes {
        return;
    }
    let help = "Where to write the profile, such as kvnet.yaml; `-` prints it instead.";
    list.push(Question::text(Id::File, "File", help, "kvnet.yaml"));
    let Some(path) = view.answers.of(&Id::File).filter(|path| *path != STANDARD_OUTPUT) else { return };
    if matches!(file::look(path), Found::File) {
        let help = format!("{path} already exists.");
        let labels = ["replace it", "keep it and choose another name"];
        list.push(Question::yes_no(Id::Overwrite, "Replace the file", help, labels, false));
    }
    let up = if view.sandbox { "in the sandbox" } else { "which asks again" };
    let labels = [format!("write it, then `kvnet up` {up}"), "write it, nothing else".to_owned()];
    let help = format!("{path} is not written yet, and nothing was changed.");
    let [yes, no] = [labels[0].as_str(), labels[1].as_str()];
    list.push(Question::yes_no(Id::Run, "Ready", help, [yes, no], false));
}

/// Whether an answer keeps an existing file: then the file is asked for again.
pub fn keeps_file(id: &Id, answer: &str) -> bool {
    *id == Id::Overwrite && answer == NO
}
