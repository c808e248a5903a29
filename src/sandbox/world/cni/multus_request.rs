//! What a pod asks of Multus in its annotation, read as strictly as Multus reads it.

use std::net::IpAddr;

use serde_json::Value;

use super::go_json;
use super::runtime::Failure;
use crate::facts::names::{is_mac, is_piece};
use crate::sandbox::world::objects::{items, namespace, text};

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
    let wrong = |what: String| format!("parsePodNetworkAnnotation: {what}");
    if annotation.is_empty() {
        return Ok(Vec::new());
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
        let list = parsed.map_err(|error| wrong(format!("{format}: {error}")))?;
        list.iter().map(from_json).collect()
    } else {
        annotation.split(',').map(|item| from_name(item.trim()).map_err(wrong)).collect::<Result<_, _>>()?
    };
    let placed = all.into_iter().map(|mut wanted| {
        if wanted.namespace.is_empty() {
            namespace(pod).clone_into(&mut wanted.namespace);
        }
        checked(wanted)
    });
    placed.collect()
}

fn from_json(item: &Value) -> Wanted {
    let text = |field: &str| text(item, field).to_owned();
    let ips = items(item, "/ips").iter().filter_map(Value::as_str);
    Wanted {
        namespace: text("/namespace"),
        name: text("/name"),
        interface: text("/interface"),
        mac: item["mac"].as_str().map(str::to_owned),
        ips: ips.map(str::to_owned).collect(),
    }
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
        assert_eq!(asked(""), Ok(Vec::new()));
        assert_eq!(asked("a,"), Ok(vec![expected("here", "a", ""), expected("here", "", "")]));
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
            (r#"[{"name":"a","ips":["10.0.0.300"]}]"#, "failed to parse IP address \"10.0.0.300\""),
        ] {
            let refusal = asked(annotation).unwrap_err();
            assert!(refusal.contains(part), "{annotation}: {refusal}");
        }
    }
}
