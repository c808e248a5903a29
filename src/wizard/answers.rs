//! The answers so far. Each was accepted by its question, so that reading them here cannot fail.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::{Map, Value};

use super::id::{Id, Segment};

/// Stands for no NIC, no VLANs, no addresses.
pub const NONE: &str = "none";
/// In place of an address range: layer 2 only.
pub const LAYER_2: &str = "l2";
/// One of the answers to a yes/no question.
pub const YES: &str = "yes";
/// The other one.
pub const NO: &str = "no";

/// Accepted answers by question.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answers(BTreeMap<Id, String>);

impl Answers {
    /// The answer to a question.
    pub fn of(&self, id: &Id) -> Option<&str> {
        self.0.get(id).map(String::as_str)
    }

    /// Remembers an answer.
    pub fn set(&mut self, id: Id, answer: String) {
        self.0.insert(id, answer);
    }

    pub fn forget(&mut self, id: &Id) -> Option<String> {
        self.0.remove(id)
    }

    /// Whether the answer equals a value.
    pub fn is(&self, id: &Id, answer: &str) -> bool {
        self.of(id) == Some(answer)
    }

    /// The bridges, in the order given.
    pub fn bridges(&self) -> Vec<String> {
        self.of(&Id::Bridges).map(list).unwrap_or_default()
    }

    pub fn vlans(&self, bridge: &str) -> Vec<u16> {
        let answer = self.of(&Id::Vlans(bridge.into())).filter(|answer| *answer != NONE);
        answer.map(list).unwrap_or_default().iter().filter_map(|vlan| vlan.parse().ok()).collect()
    }

    pub fn uplink(&self, bridge: &str) -> Option<&str> {
        self.of(&Id::Uplink(bridge.into())).filter(|answer| *answer != NONE)
    }

    /// Every network of the bridges: the untagged one first, then each VLAN.
    pub fn segments(&self) -> Vec<Segment> {
        let of_bridge = |bridge: String| {
            let vlans = self.vlans(&bridge).into_iter().map(Some);
            let segment = move |vlan| Segment { bridge: bridge.clone(), vlan };
            std::iter::once(None).chain(vlans).map(segment).collect::<Vec<_>>()
        };
        self.bridges().into_iter().flat_map(of_bridge).collect()
    }

    /// The address range of a network; none for layer 2 only, and before the question was answered.
    pub fn range(&self, segment: &Segment) -> Option<IpNet> {
        self.of(&Id::Range(segment.clone()))?.parse().ok()
    }

    /// Answers as an answers file has them.
    pub fn to_json(&self) -> Value {
        let mut map = Map::new();
        for (id, answer) in &self.0 {
            match id.key() {
                None => {
                    map.insert(id.name().into(), answer.as_str().into());
                }
                Some(key) => {
                    let inner = map.entry(id.name()).or_insert_with(|| Value::Object(Map::new()));
                    inner[key] = answer.as_str().into();
                }
            }
        }
        Value::Object(map)
    }
}

/// The parts of an answer, separated by commas or blanks.
pub fn list(answer: &str) -> Vec<String> {
    let parts = answer.split([',', ' ']).map(str::trim).filter(|part| !part.is_empty());
    parts.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_follow_from_bridges_and_vlans() {
        let mut answers = Answers::default();
        answers.set(Id::Bridges, "red,blue".into());
        answers.set(Id::Vlans("red".into()), "100,200".into());
        answers.set(Id::Vlans("blue".into()), NONE.into());
        let names: Vec<String> = answers.segments().iter().map(ToString::to_string).collect();
        assert_eq!(names, ["red", "red:100", "red:200", "blue"]);
        answers.set(Id::Range(Segment::parse("red:100").unwrap()), LAYER_2.into());
        let json =
            r#"{"bridges":"red,blue","vlans":{"blue":"none","red":"100,200"},"range":{"red:100":"l2"}}"#;
        assert_eq!(answers.to_json().to_string(), json);
    }
}
