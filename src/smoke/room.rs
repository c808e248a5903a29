//! The context of a case: its namespace, its time limit, and its results so far.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::try_join_all;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::case::Case;
use super::diagnose;
use super::report::Check;
use super::runner::{Listener, News};
use crate::cluster::{Cluster, ObjectKey, is_ready};
use crate::context::Context;
use crate::context::events::{Event, Reporter, Verdict};
use crate::error::{Code, Error, Result, code};
use crate::facts::attachments::Reported;
use crate::host::Output;
use crate::profile::{Network, NetworkKind};
use crate::verify::{
    Batch, Found, Here, MOST_AT_ONCE, PROBE_LABEL, Place, PodPlan, Probe, StartedPod, labels, make_room,
    start,
};

/// The label of a case's namespace, with the case's name.
pub const CASE_LABEL: &str = "kvnet.dev/smoke";
/// The label of a case's namespace, with the machine that runs the case: see [`runner`].
pub const RUNNER_LABEL: &str = "kvnet.dev/smoke-by";
/// The TCP port on which the pods answer with their name.
pub const PORT: &str = "8080";
/// The command of the pods: a server that sends its host name to every client.
const SERVER: [&str; 6] = ["nc", "-ll", "-p", PORT, "-e", "hostname"];
/// Two pods are always tried, however full the node is: the scheduler decides.
const FEWEST: usize = 2;
/// The exit code of coreutils' `timeout`.
const LATE: i32 = 124;

/// The context of one case.
pub struct CaseContext {
    /// The engine's context; its profile has the case's namespace as `verification.namespace`.
    pub cx: Context,
    /// The cluster.
    pub cluster: Cluster,
    /// The case's namespace; created with its first pod.
    pub namespace: String,
    /// The case's deadline.
    ends: Instant,
    /// Time reserved for diagnosing a failure.
    margin: Duration,
    /// This machine, where the pods run too.
    pub here: Here,
    /// How many pods the case may have at once.
    pub places: usize,
    opened: OnceCell<()>,
    rebooting: AtomicBool,
    reporter: Arc<CaseReporter>,
}

/// Receives the events of the case.
struct CaseReporter {
    case: &'static str,
    record: Mutex<Record>,
    listener: Arc<dyn Listener>,
}

#[derive(Default)]
struct Record {
    checks: Vec<(Check, &'static Code)>,
    notes: Vec<String>,
    waits_for: String,
}

impl CaseContext {
    /// A context for a case; creates nothing yet.
    pub fn new(
        cx: &Context,
        cluster: &Cluster,
        case: &'static Case,
        namespace: String,
        (here, places): (Here, usize),
        listener: Arc<dyn Listener>,
    ) -> Self {
        let reporter = Arc::new(CaseReporter { case: case.name, record: Mutex::default(), listener });
        let mut profile = (*cx.profile).clone();
        profile.verification.namespace.clone_from(&namespace);
        let mut cx = cx.clone();
        let time = (case.deadline)(&profile);
        cx.profile = Arc::new(profile);
        cx.events = reporter.clone();
        let margin = (time / 10).min(Duration::from_secs(5));
        let (cluster, ends) = (cluster.clone(), Instant::now() + time);
        Self {
            cx,
            cluster,
            namespace,
            ends,
            margin,
            here,
            places: places.clamp(FEWEST, MOST_AT_ONCE),
            opened: OnceCell::new(),
            rebooting: AtomicBool::new(false),
            reporter,
        }
    }

    /// The case's deadline.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// How long the case may still wait for something, with some time reserved for diagnosing a failure.
    pub fn time(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now()).saturating_sub(self.margin)
    }

    /// The case's namespace as a [`Place`].
    pub fn place(&self) -> Place<'_> {
        Place { cx: &self.cx, cluster: &self.cluster, namespace: &self.namespace, here: &self.here }
    }

    /// Creates the namespace, once.
    pub async fn open(&self) -> Result<()> {
        let open = || async {
            let mut labels = labels();
            labels[CASE_LABEL] = self.reporter.case.into();
            labels[RUNNER_LABEL] = runner(&self.cx).await.into();
            let metadata = json!({"name": self.namespace, "labels": labels});
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
            self.cluster.apply(&namespace, true).await.map(|_| ())
        };
        self.opened.get_or_try_init(open).await?;
        Ok(())
    }

    /// Starts a pod on secondary networks (`namespace/name`), all of which must exist; does not wait.
    /// Fails with `KVN621` for a network that does not exist.
    pub async fn start(&self, name: &str, networks: &[String]) -> Result<()> {
        for network in networks {
            self.need_network(network).await?;
        }
        self.open().await?;
        let plan =
            PodPlan { namespace: &self.namespace, name, networks: networks.to_vec(), command: &SERVER };
        let mut pod = plan.manifest(&self.cx.profile);
        self.here.keep(&mut pod);
        start(&self.cluster, &pod).await
    }

    async fn need_network(&self, network: &str) -> Result<()> {
        let (namespace, name) = network.split_once('/').unwrap_or(("default", network));
        let kind = "NetworkAttachmentDefinition";
        let key = ObjectKey::new("k8s.cni.cncf.io/v1", kind, Some(namespace), name);
        if self.cluster.get(&key).await?.is_some() {
            return Ok(());
        }
        Err(Error::new(&code::NETWORK_MISSING, format!("{key} not found")))
    }

    /// Starts the pods of probes and inspects each as soon as it runs; in their order.
    /// Fails when a pod cannot be started or does not become ready.
    pub async fn meet(&self, probes: &[Probe]) -> Result<Vec<StartedPod>> {
        try_join_all(probes.iter().map(|probe| async {
            self.start(&probe.name, &[format!("{}/{}", probe.network.namespace, probe.network.name)]).await
        }))
        .await?;
        self.look_at(probes).await
    }

    /// As [`CaseContext::meet`], for the pods of a batch, after deleting those of the previous batch.
    ///
    /// # Errors
    /// As [`CaseContext::meet`], and when pods do not terminate.
    pub async fn meet_batch(&self, batch: &Batch) -> Result<Vec<StartedPod>> {
        let names: Vec<Value> =
            batch.scenario.pods.iter().map(|probe| json!({"metadata": {"name": probe.name}})).collect();
        make_room(&self.cluster, &self.namespace, &names, &self.progress()).await?;
        self.meet(&batch.scenario.pods).await
    }

    /// Waits for started pods of probes, and inspects each; in their order.
    /// Fails when a pod does not become ready, with the reason.
    pub async fn look_at(&self, probes: &[Probe]) -> Result<Vec<StartedPod>> {
        let (place, time) = (self.place(), self.time());
        let progress = self.progress();
        let looks = probes.iter().map(|probe| place.look(probe, time, &progress));
        let seen = try_join_all(looks.collect::<Vec<_>>()).await;
        match seen {
            Ok(seen) => {
                self.goes_on();
                Ok(seen)
            }
            Err(error) => Err(diagnose::explained(self, error).await),
        }
    }

    /// Clears the wait reason.
    fn goes_on(&self) {
        self.reporter.record().waits_for.clear();
    }

    /// Starts pods without secondary networks, and inspects their first NIC.
    pub async fn meet_plain(&self, names: &[&str]) -> Result<Vec<StartedPod>> {
        try_join_all(names.iter().map(|name| self.start(name, &[]))).await?;
        let mut seen = Vec::new();
        for name in names {
            let pod = self.wait_for(name, &is_ready).await?;
            let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let link = self.place().link(name, "eth0").await?;
            let nic = Reported { interface: "eth0".into(), ..Reported::default() };
            seen.push(StartedPod {
                probe: first_nic(name, &self.cx.profile.cluster.pod_subnet),
                uid: text("/metadata/uid").into(),
                node: text("/spec/nodeName").into(),
                nic: Some(nic),
                link,
            });
        }
        Ok(seen)
    }

    /// Waits until a pod fulfils a predicate.
    /// Fails when it does not in time, with the reason.
    pub async fn wait_for(
        &self,
        name: &str,
        predicate: &(dyn Fn(&Value) -> bool + Send + Sync),
    ) -> Result<Value> {
        let selector = format!("{PROBE_LABEL}={name}");
        let progress = self.progress();
        let waited = self.cluster.wait_pods(&self.namespace, &selector, 1, predicate, self.time(), &progress);
        match waited.await {
            Ok(pods) => {
                self.goes_on();
                Ok(pods.into_iter().next().unwrap_or_default())
            }
            Err(error) => Err(diagnose::explained(self, error).await),
        }
    }

    /// Runs a command in a pod; a timeout counts as a failed command.
    /// Fails when the command cannot be run.
    pub async fn run(&self, pod: &str, argv: &[&str]) -> Result<Output> {
        match self.place().run(pod, argv).await {
            Err(error) if error.code() == &code::HOST_TIMEOUT => {
                Ok(Output { status: LATE, stdout: String::new(), stderr: error.message().into() })
            }
            ran => ran,
        }
    }

    /// Adds a check; when it does not hold, the case fails with this code.
    pub fn check(&self, check: impl Into<String>, found: impl Into<Found>, code: &'static Code) {
        let Found { verdict, detail } = found.into();
        let check = Check { check: check.into(), verdict, detail };
        self.reporter.record().checks.push((check, code));
    }

    /// How many of the wanted pods a case may have at once; adds a note when they are fewer.
    pub fn fitting(&self, wanted: usize) -> usize {
        let places = self.places.min(wanted);
        if places < wanted {
            self.note(format!("{places} of {wanted} pods: the node has no room for more"));
        }
        places
    }

    /// Adds a note.
    pub fn note(&self, text: impl Into<String>) {
        let mut record = self.reporter.record();
        let text = text.into();
        if !record.notes.contains(&text) {
            record.notes.push(text);
        }
    }

    /// Returns a function that reports what is being waited for.
    pub fn progress(&self) -> impl Fn(String) + Send + Sync + 'static {
        let reporter = self.reporter.clone();
        move |reason| reporter.waits(reason)
    }

    /// Records that the node was asked to reboot: from now on an interruption is the reboot.
    pub fn reboots(&self) {
        self.rebooting.store(true, Ordering::SeqCst);
    }

    /// Whether the node was asked to reboot.
    pub fn is_rebooting(&self) -> bool {
        self.rebooting.load(Ordering::SeqCst)
    }

    /// The last wait reason.
    pub fn waits_for(&self) -> String {
        self.reporter.record().waits_for.clone()
    }

    /// The case's checks and notes.
    pub fn seen(&self) -> (Vec<Check>, Vec<String>) {
        let record = self.reporter.record();
        (record.checks.iter().map(|(check, _)| check.clone()).collect(), record.notes.clone())
    }

    /// Why not everything could be checked; none when it was.
    pub fn left_out(&self) -> Option<String> {
        let record = self.reporter.record();
        let mut left_out =
            record.checks.iter().map(|(check, _)| check).filter(|check| check.verdict == Verdict::NotChecked);
        let first = left_out.next()?;
        let more = match left_out.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(format!("not checked: {}{more}: {}", first.check, first.detail))
    }

    /// The error of the first check that does not hold.
    pub fn failed_check(&self) -> Option<Error> {
        let record = self.reporter.record();
        let mut failed = record.checks.iter().filter(|(check, _)| check.verdict == Verdict::Failed);
        let (first, code) = failed.next()?;
        let more = match failed.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(Error::new(code, format!("does not hold: {}{more}", first.check)).because(&first.detail))
    }
}

/// The machine that runs the cases, as a label value: its Node's name, or a digest of its machine-id if it is not a node, so
/// that no machine removes another one's cases.
pub async fn runner(cx: &Context) -> String {
    const LONGEST: usize = 63;
    match cx.this_node().await {
        Some(node) if node.len() <= LONGEST => node.to_string(),
        Some(node) => format!("node-{}", short_digest(&node)),
        None if cx.facts.marks.machine_id.is_empty() => {
            format!("machine-{}", short_digest(&cx.facts.hostname))
        }
        None => format!("machine-{}", short_digest(&cx.facts.marks.machine_id)),
    }
}

fn short_digest(text: &str) -> String {
    use sha2::{Digest, Sha256};
    format!("{:.32x}", Sha256::digest(text))
}

/// A pod's first NIC, on the pod network.
fn first_nic(name: &str, pod_subnet: &str) -> Probe {
    let kind = NetworkKind::Raw { config: serde_json::Map::new() };
    let network = Network { namespace: String::new(), ..Network::new("pod network", kind) };
    let (subnet, address) = (Some(pod_subnet.to_owned()), Some(true));
    Probe { name: name.into(), network, subnet, address, mtu: None, port: None }
}

impl CaseReporter {
    fn record(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits(&self, reason: String) {
        self.record().waits_for.clone_from(&reason);
        self.listener.hear(News::Waits { case: self.case, reason });
    }
}

impl Reporter for CaseReporter {
    fn report(&self, event: Event) {
        match event {
            Event::Check { check, verdict, detail } => {
                self.record().checks.push((Check { check, verdict, detail }, &code::VERIFY_FAILED));
            }
            Event::Note { text, .. } => self.record().notes.push(text),
            Event::Waiting { reason, .. } => self.waits(reason),
            _ => {}
        }
    }
}
