//! The error type of the whole program: a stable code, what happened, where, why, and what to do next.
//!
//! The code determines the kind, and the kind determines the exit code and whether a retry can help. A new code is one row in
//! [`CODES`]; `kvnet explain CODE` prints that row.

use std::{fmt, io};

use camino::Utf8Path;
use serde::Serialize;

/// Exit code when something is left to do: changes of `plan` and `status`, a smoke test after a reboot.
pub const PENDING: u8 = 3;

/// The result of every fallible function of kvnet.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Who has to act before the operation can succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The command line or the profile is wrong: exit code 2.
    User,
    /// The state of the node or the cluster does not allow it: exit code 1.
    Environment,
    /// The same request may succeed later: exit code 1 after the retries.
    Transient,
    /// The user interrupted it: exit code 130.
    Cancelled,
    /// A bug in kvnet: exit code 1.
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
        /// Every code, in numerical order.
        pub static CODES: &[&Code] = &[$(&$name),*];
    };
}

/// The codes by name.
pub mod code {
    use super::{Code, Kind};
    codes! {
        USAGE = "KVN100", User, "the command line is not valid", "see `kvnet --help` and `kvnet COMMAND --help`";
        PROFILE_NOT_FOUND = "KVN101", User, "profile not found", "list the shipped profiles with `kvnet profile list`, or pass the path of a file";
        PROFILE_SYNTAX = "KVN102", User, "the profile is not valid YAML", "fix the line named in the message";
        PROFILE_FIELD = "KVN103", User, "the profile has an unknown, duplicate or wrongly typed field", "`kvnet profile schema` describes every field";
        PROFILE_VALUE = "KVN104", User, "a value in the profile is invalid", "change the value named in the message";
        PROFILE_EXTENDS = "KVN105", User, "`extends` names a profile that cannot be used", "check the name or path in `extends`, and that no profile extends itself";
        STEP_UNKNOWN = "KVN106", User, "unknown step", "`kvnet status` lists the steps";
        ANSWER_MISSING = "KVN110", User, "a question of `kvnet init` has no answer, and there is no terminal to prompt on", "run it in a terminal, pass the answers as flags or with `--answers FILE`, or accept the proposals with `--defaults`";
        ANSWER = "KVN111", User, "an answer to `kvnet init` is invalid", "change the answer named in the message";
        FILE_EXISTS = "KVN112", User, "the file already exists", "choose another one with `--file`, or replace it with `--overwrite yes`";
        HOST_COMMAND = "KVN200", Environment, "a command on the node failed", "read its output, fix the cause, and run `kvnet up` again";
        HOST_TOOL_MISSING = "KVN201", Environment, "a tool that the step needs is not installed on the node", "install the tool named in the message";
        HOST_TIMEOUT = "KVN202", Transient, "a command on the node timed out", "check what it waits for, or raise the limit under `timeouts` in the profile";
        HOST_PERMISSION = "KVN203", Environment, "permission denied on the node", "run kvnet as root";
        HOST_FILE = "KVN204", Environment, "a file on the node cannot be read or written", "check the path, its directory and its file system";
        HOST_FULL = "KVN205", Environment, "the file system is full", "free some space and run the command again";
        HOST_READ_ONLY = "KVN206", Environment, "the file system is read-only", "remount it read-write, or choose another directory";
        HOST_UNSAFE = "KVN207", Environment, "a path is not safe to write as root", "remove the symbolic link, or the write permission of other users";
        DISTRO_UNKNOWN = "KVN208", Environment, "no supported package manager on the node", "install and start Open vSwitch by hand, then run kvnet again";
        HOST_COPY = "KVN220", Environment, "the backup of a file with keys cannot be trusted", "compare the backup with the file, then remove it, or restore its owner and mode 0600";
        PACKAGES_REMOVED = "KVN221", Environment, "installing a package would remove others", "choose another package, or install it by hand and check what is removed";
        OUTPUT = "KVN222", Environment, "the output cannot be written", "free some space where standard output goes, and run the command again";
        NODE_LOST = "KVN230", Transient, "the connection to a node was lost", "check that the node is up and can be reached, then run the command again: it continues where it stopped";
        NODE_AGENT = "KVN231", Environment, "the agent on a node cannot be used", "start the same release of kvnet on both sides, and a shell that prints nothing at login";
        CLUSTER_CONFIG = "KVN300", Environment, "no usable kubeconfig", "pass `--kubeconfig FILE`, set KUBECONFIG, or run as root on a control plane node";
        CLUSTER_UNREACHABLE = "KVN301", Transient, "the API server is unreachable", "check that the node is up and that the address in the kubeconfig is right";
        CLUSTER_DENIED = "KVN302", Environment, "the API server denies the credentials or the request", "use a cluster administrator's kubeconfig";
        CLUSTER_CONFLICT = "KVN303", Environment, "field conflict: another field manager owns fields that kvnet sets", "let the other manager give them up, or rerun with `--force-conflicts`";
        CLUSTER_REJECTED = "KVN304", Environment, "the API server rejects an object", "read its message; `kvnet render` prints the object";
        CLUSTER_TIMEOUT = "KVN305", Transient, "timed out waiting for a condition", "check what the message says it waited for, then run `kvnet up` again";
        CLUSTER_KIND = "KVN306", Environment, "the API server does not serve that kind of object", "check that the profile matches the version of the cluster";
        CLUSTER_ANSWER = "KVN307", Transient, "the API server sent an invalid response", "check what listens at that address; there may be a proxy in between";
        CREDENTIAL_PLUGIN = "KVN310", Environment, "a credential plugin of the kubeconfig returns no credentials", "run it by hand, or log in as for `kubectl get nodes`, which needs it too";
        AUTH_PROVIDER = "KVN311", Environment, "the kubeconfig uses an `auth-provider`, removed from kubectl in 1.26", "get a kubeconfig with an `exec` plugin from your provider's own tool, for example `kubelogin`";
        OBJECT_NAME = "KVN312", User, "invalid object name", "use the name as `kubectl get` prints it";
        KUBECONFIG_OPEN = "KVN313", Environment, "a kubeconfig that runs a program is writable by other users", "remove their permission: `chmod go-w FILE`, and check what the file runs";
        SOURCE_DIGEST = "KVN400", Environment, "a downloaded manifest does not match its pinned digest", "do not apply it; check the mirror, or pin the new digest in the profile after reading the file";
        SOURCE_DOWNLOAD = "KVN401", Transient, "a manifest cannot be downloaded", "check the network and the proxy variables, or use `--mirror URL`";
        SOURCE_TOO_BIG = "KVN402", Environment, "a download is too big for a manifest", "check what the mirror serves";
        SOURCE_YAML = "KVN403", Environment, "a manifest is not valid YAML", "check the file at the place named in the message";
        SOURCE_REFUSED = "KVN404", Environment, "the server does not have the manifest", "check the version in the profile, or the mirror's contents";
        TEMPLATE = "KVN405", Bug, "a template cannot be rendered", "report it with the profile that you used";
        SOURCE_PLAIN = "KVN420", User, "a manifest would be downloaded over plain http without a digest", "use https, or pin its digest: `--set COMPONENT.source.sha256=HEX`";
        FEW_FILES = "KVN421", Environment, "the limit on open files is too low", "raise the limit: `ulimit -n 1024`";
        STATE_MACHINE = "KVN422", Environment, "the journal belongs to another machine", "run kvnet there, or choose another state directory with `--state-dir`; move a copied journal aside";
        CLOCK = "KVN423", Environment, "this machine's clock is far off", "set it, for example with `timedatectl set-time`";
        REGISTRY_UNREACHABLE = "KVN430", Transient, "a registry does not answer", "check the network, the proxy variables, and `images.rewrite` in the profile";
        REGISTRY_DENIED = "KVN431", Environment, "a registry denies access to an image", "log in with `docker login`; kvnet reads `config.json` in DOCKER_CONFIG or ~/.docker";
        REGISTRY_MISSING = "KVN432", Environment, "a registry does not have an image", "check the image and its tag in the profile, or what the mirror has";
        REGISTRY_LIMIT = "KVN433", Transient, "the rate limit of a registry is reached", "wait, log in with `docker login` for a higher limit, or use a mirror with `images.rewrite` in the profile";
        REGISTRY_DAMAGED = "KVN434", Environment, "a registry sent something else than the image", "check what answers at that address; there may be a proxy in between";
        REGISTRY_LOGIN = "KVN435", User, "a login for a registry cannot be read", "repair the file, or log in again with `docker login`";
        LOCK_FILE = "KVN440", User, "the lock cannot be used", "restore it from version control, or write a new one: remove the file and run `kvnet lock`";
        LOCK_MISSING = "KVN441", User, "there is no lock", "write one with `kvnet lock`, or name it with `--lock-file`";
        LOCK_LACKS = "KVN442", User, "what would be installed is not in the lock", "read what changed with `kvnet lock --check`, then write a new lock with `kvnet lock`";
        STATE_LOCKED = "KVN500", Environment, "another kvnet is running on this node", "wait until it has finished";
        STATE_JOURNAL = "KVN501", Environment, "the journal cannot be read", "read it, then move it aside; kvnet goes by the state of the node itself";
        STATE_NEWER = "KVN502", Environment, "the journal was written by a newer kvnet", "use the newer kvnet";
        CANCELLED = "KVN503", Cancelled, "interrupted", "run `kvnet up` again to continue";
        GRAPH_CYCLE = "KVN504", Bug, "the steps form a dependency cycle", "report it";
        INTERNAL = "KVN505", Bug, "internal error (a bug in kvnet)", "report it with the output of the command with `-v`";
        DECLINED = "KVN506", Cancelled, "the plan was not confirmed", "nothing was changed; rerun with `--yes` to skip the prompt";
        STATE_OVERTAKEN = "KVN507", Environment, "state changed since the plan was computed", "run the command again to recompute the plan";
        NOT_A_NODE = "KVN510", Environment, "this machine is not a node of the cluster", "run kvnet on a node of that cluster, choose another cluster with `--kubeconfig` or `--context`, or run only steps that use the API: `--only networks,kubevirt,vm`";
        OTHER_CLUSTER = "KVN511", Environment, "this node belongs to another cluster", "choose the node's own cluster with `--kubeconfig /etc/kubernetes/admin.conf`, or run kvnet on a node of the other cluster";
        NODES_UNREACHED = "KVN512", Environment, "the cluster has nodes that kvnet does not reach", "restrict it to this node with `--set cluster.placement=this-node`, or cordon the other nodes";
        LEFT_BEHIND = "KVN513", Environment, "objects of kvnet remain after `down`", "check what the message names, then run `kvnet down` again";
        KUBECONFIG_OTHER = "KVN600", Environment, "the kubeconfig belongs to another cluster", "move the file aside, or turn `cluster.kubeconfig.copy` off";
        POD_CIDR = "KVN601", Environment, "the nodes have no usable pod CIDR", "create the cluster with `kubeadm init --pod-network-cidr`, or set `cluster.podSubnet` to the cluster's";
        CNI_ORDER = "KVN602", Environment, "Multus is not the first CNI configuration", "run `kvnet up`; check the files that `kvnet status` names";
        CNI_PLUGIN_MISSING = "KVN603", Environment, "CNI plugin binaries are missing", "install the containernetworking plugins into the runtime's plugin directory";
        OVS_UNAVAILABLE = "KVN604", Environment, "Open vSwitch does not answer", "start its service and check its log";
        OVS_BRIDGE = "KVN605", Environment, "an Open vSwitch bridge differs from the profile and cannot be changed", "remove it by hand, or change the profile";
        OVS_UPLINK = "KVN606", Environment, "the uplink carries the node's own traffic", "choose a NIC without an address";
        KUBEADM_HALF = "KVN607", Environment, "incomplete kubeadm cluster on this node", "complete it, or run `kubeadm reset`, which deletes it";
        KUBEADM_FAILED = "KVN608", Environment, "kubeadm could not create the cluster", "read kubeadm's message";
        KERNEL = "KVN609", Environment, "the kernel lacks a feature that the network needs", "load the module named in the message";
        VERIFY_FAILED = "KVN610", Environment, "verification failed", "see which checks failed";
        KUBEVIRT_VERSION = "KVN611", Environment, "KubeVirt does not support this version of Kubernetes", "choose a KubeVirt version that does";
        MULTUS_CONFIG = "KVN612", Environment, "Multus wrote an invalid CNI configuration", "check the log of the Multus pod on the node";
        DOWN_BLOCKED = "KVN613", Environment, "uninstalling is blocked", "check what the message names, then run `kvnet down` again";
        MARKER = "KVN620", Environment, "no node advertises the bridge to the scheduler", "check the pods of ovs-cni: their marker advertises the bridges";
        NETWORK_MISSING = "KVN621", Environment, "a NetworkAttachmentDefinition is missing or invalid", "run `kvnet up --only networks`, or create it";
        POD_NIC = "KVN622", Environment, "a pod lacks a NIC", "check the pod's events: `kubectl describe pod`; NICs are only created when a pod starts";
        OVS_PORT = "KVN623", Environment, "a pod's port in Open vSwitch is missing or wrong", "delete the pod: a new one gets a new port";
        VM_TAP = "KVN624", Environment, "a VM's tap device is missing or not connected", "restart the VM; check the log of virt-handler on its node";
        GUEST_NIC = "KVN625", Environment, "a NIC of the guest is missing or down", "look inside the guest: `kvnet console VM`, then `ip link`";
        CONSOLE = "KVN626", Environment, "a serial console cannot be used", "check that the VM is running: `kubectl get vmi`";
        VM_ENDED = "KVN627", Environment, "a virtual machine has stopped", "check its events: `kubectl describe vmi`; `kvnet up` recreates it";
        TRACE_TARGET = "KVN628", User, "no pod or VM of that name", "name it as `NAME`, `vmi/NAME` or `pod/NAME`, with `--namespace`";
        NODE_NOT_READY = "KVN630", Environment, "a node is NotReady", "check its conditions: `kubectl describe node`, and the log of its kubelet";
        NO_ROOM = "KVN631", Environment, "no schedulable node", "`kvnet up --only taints` removes the taints that the profile names";
        SYSTEM_POD = "KVN632", Environment, "a system pod is not running", "check its events and its log: `kubectl describe pod`";
        KUBEVIRT_BROKEN = "KVN633", Environment, "KubeVirt is not working", "check its pods: `kubectl --namespace kubevirt get pods`, then `kvnet up --only kubevirt`";
        DRIFTED = "KVN634", Environment, "drift: node or cluster differs from the profile", "`kvnet plan` shows the changes, `kvnet up` makes them; pass `--profile` and `--skip` as in that run";
        CNI_CONFIG = "KVN635", Environment, "invalid CNI configuration", "fix the file named in the message, or move it aside";
        VM_WAITS = "KVN636", Environment, "a virtual machine does not start", "check its events: `kubectl describe vmi`, and trace its network: `kvnet trace vmi/NAME`";
        POD_ANNOTATION = "KVN640", User, "Multus cannot parse a pod's network annotation", "correct the annotation `k8s.v1.cni.cncf.io/networks`: `a,b`, or a JSON list";
        POD_WAITS = "KVN641", Environment, "a pod does not start", "check its events: `kubectl describe pod`, and trace its network: `kvnet trace pod/NAME --namespace NAMESPACE`";
        DUPLICATE_ADDRESS = "KVN642", Environment, "duplicate address", "delete one of the two, and let both networks allocate from one store: the same `name` or `dataDir` in their CNI configurations; keep a guest's own address out of the pods' range";
        ADDRESS_OUTSIDE = "KVN643", Environment, "pods have addresses outside the pod network", "check which file comes first in the runtime's CNI directory; once it is flannel's, delete these pods";
        OVS_FLOWS = "KVN645", Environment, "Open vSwitch does not forward a NIC's frames", "check the flows and ports of the bridge: `ovs-ofctl dump-flows BRIDGE`, `ovs-ofctl show BRIDGE`";
        OVS_FAIL_MODE = "KVN646", Environment, "an Open vSwitch bridge forwards nothing without a controller", "`ovs-vsctl del-fail-mode BRIDGE` makes it switch on its own";
        PATH_LINK = "KVN647", Environment, "a link on the path of packets is down or its MTU is too small", "bring it up: `ip link set LINK up`, or raise its MTU";
        FORWARDING = "KVN648", Environment, "the node does not forward pod traffic", "`sysctl -w net.ipv4.ip_forward=1`; check the routes: `ip route`";
        FIREWALL = "KVN649", Environment, "a packet filter drops pod traffic", "remove the rule named in the message, or accept the pod network before it";
        FRAME_LOST = "KVN650", Environment, "a frame does not reach the other NIC", "check the link after the one that saw it last, and trace that end on its own with `kvnet trace`";
        TRACE_ENDS = "KVN651", User, "these two ends cannot be traced", "name two different pods or VMs on the network; `kvnet topology` shows which are on it";
        END_WITHOUT_NIC = "KVN652", Environment, "an end of a trace has no NIC of its own", "wait until it is running: `kubectl get pod`; host-network pods have none";
        TRACE_NETWORK = "KVN653", User, "no such network", "name a NetworkAttachmentDefinition: `kubectl get net-attach-def --all-namespaces`";
        NETWORK_MASTER = "KVN660", Environment, "the master interface of a network does not exist on the node", "correct `master` in its NetworkAttachmentDefinition, or create the interface: `ip link` lists those that exist";
        SMOKE_FAILED = "KVN800", Environment, "a smoke test failed", "read its message, and look at the files that were collected";
        SMOKE_DEADLINE = "KVN801", Environment, "a smoke test timed out", "check what it waited for; `--timeout` gives it longer";
        SMOKE_LEAK = "KVN802", Environment, "pods leaked ports or addresses", "check the logs of Multus and of the runtime; delete what the message names by hand";
        SMOKE_REACH = "KVN803", Environment, "pods that should reach each other do not", "trace the link between them: `kvnet trace pod/NAME --namespace NAMESPACE`";
        SMOKE_ISOLATION = "KVN804", Environment, "pods that should be isolated reach each other", "compare the VLANs of the ports with the profile: `kvnet topology`, then `kvnet up`";
        SMOKE_DNS = "KVN805", Environment, "pods cannot resolve Service names", "check the cluster's DNS pods: `kubectl get pods --namespace kube-system`";
        SMOKE_CASE_UNKNOWN = "KVN806", User, "unknown smoke test or tag", "`kvnet smoke list` shows names and tags";
        SMOKE_NONE_RAN = "KVN807", Environment, "no smoke test could run", "see the report for the reasons, or choose others from `kvnet smoke list`";
        SMOKE_POD = "KVN808", Environment, "a pod of a smoke test does not start", "check the events that were collected";
        SMOKE_PENDING = "KVN809", Environment, "a smoke test waits for the node to reboot", "run `kvnet smoke --resume` after the reboot";
        SMOKE_RESUME = "KVN810", User, "there is nothing to resume", "run `kvnet smoke --allow-reboot reboot` first";
        SMOKE_CLEAN = "KVN811", Environment, "a smoke test could not clean up", "check why its namespace is stuck in Terminating: `kubectl get pods --namespace NAMESPACE`";
        SMOKE_RETURN = "KVN812", Environment, "pods do not recover after a restart", "check the pods' events and `kvnet status`";
        VERIFY_ROOM = "KVN820", Environment, "too few pods fit on the node for the verification", "delete pods that are not needed, or raise `maxPods` in the kubelet's configuration";
        NO_ADDRESS = "KVN821", Environment, "a network has no free address", "enlarge its range in the profile, or delete pods on it; `kvnet smoke leaks` shows leaked addresses";
        DUMP = "KVN830", User, "not a dump of kvnet, or a damaged one", "name a file that `kvnet sysdump` wrote, whole";
        DUMP_LACKS = "KVN831", Environment, "the dump does not have what the command asks for", "`not-collected.txt` in the dump says what could not be got; run the command on the node itself";
        DUMP_NOTHING = "KVN832", Environment, "the dump cannot be written", "choose another file with `--file`, on a file system with room";
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

/// One problem of an input.
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

    /// Adds a hint; without any, the code's own fix is shown.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hints.push(hint.into());
        self
    }

    /// Adds a hint after the others, or after the code's own fix.
    #[must_use]
    pub fn hint_also(mut self, hint: impl Into<String>) -> Self {
        if self.0.hints.is_empty() {
            self.0.hints.push(self.0.code.fix.to_owned());
        }
        self.hint(hint)
    }

    /// Overrides the kind of the code.
    #[must_use]
    pub fn of_kind(mut self, kind: Kind) -> Self {
        self.0.kind = Some(kind);
        self
    }

    /// Lists all problems of an input; the message is about the first.
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

    /// Where it happened, if known.
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

    /// All problems of an input, when the error is about one.
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

    /// The exit code of a command that fails with this error before it changed anything.
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

    /// Read in review when words change.
    #[test]
    fn every_code_reads_well() {
        let row =
            |code: &&Code| format!("{} {:?}: {}\n  hint: {}\n", code.id, code.kind, code.title, code.fix);
        insta::assert_snapshot!(CODES.iter().map(row).collect::<String>());
    }

    #[test]
    fn the_kind_decides_the_exit_code() {
        assert_eq!(Error::new(&code::PROFILE_FIELD, "x").exit_code(), 2);
        assert_eq!(Error::new(&code::CANCELLED, "x").exit_code(), 130);
        assert_eq!(Error::new(&code::HOST_COMMAND, "x").exit_code(), 1);
        assert_eq!(Error::new(&code::HOST_COMMAND, "x").of_kind(Kind::User).exit_code(), 2);
    }
}
