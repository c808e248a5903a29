//! Every form of the annotation, and every slip in it.

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
        ("a@net2,b@net1", vec!["n/a@net2", "n/b@net1"]),
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
        ("n/", 0, "`n/` has no network name"),
        ("@net1", 0, "`@net1` has no network name"),
        ("Blue", 0, "`Blue` is not a valid name"),
        ("a b", 0, "`a b` is not a valid name"),
        ("- a", 0, "`- a` is not a valid name"),
        ("a.b", 0, "`a.b` is not a valid name, without dots"),
        ("a@a-name-that-is-too-long", 1, "longer than 15 characters"),
        ("a@x,b@x", 2, "two networks request the interface `x`"),
        ("a,b@net1", 2, "entries 1 and 2 both get the interface `net1`: one by its place"),
        ("a@eth0", 1, "n/a requests the interface `eth0`, which every pod already has"),
        (
            "a@x:1",
            1,
            "the interface `x:1` of `a@x:1` is longer than 15 characters or contains a space, `/` or `:`",
        ),
        ("\u{1b}[31mred\u{1b}[0m", 0, "it has a control character (U+001B)"),
        ("\u{1b}", 0, "it has a control character (U+001B)"),
        ("a,\u{7}b", 0, "it has a control character (U+0007)"),
        ("[{\"name\":\"a\u{1b}[0m\"}]", 0, "it has a control character (U+001B)"),
        ("[{\"name\":\"a\nb\"}]", 0, "it has a control character within a string, at line 2 column 0"),
        (r#"[{"name":"a\u001b[0m"}]"#, 0, "`a[0m` in entry 1 has a control character (U+001B)"),
        (
            r#"[{"name":"a","interface":"x\u0007"}]"#,
            1,
            "the interface `x` of entry 1 has a control character (U+0007)",
        ),
        ("a\nb", 0, "`a b` has a control character (U+000A)"),
        ("a\u{200b}", 0, "`a` has an invisible character (U+200B)"),
        ("null", 1, "`null` is a bare JSON value: Multus takes it for a network name"),
        ("true", 1, "`true` is a bare JSON value"),
        ("5", 1, "`5` is a bare JSON value"),
        ("1.5", 0, "`1.5` is not a valid name: it is a bare JSON value"),
        ("-5", 0, "`-5` is not a valid name: it is a bare JSON value"),
        (
            r#"[ {"name":"ovs-blue","ips":["10.20.0.104/24"] ]"#,
            0,
            "it is not a JSON list: expected `,` or `}`",
        ),
        (r#"[{"name":"a"},]"#, 0, "it is not a JSON list: trailing comma"),
        (r#"[{"name":"a"}"#, 0, "it is not a JSON list: EOF"),
        ("[{name: a}]", 0, "it is not a JSON list: key must be a string"),
        (r#"{"name":"ovs-blue","mac":"02:00:00:00:00:01"}"#, 1, "write `[ ]` around it"),
        (r#""a""#, 0, "it is a string in JSON, not a list of objects"),
        (r#"["a"]"#, 0, "entry 1 is a string, not an object"),
        ("[null]", 0, "entry 1 is null, not an object"),
        (r#"[{"namespace":"n"}]"#, 0, "entry 1 has no `name`"),
        (r#"[{"name":""}]"#, 0, "entry 1 has no `name`"),
        (r#"[{"name":["a"]}]"#, 0, "`name` of entry 1 is a list, not a string"),
        (r#"[{"name":"kube-system/a"}]"#, 0, r#"write "namespace": "kube-system", "name": "a""#),
        (r#"[{"name":"a?limit=1"}]"#, 0, "`a?limit=1` in entry 1 is not a valid name"),
        (r#"[{"name":"..","namespace":"../x"}]"#, 0, "`../x` in entry 1 is not a valid name"),
        (r#"[{"name":"a","ips":"10.0.0.2"}]"#, 1, "`ips` of entry 1 is a string, not a list"),
        (r#"[{"name":"a","ips":["10.0.0.400/24"]}]"#, 1, "has `10.0.0.400/24`, which is not an address"),
        (r#"[{"name":"a","ips":["10.0.0.4/33"]}]"#, 1, "has `10.0.0.4/33`, which is not an address"),
        (r#"[{"name":"a","default-route":"10.0.0.1"}]"#, 1, "`default-route` of entry 1 is a string"),
        (r#"[{"name":"a","mac":"02:00"}]"#, 1, "`02:00`, is not a MAC address"),
        (r#"[{"name":"a","mac":2}]"#, 1, "`mac` of entry 1 is a number, not a string"),
        (r#"[{"name":"a","interface":7}]"#, 1, "`interface` of entry 1 is a number"),
        (r#"[{"name":"a","cni-args":["x"]}]"#, 1, "`cni-args` of entry 1 is a list, not an object"),
    ] {
        let asked = of(text);
        assert_eq!(asked.wishes.len(), wishes, "{text}: {asked:?}");
        let refusal = asked.refusal().unwrap_or_default();
        assert!(refusal.contains(says), "{text}: {refusal}");
        assert!(!refusal.contains('\n'), "{text}: {refusal}");
        assert!(
            asked.wishes.iter().all(|wish| is_subdomain(&wish.name) && is_subdomain(&wish.namespace)),
            "{text}"
        );
    }
}

#[test]
fn what_multus_passes_over_is_named_and_not_refused() {
    let asked = of(r#"[{"name":"a","interfaces":"net5"}]"#);
    assert_eq!((asked.wishes.len(), asked.refusal()), (1, None));
    assert_eq!(asked.slips[0].text, "Multus does not know `interfaces` in entry 1 and ignores it");
}

#[test]
fn a_network_that_is_called_as_a_value_of_json_is_one() {
    let there = of("null,b").settled(&|network| network == "n/null");
    assert_eq!((there.wishes.len(), there.refusal()), (2, None));
    let gone = of("null,b").settled(&|_| false);
    assert_eq!(gone.wishes.iter().map(Wish::network).collect::<Vec<_>>(), ["n/b"]);
    assert!(gone.refusal().unwrap().starts_with("`null` is a bare JSON value"));
}

#[test]
fn multus_is_not_asked_for_a_pod_of_the_node() {
    let pod = json!({"metadata": {"namespace": "n", "annotations": {NETWORKS: "a,,", DEFAULT_NETWORK: "x"}},
        "spec": {"hostNetwork": true}});
    let asked = asked_with_first(&pod, "kube-system");
    assert_eq!((asked.wishes.len(), asked.refusal()), (0, None));
    let told = asked.ignored().unwrap();
    assert!(
        told.contains("`k8s.v1.cni.cncf.io/networks` has no effect: the pod uses the network of its node")
    );
    assert!(told.contains("`v1.multus-cni.io/default-network` has no effect"), "{told}");
    assert_eq!(super::asked(&json!({"spec": {"hostNetwork": true}})), Asked::default());
}

#[test]
fn slips_of_the_first_network_are_named_with_it() {
    let pod = json!({"metadata": {"namespace": "n", "annotations": {NETWORKS: "a", DEFAULT_NETWORK: "b,"}}});
    assert_eq!(asked(&pod).refusal(), None);
    let told = asked_with_first(&pod, "kube-system").refusal().unwrap();
    assert!(told.starts_with("`v1.multus-cni.io/default-network`: entry 2 is empty"), "{told}");
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
