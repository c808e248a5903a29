//! What a case works in: a namespace of its own, a time limit, and a list of what it has seen.

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
use crate::cluster::{Cluster, ExecOutput, ObjectKey, is_ready};
use crate::context::Context;
use crate::context::events::{Event, Reporter, Verdict};
use crate::error::{Code, Error, Result, code};
use crate::profile::{Network, NetworkKind};
use crate::verify::{
    Batch, Found, Here, MOST_AT_ONCE, Nic, PROBE_LABEL, Place, PodPlan, Probe, Seen, labels, make_room, start,
};

/// The label of a case's namespace, with the case's name.
pub const CASE_LABEL: &str = "kvnet.dev/smoke";
/// The label of a case's namespace, with who runs the case: see [`runner`].
pub const RUNNER_LABEL: &str = "kvnet.dev/smoke-by";
/// Where the pods answer on TCP, with their name.
pub const PORT: &str = "8080";
/// What runs in the pods: a server that tells its host name to everybody who connects.
const SERVER: [&str; 6] = ["nc", "-ll", "-p", PORT, "-e", "hostname"];
/// Two pods have to meet, however full the node is: the scheduler says what it thinks of that.
const FEWEST: usize = 2;
/// What `timeout` of coreutils ends with.
const LATE: i32 = 124;

/// The surroundings of one case.
pub struct Room {
    /// The node, and the profile with the case's namespace as that of its verification.
    pub cx: Context,
    /// The cluster.
    pub cluster: Cluster,
    /// The case's namespace; made when its first pod is.
    pub namespace: String,
    /// When the case has to be done.
    ends: Instant,
    /// A part of the time that is left for saying what is wrong.
    margin: Duration,
    /// Where kvnet runs, and the pods with it.
    pub here: Here,
    /// How many pods the case may have at once.
    pub places: usize,
    opened: OnceCell<()>,
    rebooting: AtomicBool,
    ears: Arc<Ears>,
}

/// Hears what the case and what it uses report.
struct Ears {
    case: &'static str,
    heard: Mutex<Heard>,
    listener: Arc<dyn Listener>,
}

#[derive(Default)]
struct Heard {
    checks: Vec<(Check, &'static Code)>,
    notes: Vec<String>,
    waits_for: String,
}

impl Room {
    /// A room for a case; nothing is made yet.
    pub fn new(
        cx: &Context,
        cluster: &Cluster,
        case: &'static Case,
        namespace: String,
        (here, places): (Here, usize),
        listener: Arc<dyn Listener>,
    ) -> Self {
        let ears = Arc::new(Ears { case: case.name, heard: Mutex::default(), listener });
        let mut profile = (*cx.profile).clone();
        profile.verification.namespace.clone_from(&namespace);
        let mut cx = cx.clone();
        let time = (case.deadline)(&profile);
        cx.profile = Arc::new(profile);
        cx.events = ears.clone();
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
            ears,
        }
    }

    /// When the case has to be done.
    pub fn ends(&self) -> Instant {
        self.ends
    }

    /// How long the case may still wait for something; some of its time is left for finding out why it was in vain.
    pub fn time(&self) -> Duration {
        self.ends.saturating_duration_since(Instant::now()).saturating_sub(self.margin)
    }

    /// The case's namespace as a place to look at pods.
    pub fn place(&self) -> Place<'_> {
        Place { cx: &self.cx, cluster: &self.cluster, namespace: &self.namespace, here: &self.here }
    }

    /// Makes the namespace, once.
    ///
    /// # Errors
    /// Those of the API server.
    pub async fn open(&self) -> Result<()> {
        let open = || async {
            let mut labels = labels();
            labels[CASE_LABEL] = self.ears.case.into();
            labels[RUNNER_LABEL] = runner(&self.cx).await.into();
            let metadata = json!({"name": self.namespace, "labels": labels});
            let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata});
            self.cluster.apply(&namespace, true).await.map(|_| ())
        };
        self.opened.get_or_try_init(open).await?;
        Ok(())
    }

    /// Starts a pod with further networks (`namespace/name`), all of which must exist; does not wait.
    ///
    /// # Errors
    /// `KVN621` for a network that is not there, and those of the API server.
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
        Err(Error::new(&code::NETWORK_MISSING, format!("{key} is missing")))
    }

    /// Starts the pods of probes and looks at each as soon as it runs; in their order.
    ///
    /// # Errors
    /// Those of the start, and why a pod does not come to run.
    pub async fn meet(&self, probes: &[Probe]) -> Result<Vec<Seen>> {
        try_join_all(probes.iter().map(|probe| async {
            self.start(&probe.name, &[format!("{}/{}", probe.network.namespace, probe.network.name)]).await
        }))
        .await?;
        self.look_at(probes).await
    }

    /// As [`Room::meet`], for the pods of a batch: those of the batch before it make room first.
    ///
    /// # Errors
    /// As [`Room::meet`], and those of the end of pods.
    pub async fn meet_batch(&self, batch: &Batch) -> Result<Vec<Seen>> {
        let names: Vec<Value> =
            batch.scenario.pods.iter().map(|probe| json!({"metadata": {"name": probe.name}})).collect();
        make_room(&self.cluster, &self.namespace, &names, &self.progress()).await?;
        self.meet(&batch.scenario.pods).await
    }

    /// Waits for the pods of probes that were started, and looks at each; in their order.
    ///
    /// # Errors
    /// Why a pod does not come to run.
    pub async fn look_at(&self, probes: &[Probe]) -> Result<Vec<Seen>> {
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

    /// What was waited for is there.
    fn goes_on(&self) {
        self.ears.heard().waits_for.clear();
    }

    /// Starts pods without further networks, and looks at their first NIC.
    ///
    /// # Errors
    /// As [`Room::meet`].
    pub async fn meet_plain(&self, names: &[&str]) -> Result<Vec<Seen>> {
        try_join_all(names.iter().map(|name| self.start(name, &[]))).await?;
        let mut seen = Vec::new();
        for name in names {
            let pod = self.wait_for(name, &is_ready).await?;
            let text = |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
            let link = self.place().link(name, "eth0").await?;
            let nic = Nic { interface: "eth0".into(), ..Nic::default() };
            seen.push(Seen {
                probe: first_nic(name, &self.cx.profile.cluster.pod_subnet),
                uid: text("/metadata/uid").into(),
                node: text("/spec/nodeName").into(),
                nic: Some(nic),
                link,
            });
        }
        Ok(seen)
    }

    /// Waits until a pod is as it should be.
    ///
    /// # Errors
    /// Why it does not come to be so.
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

    /// Runs a command in a pod; one that does not end counts as one that failed.
    ///
    /// # Errors
    /// When it cannot be run.
    pub async fn run(&self, pod: &str, argv: &[&str]) -> Result<ExecOutput> {
        match self.place().run(pod, argv).await {
            Err(error) if error.code() == &code::HOST_TIMEOUT => {
                Ok(ExecOutput { status: LATE, stdout: String::new(), stderr: error.message().into() })
            }
            ran => ran,
        }
    }

    /// Notes what was seen; when it does not hold, the case fails with this code.
    pub fn check(&self, check: impl Into<String>, found: impl Into<Found>, code: &'static Code) {
        let Found { verdict, detail } = found.into();
        let check = Check { check: check.into(), verdict, detail };
        self.ears.heard().checks.push((check, code));
    }

    /// How many of the pods that a case wants it may have at once; that they are fewer is noted.
    pub fn fitting(&self, wanted: usize) -> usize {
        let places = self.places.min(wanted);
        if places < wanted {
            self.note(format!("{places} of {wanted} pods: no more fit on the node"));
        }
        places
    }

    /// Notes something worth to know.
    pub fn note(&self, text: impl Into<String>) {
        let mut heard = self.ears.heard();
        let text = text.into();
        if !heard.notes.contains(&text) {
            heard.notes.push(text);
        }
    }

    /// Tells what is waited for.
    pub fn progress(&self) -> impl Fn(String) + Send + Sync + 'static {
        let ears = self.ears.clone();
        move |reason| ears.waits(reason)
    }

    /// Notes that the node is asked to reboot: whatever stops the case from now on is the reboot.
    pub fn reboots(&self) {
        self.rebooting.store(true, Ordering::SeqCst);
    }

    /// Whether the node was asked to reboot.
    pub fn is_rebooting(&self) -> bool {
        self.rebooting.load(Ordering::SeqCst)
    }

    /// What was waited for last.
    pub fn waits_for(&self) -> String {
        self.ears.heard().waits_for.clone()
    }

    /// What the case looked at, and what else is worth to know.
    pub fn seen(&self) -> (Vec<Check>, Vec<String>) {
        let heard = self.ears.heard();
        (heard.checks.iter().map(|(check, _)| check.clone()).collect(), heard.notes.clone())
    }

    /// Why not everything could be looked at; none when it could.
    pub fn left_out(&self) -> Option<String> {
        let heard = self.ears.heard();
        let mut left_out =
            heard.checks.iter().map(|(check, _)| check).filter(|check| check.verdict == Verdict::NotChecked);
        let first = left_out.next()?;
        let more = match left_out.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(format!("not checked: {}{more}: {}", first.check, first.detail))
    }

    /// The error of the first check that does not hold.
    pub fn failed_check(&self) -> Option<Error> {
        let heard = self.ears.heard();
        let mut failed = heard.checks.iter().filter(|(check, _)| check.verdict == Verdict::Failed);
        let (first, code) = failed.next()?;
        let more = match failed.count() {
            0 => String::new(),
            count => format!(" (and {count} more)"),
        };
        Some(Error::new(code, format!("does not hold: {}{more}", first.check)).because(&first.detail))
    }
}

/// Who runs the cases, as the value of a label: the node that this machine is. A machine that is none has a value made of its
/// machine-id, so that no machine ever removes what another one runs.
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

impl Ears {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waits(&self, reason: String) {
        self.heard().waits_for.clone_from(&reason);
        self.listener.hear(News::Waits { case: self.case, reason });
    }
}

impl Reporter for Ears {
    fn report(&self, event: Event) {
        match event {
            Event::Check { check, verdict, detail } => {
                self.heard().checks.push((Check { check, verdict, detail }, &code::VERIFY_FAILED));
            }
            Event::Note { text, .. } => self.heard().notes.push(text),
            Event::Waiting { reason, .. } => self.waits(reason),
            _ => {}
        }
    }
}
