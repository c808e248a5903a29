//! Whether a file is `JUnit` as others read it.

use std::collections::BTreeMap;

/// What the usual schema of `JUnit` (that of Jenkins) allows: element, its attributes (`!`: must be there), its children.
const JUNIT: [(&str, &[&str], &[&str]); 8] = [
    ("testsuites", &["name", "time", "tests", "failures", "disabled", "errors"], &["testsuite"]),
    (
        "testsuite",
        &[
            "name!",
            "tests!",
            "failures",
            "errors",
            "time",
            "disabled",
            "skipped",
            "timestamp",
            "hostname",
            "id",
            "package",
        ],
        &["properties", "testcase", "system-out", "system-err"],
    ),
    (
        "testcase",
        &["name!", "assertions", "time", "classname", "status"],
        &["skipped", "error", "failure", "system-out", "system-err"],
    ),
    ("skipped", &["type", "message"], &[]),
    ("error", &["type", "message"], &[]),
    ("failure", &["type", "message"], &[]),
    ("system-out", &[], &[]),
    ("system-err", &[], &[]),
];

/// Holds a file against the schema, and its sums against `[tests, failures, skipped]`.
pub fn is_junit(xml: &str, sums: &[usize; 3]) {
    use quick_xml::events::Event;
    let mut reader = quick_xml::Reader::from_str(xml);
    let (mut open, mut count): (Vec<String>, BTreeMap<String, usize>) = (Vec::new(), BTreeMap::new());
    let mut claimed = BTreeMap::new();
    loop {
        let event = reader.read_event().unwrap();
        match &event {
            Event::Start(element) | Event::Empty(element) => {
                let name = String::from_utf8(element.name().as_ref().to_vec()).unwrap();
                let (_, attributes, _) = JUNIT
                    .iter()
                    .find(|(known, ..)| *known == name)
                    .unwrap_or_else(|| panic!("{name}: {xml}"));
                let parent =
                    open.last().map(|parent| JUNIT.iter().find(|(known, ..)| known == parent).unwrap());
                assert!(
                    parent.map_or(name == "testsuites", |(_, _, children)| children.contains(&name.as_str())),
                    "{name}: {xml}"
                );
                let given: BTreeMap<String, String> = element
                    .attributes()
                    .map(|attribute| {
                        let attribute = attribute.unwrap();
                        let value = String::from_utf8(attribute.value.to_vec()).unwrap();
                        (String::from_utf8(attribute.key.as_ref().to_vec()).unwrap(), value)
                    })
                    .collect();
                for key in given.keys() {
                    assert!(
                        attributes.iter().any(|known| known.trim_end_matches('!') == key),
                        "{name} has {key}: {xml}"
                    );
                }
                for must in attributes.iter().filter_map(|known| known.strip_suffix('!')) {
                    assert!(given.contains_key(must), "{name} has no {must}: {xml}");
                }
                for number in ["time", "tests", "failures", "errors", "skipped", "disabled"]
                    .iter()
                    .filter_map(|key| given.get(*key))
                {
                    number.parse::<f64>().unwrap();
                }
                *count.entry(name.clone()).or_default() += 1;
                if name == "testsuites" || name == "testsuite" {
                    claimed.insert(name.clone(), given);
                }
                if matches!(event, Event::Start(_)) {
                    open.push(name);
                }
            }
            Event::End(_) => _ = open.pop(),
            Event::Eof => break,
            _ => {}
        }
    }
    let found = ["testcase", "failure", "skipped"].map(|name| count.get(name).copied().unwrap_or_default());
    assert_eq!(found, *sums, "{xml}");
    assert_eq!(claimed["testsuites"]["tests"], sums[0].to_string());
    assert_eq!(claimed["testsuites"]["failures"], sums[1].to_string());
}
