//! The sandbox against recorded answers of the real thing: its API server, its Open vSwitch. The trial `parity` of the real
//! tests shows that the recordings are still what the real ones answer, and records them again with `KVNET_BLESS=1`.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use kvnet::sandbox::api::KubernetesVersion;
use kvnet_test_kit::parity::compare::{Known, differences, judge};
use kvnet_test_kit::parity::differences::{NOT_COMPARED, OF_API, OF_API_2018, OF_SWITCH};
use kvnet_test_kit::parity::fixture::{self, Recorded};
use kvnet_test_kit::parity::{self, api, memory, switch};

/// Where the real API server's answers are, and the real switch's.
const KUBERNETES: &str = "kubernetes-1.34.4";
const KUBERNETES_2018: &str = "kubernetes-1.11.3";
const OPEN_VSWITCH: &str = "openvswitch-3.1.0";

#[test]
fn the_api_server_answers_as_the_real_one_did() {
    compared(KUBERNETES, KubernetesVersion::V1_34, &api::chapters(), OF_API);
}

#[test]
fn the_api_server_of_2018_answers_as_the_real_one_did() {
    compared(KUBERNETES_2018, KubernetesVersion::V1_11, &api::of_2018::chapters(), OF_API_2018);
}

fn compared(of: &str, release: KubernetesVersion, chapters: &[api::Chapter], known: &[Known]) {
    let mut found = Vec::new();
    for (chapter, answers) in chapters.iter().zip(memory::answers(release, chapters)) {
        let recorded = fixture::read(of, chapter.name);
        same_questions(chapter.name, &recorded, &parity::asked(chapter));
        for (recorded, (name, answer)) in recorded.iter().zip(&answers) {
            found.extend(differences(&format!("{}: {name}", chapter.name), &recorded.answer, answer));
        }
    }
    judge(&found, known).unwrap_or_else(|problems| panic!("{problems}"));
}

#[test]
fn the_switch_answers_as_the_real_one_did() {
    let stories = switch::stories();
    let mut found = Vec::new();
    for (story, answers) in stories.iter().zip(switch::in_memory(&stories)) {
        let recorded = fixture::read(OPEN_VSWITCH, story.name);
        same_questions(story.name, &recorded, &parity::lines(story));
        for (recorded, answer) in recorded.iter().zip(&answers) {
            found.extend(differences(
                &format!("{}: {}", story.name, recorded.name),
                &recorded.answer,
                answer,
            ));
        }
    }
    judge(&found, OF_SWITCH).unwrap_or_else(|problems| panic!("{problems}"));
}

fn same_questions(of: &str, recorded: &[Recorded], now: &[Recorded]) {
    let recorded: Vec<_> = recorded.iter().map(|one| (&one.name, &one.asked)).collect();
    let now: Vec<_> = now.iter().map(|one| (&one.name, &one.asked)).collect();
    assert!(recorded == now, "{of}: the suite has changed; record it again (docs/sandbox.md)");
}

#[test]
fn the_suite_is_large_and_names_each_request_once() {
    let chapters = api::chapters();
    let requests: usize = chapters.iter().map(|chapter| chapter.steps.len()).sum();
    assert!(requests >= 200, "{requests} requests");
    let methods: BTreeSet<&str> =
        chapters.iter().flat_map(|chapter| &chapter.steps).map(|step| step.method).collect();
    assert_eq!(methods.into_iter().collect::<Vec<_>>(), ["COMPACT", "DELETE", "GET", "PATCH", "POST", "PUT"]);
    for chapter in &chapters {
        let names: BTreeSet<&str> = chapter.steps.iter().map(|step| step.name).collect();
        assert_eq!(names.len(), chapter.steps.len(), "{}: a name twice", chapter.name);
    }
}

/// The document's list is the code's: `KVNET_BLESS=1` writes it.
#[test]
fn the_document_lists_the_known_differences() {
    const START: &str = "<!-- differences -->\n";
    const END: &str = "<!-- end -->\n";
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sandbox.md");
    let text = std::fs::read_to_string(path).expect("the document");
    let (before, rest) = text.split_once(START).expect("the begin of the list");
    let (_, after) = rest.split_once(END).expect("the end of the list");
    let wanted = format!("{before}{START}{}{END}{after}", list());
    if fixture::is_blessed() {
        std::fs::write(path, &wanted).expect("the document is written");
    }
    assert!(text == wanted || fixture::is_blessed(), "docs/sandbox.md does not list what the code does");
}

fn list() -> String {
    let mut text = String::new();
    let mut known = |title: &str, known: &[Known]| {
        let _ = write!(text, "\n### {title}\n\n");
        if known.is_empty() {
            text.push_str("None.\n");
        }
        for one in known {
            let _ = writeln!(text, "- **{}**: {}.", one.what, one.why);
        }
    };
    known("The API server", OF_API);
    known("The API server of Kubernetes 1.11", OF_API_2018);
    known("Open vSwitch", OF_SWITCH);
    text.push_str("\n### Not compared\n\n");
    for (what, why) in NOT_COMPARED {
        let _ = writeln!(text, "- **{what}**: {why}.");
    }
    text.push('\n');
    text
}
