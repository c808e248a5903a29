//! A pod's network annotation, parsed as strictly as by Multus.

use std::net::IpAddr;

use serde_json::{Map, Value};

use super::go_json;
use super::runtime::Failure;
use crate::facts::attachments::{DEFAULT_NETWORK, MULTUS_NAMESPACE};
use crate::formats::cni::named;
use crate::formats::names::{is_mac, is_piece};
use crate::world::objects::namespace;

const NETWORKS: &str = "k8s.v1.cni.cncf.io/networks";
const LONGEST_LINK: usize = 15;

/// A network that a pod asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Wanted {
    pub namespace: String,
    pub name: String,
    pub interface: String,
    pub mac: Option<String>,
    pub ips: Vec<String>,
}

/// The networks in the annotation, as a list of names or as JSON: whatever has a bracket, a brace or a quote in it is
/// taken for JSON.
pub(super) fn of(pod: &Value) -> Result<Vec<Wanted>, Failure> {
    let annotation = pod["metadata"]["annotations"][NETWORKS].as_str().unwrap_or_default();
    if annotation.is_empty() { Ok(Vec::new()) } else { read(annotation, namespace(pod)) }
}

/// The network that a pod asks for in place of the cluster's own; none when it asks for none.
pub(super) fn first(pod: &Value) -> Result<Option<Wanted>, Failure> {
    let Some(annotation) = pod["metadata"]["annotations"][DEFAULT_NETWORK].as_str() else { return Ok(None) };
    let before = "tryLoadK8sPodDefaultNetwork";
    let mut networks = read(annotation, MULTUS_NAMESPACE)
        .map_err(|failure| format!("{before}: failed to parse CRD object: {failure}"))?;
    if networks.len() > 1 {
        return Err(format!("{before}: more than one default network is specified: {annotation}"));
    }
    Ok(networks.pop())
}

fn read(annotation: &str, own: &str) -> Result<Vec<Wanted>, Failure> {
    let wrong = |what: String| format!("parsePodNetworkAnnotation: {what}");
    if annotation.is_empty() {
        return Err(wrong(
            "pod annotation not having \"network\" as key, refer Multus README.md for the usage guide".into(),
        ));
    }
    let all: Vec<Wanted> = if annotation.contains(['[', '{', '"']) {
        let format = "failed to parse pod Network Attachment Selection Annotation JSON format";
        let parsed = go_json::parse(annotation).and_then(|value| match value {
            Value::Array(list) => Ok(list),
            other => Err(format!(
                "json: cannot unmarshal {} into Go value of type []*types.NetworkSelectionElement",
                go_json::kind(&other)
            )),
        });
        let decoded = parsed.and_then(|list| list.iter().map(from_json).collect());
        decoded.map_err(|error| wrong(format!("{format}: {error}")))?
    } else {
        annotation.split(',').map(|item| from_name(item.trim()).map_err(wrong)).collect::<Result<_, _>>()?
    };
    let placed = all.into_iter().map(|mut wanted| {
        if wanted.namespace.is_empty() {
            own.clone_into(&mut wanted.namespace);
        }
        checked(wanted)
    });
    placed.collect()
}

/// An element of the list, each field of its own type.
fn from_json(item: &Value) -> Result<Wanted, String> {
    let Some(item) = item.as_object() else {
        let kind = go_json::kind(item);
        return Err(format!(
            "json: cannot unmarshal {kind} into Go value of type types.NetworkSelectionElement"
        ));
    };
    let text = |field: &str| match named(item, field) {
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Err(mistyped(field, other, "string")),
        None => Ok(String::new()),
    };
    for field in ["infiniband-guid", "deviceID"] {
        text(field)?;
    }
    for (field, kind, wanted) in [
        ("portMappings", "array", "[]*types.PortMapEntry"),
        ("bandwidth", "object", "types.BandwidthEntry"),
        ("cni-args", "object", "map[string]interface {}"),
    ] {
        if let Some(other) = named(item, field).filter(|value| go_json::kind(value) != kind) {
            return Err(mistyped(field, other, wanted));
        }
    }
    if let Some(bad) = texts(item, "default-route", "[]net.IP", "net.IP")?
        .iter()
        .find(|ip| !ip.is_empty() && ip.parse::<IpAddr>().is_err())
    {
        return Err(format!("invalid IP address: {bad}"));
    }
    let (asked, before) = (text("interface")?, text("interfaceRequest")?);
    Ok(Wanted {
        namespace: text("namespace")?,
        name: text("name")?,
        interface: if asked.is_empty() { before } else { asked },
        mac: Some(text("mac")?).filter(|mac| !mac.is_empty()),
        ips: texts(item, "ips", "[]string", "string")?,
    })
}

fn texts(item: &Map<String, Value>, field: &str, list: &str, one: &str) -> Result<Vec<String>, String> {
    let Some(value) = named(item, field) else { return Ok(Vec::new()) };
    let Some(values) = value.as_array() else { return Err(mistyped(field, value, list)) };
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or_else(|| mistyped(field, value, one));
    values.iter().map(text).collect()
}

fn mistyped(field: &str, value: &Value, wanted: &str) -> String {
    let kind = go_json::kind(value);
    format!(
        "json: cannot unmarshal {kind} into Go struct field NetworkSelectionElement.{field} of type {wanted}"
    )
}

/// `NAMESPACE/NAME@INTERFACE`, of which even the name may be empty; nothing is then found.
fn from_name(item: &str) -> Result<Wanted, Failure> {
    let wrong = |what: &str| Err(format!("parsePodNetworkObjectName: {what}"));
    let (space, rest) = match item.split('/').collect::<Vec<_>>().as_slice() {
        [rest] => ("", *rest),
        [space, rest] => (space.trim(), *rest),
        _ => return wrong("Invalid network object (failed at '/')"),
    };
    let (name, interface) = match rest.split('@').collect::<Vec<_>>().as_slice() {
        [name] => (name.trim(), ""),
        [name, interface] => (name.trim(), interface.trim()),
        _ => return wrong("Invalid network object (failed at '@')"),
    };
    if let Some(bad) = [space, name].into_iter().find(|part| !part.is_empty() && !is_piece(part)) {
        return wrong(&format!(
            "Failed to parse: one or more items did not match comma-delimited format (must consist of lower case alphanumeric characters). Must start and end with an alphanumeric character), mismatch @ '{bad}'"
        ));
    }
    if interface.len() > LONGEST_LINK || interface.contains([' ', '\t', '/']) {
        return wrong(&format!(
            "Failed to parse interface name: must be less than 15 chars and not contain '/' or spaces. interface name '{interface}'"
        ));
    }
    Ok(Wanted {
        namespace: space.into(),
        name: name.into(),
        interface: interface.into(),
        ..Wanted::default()
    })
}

fn checked(wanted: Wanted) -> Result<Wanted, Failure> {
    if let Some(mac) = wanted.mac.as_deref().filter(|mac| !mac.is_empty() && !is_mac(mac)) {
        let cause = format!("address {mac}: invalid MAC address");
        return Err(format!("parsePodNetworkAnnotation: failed to mac: {cause}"));
    }
    for ip in &wanted.ips {
        if ip.contains('/') && ip.parse::<ipnet::IpNet>().is_err() {
            return Err(format!("failed to parse CIDR \"{ip}\": invalid CIDR address: {ip}"));
        }
        if !ip.contains('/') && ip.parse::<IpAddr>().is_err() {
            return Err(format!("failed to parse IP address \"{ip}\""));
        }
    }
    Ok(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn asked(annotation: &str) -> Result<Vec<(String, String, String)>, Failure> {
        let pod = json!({"metadata": {"namespace": "here", "annotations": {NETWORKS: annotation}}});
        Ok(of(&pod)?.into_iter().map(|w| (w.namespace, w.name, w.interface)).collect())
    }

    #[test]
    fn networks_are_asked_for_by_name_or_by_json() {
        let expected =
            |space: &str, name: &str, nic: &str| (space.to_owned(), name.to_owned(), nic.to_owned());
        assert_eq!(
            asked("a, other/b@eth5"),
            Ok(vec![expected("here", "a", ""), expected("other", "b", "eth5")])
        );
        assert_eq!(asked(r#"[{"name": "a", "interface": "x"}]"#), Ok(vec![expected("here", "a", "x")]));
        assert_eq!(
            asked(r#"[{"Name": "a", "NAMESPACE": "other", "ips": null, "default-route": ["10.0.0.1"]}]"#),
            Ok(vec![expected("other", "a", "")])
        );
        assert_eq!(asked(""), Ok(Vec::new()));
        assert_eq!(asked("a,"), Ok(vec![expected("here", "a", ""), expected("here", "", "")]));
    }

    /// If only one parser accepted an annotation, its pod would start only in the sandbox, or only on a real node.
    #[test]
    fn the_reader_of_annotations_agrees() {
        for annotation in [
            r#"[{"Name":"a"}]"#,
            r#"[{"name":"b","NAME":"a"}]"#,
            r#"[{"name":"a","Ips":"10.0.0.5"}]"#,
            r#"[{"name":"a","default-route":["x"]}]"#,
            r#"[{"name":"a","deviceID":5}]"#,
            r#"[{"name":"a","MAC":"xx"}]"#,
            r#"[{"name":"a","interfaceRequest":"x"}]"#,
        ] {
            let pod = json!({"metadata": {"namespace": "here", "annotations": {NETWORKS: annotation}}});
            let read = crate::facts::attachments::asked(&pod);
            let own = asked(annotation);
            assert_eq!(read.refusal().is_some(), own.is_err(), "{annotation}: {own:?}, {read:?}");
            for (wish, (namespace, name, interface)) in read.wishes.iter().zip(own.unwrap_or_default()) {
                let told =
                    (wish.namespace.clone(), wish.name.clone(), wish.interface.clone().unwrap_or_default());
                assert_eq!(told, (namespace, name, interface), "{annotation}");
            }
        }
    }

    #[test]
    fn slips_are_refused_in_multus_words() {
        for (annotation, part) in [
            (r#"[ {"name":"a" ]"#, "JSON format: invalid character ']' after object key:value pair"),
            (
                r#"{"name":"a"}"#,
                "cannot unmarshal object into Go value of type []*types.NetworkSelectionElement",
            ),
            ("a/b/c", "Invalid network object (failed at '/')"),
            ("UPPER", "mismatch @ 'UPPER'"),
            (r#"[{"name":"a","mac":"xx"}]"#, "failed to mac: address xx: invalid MAC address"),
            (
                r#"[{"name":"a","ips":"10.20.0.104/24"}]"#,
                "cannot unmarshal string into Go struct field NetworkSelectionElement.ips of type []string",
            ),
            (
                r#"[{"name":"a","ips":[5]}]"#,
                "number into Go struct field NetworkSelectionElement.ips of type string",
            ),
            (r#"[{"name":"a","default-route":["x"]}]"#, "JSON format: invalid IP address: x"),
            (
                r#"[{"name":"a","default-route":"10.0.0.1"}]"#,
                "NetworkSelectionElement.default-route of type []net.IP",
            ),
            (r#"[{"Name":5}]"#, "number into Go struct field NetworkSelectionElement.name of type string"),
            (r#"["a"]"#, "cannot unmarshal string into Go value of type types.NetworkSelectionElement"),
            (r#"[{"name":"a","ips":["10.0.0.300"]}]"#, "failed to parse IP address \"10.0.0.300\""),
        ] {
            let refusal = asked(annotation).unwrap_err();
            assert!(refusal.contains(part), "{annotation}: {refusal}");
        }
    }
}
