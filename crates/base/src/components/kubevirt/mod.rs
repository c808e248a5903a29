//! KubeVirt: its operator, or everything of it before v0.12.0, and the resource that tells the operator what to run.

mod cr;
pub mod gates;
mod images;
mod version;

use serde::Serialize;
use serde_json::Value;

use super::edit::namespace_of;
use super::{Component, Custom, Derived, Release, RenderFacts, Traces, Workloads, objects_of};
use crate::error::{Error, Result, code};
use crate::facts::Facts;
use crate::profile::Profile;
use crate::support::Part;

pub use cr::KUBEVIRT_CR;
pub(super) use version::Version;

/// The operator of KubeVirt, or everything of it before v0.12.0.
pub static KUBEVIRT: Component = Component {
    id: "kubevirt",
    step: "kubevirt",
    section: "kubevirt",
    is_used: |profile| profile.kubevirt.enabled,
    render: |_, _, _| {
        let message = "KubeVirt has no embedded manifest: its release is one generated file";
        Err(Error::new(&code::PROFILE_VALUE, message)
            .at("kubevirt.source.from")
            .hint("use `upstream` or `file`"))
    },
    traces,
    workloads: WORKLOADS,
    derived: Some(Derived { images: images::derived, pin: images::pin }),
    release: Some(Release {
        part: Part::KubeVirt,
        purpose: "virtual machines in pods",
        question: "kubevirt-version",
        field: "kubevirt.version",
        version: |profile| &profile.kubevirt.version,
        image: "virt-",
        manifest: Some(Custom {
            source: |profile| &profile.kubevirt.source,
            address,
            // Its manifests are not files of its repository but release assets without published digests.
            known: &[],
            repository: "/kubevirt/",
            stand_in,
            refuse,
            adapt: |_, _| Ok(()),
        }),
    }),
};

const WORKLOADS: Workloads = Workloads {
    namespace: |profile| &profile.kubevirt.namespace,
    names: &["virt-"],
    group: "kubevirt.io",
    daemon: "",
    selector: "",
    plugins: &[],
    is_needed_by: |_| false,
};

/// What virt-handler leaves on every node: sockets, links to pods, its findings about the CPU.
const LEFT_ON_NODE: [&str; 4] = [
    "/run/kubevirt",
    "/run/kubevirt-private",
    "/run/kubevirt-libvirt-runtimes",
    "/var/lib/kubevirt-node-labeller",
];
/// Its sockets in the kubelet's directory, which a terminated virt-handler does not always remove.
pub const SOCKETS: [&str; 3] = ["kubevirt-kvm.sock", "kubevirt-tun.sock", "kubevirt-vhost-net.sock"];
/// The kubelet's directory with the sockets of device plugins.
pub const DEVICE_PLUGINS: &str = "/var/lib/kubelet/device-plugins";

/// The kinds of KubeVirt v0.8.0: plural, singular and short name.
const DEFINITIONS: [[&str; 4]; 4] = [
    ["VirtualMachine", "virtualmachines", "virtualmachine", "vm"],
    ["VirtualMachineInstance", "virtualmachineinstances", "virtualmachineinstance", "vmi"],
    [
        "VirtualMachineInstanceReplicaSet",
        "virtualmachineinstancereplicasets",
        "virtualmachineinstancereplicaset",
        "vmirs",
    ],
    [
        "VirtualMachineInstancePreset",
        "virtualmachineinstancepresets",
        "virtualmachineinstancepreset",
        "vmipreset",
    ],
];

/// The release that a profile wants.
pub(super) fn version(profile: &Profile) -> Result<Version> {
    profile
        .kubevirt
        .version
        .parse()
        .map_err(|reason: String| Error::new(&code::PROFILE_VALUE, reason).at("kubevirt.version"))
}

fn address(profile: &Profile) -> String {
    let version = &profile.kubevirt.version;
    format!("https://github.com/kubevirt/kubevirt/releases/download/{version}/kubevirt-operator.yaml")
}

fn traces(_: &Profile, _: &Facts) -> Traces {
    let sockets = SOCKETS.map(|socket| format!("{DEVICE_PLUGINS}/{socket}").into());
    Traces { files: sockets.into(), trees: LEFT_ON_NODE.map(Into::into).into(), ..Traces::default() }
}

#[derive(Serialize)]
struct StandIn<'a> {
    version: &'a str,
    namespace: &'a str,
    definitions: Vec<Definition>,
}

#[derive(Serialize)]
struct Definition {
    kind: &'static str,
    plural: &'static str,
    singular: &'static str,
    short: &'static str,
}

fn stand_in(profile: &Profile, _: &Facts, _: RenderFacts) -> Result<Vec<Value>> {
    let has_operator = profile.kubevirt.version.parse().is_ok_and(Version::has_operator);
    let template =
        if has_operator { "sandbox/kubevirt-operator.yaml.tera" } else { "sandbox/kubevirt-2018.yaml.tera" };
    let definitions =
        DEFINITIONS.map(|[kind, plural, singular, short]| Definition { kind, plural, singular, short });
    let values = StandIn {
        version: &profile.kubevirt.version,
        namespace: &profile.kubevirt.namespace,
        definitions: definitions.into(),
    };
    objects_of(&[template], &values)
}

/// KubeVirt's own resource must be where its operator is.
fn refuse(profile: &Profile, objects: &[Value]) -> Result<()> {
    let there = namespace_of(objects);
    let wanted = profile.kubevirt.namespace.as_str();
    match there.filter(|there| *there != wanted) {
        None => Ok(()),
        Some(there) => Err(Error::new(
            &code::PROFILE_VALUE,
            format!("`kubevirt.namespace` is `{wanted}`, but the manifest's workloads are in `{there}`"),
        )
        .at(profile.place_of("kubevirt.namespace"))
        .hint(format!("write `namespace: {there}`"))),
    }
}
