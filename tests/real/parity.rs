//! The sandbox's API server and Open vSwitch, held to the real ones: the same requests and command lines for both.
//!
//! The real API server runs on loopback, without a node: it, its database, and those two controllers whose work the
//! sandbox's API server does itself. `KVNET_BLESS=1` records its answers for the hermetic tests.

mod kubernetes;
mod openvswitch;

use kvnet::sandbox::api::KubernetesVersion;
use kvnet_test_kit::count;
use kvnet_test_kit::parity::compare::{Known, differences, judge};
use kvnet_test_kit::parity::differences::{OF_API, OF_API_2018, OF_SWITCH};
use kvnet_test_kit::parity::fixture::{self, Recorded};
use kvnet_test_kit::parity::{self, api, memory, switch};
use serde_json::Value;

/// Where the real API server's answers are, and the real switch's.
const KUBERNETES: &str = "kubernetes-1.34.4";
const KUBERNETES_2018: &str = "kubernetes-1.11.3";
const OPEN_VSWITCH: &str = "openvswitch-3.1.0";

/// A real server answers some requests now and then in another way: by which of its controllers was first, and by the order
/// of a map. What differs is asked again; it differs when it does each time.
const ATTEMPTS: usize = 3;

pub fn story() {
    let parts = kubernetes::Parts::of_the_rig(KubernetesVersion::V1_34);
    let commands = commands(&parts);
    let requests =
        settled(|| requests(&parts, KUBERNETES, KubernetesVersion::V1_34, &api::chapters(), OF_API));
    must_be_none(&[&commands.problems, &requests.problems]);
    count::record("requests compared with the real API server", requests.number);
    count::record("command lines compared with the real Open vSwitch", commands.number);
    count_known("known differences of the API server", OF_API);
    count_known("known differences of Open vSwitch", OF_SWITCH);
}

/// The API server of Kubernetes 1.11, which cannot apply.
pub fn of_2018() {
    let release = KubernetesVersion::V1_11;
    let parts = kubernetes::Parts::of_the_rig(release);
    let chapters = api::of_2018::chapters();
    let requests = settled(|| requests(&parts, KUBERNETES_2018, release, &chapters, OF_API_2018));
    must_be_none(&[&requests.problems]);
    count::record("requests compared with the real API server of 1.11", requests.number);
    count_known("known differences of the API server of 1.11", OF_API_2018);
}

/// What is left when it is asked again.
fn settled(ask: impl Fn() -> Compared) -> Compared {
    let mut compared = ask();
    for _ in 1..ATTEMPTS {
        if compared.problems.is_empty() {
            break;
        }
        eprintln!("asked again: {}", compared.problems.join("\n"));
        compared = ask();
    }
    compared
}

fn must_be_none(problems: &[&Vec<String>]) {
    let all: Vec<&str> = problems.iter().flat_map(|problems| problems.iter()).map(String::as_str).collect();
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// What came of a comparison.
struct Compared {
    number: usize,
    problems: Vec<String>,
}

/// None is worth a row as well, but the table has no zeros.
fn count_known(row: &str, known: &[Known]) {
    if !known.is_empty() {
        count::record(row, known.len());
    }
}

fn requests(
    parts: &kubernetes::Parts,
    of: &str,
    release: KubernetesVersion,
    chapters: &[api::Chapter],
    known: &[Known],
) -> Compared {
    let real = kubernetes::answers(parts, release, chapters);
    let fresh = chapters.iter().zip(&real);
    let fresh: Vec<_> = fresh
        .map(|(chapter, real)| {
            (chapter.name, recording(parity::asked(chapter), real.iter().map(|(_, answer)| answer)))
        })
        .collect();
    let kept = keep(of, &fresh);
    let sandbox = memory::answers(release, chapters);
    let sandbox = sandbox.iter().map(|answers| answers.iter().map(|(_, answer)| answer).collect());
    compared(kept, &fresh, sandbox, known)
}

fn commands(parts: &kubernetes::Parts) -> Compared {
    let stories = switch::stories();
    let real = openvswitch::answers(parts, &stories);
    let fresh = stories.iter().zip(&real);
    let fresh: Vec<_> =
        fresh.map(|(story, real)| (story.name, recording(parity::lines(story), real.iter()))).collect();
    let kept = keep(OPEN_VSWITCH, &fresh);
    let sandbox = switch::in_memory(&stories);
    compared(kept, &fresh, sandbox.iter().map(|answers| answers.iter().collect()), OF_SWITCH)
}

/// Compares what the real one and the sandbox answer.
fn compared<'a>(
    kept: Result<(), String>,
    fresh: &[(&str, Vec<Recorded>)],
    sandbox: impl Iterator<Item = Vec<&'a Value>>,
    known: &[Known],
) -> Compared {
    let mut found = Vec::new();
    for ((chapter, real), sandbox) in fresh.iter().zip(sandbox) {
        for (real, sandbox) in real.iter().zip(sandbox) {
            found.extend(differences(&format!("{chapter}: {}", real.name), &real.answer, sandbox));
        }
    }
    let problems = [kept, judge(&found, known)].into_iter().filter_map(Result::err).collect();
    Compared { number: fresh.iter().map(|(_, answers)| answers.len()).sum(), problems }
}

fn recording<'a>(asked: Vec<Recorded>, answers: impl Iterator<Item = &'a Value>) -> Vec<Recorded> {
    let answered = |(asked, answer): (Recorded, &Value)| Recorded { answer: answer.clone(), ..asked };
    asked.into_iter().zip(answers).map(answered).collect()
}

/// Writes the recordings, or shows that they are still what the real one answers.
fn keep(of: &str, fresh: &[(&str, Vec<Recorded>)]) -> Result<(), String> {
    if fixture::is_blessed() {
        for (chapter, answers) in fresh {
            fixture::write(of, chapter, answers);
        }
        return Ok(());
    }
    let mut found = Vec::new();
    for (chapter, answers) in fresh {
        let recorded = fixture::read(of, chapter);
        assert_eq!(recorded.len(), answers.len(), "{of}: {chapter}: record it again");
        for (recorded, fresh) in recorded.iter().zip(answers) {
            assert_eq!((&recorded.name, &recorded.asked), (&fresh.name, &fresh.asked), "record it again");
            found.extend(differences(
                &format!("recorded {chapter}: {}", fresh.name),
                &fresh.answer,
                &recorded.answer,
            ));
        }
    }
    judge(&found, &[])
}
