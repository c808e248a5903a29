//! From answers to values of a profile.

use serde_json::{Map, Value, json};

use super::View;
use super::answers::{LAYER_2, NO, NONE, YES};
use super::id::{Id, Segment};
use super::questions::{self, FIT, OWN};
use crate::components::{self, kubevirt::KUBEVIRT};
use crate::error::Result;
use crate::profile::{self, Loaded, Network, NetworkKind, Profile};

/// A value of a profile.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// Its path, as `--set` takes it.
    pub path: &'static str,
    pub value: Value,
}

/// The values that follow from the answers so far, in the order of a profile, including those that the base has anyway.
pub fn of(view: &View<'_>) -> Vec<Setting> {
    let answers = view.answers;
    let mut list = Settings::default();
    list.when(answers.is(&Id::CreateCluster, YES), "cluster.init.enabled", || true.into());
    list.add("cluster.podSubnet", view.pod_subnet());
    let other = view.survey.other_pod_network().filter(|_| answers.is(&Id::Flannel, NO));
    list.when(other.is_some(), "flannel.enabled", || false.into());
    let none = answers.is(&Id::Networks, NONE);
    list.when(none, "multus.enabled", || false.into());
    list.add_some("multus.masterCni", other.map(str::to_owned));
    list.when(none, "ovs.enabled", || false.into());
    list.add_some("ovs.bridges", bridges(view));
    list.when(none, "ovsCni.enabled", || false.into());
    list.add_some("networks", networks(view, other.is_some()));
    list.when(answers.is(&Id::KubeVirt, NO), "kubevirt.enabled", || false.into());
    list.add_some("kubevirt.emulation", answers.of(&Id::Emulation).map(str::to_owned));
    let has_vm = !answers.is(&Id::KubeVirt, NO) && !answers.is(&Id::Vm, NO);
    list.when(!has_vm, "vm.enabled", || false.into());
    list.add_some("vm.interfaces", vm_interfaces(view).filter(|_| has_vm));
    list.add_versions(view);
    list.0
}

/// The profile that follows from the answers so far, by `--set` on top of the base.
///
/// # Errors
/// As [`profile::load_text`]: an invalid answer is refused by the rules of every profile.
pub fn resolve(view: &View<'_>, settings: &[Setting], origin: &str) -> Result<Loaded> {
    let written = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let sets: Vec<String> =
        settings.iter().map(|setting| format!("{}={}", setting.path, written(&setting.value))).collect();
    profile::load_text(&format!("extends: {}\n", view.base_reference()), origin, &sets)
}

#[derive(Default)]
struct Settings(Vec<Setting>);

impl Settings {
    fn add(&mut self, path: &'static str, value: impl Into<Value>) {
        self.0.push(Setting { path, value: value.into() });
    }

    fn when(&mut self, condition: bool, path: &'static str, value: impl Fn() -> Value) {
        if condition {
            self.add(path, value());
        }
    }

    /// Adds the components' versions, each where its section begins or after `enabled`.
    fn add_versions(&mut self, view: &View<'_>) {
        let answers = view.answers;
        for (component, release) in components::releases() {
            let own = answers.of(&Id::Version(release.question)).filter(|_| answers.is(&Id::Versions, OWN));
            let fits = *component == KUBEVIRT && answers.is(&Id::Versions, FIT);
            let fitting = || questions::fitting_kubevirt(view).filter(|_| fits);
            let Some(version) = own.map(str::to_owned).or_else(fitting) else { continue };
            let setting = Setting { path: release.field, value: version.into() };
            self.0.insert(self.place_of(component.section), setting);
        }
    }

    /// Where the version of a section belongs, in the order of a profile.
    fn place_of(&self, section: &str) -> usize {
        let sections = serde_json::to_value(Profile::default()).unwrap_or_default();
        let order = |section: &str| sections.as_object()?.keys().position(|known| known == section);
        let is_before = |setting: &Setting| {
            let (of, field) = setting.path.split_once('.').unwrap_or((setting.path, ""));
            order(of) < order(section) || (of == section && field == "enabled")
        };
        self.0.iter().rposition(is_before).map_or(0, |last| last + 1)
    }

    fn add_some(&mut self, path: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(path, value);
        }
    }
}

fn bridges(view: &View<'_>) -> Option<Value> {
    match view.answers.of(&Id::Networks)? {
        NONE => Some(json!([])),
        OWN => Some(view.answers.bridges().iter().map(|name| bridge(view, name)).collect()),
        _ => {
            let mut bridges = serde_json::to_value(&view.base.ovs.bridges).ok()?;
            for bridge in bridges.as_array_mut()? {
                let name = bridge["name"].as_str().unwrap_or_default().to_owned();
                if let Some(uplink) = view.answers.uplink(&name) {
                    bridge["uplink"] = uplink.into();
                }
                without_defaults(bridge);
            }
            Some(bridges)
        }
    }
}

fn bridge(view: &View<'_>, name: &str) -> Value {
    match view.answers.uplink(name) {
        Some(uplink) => json!({"name": name, "uplink": uplink}),
        None => json!({"name": name}),
    }
}

fn networks(view: &View<'_>, without_flannel: bool) -> Option<Value> {
    match view.answers.of(&Id::Networks) {
        Some(NONE) => Some(json!([])),
        Some(OWN) => Some(view.answers.segments().iter().map(|segment| network(view, segment)).collect()),
        _ if without_flannel => {
            let is_flannel = |network: &&Network| matches!(network.kind, NetworkKind::Flannel { .. });
            let kept: Vec<&Network> =
                view.base.networks.iter().filter(|network| !is_flannel(network)).collect();
            let mut kept = serde_json::to_value(kept).ok()?;
            kept.as_array_mut()?.iter_mut().for_each(without_defaults);
            Some(kept)
        }
        _ => None,
    }
}

fn network(view: &View<'_>, segment: &Segment) -> Value {
    let mut network = json!({"name": segment.network(), "kind": "ovs", "bridge": segment.bridge});
    if let Some(vlan) = segment.vlan {
        network["vlan"] = vlan.into();
    }
    let answer = view.answers.of(&Id::Range(segment.clone())).filter(|answer| *answer != LAYER_2);
    if let Some(range) = answer {
        network["ipam"] = json!({"subnet": range});
    }
    network
}

/// The base's NIC on the pod network, and one on the network that was chosen. Until then only the first, because those
/// of the base may name networks that no longer exist.
fn vm_interfaces(view: &View<'_>) -> Option<Value> {
    let networks = view.answers.of(&Id::Networks).filter(|networks| *networks != questions::OF_BASE)?;
    let mut kept = view.base.vm.interfaces.clone();
    kept.retain(|nic| nic.network == "pod");
    let mut list = serde_json::to_value(kept).ok()?;
    let chosen = view.answers.of(&Id::VmNetwork).filter(|_| networks == OWN);
    if let Some(network) = chosen {
        let name = network.strip_prefix("ovs-").unwrap_or(network);
        list.as_array_mut()?.push(json!({"name": name, "network": network, "binding": "bridge"}));
    }
    Some(list)
}

/// Leaves out a profile's defaults.
fn without_defaults(item: &mut Value) {
    let is_default = |key: &str, value: &Value| match key {
        "namespace" => value == "default",
        "cniVersion" => value == "0.3.1",
        "isGateway" => value == false,
        _ => value.is_null() || *value == json!([]) || *value == json!({}),
    };
    if let Some(map) = item.as_object_mut() {
        let kept: Map<String, Value> =
            std::mem::take(map).into_iter().filter(|(key, value)| !is_default(key, value)).collect();
        *map = kept;
    }
}

pub fn value_at(profile: &Profile, path: &str) -> Value {
    let json = serde_json::to_value(profile).unwrap_or_default();
    json.pointer(&format!("/{}", path.replace('.', "/"))).cloned().unwrap_or_default()
}
