//! The names of the questions: in an answers file, in messages, and as flags.

use std::fmt;

use crate::components;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Id {
    /// The profile that the new one extends.
    Base,
    /// Whether kvnet creates the cluster.
    CreateCluster,
    /// The pods' address range.
    PodSubnet,
    /// Whether kvnet installs flannel beside another pod network.
    Flannel,
    /// Which networks to create.
    Networks,
    Bridges,
    /// The uplink of a bridge.
    Uplink(String),
    /// The VLANs of a bridge.
    Vlans(String),
    /// The addresses of a network.
    Range(Segment),
    /// Whether kvnet installs `KubeVirt`.
    KubeVirt,
    /// Software emulation.
    Emulation,
    /// Whether to create a sample VM.
    Vm,
    /// The network of its second NIC.
    VmNetwork,
    Versions,
    /// A component's, by the name of the question.
    Version(&'static str),
    /// Where to write the profile.
    File,
    /// Whether to replace a file.
    Overwrite,
    /// Whether to run `up` with it.
    Run,
}

/// The untagged traffic of a bridge, or one of its VLANs: the scope of one network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Segment {
    pub bridge: String,
    /// The VLAN; none for untagged traffic.
    pub vlan: Option<u16>,
}

/// The names of questions that are asked once.
const SIMPLE: [(&str, Id); 14] = [
    ("base", Id::Base),
    ("create-cluster", Id::CreateCluster),
    ("pod-subnet", Id::PodSubnet),
    ("flannel", Id::Flannel),
    ("networks", Id::Networks),
    ("bridges", Id::Bridges),
    ("kubevirt", Id::KubeVirt),
    ("emulation", Id::Emulation),
    ("vm", Id::Vm),
    ("vm-network", Id::VmNetwork),
    ("versions", Id::Versions),
    ("file", Id::File),
    ("overwrite", Id::Overwrite),
    ("run", Id::Run),
];
/// The names of questions that are asked for each bridge or network.
const REPEATED: [&str; 3] = ["uplink", "vlans", "range"];

impl Id {
    /// The question's name.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Uplink(_) => REPEATED[0],
            Self::Vlans(_) => REPEATED[1],
            Self::Range(_) => REPEATED[2],
            Self::Version(question) => question,
            simple => SIMPLE.iter().find(|(_, id)| id == simple).map_or("", |(name, _)| name),
        }
    }

    /// The subject of a question that is asked more than once.
    pub fn key(&self) -> Option<String> {
        match self {
            Self::Uplink(bridge) | Self::Vlans(bridge) => Some(bridge.clone()),
            Self::Range(segment) => Some(segment.to_string()),
            _ => None,
        }
    }

    /// The question of a name, with its key when it has one.
    pub fn of(name: &str, key: Option<&str>) -> Option<Self> {
        match (name, key) {
            ("uplink", Some(bridge)) => Some(Self::Uplink(bridge.into())),
            ("vlans", Some(bridge)) => Some(Self::Vlans(bridge.into())),
            ("range", Some(segment)) => Some(Self::Range(Segment::parse(segment)?)),
            (name, None) => {
                let simple = SIMPLE.iter().find(|(known, _)| *known == name).map(|(_, id)| id.clone());
                simple.or_else(|| versions().find(|known| *known == name).map(Self::Version))
            }
            _ => None,
        }
    }

    /// Every name that an answers file can have.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SIMPLE.iter().map(|(name, _)| *name).chain(versions()).chain(REPEATED)
    }
}

/// The questions about the components' versions.
fn versions() -> impl Iterator<Item = &'static str> {
    components::releases().map(|(_, release)| release.question)
}

impl fmt::Display for Id {
    /// The flag that answers the question.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{}", self.name())?;
        match self.key() {
            Some(key) => write!(f, " {key}=…"),
            None => Ok(()),
        }
    }
}

impl Segment {
    /// Reads `BRIDGE` or `BRIDGE:VLAN`.
    pub fn parse(text: &str) -> Option<Self> {
        match text.rsplit_once(':') {
            Some((bridge, vlan)) => Some(Self { bridge: bridge.into(), vlan: Some(vlan.parse().ok()?) }),
            None => Some(Self { bridge: text.into(), vlan: None }),
        }
    }

    /// The name of the network, after the shipped profiles: characters that a bridge may have and a network may not are
    /// replaced.
    pub fn network(&self) -> String {
        let allowed = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
        let bridge: String = self.bridge.chars().map(allowed).collect();
        let vlan = self.vlan.map(|vlan| vlan.to_string()).unwrap_or_default();
        format!("ovs-{bridge}{vlan}").trim_end_matches('-').to_owned()
    }
}

impl fmt::Display for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.bridge)?;
        match self.vlan {
            Some(vlan) => write!(f, ":{vlan}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_to_its_question_and_back() {
        for name in Id::names() {
            let key = REPEATED.contains(&name).then_some("red");
            let id = Id::of(name, key).unwrap();
            assert_eq!((id.name(), id.key().as_deref()), (name, key));
        }
        assert_eq!((Id::of("uplnik", None), Id::of("file", Some("x"))), (None, None));
        assert_eq!(Id::of("range", Some("red:many")), None);
        assert_eq!(Id::of("range", Some("red:100")).unwrap().to_string(), "--range red:100=…");
    }

    #[test]
    fn a_network_has_a_name_that_kubernetes_accepts() {
        for (bridge, vlan, name) in
            [("red", None, "ovs-red"), ("Red_1", Some(100), "ovs-red-1100"), ("a.b-", None, "ovs-a-b")]
        {
            assert_eq!(Segment { bridge: bridge.into(), vlan }.network(), name);
        }
    }
}
