//! The command line: types for clap and nothing else.

use crate::ui::Format;
use camino::Utf8PathBuf;
use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};
use clap_complete::{ArgValueCandidates, ArgValueCompleter};

pub use super::args_init::Init;
use super::complete;
use super::smoke_args::Smoke;

use crate::sandbox;
use crate::sandbox::node::Distribution;
use crate::sandbox::world::Pace;

/// The help heading of the sandbox's options.
const SANDBOX: &str = "Sandbox options";

/// Turn a fresh kubeadm node into a KubeVirt cluster with several networks, and prove that it works
#[derive(Debug, Parser)]
#[command(name = "kvnet", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done or nothing to do, 1 failed, 2 usage or profile, 3 changes pending, 4 partly \
                        applied, 130 interrupted.\n`kvnet COMMAND --help` lists the options of a command. Start with \
                        `kvnet plan`: it changes nothing."
)]
pub struct Cli {
    /// The shared options.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that several commands share; [`super::options`] says which.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of its own")]
pub struct Global {
    /// Use this profile: the name of a shipped one, a path, or `-` for standard input
    #[arg(
        long,
        short,
        global = true,
        default_value = "default",
        env = "KVNET_PROFILE",
        value_name = "NAME|FILE",
        add = ArgValueCompleter::new(complete::profiles)
    )]
    pub profile: String,
    /// Whether `--profile` is on the command line; a positional profile overrides the environment and the default.
    #[arg(skip)]
    pub profile_typed: bool,
    /// Override one value of the profile, for example `flannel.enabled=false`; repeatable
    #[arg(long, global = true, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Run only these steps
    #[arg(long, global = true, value_delimiter = ',', value_name = "STEP", add = ArgValueCandidates::new(complete::steps))]
    pub only: Vec<String>,
    /// Skip these steps
    #[arg(long, global = true, value_delimiter = ',', value_name = "STEP", add = ArgValueCandidates::new(complete::steps))]
    pub skip: Vec<String>,
    /// Use this kubeconfig; default: KUBECONFIG, ~/.kube/config, /etc/kubernetes/admin.conf
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["sandbox", "sandbox_dir"]
    )]
    pub kubeconfig: Option<Utf8PathBuf>,
    /// Use this context of the kubeconfig
    #[arg(
        long,
        global = true,
        value_name = "NAME",
        add = ArgValueCandidates::new(complete::contexts),
        conflicts_with_all = ["sandbox", "sandbox_dir"]
    )]
    pub context: Option<String>,
    /// Print output and errors in this format
    #[arg(long, short, global = true, default_value = "text", value_name = "FORMAT")]
    pub output: Format,
    /// Limit each wait to this time instead of the profile's `timeouts`, and give up on an unreachable cluster after it
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: Option<u64>,
    /// Download manifests from `URL/HOST/PATH` instead of `https://HOST/PATH`
    // The address may contain a password, which help must not show.
    #[arg(long, global = true, env = "KVNET_MIRROR", hide_env_values = true, value_name = "URL")]
    pub mirror: Option<String>,
    /// Install nothing that is not in the lock, and images by its digests
    #[arg(long, global = true)]
    pub locked: bool,
    /// Use this lock; default: `kvnet.lock` beside the profile's file, for a shipped profile in the current directory
    #[arg(long, global = true, env = "KVNET_LOCK_FILE", value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub lock_file: Option<Utf8PathBuf>,
    /// Keep journal and logs in this directory; default: /var/lib/kvnet for root, else the XDG state directory
    #[arg(long, global = true, env = "KVNET_STATE_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<Utf8PathBuf>,
    /// Work on what a dump of `kvnet sysdump` says of its node and cluster
    #[arg(long, global = true, value_name = "DUMP", value_hint = ValueHint::FilePath, conflicts_with_all = ["kubeconfig", "context", "sandbox", "sandbox_dir"])]
    pub from: Option<Utf8PathBuf>,
    /// Work on a node and a cluster in memory, discarded at exit; needs no root, cluster or network
    #[arg(long, global = true, help_heading = SANDBOX)]
    pub sandbox: bool,
    /// Keep the sandbox in this directory; implies `--sandbox`
    #[arg(
        long,
        global = true,
        help_heading = SANDBOX,
        value_name = "DIR",
        value_hint = ValueHint::DirPath
    )]
    pub sandbox_dir: Option<Utf8PathBuf>,
    /// Simulate this distribution in a new sandbox
    #[arg(long, global = true, help_heading = SANDBOX, default_value = "debian", value_name = "NAME")]
    pub sandbox_node: Distribution,
    /// Name the Node object of a new sandbox differently from its host
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub sandbox_node_name: Option<String>,
    /// Add this many nodes to a new sandbox, besides the one that kvnet runs on
    #[arg(long, global = true, hide = true, default_value = "0", value_name = "NUMBER")]
    pub sandbox_other_nodes: u8,
    /// Simulate the latencies of a real node, or a multiple of them, as in `--pace=0.2`
    #[arg(
        long,
        global = true,
        help_heading = SANDBOX,
        num_args = 0..=1,
        require_equals = true,
        default_value = "0",
        default_missing_value = "1",
        value_name = "FACTOR"
    )]
    pub pace: Pace,
    /// Print without colours
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Increase verbosity: -v shows commands on the node, -vv API requests too
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// The lock's file.
    pub fn lock_path(&self) -> Utf8PathBuf {
        self.lock_file.clone().unwrap_or_else(|| crate::locking::path_beside(&self.profile))
    }

    /// How to open the sandbox; `None` for the real node.
    pub fn sandbox(&self) -> Option<sandbox::Options> {
        let options = || sandbox::Options {
            directory: self.sandbox_dir.clone(),
            distribution: self.sandbox_node,
            pace: self.pace,
            node_name: self.sandbox_node_name.clone(),
            other_nodes: self.sandbox_other_nodes,
        };
        (self.sandbox || self.sandbox_dir.is_some()).then(options)
    }
}

/// A shell with completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// GNU Bash.
    Bash,
    /// Z shell.
    Zsh,
    /// fish.
    Fish,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Inspect this node, ask a few questions, and write a profile
    #[command(
        long_about = "Inspect this node and its cluster, ask a few questions, and write a profile.\n\nNothing is changed, \
                      and nothing is written before the last question. Every question has a flag; questions that flags \
                      or `--answers` answer are not asked. With `-o json` or `-o yaml`, print answers and profile \
                      without asking or writing anything.",
        after_help = "Examples:\n  kvnet init\n  kvnet init --sandbox\n  kvnet init --defaults --file my.yaml\n  \
                      kvnet init --networks own --bridges red --uplink red=eth1 --vlans red=100 --range red:100=l2\n  \
                      kvnet init --defaults -o json > answers.json"
    )]
    Init(Box<Init>),
    /// Install what the profile describes, and correct drift
    #[command(
        after_help = "Examples:\n  kvnet up\n  kvnet up --yes --skip kubevirt,vm\n  kvnet up --profile my.yaml --set ovs.datapath=netdev"
    )]
    Up(Up),
    /// Show what `up` would do; exit with 3 when there are changes
    #[command(
        visible_alias = "diff",
        after_help = "Examples:\n  kvnet plan\n  kvnet plan -o json\n  kvnet plan --only networks"
    )]
    Plan,
    /// Write down what the profile installs, each image by digest, for `up --locked`
    #[command(
        long_about = "Write down what the profile installs, each image by digest, for `up --locked`.\n\nAsks the registries what \
                      each tag is now, for all images of all components, of the verification, and on a node of kubeadm and \
                      the runtime, and writes the lock beside the profile. Logins are those of `docker login`. Nothing else \
                      is changed.",
        after_help = "With `--check`, exits with 3 when a tag has moved or the profile installs something else.\n\nExamples:\n  \
                      kvnet lock\n  kvnet lock --check\n  kvnet lock --profile my.yaml -o json\n  kvnet up --locked"
    )]
    Lock(Lock),
    /// Show which steps are in place, drifted or missing
    #[command(after_help = "Examples:\n  kvnet status\n  kvnet status -o json")]
    Status,
    /// Diagnose this node and its cluster, and suggest fixes
    #[command(
        long_about = "Diagnose this node and its cluster, and suggest fixes.\n\nReads files, Open vSwitch and the API, and \
                      changes nothing. Causes come before their effects: start with the first broken check. Run it as \
                      root on the affected node.",
        after_help = "Exits with 1 when a check is broken.\n\nExamples:\n  kvnet doctor\n  kvnet doctor -o json"
    )]
    Doctor,
    /// Collect what another engineer needs to debug node and cluster, in one archive without secrets
    #[command(
        long_about = "Collect what another engineer needs to debug node and cluster, in one archive without secrets: objects, \
                      events, logs, CNI files, Open vSwitch, links, routes, packet filters, kernel messages, kvnet's \
                      journal and logs, and the verdicts of `doctor`, `status`, `topology` and `trace`.\n\nWhat could not \
                      be collected is listed in `not-collected.txt`. `kvnet doctor --from DUMP` works on the archive.",
        after_help = "Examples:\n  kvnet sysdump\n  kvnet sysdump --file /tmp/node1.tar.gz --time-limit 30\n  \
                      kvnet doctor --from /tmp/node1.tar.gz\n  kvnet topology --from /tmp/node1.tar.gz -o html > node1.html"
    )]
    Sysdump(Sysdump),
    /// Uninstall everything that kvnet installed
    #[command(after_help = "Examples:\n  kvnet down --dry-run\n  kvnet down --yes")]
    Down(Down),
    /// Open the serial console of a VM, or copy to and from it in a pipe
    #[command(
        after_help = "Press Ctrl-] to exit. KubeVirt has one console session per VM: a new one disconnects the old.\n\n\
                      Examples:\n  kvnet console vm-two-nics\n  echo 'ip addr' | kvnet console vm-two-nics"
    )]
    Console(Console),
    /// Trace the network of a VM or pod from Open vSwitch to its NIC, and name the first broken link
    #[command(
        long_about = "Trace the network of a VM or pod from Open vSwitch to its NIC, and name the first broken link.\n\n\
                      With a second VM or pod, send a frame from the first one's NIC to the second one's, over the pod \
                      network or the one that `--network` names, and name the last link that saw it. This leaves nothing \
                      behind: kvnet listens on sockets that close with it.",
        after_help = "Exits with 1 when a link is broken.\n\nExamples:\n  kvnet trace vmi/vm-two-nics\n  \
                      kvnet trace pod/web --namespace shop -o json\n  \
                      kvnet trace pod/web pod/db\n  \
                      kvnet trace pod/shop/web vmi/vms/db --network vms/ovs-blue"
    )]
    Trace(Trace),
    /// Run end-to-end tests of the networks with test pods
    #[command(
        long_about = "Run end-to-end tests of the networks with test pods.\n\nEach case runs in a namespace of its own, which is \
                      removed afterwards; nothing else is changed. `kvnet smoke list` lists the cases. Without names or \
                      tags, all cases run that can.",
        after_help = "Exits with 0 when cases passed and none failed, 1 when one failed or none could run, 3 while the node \
                      reboots.\n\nExamples:\n  kvnet smoke\n  kvnet smoke --tag quick --junit smoke.xml\n  \
                      kvnet smoke vlan-isolation leaks --jobs 2 -o json\n  kvnet smoke --allow-reboot reboot\n  \
                      kvnet smoke --resume"
    )]
    Smoke(Smoke),
    /// List, show and validate profiles
    #[command(subcommand)]
    Profile(Profile),
    /// Show how nodes, bridges, VLANs, networks, pods and VMs are connected
    #[command(
        long_about = "Show how nodes, their NICs, bridges, VLANs, networks, and the NICs of pods and VMs are connected.\n\n\
                      Besides text, json and yaml, `--output` takes dot, svg and html here.",
        after_help = "Examples:\n  kvnet topology\n  kvnet topology -o html > topology.html\n  kvnet topology --declared -o svg > plan.svg"
    )]
    Topology(Topology),
    /// Print all manifests that `up` applies to the cluster
    #[command(after_help = "Examples:\n  kvnet render\n  kvnet render --offline --only multus -o json")]
    Render(Render),
    /// Explain an error code
    #[command(after_help = "Examples:\n  kvnet explain KVN604\n  kvnet explain")]
    Explain {
        /// The error code; omit it to list all codes
        #[arg(add = ArgValueCandidates::new(complete::codes))]
        code: Option<String>,
    },
    /// Print a completion script for a shell
    #[command(after_help = "Examples:\n  kvnet completions bash > /etc/bash_completion.d/kvnet\n  \
                      kvnet completions zsh > /usr/local/share/zsh/site-functions/_kvnet\n  \
                      kvnet completions fish > ~/.config/fish/completions/kvnet.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of kvnet or of one of its commands
    #[command(
        after_help = "Examples:\n  kvnet man > kvnet.1\n  kvnet man profile show > kvnet-profile-show.1"
    )]
    Man {
        /// The command
        command: Vec<String>,
    },
    /// Print the version, and the versions that the profile installs
    Version {
        /// Print which versions work together, with sources
        #[arg(long)]
        matrix: bool,
    },
}

/// Options of `up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub yes: bool,
    /// Take over fields that other field managers own
    #[arg(long)]
    pub force_conflicts: bool,
}

/// Options of `lock`.
#[derive(Clone, Debug, Args)]
pub struct Lock {
    /// Compare with the lock that exists, and write nothing
    #[arg(long)]
    pub check: bool,
}

/// Options of `down`.
#[derive(Clone, Debug, Args)]
pub struct Down {
    /// Do not ask for confirmation
    #[arg(long, short)]
    pub yes: bool,
    /// Show what would be removed, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Skip the pod that checks at the end that the node still starts pods
    #[arg(long)]
    pub no_check: bool,
}

/// Options of `sysdump`.
#[derive(Clone, Debug, Args)]
pub struct Sysdump {
    /// Write the archive to this file; default: `kvnet-sysdump-HOST-TIME.tar.gz` in the current directory
    #[arg(long, short, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub file: Option<Utf8PathBuf>,
    /// Give up on parts that take longer
    #[arg(long, default_value = "120", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub time_limit: u64,
    /// Leave out what does not fit, before compression
    #[arg(long, default_value = "64", value_name = "MB", value_parser = clap::value_parser!(u64).range(1..=512))]
    pub size_limit: u64,
}

/// Options of `render`.
#[derive(Clone, Debug, Args)]
pub struct Render {
    /// Do not contact a cluster: render for one that is only this machine
    #[arg(long)]
    pub offline: bool,
}

/// Options of `topology`.
#[derive(Clone, Debug, Args)]
pub struct Topology {
    /// Show what the profile describes instead of what exists
    #[arg(long)]
    pub declared: bool,
}

/// Options of `console`.
#[derive(Clone, Debug, Args)]
pub struct Console {
    /// The VirtualMachineInstance
    pub vm: String,
    /// Look in this namespace; default: that of the profile's VM
    #[arg(long, short)]
    pub namespace: Option<String>,
}

/// Options of `trace`.
#[derive(Clone, Debug, Args)]
pub struct Trace {
    /// The pod or VM; a name alone can be either
    #[arg(value_name = "[NAMESPACE/]NAME|vmi/NAME|pod/NAME")]
    pub target: String,
    /// A second pod or VM, to send a frame to
    #[arg(value_name = "TO")]
    pub to: Option<String>,
    /// Send the frame over this NetworkAttachmentDefinition; default: the pod network
    #[arg(long, requires = "to", value_name = "[NAMESPACE/]NAME")]
    pub network: Option<String>,
    /// Look in this namespace; default: that of the profile's VM
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Do not use the guest's serial console
    #[arg(long)]
    pub no_console: bool,
}

/// What to do with profiles.
#[derive(Clone, Debug, Subcommand)]
pub enum Profile {
    /// List the shipped profiles
    List,
    /// Print the profile with `extends` and `--set` resolved
    #[command(
        after_help = "Examples:\n  kvnet profile show walkthrough-2018\n  kvnet profile show my.yaml -o json"
    )]
    Show(Named),
    /// Validate profiles without touching anything
    #[command(
        after_help = "Examples:\n  kvnet profile validate my.yaml\n  kvnet profile validate lab/*.yaml -o json\n  \
                      cat my.yaml | kvnet profile validate -"
    )]
    Validate {
        /// The profiles, instead of `--profile`
        #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::profiles))]
        names: Vec<String>,
    },
    /// Print the JSON schema of profiles
    Schema,
    /// List or forget the digests that `up` pinned for downloads without one in the profile
    #[command(after_help = "Examples:\n  kvnet profile pins\n  kvnet profile pins --forget-all")]
    Pins {
        /// Forget the pin of this address
        #[arg(long, value_name = "ADDRESS", conflicts_with = "forget_all")]
        forget: Option<String>,
        /// Forget all pins, even if the lock file is damaged
        #[arg(long)]
        forget_all: bool,
    },
}

/// A positional profile.
#[derive(Clone, Debug, Args)]
pub struct Named {
    /// The profile, instead of `--profile`
    #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::profiles))]
    pub name: Option<String>,
}
