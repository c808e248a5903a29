//! The annotation that users write, read as Multus reads it; what Multus refuses is named.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::DEFAULT_NETWORK;
use crate::facts::cni::NETWORKS;

/// Names of links are shorter in the kernel.
const LONGEST_LINK: usize = 15;
/// What an object of the list may have; Multus passes over anything else without a word.
const FIELDS: [&str; 13] = [
    "name",
    "namespace",
    "ips",
    "mac",
    "infiniband-guid",
    "interface",
    "interfacerequest",
    "portmappings",
    "bandwidth",
    "deviceid",
    "cni-args",
    "default-route",
    "ipam-claim-reference",
];

/// A network that a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The namespace of the `NetworkAttachmentDefinition`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The name that the NIC is to have; none when that is left to Multus.
    pub interface: Option<String>,
    /// The MAC address that it is to have.
    pub mac: Option<String>,
}

impl Wish {
    /// `namespace/name`.
    #[must_use]
    pub fn network(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// What is wrong in an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip {
    /// What it is, in words.
    pub text: String,
    /// Whether Multus refuses the pod because of it; else it passes over it.
    pub refused: bool,
}

/// What a pod asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The networks that can be read, in order.
    pub wishes: Vec<Wish>,
    /// What is wrong.
    pub slips: Vec<Slip>,
}

impl Asked {
    fn slip(&mut self, text: impl Into<String>) {
        self.slips.push(Slip { text: text.into(), refused: true });
    }

    /// What Multus refuses, in one line; none when it takes the annotation.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let refused: Vec<&str> =
            self.slips.iter().filter(|slip| slip.refused).map(|slip| slip.text.as_str()).collect();
        (!refused.is_empty()).then(|| refused.join("; "))
    }
}

/// The networks that a pod asks for besides its first one.
#[must_use]
pub fn asked(pod: &Value) -> Asked {
    let namespace = pod["metadata"]["namespace"].as_str().filter(|it| !it.is_empty()).unwrap_or("default");
    match &pod["metadata"]["annotations"][NETWORKS] {
        Value::String(text) => read(text, namespace),
        _ => Asked::default(),
    }
}

/// The network that a pod asks for as its first one, with what is wrong; none when it takes the cluster's.
#[must_use]
pub fn default_network(pod: &Value, multus_namespace: &str) -> Option<Asked> {
    let text = pod["metadata"]["annotations"][DEFAULT_NETWORK].as_str()?;
    let mut asked = read(text, multus_namespace);
    match asked.wishes.len() {
        0 if asked.slips.is_empty() => asked.slip("it is empty"),
        0 | 1 => {}
        count => asked.slip(format!("it names {count} networks, and a pod has one first NIC")),
    }
    Some(asked)
}

fn read(text: &str, namespace: &str) -> Asked {
    let mut asked = Asked::default();
    // Multus decides so, too.
    if text.contains(['[', '{', '"']) {
        from_json(text, namespace, &mut asked);
    } else if !text.is_empty() {
        for (index, word) in text.split(',').enumerate() {
            from_word(word.trim(), index + 1, namespace, &mut asked);
        }
    }
    let names: Vec<&str> = asked.wishes.iter().filter_map(|wish| wish.interface.as_deref()).collect();
    let twice = names.iter().enumerate().find(|(index, name)| names[..*index].contains(name));
    if let Some((_, name)) = twice {
        let text = format!("two networks ask for the interface `{name}`");
        asked.slip(text);
    }
    asked
}

/// `NAMESPACE/NAME@INTERFACE`, the first and last part of which may be missing.
fn from_word(word: &str, place: usize, namespace: &str, asked: &mut Asked) {
    if word.is_empty() {
        return asked.slip(format!("entry {place} is empty: there is a comma too many"));
    }
    let parts: Vec<&str> = word.split('/').collect();
    let (space, rest) = match parts.as_slice() {
        [rest] => (namespace, *rest),
        [space, rest] => (space.trim(), *rest),
        _ => return asked.slip(format!("`{}` has more than one `/`", shown(word))),
    };
    let parts: Vec<&str> = rest.split('@').collect();
    let (name, interface) = match parts.as_slice() {
        [name] => (name.trim(), None),
        [name, interface] => (name.trim(), Some(interface.trim()).filter(|it| !it.is_empty())),
        _ => return asked.slip(format!("`{}` has more than one `@`", shown(word))),
    };
    if name.is_empty() {
        return asked.slip(format!("`{}` has no name of a network", shown(word)));
    }
    if let Some(bad) = [space, name].into_iter().find(|it| !is_label(it)) {
        let hint =
            if is_name(bad) { ", without dots; one with dots can be written in a list in JSON" } else { "" };
        return asked.slip(format!("`{}` is not a valid name{hint}", shown(bad)));
    }
    let interface = interface.and_then(|it| link(it, &format!("`{}`", shown(word)), asked));
    let (namespace, name) = (space.to_owned(), name.to_owned());
    asked.wishes.push(Wish { namespace, name, interface, mac: None });
}

fn from_json(text: &str, namespace: &str, asked: &mut Asked) {
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        Ok(one @ Value::Object(_)) => {
            asked.slip("it is one object in JSON, and Multus reads a list: write `[ ]` around it");
            vec![one]
        }
        Ok(_) => return asked.slip("it is JSON, but not a list of objects"),
        Err(error) => return asked.slip(format!("it is not a list in JSON: {error}")),
    };
    for (index, entry) in list.iter().enumerate() {
        let place = format!("entry {}", index + 1);
        match entry {
            Value::Object(entry) => from_object(entry, &place, namespace, asked),
            other => {
                let kind = kind_of(other);
                asked.slip(format!("{place} is {kind}, not an object: write {{\"name\": \"NETWORK\"}}"));
            }
        }
    }
}

fn from_object(entry: &Map<String, Value>, place: &str, default: &str, asked: &mut Asked) {
    for key in entry.keys().filter(|key| !FIELDS.contains(&key.to_ascii_lowercase().as_str())) {
        let text = format!("Multus does not know `{}` in {place} and passes over it", shown(key));
        asked.slips.push(Slip { text, refused: false });
    }
    let before = asked.slips.iter().filter(|slip| slip.refused).count();
    let name = string(entry, "name", place, asked);
    let namespace = string(entry, "namespace", place, asked);
    let namespace = namespace.filter(|it| !it.is_empty()).unwrap_or_else(|| default.to_owned());
    let interface = string(entry, "interface", place, asked).filter(|it| !it.is_empty());
    let interface = interface.or_else(|| string(entry, "interfaceRequest", place, asked));
    let interface = interface.filter(|it| !it.is_empty()).and_then(|it| link(&it, place, asked));
    let mac = string(entry, "mac", place, asked).filter(|it| !it.is_empty());
    if let Some(mac) = mac.as_deref().filter(|mac| !is_mac(mac)) {
        asked.slip(format!("`mac` of {place}, `{}`, is not a MAC address", shown(mac)));
    }
    addresses(entry, place, asked);
    for (field, wanted) in [("cni-args", "an object"), ("bandwidth", "an object"), ("portMappings", "a list")]
    {
        let value = field_of(entry, field).filter(|value| !value.is_null());
        if let Some(value) = value.filter(|value| kind_of(value) != wanted) {
            asked.slip(format!("`{field}` of {place} is {}, not {wanted}", kind_of(value)));
        }
    }
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        if asked.slips.iter().filter(|slip| slip.refused).count() == before {
            asked.slip(format!("{place} has no `name`"));
        }
        return;
    };
    if let Some((space, name)) = name.split_once('/') {
        return asked.slip(format!(
            "`name` of {place}, `{}`, has a `/`: write \"namespace\": \"{}\", \"name\": \"{}\"",
            shown(&format!("{space}/{name}")),
            shown(space),
            shown(name)
        ));
    }
    if let Some(bad) = [&namespace, &name].into_iter().find(|it| !is_name(it)) {
        return asked.slip(format!("`{}` in {place} is not a valid name", shown(bad)));
    }
    asked.wishes.push(Wish { namespace, name, interface, mac: mac.map(|mac| mac.to_ascii_lowercase()) });
}

fn addresses(entry: &Map<String, Value>, place: &str, asked: &mut Asked) {
    for field in ["ips", "default-route"] {
        let Some(value) = field_of(entry, field).filter(|value| !value.is_null()) else { continue };
        let Value::Array(list) = value else {
            asked.slip(format!("`{field}` of {place} is {}, not a list", kind_of(value)));
            continue;
        };
        let bad = list.iter().find(|ip| !ip.as_str().is_some_and(|ip| is_address(ip, field == "ips")));
        if let Some(bad) = bad {
            let bad = bad.as_str().map_or_else(|| bad.to_string(), str::to_owned);
            asked.slip(format!("`{field}` of {place} has `{}`, which is not an address", shown(&bad)));
        }
    }
}

/// A text of an object; Go does not tell small letters from capitals in the names of fields.
fn string(entry: &Map<String, Value>, field: &str, place: &str, asked: &mut Asked) -> Option<String> {
    match field_of(entry, field)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => {
            asked.slip(format!("`{field}` of {place} is {}, not a text", kind_of(other)));
            None
        }
    }
}

fn field_of<'a>(entry: &'a Map<String, Value>, field: &str) -> Option<&'a Value> {
    entry
        .get(field)
        .or_else(|| entry.iter().find(|(key, _)| key.eq_ignore_ascii_case(field)).map(|(_, value)| value))
}

fn link(name: &str, place: &str, asked: &mut Asked) -> Option<String> {
    if name.len() <= LONGEST_LINK && !name.contains(['/', ' ', '\t', '\n', '\r']) {
        return Some(name.to_owned());
    }
    let text = format!(
        "the interface `{}` of {place} is longer than {LONGEST_LINK} letters or has a space or `/`",
        shown(name)
    );
    asked.slip(text);
    None
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn is_address(text: &str, prefixed: bool) -> bool {
    text.parse::<IpAddr>().is_ok() || prefixed && text.parse::<ipnet::IpNet>().is_ok()
}

/// As Go reads one: pairs of digits behind `:` or `-`, or fours behind dots.
fn is_mac(text: &str) -> bool {
    let digits: String = text.chars().filter(|letter| !":-.".contains(*letter)).collect();
    let pairs = |separator: char| text.split(separator).all(|part| part.len() == 2);
    let fours = text.split('.').all(|part| part.len() == 4);
    matches!(digits.len(), 12 | 16 | 40)
        && digits.chars().all(|letter| letter.is_ascii_hexdigit())
        && (pairs(':') || pairs('-') || fours)
}

/// Whether an object of the API can have that name.
#[must_use]
pub fn is_name(name: &str) -> bool {
    name.len() <= 253 && name.split('.').all(is_label)
}

fn is_label(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(|byte| plain(*byte))
        && bytes.last().is_some_and(|byte| plain(*byte))
        && bytes.iter().all(|byte| plain(*byte) || *byte == b'-')
}

/// A part of what somebody wrote, short and in one line.
fn shown(text: &str) -> String {
    const MOST: usize = 40;
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= MOST {
        return line;
    }
    line.chars().take(MOST).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(text: &str) -> Asked {
        asked(&json!({"metadata": {"namespace": "n", "annotations": {NETWORKS: text}}}))
    }

    #[test]
    fn every_form_that_multus_takes_is_read() {
        for (text, expected) in [
            ("", vec![]),
            ("a", vec!["n/a"]),
            (" a , other/b@net7 ", vec!["n/a", "other/b@net7"]),
            ("a@", vec!["n/a"]),
            ("a,a,a@x", vec!["n/a", "n/a", "n/a@x"]),
            (r#"[{"name":"a"}]"#, vec!["n/a"]),
            ("[\n  {\"name\": \"a.b\", \"namespace\": \"\"}\n]", vec!["n/a.b"]),
            (
                r#"[{"name":"a","interface":"podx"},{"name":"b","namespace":"other"}]"#,
                vec!["n/a@podx", "other/b"],
            ),
            (r#"[{"Name":"a","interfaceRequest":"net5"}]"#, vec!["n/a@net5"]),
            (
                r#"[{"name":"a","mac":"02:00:00:00:00:0A","ips":["10.0.0.2/24","fd00::2"],"cni-args":{"x":[1]},
                "default-route":["10.0.0.1"],"portMappings":[],"bandwidth":null,"ipam-claim-reference":"c"}]"#,
                vec!["n/a"],
            ),
            ("[]", vec![]),
        ] {
            let asked = of(text);
            let shown = |wish: &Wish| {
                let interface = wish.interface.as_ref().map(|it| format!("@{it}")).unwrap_or_default();
                format!("{}{interface}", wish.network())
            };
            assert_eq!(asked.wishes.iter().map(shown).collect::<Vec<_>>(), expected, "{text}");
            assert_eq!(asked.slips, [], "{text}");
        }
        assert_eq!(
            of(r#"[{"name":"a","mac":"02:00:00:00:00:0A"}]"#).wishes[0].mac.as_deref(),
            Some("02:00:00:00:00:0a")
        );
    }

    #[test]
    fn every_slip_is_named() {
        for (text, wishes, says) in [
            ("a,", 1, "entry 2 is empty: there is a comma too many"),
            (",a", 1, "entry 1 is empty"),
            ("a,,b", 2, "entry 2 is empty"),
            ("  ", 0, "entry 1 is empty"),
            ("a/b/c", 0, "`a/b/c` has more than one `/`"),
            ("a@b@c", 0, "`a@b@c` has more than one `@`"),
            ("n/", 0, "`n/` has no name of a network"),
            ("@net1", 0, "`@net1` has no name of a network"),
            ("Blue", 0, "`Blue` is not a valid name"),
            ("a b", 0, "`a b` is not a valid name"),
            ("- a", 0, "`- a` is not a valid name"),
            ("a.b", 0, "`a.b` is not a valid name, without dots"),
            ("a@a-name-that-is-too-long", 1, "longer than 15 letters"),
            ("a@x,b@x", 2, "two networks ask for the interface `x`"),
            (
                r#"[ {"name":"ovs-blue","ips":["10.20.0.104/24"] ]"#,
                0,
                "it is not a list in JSON: expected `,` or `}`",
            ),
            (r#"[{"name":"a"},]"#, 0, "it is not a list in JSON: trailing comma"),
            (r#"[{"name":"a"}"#, 0, "it is not a list in JSON: EOF"),
            ("[{name: a}]", 0, "it is not a list in JSON: key must be a string"),
            (r#"{"name":"ovs-blue","mac":"02:00:00:00:00:01"}"#, 1, "write `[ ]` around it"),
            (r#""a""#, 0, "it is JSON, but not a list"),
            (r#"["a"]"#, 0, "entry 1 is a text, not an object"),
            ("[null]", 0, "entry 1 is null, not an object"),
            (r#"[{"namespace":"n"}]"#, 0, "entry 1 has no `name`"),
            (r#"[{"name":""}]"#, 0, "entry 1 has no `name`"),
            (r#"[{"name":["a"]}]"#, 0, "`name` of entry 1 is a list, not a text"),
            (r#"[{"name":"kube-system/a"}]"#, 0, r#"write "namespace": "kube-system", "name": "a""#),
            (r#"[{"name":"a?limit=1"}]"#, 0, "`a?limit=1` in entry 1 is not a valid name"),
            (r#"[{"name":"..","namespace":"../x"}]"#, 0, "`../x` in entry 1 is not a valid name"),
            (r#"[{"name":"a","ips":"10.0.0.2"}]"#, 1, "`ips` of entry 1 is a text, not a list"),
            (r#"[{"name":"a","ips":["10.0.0.400/24"]}]"#, 1, "has `10.0.0.400/24`, which is not an address"),
            (r#"[{"name":"a","ips":["10.0.0.4/33"]}]"#, 1, "has `10.0.0.4/33`, which is not an address"),
            (r#"[{"name":"a","default-route":"10.0.0.1"}]"#, 1, "`default-route` of entry 1 is a text"),
            (r#"[{"name":"a","mac":"02:00"}]"#, 1, "`02:00`, is not a MAC address"),
            (r#"[{"name":"a","mac":2}]"#, 1, "`mac` of entry 1 is a number, not a text"),
            (r#"[{"name":"a","interface":7}]"#, 1, "`interface` of entry 1 is a number"),
            (r#"[{"name":"a","cni-args":["x"]}]"#, 1, "`cni-args` of entry 1 is a list, not an object"),
        ] {
            let asked = of(text);
            assert_eq!(asked.wishes.len(), wishes, "{text}: {asked:?}");
            let refusal = asked.refusal().unwrap_or_default();
            assert!(refusal.contains(says), "{text}: {refusal}");
            assert!(!refusal.contains('\n'), "{text}: {refusal}");
            assert!(
                asked.wishes.iter().all(|wish| is_name(&wish.name) && is_name(&wish.namespace)),
                "{text}"
            );
        }
    }

    #[test]
    fn what_multus_passes_over_is_named_and_not_refused() {
        let asked = of(r#"[{"name":"a","interfaces":"net5"}]"#);
        assert_eq!((asked.wishes.len(), asked.refusal()), (1, None));
        assert_eq!(asked.slips[0].text, "Multus does not know `interfaces` in entry 1 and passes over it");
    }

    #[test]
    fn a_first_network_is_looked_for_where_multus_is() {
        let of = |text: &str| {
            default_network(
                &json!({"metadata": {"namespace": "n", "annotations": {DEFAULT_NETWORK: text}}}),
                "kube-system",
            )
        };
        assert_eq!(of("a").unwrap().wishes[0].network(), "kube-system/a");
        assert_eq!(of("x/a").unwrap().wishes[0].network(), "x/a");
        assert!(of("a,b").unwrap().refusal().unwrap().contains("names 2 networks"));
        assert!(of("").unwrap().refusal().unwrap().contains("empty"));
        assert_eq!(default_network(&json!({}), "kube-system"), None);
    }
}
