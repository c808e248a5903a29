//! The node refuses, hangs and lies at every command and file of a run. Each run is the whole job on a sandbox.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use camino::{Utf8Path, Utf8PathBuf};
use kvnet::sandbox::node::{HostFault, HostInterference, HostOperation};
use rustix::io::Errno;
use tokio::time::Instant;

use crate::survives::essence::{Essence, assert_same, essence};
use crate::survives::inside::{Ended, Inside, PROFILES, for_each, is_thorough, without_waiting};
use kvnet_test_kit::count;

/// What goes wrong with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Fails,
    /// It does its work and ends with an error.
    FailsAfter,
    Hangs,
    HangsAfter,
    Garbage,
    Full,
    Denied,
    ReadOnly,
}

const ALL: [Wrong; 8] = [
    Wrong::Fails,
    Wrong::FailsAfter,
    Wrong::Hangs,
    Wrong::HangsAfter,
    Wrong::Garbage,
    Wrong::Full,
    Wrong::Denied,
    Wrong::ReadOnly,
];
/// No run takes longer: every command has its limit.
const BOUND: Duration = Duration::from_hours(1);
/// Which times an operation goes wrong, counted over all runs on a node: in the plan, and when it is repeated.
const TIMES: [usize; 3] = [0, 3, 7];
const GARBAGE: &[u8] = b"\xff\x00{\"data\":[[1,\nnonsense \x1b[2J\n";
/// What the user has on the node, and has after everything.
const MINE: [(&str, &str); 2] = [
    ("/etc/sysctl.d/90-mine.conf", "vm.swappiness = 10\n"),
    (
        "/etc/cni/net.d/87-podman-bridge.conflist",
        r#"{"cniVersion":"0.4.0","name":"podman","plugins":[{"type":"bridge","bridge":"cni-podman0"}]}"#,
    ),
];

impl Wrong {
    fn fault(self, operation: &HostOperation<'_>) -> Option<HostFault> {
        use HostOperation::{List, Read, Remove, Rename, Run, Stat, Wait, Write};
        let exit = |after| HostFault::Exit { after, status: 1, stderr: "it broke\n".into() };
        Some(match (self, operation) {
            (Self::Fails, Run(_)) => exit(false),
            (Self::FailsAfter, Run(_)) => exit(true),
            (Self::Hangs, Run(_) | Wait(_)) => HostFault::Hang { after: false },
            (Self::HangsAfter, Run(_)) => HostFault::Hang { after: true },
            // What a file says is what is in it, and what `down` puts back.
            (Self::Garbage, Run(_)) => HostFault::Garbage(GARBAGE.to_vec()),
            (Self::Full, Run(_) | Write(_) | Rename(..)) => HostFault::Errno(Errno::NOSPC),
            (Self::Denied, Read(_) | Stat(_) | List(_) | Write(_) | Rename(..) | Remove(_)) => {
                HostFault::Errno(Errno::ACCESS)
            }
            (Self::ReadOnly, Write(_) | Rename(..) | Remove(_)) => HostFault::Errno(Errno::ROFS),
            _ => return None,
        })
    }
}

/// What a message must name to help: the program or the path.
fn name_of(operation: &HostOperation<'_>) -> String {
    match operation {
        HostOperation::Run(command) => command.program().to_owned(),
        HostOperation::Rename(from, _) => from.to_string(),
        HostOperation::Read(path)
        | HostOperation::Write(path)
        | HostOperation::Stat(path)
        | HostOperation::List(path)
        | HostOperation::Remove(path)
        | HostOperation::Wait(path) => path.to_string(),
    }
}

/// Whether an operation goes wrong.
type When = dyn Fn(&str, usize) -> bool + Send + Sync;

/// Spoils some operations and remembers which.
struct Gate {
    wrong: Wrong,
    /// Gets the operation as text, and how often it was done before.
    when: Box<When>,
    done: Mutex<BTreeMap<String, usize>>,
    hits: Mutex<Vec<String>>,
}

impl Gate {
    fn new(wrong: Wrong, when: impl Fn(&str, usize) -> bool + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self { wrong, when: Box::new(when), done: Mutex::default(), hits: Mutex::default() })
    }

    /// What was hit since this was asked.
    fn take_hits(&self) -> Vec<String> {
        std::mem::take(&mut self.hits.lock().unwrap())
    }
}

struct ByGate(Arc<Gate>);

impl HostInterference for ByGate {
    fn fault(&self, operation: &HostOperation<'_>) -> Option<HostFault> {
        let fault = self.0.wrong.fault(operation)?;
        let text = operation.to_string();
        let mut done = self.0.done.lock().unwrap();
        let times = done.entry(text.clone()).or_default();
        *times += 1;
        let is_due = (self.0.when)(&text, *times - 1);
        is_due.then(|| {
            self.0.hits.lock().unwrap().push(name_of(operation));
            fault
        })
    }
}

fn node(profile: &str) -> Inside {
    let inside = Inside::new(profile);
    for (path, content) in MINE {
        inside.sandbox.node().put_file(path, content.as_bytes(), 0o644).unwrap();
    }
    inside
}

/// What an undisturbed run comes to.
struct Undisturbed {
    profile: &'static str,
    up: Essence,
    down: Essence,
    /// Everything that was done on the node, in order: kind, and what it was done to.
    operations: Vec<(String, bool)>,
}

impl Undisturbed {
    fn of(profile: &'static str) -> Self {
        without_waiting(async {
            let mut inside = node(profile);
            let operations: Arc<Mutex<Vec<(String, bool)>>> = Arc::default();
            let log = operations.clone();
            let listen = move |operation: &HostOperation<'_>| {
                log.lock().unwrap().push((operation.to_string(), operation.is_change()));
                None
            };
            inside.sandbox.node().interfere(Arc::new(listen));
            inside.up().await.assert_well(profile);
            inside.behave();
            let up = essence(&inside);
            inside.down().await.assert_well(profile);
            let operations = std::mem::take(&mut *operations.lock().unwrap());
            Self { profile, up, down: essence(&inside), operations }
        })
    }
}

static UNDISTURBED: LazyLock<Vec<Undisturbed>> = LazyLock::new(profiles);

fn profiles() -> Vec<Undisturbed> {
    let profiles = if is_thorough() { &PROFILES[..] } else { &PROFILES[..1] };
    let all = Mutex::new(Vec::new());
    for_each(profiles, |profile| {
        let one = Undisturbed::of(profile);
        all.lock().unwrap().push(one);
    });
    all.into_inner().unwrap()
}

/// A success is one, and an error has a code and names what was spoilt.
fn assert_honest(ended: &Ended, hits: &[String], inside: &Inside, undisturbed: &Undisturbed, what: &str) {
    let Some(error) = &ended.error else {
        ended.assert_well(what);
        assert_same(&undisturbed.up, &essence(inside), what);
        return;
    };
    let told = ended.told();
    assert!(!hits.is_empty(), "{what}: nothing went wrong, and yet: {told}");
    assert_ne!(error.code().id, "KVN505", "{what}: {told}");
    // What a tool prints leads somewhere else, and the error is about that.
    let names = hits.iter().any(|hit| told.contains(hit.as_str())) || what.starts_with("Garbage");
    assert!(names, "{what}: {hits:?} are not named: {told}");
}

async fn assert_recovers(inside: &mut Inside, undisturbed: &Undisturbed, what: &str) {
    inside.behave();
    inside.up().await.assert_well(what);
    assert_same(&undisturbed.up, &essence(inside), what);
}

#[test]
fn every_operation_may_fail_and_the_next_runs_end_well() {
    let pairs: Vec<_> = UNDISTURBED.iter().flat_map(|one| ALL.map(|wrong| (one, wrong))).collect();
    for_each(&pairs, |(undisturbed, wrong)| {
        without_waiting(async {
            let mut inside = node(undisturbed.profile);
            let gate = Gate::new(*wrong, |_, before| TIMES.contains(&before));
            inside.sandbox.node().interfere(Arc::new(ByGate(gate.clone())));
            let mut count = 0;
            for round in 1.. {
                let what = format!("{wrong:?} in {}, round {round}", undisturbed.profile);
                let began = Instant::now();
                let ended = inside.up().await;
                let hits = gate.take_hits();
                assert!(began.elapsed() < BOUND, "{what}");
                assert_honest(&ended, &hits, &inside, undisturbed, &what);
                count += hits.len();
                if hits.is_empty() {
                    break;
                }
            }
            let what = format!("{wrong:?} in {}, after all", undisturbed.profile);
            assert_recovers(&mut inside, undisturbed, &what).await;
            inside.down().await.assert_well(&what);
            assert_same(&undisturbed.down, &essence(&inside), &what);
            count::record("host faults injected, once", count);
        });
    });
}

#[test]
fn an_operation_that_fails_for_good_ends_the_run_with_an_error() {
    let mut rows = Vec::new();
    for one in UNDISTURBED.iter() {
        let mut changes: Vec<&str> = one
            .operations
            .iter()
            .filter(|(_, is_change)| *is_change)
            .map(|(text, _)| text.as_str())
            .collect();
        let mut known = std::collections::BTreeSet::new();
        changes.retain(|text| known.insert(*text));
        let step = if is_thorough() { 1 } else { 7 };
        rows.extend(
            changes.into_iter().enumerate().step_by(step).map(|(index, text)| (one, index, text.to_owned())),
        );
    }
    for_each(&rows, |(undisturbed, index, text)| {
        let is_command = !["write ", "rename ", "remove "].iter().any(|start| text.starts_with(start));
        let wrong = match (is_command, index % 5) {
            (true, number) => ALL[number],
            (false, number) => ALL[5 + number % 3],
        };
        let what = format!("{wrong:?} of `{text}` for good in {}", undisturbed.profile);
        without_waiting(async {
            let mut inside = node(undisturbed.profile);
            let spoilt = text.clone();
            let gate = Gate::new(wrong, move |operation, _| operation == spoilt);
            inside.sandbox.node().interfere(Arc::new(ByGate(gate.clone())));
            let began = Instant::now();
            let ended = inside.up().await;
            assert!(began.elapsed() < BOUND, "{what}");
            let hits = gate.take_hits();
            assert_honest(&ended, &hits, &inside, undisturbed, &what);
            if !hits.is_empty() {
                count::record("host faults injected, lasting", 1);
            }
            assert_recovers(&mut inside, undisturbed, &what).await;
        });
    });
}

/// Files that a run writes, each with the number of the last look at it before.
fn written(operations: &[(String, bool)]) -> Vec<(Utf8PathBuf, usize)> {
    let mut files = BTreeMap::new();
    for (index, (text, _)) in operations.iter().enumerate() {
        let Some(path) = text.strip_prefix("write ") else { continue };
        let read = format!("read {path}");
        let looks = operations[..index].iter().filter(|(text, _)| *text == read).count();
        if looks > 0 {
            files.entry(Utf8PathBuf::from(path)).or_insert(looks);
        }
    }
    files.into_iter().collect()
}

#[test]
fn a_file_that_somebody_changes_meanwhile_stays_theirs() {
    const THEIRS: &[u8] = b"# theirs\n";
    for undisturbed in UNDISTURBED.iter() {
        let files = written(&undisturbed.operations);
        assert!(files.len() >= 3, "{files:?}");
        for_each(&files, |(path, looks)| {
            without_waiting(async {
                let mut inside = node(undisturbed.profile);
                let before = inside.sandbox.node().file(path).unwrap();
                inside.sandbox.node().interfere(Arc::new(somebody(path, *looks, THEIRS)));
                let ended = inside.up().await;
                let told = ended.told();
                assert!(told.starts_with("KVN204") && told.contains(path.as_str()), "{path}: {told}");
                assert_eq!(inside.sandbox.node().file(path).unwrap().as_deref(), Some(THEIRS), "{path}");
                match before {
                    Some(before) => inside.sandbox.node().put_file(path, &before, 0o600).unwrap(),
                    None => inside.sandbox.node().remove_file(path).unwrap(),
                }
                assert_recovers(&mut inside, undisturbed, path.as_str()).await;
                count::record("host faults injected, once", 1);
            });
        });
    }
}

/// Writes a file when it is read for the `looks`th time.
fn somebody(path: &Utf8Path, looks: usize, content: &'static [u8]) -> impl HostInterference + use<> {
    let (path, count) = (path.to_owned(), Mutex::new(0));
    move |operation: &HostOperation<'_>| {
        if !matches!(operation, HostOperation::Read(read) if *read == path) {
            return None;
        }
        let mut count = count.lock().unwrap();
        *count += 1;
        (*count == looks).then(|| HostFault::Changed(path.clone(), Some(content.to_vec())))
    }
}
