//! Whether two ports on one bridge are configured to reach each other.

use crate::formats::cni::Port;
use crate::trace::target::Attachment;

/// The path between two ports, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// Frames pass; the sender tags them with this VLAN.
    Open(Option<u16>),
    /// The ports are isolated, and why.
    Apart(String),
}

/// The path from one attachment to another on the same bridge.
pub fn way(from: &Attachment, to: &Attachment) -> Way {
    let (Some(from), Some(to)) = (from.port(), to.port()) else { return Way::Open(None) };
    let apart = || Way::Apart(format!("one is {from}, the other {to}"));
    let tag = |vlan: u16| Way::Open(Some(vlan).filter(|vlan| *vlan != 0));
    match (from.trunks.as_slice(), to.trunks.as_slice()) {
        ([], []) if from.vlan == to.vlan => Way::Open(None),
        ([], []) => apart(),
        (_, []) => common(&from, &to).map_or_else(apart, tag),
        // An access port sends untagged.
        ([], _) => match (from.vlan, common(&to, &from)) {
            (_, None) => apart(),
            (Some(_), Some(_)) => Way::Open(None),
            (None, Some(vlan)) => tag(vlan),
        },
        (ours, theirs) => {
            ours.iter().find(|vlan| theirs.contains(vlan)).map_or_else(apart, |vlan| tag(*vlan))
        }
    }
}

/// A VLAN of the trunk that an access port carries: its own, or any when it is untagged.
fn common(trunk: &Port, other: &Port) -> Option<u16> {
    match other.vlan {
        None => trunk.trunks.first().copied(),
        Some(vlan) => trunk.trunks.contains(&vlan).then_some(vlan),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn between(from: Value, to: Value) -> Way {
        let attachment = |mut plugin: Value| {
            plugin["type"] = "ovs".into();
            plugin["bridge"] = "blue".into();
            Attachment { config: Some(plugin), ..Attachment::default() }
        };
        way(&attachment(from), &attachment(to))
    }

    #[test]
    fn what_is_configured_decides_whether_frames_pass() {
        let vlan = |vlan: u16| json!({"vlan": vlan});
        let trunk = || json!({"trunk": [{"minID": 100, "maxID": 102}, {"id": 200}]});
        for (from, to, passes) in [
            (json!({}), json!({}), Some(None)),
            (vlan(100), vlan(100), Some(None)),
            (vlan(100), json!({}), None),
            (vlan(100), vlan(200), None),
            (trunk(), vlan(101), Some(Some(101))),
            (vlan(101), trunk(), Some(None)),
            (trunk(), vlan(103), None),
            (trunk(), json!({"trunk": [{"id": 200}]}), Some(Some(200))),
            (trunk(), json!({"trunk": [{"id": 7}]}), None),
            (trunk(), json!({}), Some(Some(100))),
            (json!({}), trunk(), Some(Some(100))),
        ] {
            let found = between(from.clone(), to.clone());
            match passes {
                Some(tag) => assert_eq!(found, Way::Open(tag), "{from} {to}"),
                None => assert!(matches!(found, Way::Apart(_)), "{from} {to}"),
            }
        }
        let Way::Apart(why) = between(json!({}), vlan(7)) else { panic!("they are apart") };
        assert_eq!(why, "one is untagged, the other VLAN 7");
    }
}
