//! The annotation that Multus writes.

use std::net::IpAddr;

use serde_json::Value;

use super::letters::shown;
use super::{OLD_STATUS, Wish};
use crate::formats::cni::NETWORK_STATUS;

/// A NIC that Multus made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reported {
    /// The network: `namespace/name`, or only the name in the CNI configuration. May be empty with an old Multus.
    pub network: String,
    /// Its name in the pod; empty when the plugin does not say.
    pub interface: String,
    /// Its addresses.
    pub ips: Vec<IpAddr>,
    /// Its MAC address; none when the plugin does not say.
    pub mac: Option<String>,
    /// Whether it is the pod's first NIC.
    pub default: bool,
    /// The kind of device behind it: `pci` for SR-IOV.
    pub device: Option<String>,
}

/// Multus' report on the NICs of a pod, in the order in which it made them; empty without one.
pub fn reported(pod: &Value) -> Vec<Reported> {
    let read = |annotation: &str| list(text(pod, annotation)?);
    let list = read(NETWORK_STATUS).filter(|list| !list.is_empty()).or_else(|| read(OLD_STATUS));
    let mut nics: Vec<Reported> = list.unwrap_or_default().iter().map(nic).collect();
    // The first generation of Multus marks no NIC; it makes the pod's first one first.
    if !nics.iter().any(|nic| nic.default)
        && let Some(first) = nics.first_mut().filter(|nic| matches!(nic.interface.as_str(), "eth0" | ""))
    {
        first.default = true;
    }
    nics
}

/// Why the report on a pod's NICs cannot be read, with its beginning; none when it can, or when there is none.
pub fn unreadable(pod: &Value) -> Option<String> {
    if !reported(pod).is_empty() {
        return None;
    }
    let damaged = |annotation: &&str| text(pod, annotation).is_some_and(|text| list(text).is_none());
    let annotation = [NETWORK_STATUS, OLD_STATUS].into_iter().find(damaged)?;
    let start = shown(text(pod, annotation).unwrap_or_default());
    Some(format!(
        "Multus' report cannot be read: `{annotation}` is not a list of NICs, it begins with `{start}`"
    ))
}

fn text<'a>(pod: &'a Value, annotation: &str) -> Option<&'a str> {
    pod["metadata"]["annotations"][annotation].as_str().filter(|text| !text.trim().is_empty())
}

/// The objects of a list; none when it is anything else.
fn list(text: &str) -> Option<Vec<Value>> {
    let list = serde_json::from_str::<Value>(text).ok()?.as_array().cloned()?;
    list.iter().all(Value::is_object).then_some(list)
}

/// Whether a pod's NICs are final: Multus has read its annotation, and does not read it again.
pub fn has_sandbox(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" || !reported(pod).is_empty()
}

/// Whether a pod runs with the NICs that Multus reported: any further request is newer, because Multus makes all NICs
/// or none.
pub fn runs_with_its_nics(pod: &Value) -> bool {
    pod["status"]["phase"] == "Running" && !reported(pod).is_empty()
}

fn nic(entry: &Value) -> Reported {
    let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
    let ips = entry["ips"].as_array().into_iter().flatten();
    Reported {
        network: text("name"),
        interface: text("interface"),
        ips: ips.filter_map(|ip| ip.as_str()?.split('/').next()?.parse().ok()).collect(),
        mac: Some(text("mac").to_ascii_lowercase()).filter(|mac| !mac.is_empty()),
        default: entry["default"] == true,
        device: entry["device-info"]["type"].as_str().map(str::to_owned),
    }
}

/// Which NIC each request got. A request is met by a NIC of its network with the requested name, else by the next one
/// of its network: Multus makes them in the order of the annotation. `configured` is the name in a network's CNI
/// configuration, which is all that Multus reported before v3.8.
pub fn pairs(
    wishes: &[Wish],
    nics: &[Reported],
    configured: &dyn Fn(&Wish) -> Option<String>,
) -> Vec<Option<usize>> {
    let mut taken: Vec<bool> = nics.iter().map(|nic| nic.default).collect();
    let mut found = vec![None; wishes.len()];
    let fits = |wish: &Wish, nic: &Reported| {
        nic.network == wish.network()
            || nic.network == wish.name
            || configured(wish).is_some_and(|name| nic.network == name)
    };
    // Requested names first, so that a request without one does not take the NIC of another.
    for named in [true, false] {
        for (wish, place) in wishes.iter().zip(&mut found) {
            let free = |(index, nic): &(usize, &Reported)| {
                let by_name = wish.interface.as_deref() == Some(nic.interface.as_str());
                !taken[*index] && fits(wish, nic) && (by_name || !named)
            };
            if place.is_none()
                && let Some((index, _)) = nics.iter().enumerate().find(free)
            {
                (*place, taken[index]) = (Some(index), true);
            }
        }
    }
    // Some report no network name at all: then only the order tells.
    let left: Vec<usize> = (0..nics.len()).filter(|index| !taken[*index]).collect();
    let nameless = left.iter().all(|index| nics[*index].network.is_empty());
    let unmet = found.iter_mut().filter(|place| place.is_none());
    if nameless {
        unmet.zip(left).for_each(|(place, index)| *place = Some(index));
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::asked;
    use super::*;
    use crate::formats::cni::NETWORKS;

    fn pod(networks: &str, annotation: &str, status: &str) -> Value {
        json!({"metadata": {"namespace": "n", "annotations": {NETWORKS: networks, annotation: status}}})
    }

    /// The interface that each wish got.
    fn met(networks: &str, annotation: &str, status: &str) -> Vec<String> {
        let pod = pod(networks, annotation, status);
        let (wishes, nics) = (asked(&pod).wishes, reported(&pod));
        let configured = |wish: &Wish| (wish.name == "renamed").then(|| "its-conf".to_owned());
        let found = pairs(&wishes, &nics, &configured);
        found.into_iter().map(|it| it.map_or("none".into(), |index| nics[index].interface.clone())).collect()
    }

    #[test]
    fn nics_are_paired_by_network_name_and_order() {
        let eth0 = r#"{"name":"cbr0","interface":"eth0","default":true}"#;
        let nic = |network: &str, interface: &str| {
            format!(
                r#"{{"name":"{network}","interface":"{interface}","ips":["10.20.0.2"],"mac":"0A:58:00:00:00:01"}}"#
            )
        };
        let list = |nics: &[String]| format!("[{eth0},{}]", nics.join(","));
        let two = list(&[nic("n/a", "net1"), nic("n/a", "net2")]);
        for (networks, annotation, status, expected) in [
            ("a", NETWORK_STATUS, list(&[nic("n/a", "net1")]), vec!["net1"]),
            ("a,a", NETWORK_STATUS, two.clone(), vec!["net1", "net2"]),
            // The one that asks for net1 has it, though it comes second.
            ("a,a@net1", NETWORK_STATUS, two.clone(), vec!["net2", "net1"]),
            ("a,a", NETWORK_STATUS, list(&[nic("n/a", "net1")]), vec!["net1", "none"]),
            ("b,a", NETWORK_STATUS, list(&[nic("n/a", "net2")]), vec!["none", "net2"]),
            // A network that Multus gives to every pod comes before those that a pod asks for.
            (
                "a",
                NETWORK_STATUS,
                list(&[nic("kube-system/every", "net1"), nic("n/a", "net2")]),
                vec!["net2"],
            ),
            (
                "other/a,a",
                NETWORK_STATUS,
                list(&[nic("other/a", "net1"), nic("n/a", "net2")]),
                vec!["net1", "net2"],
            ),
            (
                "a,renamed",
                OLD_STATUS,
                list(&[nic("a", "net1"), nic("its-conf", "net2")]),
                vec!["net1", "net2"],
            ),
            ("a,b", OLD_STATUS, list(&[nic("", "net1"), nic("", "net2")]), vec!["net1", "net2"]),
            // The first generation marks no default.
            (
                "a",
                OLD_STATUS,
                format!(r#"[{{"name":"","interface":"eth0"}},{}]"#, nic("a", "net1")),
                vec!["net1"],
            ),
            ("a", NETWORK_STATUS, "{".into(), vec!["none"]),
            ("a", NETWORK_STATUS, "[]".into(), vec!["none"]),
        ] {
            assert_eq!(met(networks, annotation, &status), expected, "{networks} {status}");
        }
    }

    #[test]
    fn a_damaged_report_is_told_with_how_it_begins() {
        for damaged in ["garbage", "null", r#"{"name":"n/a","interface":"net1"}"#, "[1]", "[{"] {
            let told = unreadable(&pod("a", NETWORK_STATUS, damaged)).unwrap();
            assert!(told.contains("cannot be read") && told.contains(&format!("`{damaged}`")), "{told}");
        }
        for fine in ["", "[]", r#"[{"name":"n/a","interface":"net1"}]"#] {
            assert_eq!(unreadable(&pod("a", NETWORK_STATUS, fine)), None, "{fine}");
        }
        let long = unreadable(&pod("a", OLD_STATUS, &"x".repeat(4000))).unwrap();
        assert!(long.len() < 200 && long.contains(OLD_STATUS), "{long}");
    }

    #[test]
    fn an_empty_new_annotation_does_not_hide_the_old_one() {
        let mut pod = pod("a", NETWORK_STATUS, "[]");
        pod["metadata"]["annotations"][OLD_STATUS] =
            json!(r#"[{"name":"a","interface":"net1","ips":["10.0.0.2/24"],"mac":""}]"#);
        let nics = reported(&pod);
        assert_eq!((nics[0].ips[0].to_string().as_str(), nics[0].mac.as_deref()), ("10.0.0.2", None));
    }
}
