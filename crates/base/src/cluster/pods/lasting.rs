//! Which reasons are transient, and which need action: no wait outlives those.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;

use super::reasons::{Cause, Reason};
use crate::cluster::Cluster;
use crate::error::{Code, code};
use crate::formats::object::{items, name, shown_taint, text};

/// Kubelet and scheduler retry every few seconds: what fails for so long has failed more than once.
const USUAL: Duration = Duration::from_secs(30);
/// What may appear a little later: plugins of a `DaemonSet`, addresses of terminating pods, and ovs-cni's marker, which
/// looks every minute.
const LONG: Duration = Duration::from_secs(75);

/// Taints that the cluster, or a `kvnet down`, puts on nodes for a while.
const PASSING_TAINTS: &str = "\
    node.kubernetes.io/not-ready node.kubernetes.io/unreachable node.kubernetes.io/network-unavailable \
    node.kubernetes.io/disk-pressure node.kubernetes.io/memory-pressure node.kubernetes.io/pid-pressure \
    node.cloudprovider.kubernetes.io/uninitialized kvnet.dev/leaving";
/// What the scheduler waits for that resolves by itself: the first node, and volumes.
const PASSING_PLACES: [&str; 3] = ["no nodes available", "there are no nodes", "volume"];

/// Whether a reason is transient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stays {
    /// It is, or may be.
    No,
    /// It needs action; it is given so long all the same.
    After(Duration),
    /// As `After`, when it is new: a kubelet backs off from a missing image, so one may have appeared since.
    AfterNew(Duration),
}

/// A message's text, lower case, and its meaning.
#[derive(Clone, Copy, Debug)]
pub struct Sign {
    says: &'static [&'static str],
    /// The code for it.
    pub code: &'static Code,
    /// Whether it passes.
    pub stays: Stays,
    /// What to do, where the code's own fix is too general.
    pub hint: Option<&'static str>,
}

const fn passes(says: &'static [&'static str], code: &'static Code) -> Sign {
    Sign { says, code, stays: Stays::No, hint: None }
}

const fn stays(says: &'static [&'static str], code: &'static Code, after: Duration) -> Sign {
    Sign { says, code, stays: Stays::After(after), hint: None }
}

const fn hinted(sign: Sign, hint: &'static str) -> Sign {
    Sign { hint: Some(hint), ..sign }
}

const BRIDGE: &str = "add the bridge to `ovs.bridges`, or correct it in the network; `ovs-vsctl list-br` shows the existing ones";
const CONFIG: &str =
    "correct the network's configuration: `kubectl get net-attach-def --all-namespaces -o yaml`";
const IMAGE: &str =
    "correct the image in the profile, or load it on the node: `crictl images` lists the existing ones";
const TAINTS: &str = "`kvnet up --only taints` removes the taints that the profile names";
const PLACE: &str =
    "compare the pod's requests with what nodes offer: `kubectl describe pod`, `kubectl describe node`";
const DHCP: &str = "start the dhcp plugin's daemon on the node: `dhcp daemon`, in the plugin directory";
const OLD_BRIDGE: &str =
    "the link is left from an earlier cluster: `ip link delete` with the name in the message";

/// Signs of network and image problems. The first match counts.
static SIGNS: [Sign; 25] = [
    passes(&["multus.sock"], &code::MULTUS_CONFIG),
    passes(&["multus does not respond"], &code::MULTUS_CONFIG),
    passes(&["readinessindicatorfile"], &code::MULTUS_CONFIG),
    passes(&["subnet.env"], &code::POD_CIDR),
    passes(&["networkpluginnotready"], &code::CNI_ORDER),
    passes(&["cni plugin not initialized"], &code::CNI_ORDER),
    stays(&["network-attachment-definition", "not found"], &code::NETWORK_MISSING, USUAL),
    passes(&["network-attachment-definition"], &code::NETWORK_MISSING),
    stays(&["failed to find plugin"], &code::CNI_PLUGIN_MISSING, LONG),
    hinted(stays(&["failed to find bridge"], &code::OVS_BRIDGE, USUAL), BRIDGE),
    stays(&["ovsdb"], &code::OVS_UNAVAILABLE, LONG),
    stays(&["no ip addresses available"], &code::NO_ADDRESS, LONG),
    hinted(stays(&["dhcp.sock", "no such file"], &code::POD_WAITS, LONG), DHCP),
    stays(&["link not found"], &code::NETWORK_MASTER, USUAL),
    stays(&["network attachment selection annotation"], &code::POD_ANNOTATION, USUAL),
    hinted(stays(&["invalid character"], &code::CNI_CONFIG, USUAL), CONFIG),
    hinted(stays(&["cannot unmarshal"], &code::CNI_CONFIG, USUAL), CONFIG),
    hinted(stays(&["failed to load netconf"], &code::CNI_CONFIG, USUAL), CONFIG),
    hinted(stays(&["no ip ranges specified"], &code::CNI_CONFIG, USUAL), CONFIG),
    hinted(stays(&["already has an ip address different from"], &code::POD_WAITS, LONG), OLD_BRIDGE),
    hinted(stays(&["invalidimagename"], &code::POD_WAITS, USUAL), IMAGE),
    hinted(stays(&["errimageneverpull"], &code::POD_WAITS, USUAL), IMAGE),
    hinted(missing(&["image", ": not found"]), IMAGE),
    hinted(missing(&["image", "manifest unknown"]), IMAGE),
    hinted(missing(&["image", "repository does not exist"]), IMAGE),
];

const fn missing(says: &'static [&'static str]) -> Sign {
    Sign { says, code: &code::POD_WAITS, stays: Stays::AfterNew(LONG), hint: None }
}

/// Signs of scheduling problems.
static PLACES: [Sign; 6] = [
    stays(&["insufficient ovs-cni.network.kubevirt.io"], &code::MARKER, LONG),
    // Other pods may end, and devices are registered after their driver's start.
    hinted(stays(&["insufficient"], &code::NO_ROOM, LONG), PLACE),
    hinted(stays(&["taint"], &code::NO_ROOM, USUAL), TAINTS),
    hinted(stays(&["node affinity"], &code::NO_ROOM, USUAL), PLACE),
    hinted(stays(&["node selector"], &code::NO_ROOM, USUAL), PLACE),
    hinted(stays(&["nodes are available"], &code::NO_ROOM, LONG), PLACE),
];

/// The code for a message; none for an unknown one.
pub fn code_of(told: &str) -> Option<&'static Code> {
    let told = told.to_lowercase();
    let places = PLACES.iter().filter(|sign| sign.code == &code::MARKER);
    SIGNS.iter().chain(places).find(|sign| sign.fits(&told)).map(|sign| sign.code)
}

impl Sign {
    /// Whether what is missing may appear a little later.
    pub fn is_slow(&self) -> bool {
        self.stays == Stays::After(LONG)
    }

    fn fits(&self, told: &str) -> bool {
        self.says.iter().all(|part| told.contains(part))
    }

    /// The sign of a lasting reason; none for a transient one.
    fn of(reason: &Reason) -> Option<&'static Self> {
        let told = reason.text.to_lowercase();
        let signs: &[Self] = match reason.cause {
            Cause::Network | Cause::Image => &SIGNS,
            Cause::Unscheduled if !PASSING_PLACES.iter().any(|passing| told.contains(passing)) => &PLACES,
            _ => return None,
        };
        signs.iter().find(|sign| sign.fits(&told)).filter(|sign| sign.stays != Stays::No)
    }
}

impl Cluster {
    /// The sign of a reason that needs action; none for one that is, or may be, transient.
    pub async fn lasting(&self, reason: &Reason) -> Option<&'static Sign> {
        let sign = Sign::of(reason)?;
        if reason.cause != Cause::Unscheduled || !reason.text.contains("taint") {
            return Some(sign);
        }
        // Not every scheduler names the taint.
        let taints = Box::pin(self.taints()).await;
        (!PASSING_TAINTS.split(' ').any(|passing| taints.contains(passing))).then_some(sign)
    }

    /// The taints of all nodes, in words.
    pub async fn taints(&self) -> String {
        let nodes = self.list("v1", "Node", None, None).await.unwrap_or_default();
        let all = nodes.iter().flat_map(|node| {
            let taints = items(node, "/spec/taints").iter();
            taints.map(|taint| format!("node {} has the taint {}", name(node), shown_taint(taint)))
        });
        all.collect::<Vec<_>>().join(", ")
    }
}

/// Since when lasting reasons hold.
#[derive(Debug, Default)]
pub struct Lasting {
    looked: bool,
    /// By text: since when, and whether they were present at first.
    since: BTreeMap<&'static [&'static str], (Instant, bool)>,
}

/// A reason that has lasted too long.
#[derive(Debug)]
pub struct Stuck {
    /// The pod.
    pub pod: String,
    /// Its reason.
    pub reason: Reason,
    /// What that means.
    pub sign: &'static Sign,
}

impl Lasting {
    /// Records the current reasons of pods; returns one that has lasted too long.
    pub async fn look(&mut self, cluster: &Cluster, reasons: &[(String, Reason)]) -> Option<Stuck> {
        let mut stuck = None;
        let mut since = BTreeMap::new();
        for (pod, reason) in reasons {
            let Some(sign) = Box::pin(cluster.lasting(reason)).await else { continue };
            let begun = self.since.get(sign.says).copied().unwrap_or((Instant::now(), !self.looked));
            since.insert(sign.says, begun);
            if stuck.is_none() && is_over(sign.stays, begun) {
                stuck = Some(Stuck { pod: pod.clone(), reason: reason.clone(), sign });
            }
        }
        (self.looked, self.since) = (true, since);
        stuck
    }
}

fn is_over(stays: Stays, (since, was_there): (Instant, bool)) -> bool {
    match stays {
        Stays::No => false,
        Stays::After(time) => since.elapsed() >= time,
        Stays::AfterNew(time) => !was_there && since.elapsed() >= time,
    }
}

/// The pods that count for a wait: none that is terminating, and none that its workload is about to replace.
pub fn current(pods: &[Value]) -> Vec<&Value> {
    const HASHES: [&str; 3] = ["pod-template-hash", "controller-revision-hash", "pod-template-generation"];
    let hash = |pod: &Value| HASHES.map(|label| pod["metadata"]["labels"][label].clone());
    let workload = |pod: &Value| {
        let mut labels = pod["metadata"]["labels"].clone();
        if let Some(labels) = labels.as_object_mut() {
            labels.retain(|label, _| !HASHES.contains(&label.as_str()));
        }
        (pod["metadata"]["namespace"].clone(), labels)
    };
    let born = |pod: &Value| text(pod, "/metadata/creationTimestamp").to_owned();
    let replaces = |new: &Value, old: &Value| {
        born(new) > born(old) && hash(new) != hash(old) && workload(new) == workload(old)
    };
    let stays = |pod: &&Value| {
        text(pod, "/metadata/deletionTimestamp").is_empty() && !pods.iter().any(|other| replaces(other, pod))
    };
    pods.iter().filter(stays).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sign(cause: Cause, text: &str) -> Option<&'static Sign> {
        Sign::of(&Reason { cause, text: text.into() })
    }

    #[test]
    fn only_what_somebody_has_to_mend_stays() {
        use Cause::{Container, Image, Network, Starting, Unscheduled, Volume};
        let nodes = |why: &str| format!("cannot be scheduled: 0/1 nodes are available: 1 {why}");
        let of_network = |why: &str| format!("its network cannot be set up (network lan): {why}");
        for (cause, text, code) in [
            (Network, of_network("failed to find bridge br-typo"), "KVN605"),
            (Network, of_network("no IP addresses available in range set: 10.20.0.2-10.20.0.3"), "KVN821"),
            (Network, of_network("failed to find plugin \"ovs\" in path [/opt/cni/bin]"), "KVN603"),
            (Network, of_network("error dialing DHCP daemon: dial unix /run/cni/dhcp.sock: connect: no such file or directory"), "KVN641"),
            (Network, of_network("failed to lookup master \"eth9\": Link not found"), "KVN660"),
            (Network, of_network("cannot find a network-attachment-definition (x) in namespace (n): network-attachment-definitions.k8s.cni.cncf.io \"x\" not found"), "KVN621"),
            (Network, of_network("failed to parse pod Network Attachment Selection Annotation JSON format: invalid character ']'"), "KVN640"),
            (Network, of_network("failed to unmarshal Spec.Config: invalid character ','"), "KVN635"),
            (Image, "container c: InvalidImageName, image X:Y:Z".into(), "KVN641"),
            (Image, "container c: ErrImageNeverPull, image i:1 (Container image \"i:1\" is not present)".into(), "KVN641"),
            (Image, "container c: ErrImagePull, image i:typo (rpc error: code = NotFound desc = i:typo: not found)".into(), "KVN641"),
            (Unscheduled, nodes("Insufficient memory"), "KVN631"),
            (Unscheduled, nodes("Insufficient ovs-cni.network.kubevirt.io/blue"), "KVN620"),
            (Unscheduled, nodes("node(s) didn't match Pod's node affinity/selector"), "KVN631"),
            (Unscheduled, nodes("node(s) had untolerated taint {a: }"), "KVN631"),
            (Unscheduled, nodes("node(s) were unschedulable"), "KVN631"),
        ] {
            assert_eq!(sign(cause, &text).map(|sign| sign.code.id), Some(code), "{text}");
        }
        for (cause, text) in [
            (Network, of_network("open /run/flannel/subnet.env: no such file or directory")),
            (Network, of_network("Post \"http://dummy/cni\": dial unix /run/multus/multus.sock: connect: connection refused")),
            (Network, of_network("cannot find a network-attachment-definition (x) in namespace (n): Get \"https://10.96.0.1\": connection refused")),
            (Network, of_network("network is not ready: cni plugin not initialized")),
            (Network, of_network("something unknown")),
            (Image, "pulling image \"i:1\"".into()),
            (Image, "container c: ErrImagePull, image i:1 (dial tcp: lookup registry.example: no such host)".into()),
            (Image, "container c: ImagePullBackOff, image i:1 (toomanyrequests: You have reached your pull rate limit)".into()),
            (Unscheduled, "cannot be scheduled: no nodes available to schedule pods".into()),
            (Unscheduled, nodes("pod has unbound immediate PersistentVolumeClaims")),
            (Unscheduled, "cannot be scheduled: Scheduling is blocked due to non-empty scheduling gates".into()),
            (Container, "container c: CrashLoopBackOff, image i (failed to find bridge)".into()),
            (Volume, "secret \"x\" not found".into()),
            (Starting, "container c is being created".into()),
        ] {
            assert!(sign(cause, &text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_pod_that_is_replaced_keeps_nobody_waiting() {
        let pod = |name: &str, hash: &str, born: u32, ends: Value| {
            json!({"metadata": {"name": name, "namespace": "n", "creationTimestamp": format!("2026-01-01T00:00:{born:02}Z"),
                "labels": {"app": "a", "pod-template-hash": hash}, "deletionTimestamp": ends}})
        };
        let there = |pods: &[Value]| -> Vec<String> {
            current(pods).iter().map(|pod| text(pod, "/metadata/name").to_owned()).collect()
        };
        let old = pod("old", "1", 1, Value::Null);
        assert_eq!(there(&[old.clone(), pod("new", "2", 9, Value::Null)]), ["new"]);
        assert_eq!(there(&[old.clone(), pod("beside", "1", 9, Value::Null)]), ["old", "beside"]);
        assert_eq!(there(&[pod("ends", "1", 1, json!("2026-01-01T00:00:05Z"))]), [] as [&str; 0]);
        let mut other = pod("other", "2", 9, Value::Null);
        other["metadata"]["labels"]["app"] = json!("b");
        assert_eq!(there(&[old, other]), ["old", "other"]);
    }

    #[test]
    fn an_image_that_was_missing_before_may_have_come_since() {
        let (now, long) = (Instant::now(), Duration::ZERO);
        assert!(is_over(Stays::After(long), (now, true)));
        assert!(is_over(Stays::AfterNew(long), (now, false)));
        assert!(!is_over(Stays::AfterNew(long), (now, true)));
        assert!(!is_over(Stays::No, (now, false)));
    }
}
