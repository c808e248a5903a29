//! The API server refuses, stutters and falls silent at every request of a run. Each run is the whole job on a sandbox.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use http::Request;
use kvnet::cluster::Cluster;
use kvnet::sandbox::api::{Fault, Interference, ReceivedRequest};
use tokio::time::Instant;
use tower::BoxError;

use crate::survives::essence::{Essence, assert_same, essence};
use crate::survives::inside::{Ended, Inside, PROFILES, for_each, is_thorough, without_waiting};
use kvnet_test_kit::count;

/// What goes wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wrong {
    Busy,
    Internal,
    Unavailable,
    Reset,
    /// The server did it, and the answer is lost.
    Lost,
    Silent,
    Truncated,
    Conflict,
    Gone,
    Unauthorized,
    Forbidden,
    Expired,
}

/// Those that are over the next time.
const PASSING: [Wrong; 9] = [
    Wrong::Busy,
    Wrong::Internal,
    Wrong::Unavailable,
    Wrong::Reset,
    Wrong::Lost,
    Wrong::Silent,
    Wrong::Truncated,
    Wrong::Conflict,
    Wrong::Gone,
];
/// Those after which nobody asks again.
const REFUSALS: [Wrong; 3] = [Wrong::Unauthorized, Wrong::Forbidden, Wrong::Expired];
/// No run takes longer, whatever happens: every wait has its limit in the profile.
const BOUND: Duration = Duration::from_hours(1);

fn is_write(request: &ReceivedRequest) -> bool {
    request.method != "GET"
}

impl Wrong {
    /// Whether it can happen to a request.
    fn concerns(self, request: &ReceivedRequest) -> bool {
        match self {
            Self::Conflict => is_write(request),
            Self::Gone => request.path.contains("watch=true"),
            _ => true,
        }
    }

    fn fault(self) -> Fault {
        let status = |code, reason, message: &str, retry_after| Fault::Status {
            code,
            reason,
            message: message.into(),
            retry_after,
        };
        match self {
            Self::Busy => status(429, "TooManyRequests", "slow down please", Some(1)),
            Self::Internal => status(500, "InternalError", "etcd is gone", None),
            Self::Unavailable => status(503, "ServiceUnavailable", "it starts", None),
            Self::Conflict => status(409, "Conflict", "the object has been modified", None),
            Self::Gone => status(410, "Expired", "too old resource version", None),
            Self::Unauthorized => status(401, "Unauthorized", "who are you", None),
            Self::Forbidden => status(403, "Forbidden", "not you", None),
            Self::Reset | Self::Expired => Fault::Reset,
            Self::Lost => Fault::ResetAfter,
            Self::Silent => Fault::Silence,
            Self::Truncated => Fault::Truncated,
        }
    }

    /// The codes of a run that ends because of it, and what its error says.
    fn told(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Busy => (&["KVN301", "KVN305"], "slow down please"),
            Self::Internal => (&["KVN301", "KVN305"], "etcd is gone"),
            Self::Unavailable => (&["KVN301", "KVN305"], "it starts"),
            Self::Reset | Self::Lost | Self::Truncated => (&["KVN301", "KVN305", "KVN307"], "API server"),
            Self::Silent => (&["KVN301", "KVN305", "KVN202"], " s"),
            Self::Conflict => (&["KVN303"], "run the command again"),
            Self::Gone => (&["KVN305"], "waited "),
            Self::Unauthorized => (&["KVN302"], "who are you"),
            Self::Forbidden => (&["KVN302"], "not you"),
            Self::Expired => (&["KVN301", "KVN302"], "kubeadm certs renew all"),
        }
    }
}

/// Whether a request goes wrong.
type When = dyn Fn(&ReceivedRequest, usize, usize) -> bool + Send + Sync;

/// Spoils some of the requests that a fault concerns.
struct Gate {
    wrong: Wrong,
    /// Gets the request, its number among those that are concerned, and how often it was asked before, both from 0.
    when: Box<When>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    count: usize,
    asked: BTreeMap<String, usize>,
    hits: usize,
    /// What went wrong and was more than a look: by method and path.
    writes_hit: Vec<String>,
}

impl Gate {
    fn new(
        wrong: Wrong,
        when: impl Fn(&ReceivedRequest, usize, usize) -> bool + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { wrong, when: Box::new(when), state: Mutex::default() })
    }

    /// Every request the first time that it is sent, and now and then when it is sent again later. Silence takes most of the
    /// patience that a request gets, and several steps may read the same.
    fn first_times(wrong: Wrong, only: fn(&ReceivedRequest) -> bool) -> Arc<Self> {
        let pause = if wrong == Wrong::Silent { usize::MAX } else { 4 };
        Self::new(wrong, move |request, _, before| only(request) && before.is_multiple_of(pause))
    }

    fn is_due(&self, request: &ReceivedRequest) -> bool {
        if !self.wrong.concerns(request) {
            return false;
        }
        let mut state = self.state.lock().unwrap();
        // A version is another one in each run.
        let name = request.path.split("resourceVersion=").next().unwrap();
        let asked = state.asked.entry(format!("{} {name}", request.method)).or_default();
        let before = *asked;
        *asked += 1;
        let is_due = (self.when)(request, state.count, before);
        state.count += 1;
        state.hits += usize::from(is_due);
        if is_due && request.method != "GET" {
            state.writes_hit.push(format!("{} {}", request.method, request.path));
        }
        is_due
    }

    fn hits(&self) -> usize {
        self.state.lock().unwrap().hits
    }

    fn count(&self) -> usize {
        self.state.lock().unwrap().count
    }

    fn writes_hit(&self) -> Vec<String> {
        self.state.lock().unwrap().writes_hit.clone()
    }
}

struct ByGate(Arc<Gate>);

impl Interference for ByGate {
    fn fault(&self, request: &ReceivedRequest) -> Option<Fault> {
        self.0.is_due(request).then(|| self.0.wrong.fault())
    }
}

impl Inside {
    fn spoil(&mut self, gate: &Arc<Gate>) {
        self.behave();
        if gate.wrong == Wrong::Expired {
            self.cluster = Some(behind_expired_certificate(self.sandbox.api().client(), gate.clone()));
        } else {
            self.sandbox.api().interfere(Arc::new(ByGate(gate.clone())));
        }
    }
}

/// A connection whose handshake fails as rustls lets it fail. The real one is in `expired`.
fn behind_expired_certificate(client: kube::Client, gate: Arc<Gate>) -> Cluster {
    let service = tower::service_fn(move |request: Request<kube::client::Body>| {
        let client = client.clone();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
        let seen = ReceivedRequest { method: request.method().to_string(), path, user_agent: String::new() };
        let is_due = gate.is_due(&seen);
        async move {
            if is_due {
                let error = rustls::Error::InvalidCertificate(rustls::CertificateError::Expired);
                return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, error).into());
            }
            client.send(request).await.map_err(BoxError::from)
        }
    });
    Cluster::from_client(kube::Client::new(service, "default"))
}

/// What an undisturbed run comes to.
struct Undisturbed {
    profile: &'static str,
    up: Essence,
    checks: BTreeMap<String, kvnet::context::events::Verdict>,
    journaled: Vec<String>,
    down: Essence,
    requests: usize,
}

impl Undisturbed {
    fn of(profile: &'static str) -> Self {
        without_waiting(async {
            let inside = Inside::new(profile);
            let ended = inside.up().await;
            ended.assert_well(profile);
            assert!(!ended.checks.is_empty());
            let requests = inside.sandbox.api().requests().len();
            let (up, journaled) = (essence(&inside), inside.journaled());
            inside.down().await.assert_well(profile);
            Self { profile, up, checks: ended.checks, journaled, down: essence(&inside), requests }
        })
    }

    fn all() -> Vec<Self> {
        let all = Mutex::new(Vec::new());
        for_each(&PROFILES, |profile| {
            let one = Self::of(profile);
            all.lock().unwrap().push(one);
        });
        let mut all = all.into_inner().unwrap();
        all.sort_by_key(|one| one.profile);
        all
    }

    fn assert_same(&self, inside: &Inside, what: &str) {
        assert_same(&self.up, &essence(inside), what);
    }
}

static UNDISTURBED: LazyLock<Vec<Undisturbed>> = LazyLock::new(Undisturbed::all);

/// Each fault with each profile; in a sample, with one of them by turns.
fn pairs(faults: &[Wrong]) -> Vec<(&'static Undisturbed, Wrong)> {
    let turn = |number: usize, index: usize| is_thorough() || number % PROFILES.len() == index;
    let each = faults.iter().enumerate();
    let pairs = each.flat_map(|(number, wrong)| {
        let profiles = UNDISTURBED.iter().enumerate().filter(move |(index, _)| turn(number, *index));
        profiles.map(move |(_, undisturbed)| (undisturbed, *wrong))
    });
    pairs.collect()
}

#[test]
fn a_request_that_fails_once_is_sent_again_and_the_run_ends_well() {
    for_each(&pairs(&PASSING), |(undisturbed, wrong)| {
        let what = format!("{wrong:?} in {}", undisturbed.profile);
        without_waiting(async {
            let mut inside = Inside::new(undisturbed.profile);
            let gate = Gate::first_times(*wrong, |_| true);
            inside.spoil(&gate);
            let mut ended = inside.up().await;
            // Several requests may be one exchange; silences that use up its patience end the run, which says so.
            if *wrong == Wrong::Silent && ended.told().starts_with("KVN301: ") {
                ended = inside.up().await;
            }
            ended.assert_well(&what);
            assert_eq!(ended.checks, undisturbed.checks, "{what}");
            undisturbed.assert_same(&inside, &what);
            assert_eq!(inside.journaled(), undisturbed.journaled, "{what}");
            inside.behave();
            let again = inside.up().await;
            again.assert_well(&what);
            assert_eq!(again.changes, 0, "{what}");
            count::record("API faults injected, once", gate.hits());
        });
    });
}

/// The server did what it was asked, and nobody was told: the retry does no damage, and `down` takes everything back.
#[test]
fn a_write_whose_answer_is_lost_is_made_once_and_taken_back() {
    for_each(&UNDISTURBED[..], |undisturbed| {
        without_waiting(async {
            let what = undisturbed.profile;
            let mut inside = Inside::new(what);
            let gate = Gate::first_times(Wrong::Lost, is_write);
            inside.spoil(&gate);
            inside.up().await.assert_well(what);
            undisturbed.assert_same(&inside, what);
            assert_eq!(inside.journaled(), undisturbed.journaled, "{what}");
            inside.down().await.assert_well(&format!("down of {what}"));
            assert_same(&undisturbed.down, &essence(&inside), &format!("down of {what}"));
            count::record("answers lost after a write", gate.hits());
        });
    });
}

#[test]
fn down_ends_well_too_when_requests_fail_once() {
    let kinds = if is_thorough() { PASSING.to_vec() } else { vec![Wrong::Unavailable, Wrong::Conflict] };
    for_each(&pairs(&kinds), |(undisturbed, wrong)| {
        let what = format!("{wrong:?} in down of {}", undisturbed.profile);
        without_waiting(async {
            let mut inside = Inside::new(undisturbed.profile);
            inside.up().await.assert_well(&what);
            let gate = Gate::first_times(*wrong, |_| true);
            inside.spoil(&gate);
            inside.down().await.assert_well(&what);
            assert_same(&undisturbed.down, &essence(&inside), &what);
            count::record("API faults injected, once", gate.hits());
        });
    });
}

/// A run that met a fault from some request on: how far it came is written nowhere but in node and cluster.
fn assert_honest(ended: &Ended, gate: &Gate, began: Instant, what: &str) {
    let took = began.elapsed();
    assert!(took < BOUND, "{what}: took {took:?}");
    let Some(error) = &ended.error else { return };
    let (codes, says) = gate.wrong.told();
    let told = ended.told();
    assert!(gate.hits() > 0, "{what}: nothing went wrong, and yet: {told}");
    // A wait that was in vain names what was waited for, whatever was in the way.
    let is_told = told.contains(says) || (error.code().id == "KVN305" && told.contains(" s for "));
    assert!(codes.contains(&error.code().id) && is_told, "{what}: {told}");
}

/// Faults that let a run end well although they last: nothing is written any more, or watches are made up for by lists.
fn may_end_well(wrong: Wrong) -> bool {
    [Wrong::Conflict, Wrong::Gone].contains(&wrong)
}

/// Run after run is cut off, each a little later in its course than the one before; in the end one is left alone.
#[test]
fn runs_that_are_cut_off_end_with_an_error_and_the_last_one_ends_well() {
    let all = [&PASSING[..], &REFUSALS].concat();
    for_each(&pairs(&all), |(undisturbed, wrong)| {
        without_waiting(async {
            let mut inside = Inside::new(undisturbed.profile);
            let mut hits = 0;
            for round in 1.. {
                let what = format!("{wrong:?} in {}, round {round}", undisturbed.profile);
                // The first cuts are within the plan.
                let from = round * 29 - 20;
                let gate = Gate::new(*wrong, move |_, number, _| number >= from);
                inside.spoil(&gate);
                let began = Instant::now();
                let ended = inside.up().await;
                assert_honest(&ended, &gate, began, &what);
                hits += usize::from(gate.hits() > 0);
                let is_over = ended.error.is_none();
                assert!(!is_over || gate.hits() == 0 || may_end_well(*wrong), "{what}: a wrong success");
                if is_over || gate.hits() == 0 {
                    break;
                }
                assert!(!inside.is_verified(), "{what}");
            }
            inside.behave();
            let what = format!("after {wrong:?} in {}", undisturbed.profile);
            inside.up().await.assert_well(&what);
            undisturbed.assert_same(&inside, &what);
            count::record("API faults injected, lasting", hits);
        });
    });
}

/// Every request of a run is the first of those that fail, and the only one that is refused.
#[test]
fn every_request_may_be_the_first_that_fails() {
    let all = [&PASSING[..], &REFUSALS].concat();
    let step = if is_thorough() { 1 } else { 61 };
    let cuts: Vec<_> = UNDISTURBED
        .iter()
        .flat_map(|undisturbed| (0..undisturbed.requests).step_by(step).map(move |from| (undisturbed, from)))
        .collect();
    for_each(&cuts, |(undisturbed, from)| {
        let (wrong, from) = (all[from % all.len()], *from);
        let what = format!("{wrong:?} from request {from} of {} on", undisturbed.profile);
        without_waiting(async {
            let mut inside = Inside::new(undisturbed.profile);
            let lasting = !REFUSALS.contains(&wrong) || from % 2 == 0;
            let gate = Gate::new(wrong, move |_, number, _| number == from || (lasting && number > from));
            inside.spoil(&gate);
            let began = Instant::now();
            let ended = inside.up().await;
            assert_honest(&ended, &gate, began, &what);
            if ended.error.is_none() {
                // A refused look may have had no part in the result, like the one for why something is waited for.
                undisturbed.assert_same(&inside, &format!("{what}: a wrong success"));
                let writes = gate.writes_hit();
                assert!(
                    writes.is_empty() || may_end_well(wrong),
                    "{what}: a wrong success after {writes:#?}"
                );
            }
            if gate.hits() == 0 {
                assert!(gate.count() <= from, "{what}");
            } else if lasting {
                count::record("API faults injected, lasting", 1);
            } else {
                count::record("API faults injected, once", 1);
            }
            inside.behave();
            inside.up().await.assert_well(&what);
            undisturbed.assert_same(&inside, &what);
        });
    });
}
