//! Addresses from whereabouts: what is refused, and the configuration that comes out.

use serde_json::{Value, json};

use super::refusals::{Case, refused};
use crate::profile::load_text;

/// A profile with one network on the bridge `blue`, whose `ipam` begins at 5:46.
fn text(ipam: &str) -> String {
    format!(
        "extends: default\nvm: {{enabled: false}}\nwhereabouts: {{enabled: true}}\nnetworks:\n- {{name: n, kind: ovs, bridge: blue,      ipam: {ipam}}}\n"
    )
}

/// Refused at a part of the `ipam`.
fn says(ipam: &str, at: &str, message: &str, hint: &str) {
    let text = text(ipam);
    let line = text.lines().nth(4).unwrap();
    let place = format!("p.yaml:5:{}", line.find(at).expect(at) + 1);
    let text: &'static str = text.leak();
    let [place, message, hint]: [&'static str; 3] =
        [place.leak(), message.to_owned().leak(), hint.to_owned().leak()];
    let case: Case = (text, place, "KVN104", message, hint);
    refused(&[case]);
}

fn rendered(ipam: &str) -> Value {
    let loaded = load_text(&text(ipam), "p.yaml", &[]).unwrap_or_else(|error| panic!("{ipam}: {error}"));
    Value::Object(loaded.profile.networks[0].cni_config("cbr0"))["ipam"].clone()
}

#[test]
fn the_attachment_has_what_the_plugin_reads() {
    assert_eq!(
        rendered("{type: whereabouts, range: 10.20.0.0/24}"),
        json!({"type": "whereabouts", "range": "10.20.0.0/24"})
    );
    assert_eq!(
        rendered(
            "{type: whereabouts, range: 10.20.0.0/24, rangeStart: 10.20.0.10, rangeEnd: 10.20.0.99, gateway: 10.20.0.1, \
             exclude: [10.20.0.32/28, 10.20.0.5], routes: [{dst: 10.30.0.0/16}]}"
        ),
        json!({"type": "whereabouts", "range": "10.20.0.0/24", "range_start": "10.20.0.10", "range_end": "10.20.0.99",
            "exclude": ["10.20.0.32/28", "10.20.0.5"], "gateway": "10.20.0.1", "routes": [{"dst": "10.30.0.0/16"}]})
    );
    assert_eq!(
        rendered("{type: whereabouts, range: 10.20.0.10-10.20.0.99/24}")["range"],
        "10.20.0.10-10.20.0.99/24"
    );
}

#[test]
fn a_network_needs_the_component() {
    let off = text("{type: whereabouts, range: 10.20.0.0/24}").replace("{enabled: true}", "{enabled: false}");
    let off: &'static str = off.leak();
    let needs = "needs `whereabouts.enabled`, which is off";
    refused(&[(off, "p.yaml:5:3", "KVN104", needs, "set `whereabouts.enabled` to true")]);
    let alone = "extends: default\nnetworks: []\nvm: {enabled: false}\nmultus: {enabled: false}\nwhereabouts: {enabled: true}\n";
    let needs = "needs `multus.enabled`, which is off";
    refused(&[(alone, "p.yaml:5:24", "KVN104", needs, "set `multus.enabled` to true")]);
    // Whoever installed another whereabouts takes the configuration as it is.
    let raw = "extends: default\nvm: {enabled: false}\nnetworks: [{name: n, kind: raw, config: {type: macvlan, ipam: {type: whereabouts, range: 10.20.0.0/24}}}]\n";
    assert!(load_text(raw, "p.yaml", &[]).is_ok());
}

#[test]
fn fields_of_the_other_plugin_are_refused() {
    says("{type: whereabouts}", "{type", "has no `range`", "write `range: 10.20.0.0/24`");
    says(
        "{type: whereabouts, range: 10.20.0.0/24, subnet: 10.21.0.0/24}",
        "10.21",
        "is a field of host-local",
        "write `range`",
    );
    says(
        "{type: whereabouts, range: 10.20.0.0/24, dataDir: /x}",
        "/x",
        "is a field of host-local",
        "keeps its addresses in the API",
    );
    says(
        "{range: 10.20.0.0/24, subnet: 10.20.0.0/24}",
        "10.20",
        "is a field of whereabouts",
        "type: whereabouts",
    );
    says(
        "{subnet: 10.20.0.0/24, exclude: [10.20.0.0/28]}",
        "[10",
        "host-local has no exclusions",
        "ranges around it",
    );
    let ends = "{type: whereabouts, range: 10.20.0.10-10.20.0.99/24, rangeEnd: 10.20.0.50}";
    says(ends, "10.20.0.10-", "has both ends already", "leave `rangeStart` and `rangeEnd` out");
}

#[test]
fn ranges_exclusions_and_gateways_are_checked() {
    let with = |rest: &str| format!("{{type: whereabouts, range: 10.20.0.0/24, {rest}}}");
    says("{type: whereabouts, range: 10.20.0}", "10.20.0}", "is not a subnet", "CIDR notation");
    says("{type: whereabouts, range: 10.20.0.0/31}", "10.20", "too small for pods", "shorter prefix");
    says(
        &with("rangeStart: 10.21.0.5"),
        "10.21",
        "is not a host address of 10.20.0.0/24",
        "subnet's addresses",
    );
    says(
        &with("rangeStart: 10.20.0.50, rangeEnd: 10.20.0.9"),
        "10.20.0.9}",
        "comes before `rangeStart`",
        "swap the two",
    );
    says(&with("exclude: [10.20.1.0/28]"), "10.20.1", "is outside of 10.20.0.0/24", "a part of the range");
    says(&with("exclude: [some]"), "some", "is neither a subnet nor an address", "or as 10.20.0.5");
    says(
        &with("exclude: [10.20.0.0/24]"),
        "10.20.0.0/24,",
        "leaves 0 addresses to give out",
        "widen the range",
    );
    says(
        &with("gateway: 10.20.0.1"),
        "10.20.0.1}",
        "a pod have the gateway's address 10.20.0.1",
        "exclude: [10.20.0.1]",
    );
    for spared in ["gateway: 10.20.0.1, exclude: [10.20.0.1]", "gateway: 10.20.0.1, rangeStart: 10.20.0.10"] {
        rendered(&with(spared));
    }
    let bridge = text("{type: whereabouts, range: 10.20.0.0/24}")
        .replace("kind: ovs, bridge: blue", "kind: bridge, bridge: br7, isGateway: true");
    let error = load_text(&bridge, "p.yaml", &[]).unwrap_err();
    assert!(error.message().contains("the gateway's address 10.20.0.1"), "{error}");
}

/// Two networks, each with its own `ipam`.
fn two(one: &str, other: &str) -> Result<(), String> {
    let text = format!(
        "extends: default\nvm: {{enabled: false}}\nwhereabouts: {{enabled: true}}\nnetworks:\n\
         - {{name: a, kind: ovs, bridge: blue, ipam: {{type: whereabouts, {one}}}}}\n\
         - {{name: b, kind: bridge, bridge: br7, ipam: {{type: whereabouts, {other}}}}}\n"
    );
    let loaded = load_text(&text, "p.yaml", &[]);
    loaded.map(|_| ()).map_err(|error| format!("{error} {}", error.hints().join("; ")))
}

#[test]
fn networks_share_a_range_when_it_is_the_same() {
    assert_eq!(two("range: 10.20.0.0/24", "range: 10.20.0.0/24"), Ok(()));
    assert_eq!(two("range: 10.20.0.0/24", "range: 10.21.0.0/24"), Ok(()));
    for other in ["range: 10.20.0.0/25", "range: 10.20.0.0/16", "range: 10.20.0.0/24, rangeStart: 10.20.0.9"]
    {
        let error = two("range: 10.20.0.0/24", other).unwrap_err();
        assert!(error.contains("overlaps") && error.contains("the same range"), "{other}: {error}");
    }
}
