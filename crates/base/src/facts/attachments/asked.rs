//! The annotation that users write, read as Multus reads it, with what Multus rejects.

use serde_json::{Map, Value};

use super::DEFAULT_NETWORK;
use super::letters::{coded, fault, is_address, is_unseen, kind_of, named, shown};
use crate::formats::cni::{self, NETWORKS};
use crate::formats::names::{is_label, is_mac, is_piece, is_subdomain};

/// The kernel's limit for link names.
const LONGEST_LINK: usize = 15;
/// The fields of an object of the list; Multus silently ignores any other.
const FIELDS: &str = "\
    name namespace ips mac infiniband-guid interface interfacerequest portmappings bandwidth deviceid \
    cni-args default-route ipam-claim-reference";

/// A network that a pod requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// The namespace of the `NetworkAttachmentDefinition`.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The requested name of the NIC; none when that is left to Multus.
    pub interface: Option<String>,
    /// The requested MAC address.
    pub mac: Option<String>,
}

impl Wish {
    /// `namespace/name`.
    pub fn network(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// What is wrong in an annotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slip {
    /// The mistake, as text.
    pub text: String,
    /// Whether Multus rejects the pod because of it; else it ignores it.
    pub refused: bool,
    /// The network, `namespace/name`, with which it would be no mistake.
    pub unless: Option<String>,
}

/// A pod's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The networks that can be read, in order.
    pub wishes: Vec<Wish>,
    /// What is wrong.
    pub slips: Vec<Slip>,
}

impl Asked {
    fn slip(&mut self, text: impl Into<String>) {
        self.slips.push(Slip { text: text.into(), refused: true, unless: None });
    }

    /// What is ignored.
    fn note(&mut self, text: impl Into<String>) {
        self.slips.push(Slip { text: text.into(), refused: false, unless: None });
    }

    /// Decides about what is a mistake unless such a network exists.
    #[must_use]
    pub fn settled(mut self, known: &dyn Fn(&str) -> bool) -> Self {
        let is_known = |slip: &Slip| slip.unless.as_deref().is_some_and(known);
        self.slips.retain(|slip| !is_known(slip));
        let doubtful: Vec<&str> = self.slips.iter().filter_map(|slip| slip.unless.as_deref()).collect();
        self.wishes.retain(|wish| !doubtful.contains(&wish.network().as_str()));
        self
    }

    /// What Multus ignores, in one line; none when it is nothing.
    pub fn ignored(&self) -> Option<String> {
        let ignored: Vec<&str> =
            self.slips.iter().filter(|slip| !slip.refused).map(|slip| slip.text.as_str()).collect();
        (!ignored.is_empty()).then(|| ignored.join("; "))
    }

    /// What Multus rejects, in one line; none when it accepts the annotation.
    pub fn refusal(&self) -> Option<String> {
        let refused: Vec<&str> =
            self.slips.iter().filter(|slip| slip.refused).map(|slip| slip.text.as_str()).collect();
        (!refused.is_empty()).then(|| refused.join("; "))
    }
}

/// The networks that a pod requests besides its first one. Multus is not called for a pod on the host network.
pub fn asked(pod: &Value) -> Asked {
    let namespace = pod["metadata"]["namespace"].as_str().filter(|it| !it.is_empty()).unwrap_or("default");
    let text = |name: &str| pod["metadata"]["annotations"][name].as_str().unwrap_or_default();
    if is_of_host(pod) {
        let mut none = Asked::default();
        for name in [NETWORKS, DEFAULT_NETWORK].into_iter().filter(|name| !text(name).trim().is_empty()) {
            none.note(format!("`{name}` has no effect: the pod uses the network of its node (hostNetwork)"));
        }
        return none;
    }
    read(text(NETWORKS), namespace)
}

/// As [`asked`], with what is wrong about the first network too.
pub fn asked_with_first(pod: &Value, multus_namespace: &str) -> Asked {
    let mut all = asked(pod);
    let first = default_network(pod, multus_namespace).unwrap_or_default();
    let named = first
        .slips
        .into_iter()
        .map(|slip| Slip { text: format!("`{DEFAULT_NETWORK}`: {}", slip.text), ..slip });
    all.slips.extend(named);
    all
}

/// Whether a pod has no network of its own.
pub fn is_of_host(pod: &Value) -> bool {
    pod["spec"]["hostNetwork"] == true
}

/// The network that a pod requests as its first one, with what is wrong; none when it uses the cluster's.
pub fn default_network(pod: &Value, multus_namespace: &str) -> Option<Asked> {
    let text = pod["metadata"]["annotations"][DEFAULT_NETWORK].as_str().filter(|_| !is_of_host(pod))?;
    let mut asked = read(text, multus_namespace);
    match asked.wishes.len() {
        0 if asked.slips.is_empty() => asked.slip("it is empty"),
        0 | 1 => {}
        count => asked.slip(format!("it names {count} networks, but a pod has one first NIC")),
    }
    Some(asked)
}

fn read(text: &str, namespace: &str) -> Asked {
    let mut asked = Asked::default();
    // Neither a name nor JSON may contain one, and its effect on the rest is invisible.
    if let Some(letter) = text.chars().find(|it| it.is_control() && !it.is_whitespace() && *it < '\u{7f}') {
        asked.slip(format!("it has a control character ({})", coded(letter)));
        return asked;
    }
    // As Multus decides.
    if text.contains(['[', '{', '"']) {
        from_json(text, namespace, &mut asked);
    } else if !text.is_empty() {
        for (index, word) in text.split(',').enumerate() {
            from_word(word.trim(), index + 1, namespace, &mut asked);
        }
    }
    if let Some(slip) = taken(&asked.wishes).filter(|_| asked.refusal().is_none()) {
        asked.slip(slip);
    }
    asked
}

/// Two NICs with one name. One without a requested name is called after its place.
fn taken(wishes: &[Wish]) -> Option<String> {
    let mut names: Vec<String> = Vec::new();
    for (index, wish) in wishes.iter().enumerate() {
        let own = wish.interface.clone().unwrap_or_else(|| format!("net{}", index + 1));
        if own == "eth0" || own == "lo" {
            return Some(format!(
                "{} requests the interface `{own}`, which every pod already has",
                wish.network()
            ));
        }
        if let Some(place) = names.iter().position(|name| *name == own) {
            let is_asked = |wish: Option<&Wish>| wish.is_some_and(|wish| wish.interface.is_some());
            return Some(if is_asked(Some(wish)) && is_asked(wishes.get(place)) {
                format!("two networks request the interface `{own}`")
            } else {
                format!(
                    "entries {} and {} both get the interface `{own}`: one by its place",
                    place + 1,
                    index + 1
                )
            });
        }
        names.push(own);
    }
    None
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
        return asked.slip(format!("`{}` has no network name", shown(word)));
    }
    let is_value = serde_json::from_str::<Value>(name).is_ok();
    if let Some(bad) = [space, name].into_iter().find(|it| !is_piece(it)).or_else(|| impossible(space, name))
    {
        let hint = match (is_value && bad == name, is_subdomain(bad)) {
            (true, _) => ": it is a bare JSON value",
            (false, true) => ", without dots; one with dots can be written in a JSON list",
            (false, false) => "",
        };
        return asked.slip(format!("`{}` {}{hint}", shown(bad), fault(bad)));
    }
    let interface = interface.and_then(|it| link(it, &format!("`{}`", shown(word)), asked));
    let wish = Wish { namespace: space.to_owned(), name: name.to_owned(), interface, mac: None };
    if is_value {
        let text = format!(
            "`{name}` is a bare JSON value: Multus takes it for a network name, and no such network exists"
        );
        asked.slips.push(Slip { text, refused: true, unless: Some(wish.network()) });
    }
    asked.wishes.push(wish);
}

fn from_json(text: &str, namespace: &str, asked: &mut Asked) {
    let list = match serde_json::from_str(text) {
        Ok(Value::Array(list)) => list,
        Ok(one @ Value::Object(_)) => {
            asked.slip("it is one JSON object, but Multus reads a list: write `[ ]` around it");
            vec![one]
        }
        Ok(other) => {
            return asked.slip(format!("it is {} in JSON, not a list of objects", kind_of(&other)));
        }
        Err(error) => {
            let what = error.to_string();
            // serde_json's words for a line break or a tab within a text.
            let place = what.strip_prefix("control character").and_then(|rest| rest.split_once(" at "));
            return asked.slip(match place {
                Some((_, place)) => format!("it has a control character within a string, at {place}"),
                None => format!("it is not a JSON list: {what}"),
            });
        }
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
    for key in entry.keys().filter(|key| !FIELDS.split(' ').any(|field| key.eq_ignore_ascii_case(field))) {
        asked.note(format!("Multus does not know `{}` in {place} and ignores it", shown(key)));
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
    for field in ["infiniband-guid", "deviceID"] {
        string(entry, field, place, asked);
    }
    addresses(entry, place, asked);
    for (field, wanted) in [("cni-args", "an object"), ("bandwidth", "an object"), ("portMappings", "a list")]
    {
        let value = cni::named(entry, field);
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
    if let Some(bad) = impossible(&namespace, &name) {
        return asked.slip(format!("`{}` in {place} {}", shown(bad), fault(bad)));
    }
    asked.wishes.push(Wish { namespace, name, interface, mac: mac.map(|mac| mac.to_ascii_lowercase()) });
}

fn addresses(entry: &Map<String, Value>, place: &str, asked: &mut Asked) {
    for field in ["ips", "default-route"] {
        let Some(value) = cni::named(entry, field) else { continue };
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

/// A string field of an object; Go ignores case in the names of fields.
fn string(entry: &Map<String, Value>, field: &str, place: &str, asked: &mut Asked) -> Option<String> {
    match cni::named(entry, field)? {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => {
            asked.slip(format!("`{field}` of {place} is {}, not a string", kind_of(other)));
            None
        }
    }
}

/// The one of the two that no object can have. Multus asks the API server, which has none.
fn impossible<'a>(namespace: &'a str, name: &'a str) -> Option<&'a str> {
    let own = Some(namespace).filter(|it| !is_label(it));
    own.or_else(|| Some(name).filter(|it| !is_subdomain(it)))
}

fn link(name: &str, place: &str, asked: &mut Asked) -> Option<String> {
    // As the kernel decides.
    let is_fine =
        name.len() <= LONGEST_LINK && !name.contains(['/', ':']) && !name.contains(char::is_whitespace);
    if is_fine && name != "." && name != ".." && !name.contains(char::is_control) {
        return Some(name.to_owned());
    }
    let text = match name.chars().find(|letter| is_unseen(*letter)) {
        Some(letter) => format!("the interface `{}` of {place} has {}", shown(name), named(letter)),
        None => format!(
            "the interface `{}` of {place} is longer than {LONGEST_LINK} characters or contains a space, `/` or `:`",
            shown(name)
        ),
    };
    asked.slip(text);
    None
}

#[cfg(test)]
#[path = "asked_tests.rs"]
mod tests;
