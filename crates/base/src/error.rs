//! One error type for the whole program: a stable code, what happened, where, why, and what to do next.
//!
//! The code decides the kind, and the kind decides the exit code and whether a retry can help. A new code is one row in
//! [`CODES`]; `kvnet explain CODE` prints that row.

use std::{fmt, io};

use camino::Utf8Path;
use serde::Serialize;

/// Exit code when something is left to do: changes of `plan` and `status`, a smoke test after a reboot.
pub const PENDING: u8 = 3;

/// The result that every fallible function of kvnet returns.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act for the operation to work the next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The command line or the profile is wrong: exit code 2.
    User,
    /// The node or the cluster is not in a state that allows it: exit code 1.
    Environment,
    /// The same request may work later: exit code 1 after the retries.
    Transient,
    /// The user stopped it: exit code 130.
    Cancelled,
    /// kvnet is wrong: exit code 1.
    Bug,
}

/// A stable error code with its meaning.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    /// `KVN` and three digits; never reused.
    pub id: &'static str,
    /// Who has to act.
    pub kind: Kind,
    /// One line: what went wrong in general.
    pub title: &'static str,
    /// What to do about it in general.
    pub fix: &'static str,
}

macro_rules! codes {
    ($($name:ident = $id:literal, $kind:ident, $title:literal, $fix:literal;)*) => {
        $(#[doc = $title] pub static $name: Code = Code { id: $id, kind: Kind::$kind, title: $title, fix: $fix };)*
        /// Every code, in the order of its number.
        pub static CODES: &[&Code] = &[$(&$name),*];
    };
}

/// The codes by name.
pub mod code {
    use super::{Code, Kind};
    codes! {
        USAGE = "KVN100", User, "the command line is not valid", "see `kvnet --help` and `kvnet COMMAND --help`";
        PROFILE_NOT_FOUND = "KVN101", User, "the profile does not exist", "list the shipped ones with `kvnet profile list`, or give the path of a file";
        PROFILE_SYNTAX = "KVN102", User, "the profile is not valid YAML", "mend the line that the message names";
        PROFILE_FIELD = "KVN103", User, "the profile has an unknown, duplicate or wrongly typed field", "`kvnet profile schema` describes every field";
        PROFILE_VALUE = "KVN104", User, "a value of the profile is not possible", "change the value that the message names";
        PROFILE_EXTENDS = "KVN105", User, "the profile extends something that cannot be used", "check the name or path behind `extends`, and that no profile extends itself";
        STEP_UNKNOWN = "KVN106", User, "a step of that name does not exist", "`kvnet status` lists the steps";
        ANSWER_MISSING = "KVN110", User, "a question of `kvnet init` has no answer, and nobody can be asked", "run it on a terminal, give the answers by flags or `--answers FILE`, or take what is proposed with `--defaults`";
        ANSWER = "KVN111", User, "an answer of `kvnet init` is not possible", "change the answer that the message names";
        FILE_EXISTS = "KVN112", User, "the file is there already", "choose another with `--file`, or replace it with `--overwrite yes`";
        HOST_COMMAND = "KVN200", Environment, "a command on the node failed", "read its own message, mend the cause, and run `kvnet up` again";
        HOST_TOOL_MISSING = "KVN201", Environment, "a tool that the step needs is not on the node", "install the tool that the message names";
        HOST_TIMEOUT = "KVN202", Transient, "a command on the node did not end in time", "see what it waits for, or raise the time limit in the profile under `timeouts`";
        HOST_PERMISSION = "KVN203", Environment, "no permission to do that on the node", "run kvnet as root";
        HOST_FILE = "KVN204", Environment, "a file on the node cannot be read or written", "check the path, its directory and its file system";
        HOST_FULL = "KVN205", Environment, "the file system is full", "free some space and run the command again";
        HOST_READ_ONLY = "KVN206", Environment, "the file system is read-only", "remount it writable, or choose another directory";
        HOST_UNSAFE = "KVN207", Environment, "a path is not safe to write as root", "remove the symbolic link or the write permission of others";
        DISTRO_UNKNOWN = "KVN208", Environment, "no package manager that kvnet knows is on the node", "install Open vSwitch by hand and start it, then run kvnet again";
        HOST_COPY = "KVN220", Environment, "the copy that was kept of a file with keys cannot be trusted", "compare the copy with the file, and remove it or give it back to its owner with mode 0600";
        PACKAGES_REMOVED = "KVN221", Environment, "installing a package would remove others", "choose another package, or install it by hand and see what goes";
        OUTPUT = "KVN222", Environment, "the output cannot be written", "free some space where standard output leads, and run the command again";
        CLUSTER_CONFIG = "KVN300", Environment, "no usable kubeconfig", "give `--kubeconfig FILE`, set KUBECONFIG, or run as root on the control plane";
        CLUSTER_UNREACHABLE = "KVN301", Transient, "the API server does not answer", "check that the node is up and that the address in the kubeconfig is right";
        CLUSTER_DENIED = "KVN302", Environment, "the API server refuses the credentials or the request", "use a kubeconfig of a cluster administrator";
        CLUSTER_CONFLICT = "KVN303", Environment, "another field manager owns fields that kvnet wants to set", "let the other manager give them up, or repeat with `--force-conflicts`";
        CLUSTER_REJECTED = "KVN304", Environment, "the API server rejects an object", "read its message; the object is shown by `kvnet render`";
        CLUSTER_TIMEOUT = "KVN305", Transient, "a condition did not become true in time", "look at what the message says it waited for, then run `kvnet up` again";
        CLUSTER_KIND = "KVN306", Environment, "the API server does not serve that kind of object", "check that the profile fits the version of the cluster";
        CLUSTER_ANSWER = "KVN307", Transient, "the API server gave an answer that cannot be understood", "check what answers at that address; a proxy may stand in between";
        CREDENTIAL_PLUGIN = "KVN310", Environment, "a credential plugin of the kubeconfig gives no credentials", "run it by hand, or log in as for `kubectl get nodes`, which needs it too";
        AUTH_PROVIDER = "KVN311", Environment, "the kubeconfig logs in by an `auth-provider`, which kubectl refuses since 1.26", "get a kubeconfig with an `exec` plugin from your provider's own tool, for example `kubelogin`";
        OBJECT_NAME = "KVN312", User, "that cannot be the name of an object", "give the name as `kubectl get` shows it";
        KUBECONFIG_OPEN = "KVN313", Environment, "others can change a kubeconfig that names a program to run", "take the permission from them: `chmod go-w FILE`, and look at what the file runs";
        SOURCE_DIGEST = "KVN400", Environment, "a downloaded manifest is not the one that is pinned", "do not apply it; check the mirror, or pin the new digest in the profile after reading the file";
        SOURCE_DOWNLOAD = "KVN401", Transient, "a manifest cannot be downloaded", "check the network and the proxy variables, or use `--mirror URL`";
        SOURCE_TOO_BIG = "KVN402", Environment, "a download is bigger than a manifest can be", "check what the mirror answers";
        SOURCE_YAML = "KVN403", Environment, "a manifest is not valid YAML", "check the file at the place that the message names";
        SOURCE_REFUSED = "KVN404", Environment, "the server does not have the manifest", "check the version in the profile, or the mirror's contents";
        TEMPLATE = "KVN405", Bug, "a template cannot be rendered", "report it with the profile that you used";
        SOURCE_PLAIN = "KVN420", User, "a manifest would come over plain http, and no digest says which it must be", "use https, or give its digest: `--set COMPONENT.source.sha256=HEX`";
        FEW_FILES = "KVN421", Environment, "the system lets kvnet open too few files", "raise the limit: `ulimit -n 1024`";
        STATE_MACHINE = "KVN422", Environment, "the journal is of another machine", "run kvnet there, or name another state directory with `--state-dir`; a journal that was copied can be moved aside";
        CLOCK = "KVN423", Environment, "the clock of this machine is far off", "set it, for example with `timedatectl set-time`";
        STATE_LOCKED = "KVN500", Environment, "another kvnet is working on this node", "wait until it has ended";
        STATE_JOURNAL = "KVN501", Environment, "the journal cannot be read", "move it aside after reading it; kvnet looks at the node itself again";
        STATE_NEWER = "KVN502", Environment, "the journal was written by a newer kvnet", "use the newer kvnet";
        CANCELLED = "KVN503", Cancelled, "stopped on request", "run `kvnet up` again: it goes on from there";
        GRAPH_CYCLE = "KVN504", Bug, "the steps require each other in a circle", "report it";
        INTERNAL = "KVN505", Bug, "kvnet contradicts itself", "report it with the output of the command with `-v`";
        DECLINED = "KVN506", Cancelled, "the plan was not confirmed", "nothing was changed; repeat with `--yes` to apply without the question";
        STATE_OVERTAKEN = "KVN507", Environment, "another kvnet was faster", "run the command again: it looks at the node anew";
        NOT_A_NODE = "KVN510", Environment, "this machine is no node of the cluster", "run kvnet on a node of that cluster, choose another cluster with `--kubeconfig` or `--context`, or only the steps of the cluster: `--only networks,kubevirt,vm`";
        OTHER_CLUSTER = "KVN511", Environment, "this node belongs to another cluster", "choose the node's own cluster with `--kubeconfig /etc/kubernetes/admin.conf`, or run kvnet on a node of the other one";
        NODES_UNREACHED = "KVN512", Environment, "the cluster has nodes that kvnet does not reach", "keep to this node with `--set cluster.placement=this-node`, or cordon the other nodes";
        LEFT_BEHIND = "KVN513", Environment, "something of kvnet's is still there after `down`", "look at what the message names, then run `kvnet down` again";
        KUBECONFIG_OTHER = "KVN600", Environment, "the kubeconfig belongs to another cluster", "move the file aside, or switch `cluster.kubeconfig.copy` off";
        POD_CIDR = "KVN601", Environment, "the nodes have no usable pod address range", "create the cluster with `kubeadm init --pod-network-cidr`, or set `cluster.podSubnet` to the cluster's";
        CNI_ORDER = "KVN602", Environment, "Multus is not the first CNI configuration", "run `kvnet up`; look at the files that `kvnet status` names";
        CNI_PLUGIN_MISSING = "KVN603", Environment, "CNI plugin binaries are missing", "install the containernetworking plugins into the runtime's plugin directory";
        OVS_UNAVAILABLE = "KVN604", Environment, "Open vSwitch does not answer", "start its service and look at its log";
        OVS_BRIDGE = "KVN605", Environment, "an Open vSwitch bridge is not as the profile says and cannot be changed", "remove it by hand, or change the profile";
        OVS_UPLINK = "KVN606", Environment, "the uplink carries the node's own traffic", "choose a network card without an address";
        KUBEADM_HALF = "KVN607", Environment, "a half-made cluster is on the node", "finish it, or take it back with `kubeadm reset`, which deletes it";
        KUBEADM_FAILED = "KVN608", Environment, "kubeadm could not create the cluster", "read kubeadm's message";
        KERNEL = "KVN609", Environment, "the kernel lacks what the network needs", "load the module that the message names";
        VERIFY_FAILED = "KVN610", Environment, "the cluster does not do what the profile says", "look at the checks that failed";
        KUBEVIRT_VERSION = "KVN611", Environment, "KubeVirt does not support this version of Kubernetes", "choose a KubeVirt version that does";
        MULTUS_CONFIG = "KVN612", Environment, "Multus wrote a configuration that cannot work", "look at the log of the Multus pod on the node";
        DOWN_BLOCKED = "KVN613", Environment, "something cannot be taken back", "look at what the message names, then run `kvnet down` again";
        MARKER = "KVN620", Environment, "no node offers the bridge to the scheduler", "look at the pods of ovs-cni: their marker publishes the bridges";
        NETWORK_MISSING = "KVN621", Environment, "a network attachment is missing or cannot be understood", "run `kvnet up --only networks`, or create it";
        POD_NIC = "KVN622", Environment, "a pod does not have its NIC", "look at the pod's events: `kubectl describe pod`; a NIC is only made when a pod starts";
        OVS_PORT = "KVN623", Environment, "a pod's port in Open vSwitch is missing or wrong", "delete the pod: a new one gets a new port";
        VM_TAP = "KVN624", Environment, "a VM's tap device is missing or not connected", "restart the VM; look at the log of virt-handler on its node";
        GUEST_NIC = "KVN625", Environment, "a NIC of the guest is missing or down", "look into the guest: `kvnet console VM`, then `ip link`";
        CONSOLE = "KVN626", Environment, "a serial console cannot be used", "check that the VM runs: `kubectl get vmi`";
        VM_ENDED = "KVN627", Environment, "a virtual machine has ended", "look at its events: `kubectl describe vmi`; `kvnet up` makes it anew";
        TRACE_TARGET = "KVN628", User, "there is nothing of that name to trace", "name it as `NAME`, `vmi/NAME` or `pod/NAME`, with `--namespace`";
        NODE_NOT_READY = "KVN630", Environment, "a node is not Ready", "look at its conditions: `kubectl describe node`, and at the log of its kubelet";
        NO_ROOM = "KVN631", Environment, "no node takes pods", "`kvnet up --only taints` removes the taints that the profile names";
        SYSTEM_POD = "KVN632", Environment, "a pod of the cluster itself does not run", "look at its events and its log: `kubectl describe pod`";
        KUBEVIRT_BROKEN = "KVN633", Environment, "KubeVirt does not work", "look at its pods: `kubectl --namespace kubevirt get pods`, then `kvnet up --only kubevirt`";
        DRIFTED = "KVN634", Environment, "node and cluster are not as the profile says", "`kvnet plan` shows the changes, `kvnet up` makes them; give `--profile` and `--skip` as in that run";
        CNI_CONFIG = "KVN635", Environment, "a CNI configuration cannot work", "mend the file that the message names, or move it aside";
        VM_WAITS = "KVN636", Environment, "a virtual machine does not start", "look at its events: `kubectl describe vmi`, and follow its network: `kvnet trace vmi/NAME`";
        POD_ANNOTATION = "KVN640", User, "a pod asks for networks in a way that Multus cannot read", "correct the annotation `k8s.v1.cni.cncf.io/networks`: `a,b`, or a list in JSON";
        POD_WAITS = "KVN641", Environment, "a pod does not start", "look at its events: `kubectl describe pod`, and follow its network: `kvnet trace pod/NAME --namespace NAMESPACE`";
        DUPLICATE_ADDRESS = "KVN642", Environment, "two have one address", "delete one of them, and let both networks lease from one store: the same `name` or `dataDir` in their CNI configurations; keep a guest's own address out of the range that pods are given";
        ADDRESS_OUTSIDE = "KVN643", Environment, "pods have addresses outside the pod network", "look at which file in the runtime's CNI directory comes first; delete these pods once flannel's does";
        OVS_FLOWS = "KVN645", Environment, "Open vSwitch does not pass a NIC's frames", "look at the flows and ports of the bridge: `ovs-ofctl dump-flows BRIDGE`, `ovs-ofctl show BRIDGE`";
        OVS_FAIL_MODE = "KVN646", Environment, "a bridge of Open vSwitch passes nothing without a controller", "`ovs-vsctl del-fail-mode BRIDGE` lets it switch by itself";
        PATH_LINK = "KVN647", Environment, "a link on the way of packets is down or too small", "raise it: `ip link set LINK up`, or set its MTU";
        FORWARDING = "KVN648", Environment, "the node does not forward the packets of pods", "`sysctl -w net.ipv4.ip_forward=1`; look at the routes: `ip route`";
        FIREWALL = "KVN649", Environment, "a packet filter drops the packets of pods", "remove the rule that the message names, or accept the pod network before it";
        FRAME_LOST = "KVN650", Environment, "a frame does not get from one NIC to the other", "look at the link after which it was not seen any more, and at its own way with `kvnet trace` of that end";
        TRACE_ENDS = "KVN651", User, "these two ends cannot be traced", "name two different pods or VMs that are in the network; `kvnet topology` shows who is where";
        END_WITHOUT_NIC = "KVN652", Environment, "an end of a trace has no NIC of its own", "wait until it runs: `kubectl get pod`; what uses the node's own network has none";
        TRACE_NETWORK = "KVN653", User, "there is no such network to trace over", "name a NetworkAttachmentDefinition: `kubectl get net-attach-def --all-namespaces`";
        NETWORK_MASTER = "KVN660", Environment, "a network is made of a link that the node does not have", "correct `master` in its attachment, or make the link: `ip link` lists those there are";
        SMOKE_FAILED = "KVN800", Environment, "a smoke test failed", "look at what it says, and into the directory with what was collected";
        SMOKE_DEADLINE = "KVN801", Environment, "a smoke test did not end in time", "look at what it waited for; `--timeout` gives it longer";
        SMOKE_LEAK = "KVN802", Environment, "pods have left ports or addresses behind", "look at the log of Multus and of the runtime; delete what the message names by hand";
        SMOKE_REACH = "KVN803", Environment, "pods that must reach each other do not", "follow the link between them: `kvnet trace pod/NAME --namespace NAMESPACE`";
        SMOKE_ISOLATION = "KVN804", Environment, "pods that must be apart reach each other", "compare the VLANs of the ports with the profile: `kvnet topology`, then `kvnet up`";
        SMOKE_DNS = "KVN805", Environment, "pods cannot resolve the names of Services", "look at the pods of the cluster's DNS: `kubectl get pods --namespace kube-system`";
        SMOKE_CASE_UNKNOWN = "KVN806", User, "no smoke test of that name or tag exists", "`kvnet smoke list` shows names and tags";
        SMOKE_NONE_RAN = "KVN807", Environment, "no smoke test could run", "see why in the report, or choose others with `kvnet smoke list`";
        SMOKE_POD = "KVN808", Environment, "a pod of a smoke test does not start", "look at the events that were collected";
        SMOKE_PENDING = "KVN809", Environment, "a smoke test waits for the node to come back", "run `kvnet smoke --resume` after the boot";
        SMOKE_RESUME = "KVN810", User, "there is nothing to resume", "run `kvnet smoke --allow-reboot reboot` first";
        SMOKE_CLEAN = "KVN811", Environment, "what a smoke test made cannot be removed", "look at why the namespace does not end: `kubectl get pods --namespace NAMESPACE`";
        SMOKE_RETURN = "KVN812", Environment, "pods do not come back as they were after a restart", "look at the pods' events and at `kvnet status`";
        VERIFY_ROOM = "KVN820", Environment, "too few pods fit on the node for the verification", "end pods that nobody needs, or let the kubelet take more: `maxPods` in its configuration";
        NO_ADDRESS = "KVN821", Environment, "a network has no address left", "enlarge its range in the profile, or end pods in it; `kvnet smoke leaks` shows addresses that nobody has any more";
    }
}
pub use code::CODES;

/// An error as users see it.
#[derive(Clone, Debug)]
pub struct Error(Box<Inner>);

#[derive(Clone, Debug)]
struct Inner {
    code: &'static Code,
    message: String,
    place: Option<String>,
    cause: Option<String>,
    hints: Vec<String>,
    kind: Option<Kind>,
    problems: Vec<Problem>,
}

/// The most problems that an error lists.
pub const MOST_LISTED: usize = 100;

/// One of the things that are wrong with an input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// The stable code.
    pub code: &'static str,
    /// What is wrong.
    pub message: String,
    /// Where: `file:line:column`, or the option.
    pub place: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Error {
    /// An error of `code`; `message` starts in lower case, has no final period, and names the thing that failed.
    pub fn new(code: &'static Code, message: impl Into<String>) -> Self {
        let message = message.into();
        let (place, cause, kind) = (None, None, None);
        Self(Box::new(Inner { code, message, place, cause, hints: Vec::new(), kind, problems: Vec::new() }))
    }

    /// What the operating system says about a file.
    pub fn of_file(error: &io::Error, message: impl Into<String>, path: &Utf8Path) -> Self {
        let code = match error.kind() {
            io::ErrorKind::PermissionDenied => &code::HOST_PERMISSION,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => &code::HOST_FULL,
            io::ErrorKind::ReadOnlyFilesystem => &code::HOST_READ_ONLY,
            _ => &code::HOST_FILE,
        };
        Self::new(code, message).at(path.as_str()).because(error)
    }

    /// Names where it happened: `file:line:column`, a path, or an object.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place = Some(place.into());
        self
    }

    /// Adds the reason that another layer gave.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Adds one thing to do; without any, the code's own fix is shown.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Adds one thing to know behind the hints, or behind the code's own fix.
    #[must_use]
    pub fn hint_also(mut self, hint: impl Into<String>) -> Self {
        if self.0.hints.is_empty() {
            self.0.hints.push(self.0.code.fix.to_owned());
        }
        self.hint(hint)
    }

    /// Overrides the kind that the code stands for.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = Some(kind);
        self
    }

    /// Lists all that is wrong with an input, of which the message tells the first.
    #[must_use]
    pub fn listing(mut self, problems: impl IntoIterator<Item = Problem>) -> Self {
        self.0.problems.extend(problems);
        self
    }

    /// The stable code.
    pub fn code(&self) -> &'static Code {
        self.0.code
    }

    /// Who has to act.
    pub fn kind(&self) -> Kind {
        self.0.kind.unwrap_or(self.0.code.kind)
    }

    /// What happened, without place, cause and hints.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Where it happened, when that is known.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// The reason that another layer gave.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// What to do next; never empty.
    pub fn hints(&self) -> Vec<&str> {
        if self.0.hints.is_empty() {
            return vec![self.0.code.fix];
        }
        self.0.hints.iter().map(String::as_str).collect()
    }

    /// All that is wrong with an input, when the error is about one.
    pub fn problems(&self) -> &[Problem] {
        &self.0.problems
    }

    /// The error as one of several problems.
    pub fn as_problem(&self) -> Problem {
        let message = match self.cause() {
            Some(cause) => format!("{}: {cause}", self.message()),
            None => self.message().to_owned(),
        };
        let hint = self.hints().first().map(|hint| (*hint).to_owned());
        Problem { code: self.code().id, message, place: self.0.place.clone(), hint }
    }

    /// The exit code of a command that ends with this error and had changed nothing.
    pub fn exit_code(&self) -> u8 {
        match self.kind() {
            Kind::User => 2,
            Kind::Cancelled => 130,
            Kind::Environment | Kind::Transient | Kind::Bug => 1,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)?;
        if let Some(cause) = &self.0.cause {
            write!(f, ": {cause}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_unique_ordered_and_explain_themselves() {
        for pair in CODES.windows(2) {
            assert!(pair[0].id < pair[1].id, "{} comes before {}", pair[0].id, pair[1].id);
        }
        for code in CODES {
            assert!(!code.title.is_empty() && !code.fix.ends_with('.'), "{}", code.id);
        }
    }

    #[test]
    fn the_kind_decides_the_exit_code() {
        assert_eq!(Error::new(&code::PROFILE_FIELD, "x").exit_code(), 2);
        assert_eq!(Error::new(&code::CANCELLED, "x").exit_code(), 130);
        assert_eq!(Error::new(&code::HOST_COMMAND, "x").exit_code(), 1);
        assert_eq!(Error::new(&code::HOST_COMMAND, "x").of_kind(Kind::User).exit_code(), 2);
    }
}
