use std::fmt::Write;

use serde_json::json;

use super::*;

fn one(text: &str) -> Value {
    let mut found = documents(text, "x.yaml").unwrap();
    assert_eq!(found.len(), 1, "{text}");
    found.remove(0).0
}

fn refused(text: &str) -> String {
    let error = documents(text, "x.yaml").map(|_| ()).unwrap_err();
    assert_eq!(error.code().id, "KVN403", "{text}");
    error.to_string()
}

/// Kubernetes reads a number as int64 or else as float64; `serde_json` also knows u64.
fn number(value: &Value) -> Value {
    match value.as_f64() {
        Some(float) if !value.is_i64() => json!(float),
        _ => value.clone(),
    }
}

/// The right side was recorded from kubectl: see tests/fixtures/yaml/record.sh.
#[test]
fn scalars_mean_what_they_mean_to_kubectl() {
    let mine = parse_manifests(include_str!("../../../../tests/fixtures/yaml/scalars.yaml"), "scalars.yaml")
        .unwrap();
    let kubectl: Value =
        serde_json::from_str(include_str!("../../../../tests/fixtures/yaml/scalars.json")).unwrap();
    let Value::Object(expected) = &kubectl["data"] else { panic!("no data") };
    assert!(expected.len() > 150);
    for (name, value) in expected {
        assert_eq!(number(&mine[0]["data"][name]), number(value), "{name}");
    }
    assert_eq!(mine[0]["data"].as_object().map(serde_json::Map::len), Some(expected.len()));
}

#[test]
fn tags_decide_over_the_look() {
    for (text, expected) in [
        ("!!str 0644", json!("0644")),
        ("!!str yes", json!("yes")),
        ("!!str", json!("")),
        ("!!int \"3\"", json!(3)),
        ("!!int 0644", json!(420)),
        ("!<tag:yaml.org,2002:int> \"7\"", json!(7)),
        ("!!float 3", json!(3)),
        ("!!float \"0644\"", json!(420)),
        ("!!bool \"y\"", json!(true)),
        ("!!null \"\"", json!(null)),
        ("!!timestamp 2020-01-01", json!("2020-01-01")),
        ("! 12", json!("12")),
        ("!local yes", json!("yes")),
        ("!!binary aGk=", json!("hi")),
        ("!!other 12", json!("12")),
        ("!!merge \"<<\"", json!("<<")),
        ("!!set {x}", json!({"x": null})),
    ] {
        assert_eq!(one(&format!("a: {text}"))["a"], expected, "{text}");
    }
    for text in
        ["!!int abc", "!!int 1.5", "!!int \"\"", "!!bool 12", "!!null x", "!!float abc", "!!binary \"#\""]
    {
        let column = "a: ".len() + text.find(' ').unwrap() + 2;
        let error = refused(&format!("a: {text}"));
        assert!(error.starts_with(&format!("x.yaml:1:{column}: ")), "{text}: {error}");
    }
}

#[test]
fn keys_become_names() {
    for (text, expected) in [
        ("0644: a", json!({"420": "a"})),
        ("yes: a", json!({"true": "a"})),
        ("1.10: a", json!({"1.1": "a"})),
        ("1e3: a", json!({"1000": "a"})),
        ("1_000: a", json!({"1000": "a"})),
        ("2020-01-01: a", json!({"2020-01-01": "a"})),
        ("? a\n: b", json!({"a": "b"})),
        ("{a, b: 1}", json!({"a": null, "b": 1})),
    ] {
        assert_eq!(one(text), expected, "{text}");
    }
    for text in ["~: a", "? [1]\n: a", "{a: b}: c"] {
        refused(text);
    }
}

#[test]
fn merges_follow_kubectl() {
    for (text, expected) in [
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", json!({"a": {"b": 1}, "c": {"b": 1, "d": 2}})),
        ("<<: [{b: 1}, {b: 2, e: 3}]\nb: 5", json!({"b": 5, "e": 3})),
        ("<<: [{b: 3}, {b: 4}]", json!({"b": 3})),
        ("b: 1\n<<: {b: 3}", json!({"b": 3})),
        ("<<: {a: 1}\n<<: {b: 2}", json!({"a": 1, "b": 2})),
        ("\"<<\": {a: 1}", json!({"<<": {"a": 1}})),
        ("a: <<", json!({"a": "<<"})),
    ] {
        assert_eq!(one(text), expected, "{text}");
    }
    assert!(refused("<<: 3").contains("mapping"));
}

#[test]
fn what_kubectl_refuses_or_forgives_to_our_harm_is_refused() {
    for (text, place, reason) in [
        ("a: .inf", "x.yaml:1:4", "no meaning in JSON"),
        ("a: 1\nb: -.Inf", "x.yaml:2:4", "no meaning in JSON"),
        ("a: 1\nb:\n  c: 2\n  c: 3", "x.yaml:4:6", "`c` is given twice"),
        ("1: a\n\"1\": b", "x.yaml:2:6", "`1` is given twice"),
        ("a: &x [*x]", "x.yaml:1:8", "inside"),
        ("a: *z", "x.yaml:1:4", ""),
        ("a: [1", "x.yaml:", ""),
        ("a:\n\t- b", "x.yaml:2", ""),
    ] {
        let error = refused(text);
        assert!(error.starts_with(place) && error.contains(reason), "{text}: {error}");
    }
}

#[test]
fn bombs_do_not_go_off() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let last = level - 1;
        let aliases = vec![format!("*a{last}"); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{aliases}]").unwrap();
    }
    assert!(refused(&bomb).contains("more than 500000 values"));
    // The parser has a limit of its own for this form.
    refused(&"[".repeat(100_000));
    assert!(refused(&("[".repeat(150) + &"]".repeat(150))).contains("nested more than 100 deep"));
    assert!(refused(&"a: {".repeat(5_000)).contains("nested more than 100 deep"));
    assert!(refused(&"- ".repeat(5_000)).contains("nested more than 100 deep"));
    let error = documents(&"#".repeat(MAX_BYTES + 1), "x.yaml").map(|_| ()).unwrap_err();
    assert_eq!(error.code().id, "KVN402");
}

#[test]
fn documents_are_separated_and_empty_ones_skipped() {
    let text = "# only a comment\n---\n---\nkind: A\n---\n# nothing\n---\n~\n--- # two\nkind: B\ntext: |\n  ---\n  x\n...\n";
    let found: Vec<_> = documents(text, "x.yaml").unwrap();
    assert_eq!(found, [(json!({"kind": "A"}), 3), (json!({"kind": "B", "text": "---\nx\n"}), 9)]);
    assert_eq!(documents("", "x.yaml").unwrap(), []);
    assert_eq!(one("{\"a\":1,\"b\":[true,null,\"\\u00e9\"]}"), json!({"a": 1, "b": [true, null, "é"]}));
}

#[test]
fn errors_of_objects_name_the_document() {
    let error = parse_manifests("kind: A\napiVersion: v1\nmetadata: {name: a}\n---\nkind: B\n", "x.yaml")
        .unwrap_err();
    assert_eq!((error.code().id, error.place()), ("KVN403", Some("x.yaml:4")));
}
