//! How to get a missing plugin.

use super::RELEASED_PLUGINS;

/// Plugins that no release of containernetworking/plugins has, by the beginning of their names, and what installs them.
const BROUGHT: [(&str, &str); 23] = [
    ("whereabouts", "the DaemonSet of whereabouts (`kvnet up` with `whereabouts.enabled: true`)"),
    ("ovs", "the DaemonSet of ovs-cni (`kvnet up --only ovs-cni`)"),
    ("multus", "the DaemonSet of Multus (`kvnet up --only multus`)"),
    ("passthru", "the DaemonSet of Multus (`kvnet up --only multus`)"),
    ("sriov", "the DaemonSet of sriov-cni"),
    ("ib-sriov", "the DaemonSet of ib-sriov-cni"),
    ("accelerated-bridge", "the DaemonSet of accelerated-bridge-cni"),
    ("rdma", "the DaemonSet of rdma-cni"),
    ("bond", "the installation of bond-cni"),
    ("route-override", "the installation of route-override-cni"),
    ("macvtap", "the DaemonSet of macvtap-cni"),
    ("cnv-", "the DaemonSet of bridge-marker or the cluster-network-addons-operator"),
    ("kubevirt-", "KubeVirt's network binding plugin of that name"),
    ("calico", "the DaemonSet of Calico"),
    ("cilium", "the DaemonSet of Cilium"),
    ("kube-ovn", "the DaemonSet of Kube-OVN"),
    ("ovn-k8s", "the DaemonSet of OVN-Kubernetes"),
    ("weave", "the DaemonSet of Weave Net"),
    ("antrea", "the DaemonSet of Antrea"),
    ("kuberouter", "the DaemonSet of kube-router"),
    ("aws-cni", "the DaemonSet of the cloud's own network"),
    ("azure-", "the DaemonSet of the cloud's own network"),
    ("genie", "the DaemonSet of CNI-Genie"),
];

/// What to do about missing plugins, one sentence for each source.
pub fn where_from(missing: &[String], directories: &str) -> Vec<String> {
    let mut told = Vec::new();
    let is_released = |kind: &&String| RELEASED_PLUGINS.contains(&kind.as_str());
    let (released, foreign): (Vec<&String>, Vec<&String>) = missing.iter().partition(is_released);
    let (flannel, foreign): (Vec<&String>, Vec<&String>) =
        foreign.into_iter().partition(|kind| *kind == "flannel");
    if !released.is_empty() {
        told.push(format!(
            "unpack a release of https://github.com/containernetworking/plugins into {directories}, \
             or point the runtime to the directory that has {}",
            shown(&released)
        ));
    }
    if !flannel.is_empty() {
        told.push(
            "flannel's pod copies `flannel` to the node when it starts (`kvnet up --only flannel`)".into(),
        );
    }
    if !foreign.is_empty() {
        let brought: Vec<String> = foreign.iter().filter_map(|kind| brought(kind)).collect();
        let by = if brought.len() == foreign.len() {
            brought.join(", ")
        } else {
            "install what provides it".into()
        };
        told.push(format!("no release of containernetworking/plugins has {}: {by}", shown(&foreign)));
    }
    told
}

/// Known IPAM plugins: they create no NIC.
const ADDRESS_PLUGINS: [&str; 4] = ["dhcp", "host-local", "static", "whereabouts"];

/// Whether it is an IPAM plugin.
pub fn is_address_plugin(kind: &str) -> bool {
    ADDRESS_PLUGINS.contains(&kind)
}

/// The plugin that a name means that differs only in case, `-` and `_`: no file has that name.
pub fn misspelt(kind: &str) -> Option<&'static str> {
    known().find(|known| *known != kind && plain(known) == plain(kind))
}

/// The plugin that an unknown name may mean.
pub fn nearest(kind: &str) -> Option<&'static str> {
    if let Some(meant) = without_suffix(kind) {
        return Some(meant);
    }
    let is_known = known().any(|known| known == kind) || brought(kind).is_some();
    let word = plain(kind);
    let near = |known: &&str| strsim::osa_distance(&word, &plain(known)) <= (known.len() / 4).max(1);
    known().find(near).filter(|_| !is_known && (3..=20).contains(&kind.len()))
}

/// What installs a plugin that no component of kvnet has; none for one of a release.
pub fn brought_by_others(kind: &str) -> Option<String> {
    let told = brought(kind).unwrap_or_else(|| format!("no component of kvnet provides `{kind}`"));
    (!RELEASED_PLUGINS.contains(&kind)).then_some(told)
}

/// The plugin of a project by the project's name, such as `ovs-cni`: its program is `ovs`.
fn without_suffix(kind: &str) -> Option<&'static str> {
    let short = kind.strip_suffix("-cni")?;
    known().find(|known| *known == short)
}

fn known() -> impl Iterator<Item = &'static str> {
    RELEASED_PLUGINS.into_iter().chain(["flannel", "ovs", "passthru", "sriov", "whereabouts"])
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// Whether no known release has it.
pub fn is_foreign(kind: &str) -> bool {
    kind != "flannel" && !RELEASED_PLUGINS.contains(&kind)
}

fn brought(kind: &str) -> Option<String> {
    if let Some(meant) = without_suffix(kind) {
        return Some(format!("`{kind}` is not a plugin; did you mean `{meant}`?"));
    }
    let (_, by) = BROUGHT.iter().find(|(begin, _)| kind.starts_with(begin))?;
    Some(format!("`{kind}` is provided by {by}"))
}

fn shown(kinds: &[&String]) -> String {
    kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(missing: &[&str]) -> String {
        let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
        where_from(&missing, "/opt/cni/bin").join("; ")
    }

    #[test]
    fn a_plugin_that_no_release_has_is_not_looked_for_in_one() {
        for kind in ["whereabouts", "sriov", "ovs", "multus-shim", "calico-ipam", "cilium-cni", "my-own"] {
            let told = hints(&[kind]);
            assert!(told.contains(&format!("has {kind}:")) && !told.contains("unpack"), "{told}");
        }
        assert!(hints(&["whereabouts"]).contains("is provided by the DaemonSet of whereabouts"));
        assert!(hints(&["my-own"]).contains("install what provides it"));
        assert!(!hints(&["flannel"]).contains("unpack"));
        for kind in ["macvlan", "host-local", "sbr"] {
            let told = hints(&[kind]);
            assert!(told.contains("unpack") && !told.contains("no release"), "{told}");
        }
        assert_eq!(nearest("ovs-cni"), Some("ovs"));
        let project = hints(&["ovs-cni"]);
        assert!(project.contains("did you mean `ovs`?") && !project.contains("--only"), "{project}");
        let both = hints(&["macvlan", "whereabouts"]);
        assert!(both.contains("that has macvlan") && both.contains("has whereabouts:"), "{both}");
    }
}
