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

/// Turns a fresh kubeadm node into a KubeVirt cluster with several networks, and proves that it worked.
#[derive(Debug, Parser)]
#[command(name = "kvnet", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(
    after_help = "Exit codes: 0 done or nothing to do, 1 failed, 2 usage or profile, 3 changes pending, 4 partly \
                        applied, 130 stopped.\nStart with `kvnet plan`: it changes nothing."
)]
pub struct Cli {
    /// What every command understands.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Common options")]
pub struct Global {
    /// A shipped profile, the path of a file, or `-` for standard input
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
    /// Whether `--profile` is on the command line; the environment and the default give way to a positional profile.
    #[arg(skip)]
    pub profile_typed: bool,
    /// Changes one value of the profile, for example `flannel.enabled=false`; may be repeated
    #[arg(long, global = true, value_name = "PATH=VALUE")]
    pub set: Vec<String>,
    /// Looks only at these steps
    #[arg(long, global = true, value_delimiter = ',', value_name = "STEP", add = ArgValueCandidates::new(complete::steps))]
    pub only: Vec<String>,
    /// Leaves these steps out
    #[arg(long, global = true, value_delimiter = ',', value_name = "STEP", add = ArgValueCandidates::new(complete::steps))]
    pub skip: Vec<String>,
    /// The kubeconfig; by default KUBECONFIG, ~/.kube/config, /etc/kubernetes/admin.conf
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub kubeconfig: Option<Utf8PathBuf>,
    /// The context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", add = ArgValueCandidates::new(complete::contexts))]
    pub context: Option<String>,
    /// How to print; errors too. What is only a text, such as a manual page, has no other form
    #[arg(long, short, global = true, default_value = "text", value_name = "FORMAT")]
    pub output: Format,
    /// Seconds for each wait, instead of the profile's `timeouts`; a cluster that does not answer is given up after them
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub timeout: Option<u64>,
    /// Downloads manifests from `URL/HOST/PATH` instead of `https://HOST/PATH`
    // The address may hold a password, which the help must not show.
    #[arg(long, global = true, env = "KVNET_MIRROR", hide_env_values = true, value_name = "URL")]
    pub mirror: Option<String>,
    /// Where the journal is; by default /var/lib/kvnet for root, else the XDG state directory
    #[arg(long, global = true, env = "KVNET_STATE_DIR", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub state_dir: Option<Utf8PathBuf>,
    /// Works on a node and a cluster in memory, without root, cluster and network; they end with the command
    #[arg(long, global = true, conflicts_with_all = ["kubeconfig", "context"])]
    pub sandbox: bool,
    /// Keeps the node and the cluster of the sandbox in a directory; implies `--sandbox`
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        value_hint = ValueHint::DirPath,
        conflicts_with_all = ["kubeconfig", "context"]
    )]
    pub sandbox_dir: Option<Utf8PathBuf>,
    /// The distribution of a new node of the sandbox
    #[arg(long, global = true, default_value = "debian", value_name = "NAME")]
    pub sandbox_node: Distribution,
    /// The name of the Node object of a new sandbox, where it is not the host's
    #[arg(long, global = true, hide = true, value_name = "NAME")]
    pub sandbox_node_name: Option<String>,
    /// How many nodes a new sandbox has besides the one that kvnet runs on
    #[arg(long, global = true, hide = true, default_value = "0", value_name = "NUMBER")]
    pub sandbox_other_nodes: u8,
    /// Lets things in the sandbox take about as long as on a node, or that many times as long, as in `--pace=0.2`
    #[arg(
        long,
        global = true,
        num_args = 0..=1,
        require_equals = true,
        default_value = "0",
        default_missing_value = "1",
        value_name = "FACTOR"
    )]
    pub pace: Pace,
    /// Prints no colours
    #[arg(long, global = true)]
    pub no_color: bool,
    /// Tells more: -v each command on the node, -vv each API request as well
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
}

impl Global {
    /// How to open the sandbox; none when the real node is meant.
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

/// A shell that kvnet can complete words in.
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
    /// Looks at this node, asks a few questions, and writes a profile
    #[command(
        long_about = "Looks at this node and its cluster, asks a few questions, and writes a profile.\n\nNothing is changed, \
                      and nothing is written before the last question. Every question has a flag; what flags and \
                      `--answers` answer is not asked. With `-o json` or `-o yaml` it prints answers and profile, asks \
                      nothing and writes nothing.",
        after_help = "Examples:\n  kvnet init\n  kvnet init --sandbox\n  kvnet init --defaults --file my.yaml\n  \
                      kvnet init --networks own --bridges red --uplink red=eth1 --vlans red=100 --range red:100=l2\n  \
                      kvnet init --defaults -o json > answers.json"
    )]
    Init(Box<Init>),
    /// Makes the node and the cluster what the profile says
    #[command(
        after_help = "Examples:\n  kvnet up\n  kvnet up --yes --skip kubevirt,vm\n  kvnet up --profile my.yaml --set ovs.datapath=netdev"
    )]
    Up(Up),
    /// Shows what `up` would do, and changes nothing; exits with 3 when there are changes
    #[command(
        visible_alias = "diff",
        after_help = "Examples:\n  kvnet plan\n  kvnet plan -o json\n  kvnet plan --only networks"
    )]
    Plan,
    /// Shows which steps are in place, drifted or missing
    #[command(after_help = "Examples:\n  kvnet status\n  kvnet status -o json")]
    Status,
    /// Looks for what is broken on this node and in its cluster, and says what to do; changes nothing
    #[command(
        long_about = "Looks for what is broken on this node and in its cluster, and says what to do.\n\nIt reads files, \
                      Open vSwitch and the API, and changes nothing. Causes come before what they cause: begin with the \
                      first check that is broken. Run it as root on the node that has the trouble.",
        after_help = "Exits with 1 when a check is broken.\n\nExamples:\n  kvnet doctor\n  kvnet doctor -o json"
    )]
    Doctor,
    /// Takes back what `up` made
    #[command(after_help = "Examples:\n  kvnet down --dry-run\n  kvnet down --yes")]
    Down(Down),
    /// Opens the serial console of a VM; in a pipe it copies
    #[command(
        after_help = "Ctrl-] ends it. KubeVirt has one console for each VM: yours takes the place of another's.\n\n\
                      Examples:\n  kvnet console vm-two-nics\n  echo 'ip addr' | kvnet console vm-two-nics"
    )]
    Console(Console),
    /// Follows a VM's or a pod's network from Open vSwitch to its NIC, and names the first broken link
    #[command(
        long_about = "Follows a VM's or a pod's network from Open vSwitch to its NIC, and names the first broken link.\n\n\
                      With a second VM or pod, a frame is sent from the first one's NIC to the second one's, over the pod \
                      network or the one that `--network` names, and the last link that has seen it is told. Nothing is set \
                      up for it: kvnet listens on sockets that end with it.",
        after_help = "Exits with 1 when a link is broken.\n\nExamples:\n  kvnet trace vmi/vm-two-nics\n  \
                      kvnet trace pod/web --namespace shop -o json\n  \
                      kvnet trace pod/web pod/db\n  \
                      kvnet trace pod/shop/web vmi/vms/db --network vms/ovs-blue"
    )]
    Trace(Trace),
    /// Shows with pods whether the cluster does what the profile says
    #[command(
        long_about = "Shows with pods whether the cluster does what the profile says.\n\nRuns cases, each in a namespace of \
                      its own that is removed afterwards, and changes nothing else. `kvnet smoke list` lists them; without \
                      names and tags all of them run that can.",
        after_help = "Exits with 0 when cases passed and none failed, 1 when one failed or none could run, 3 while the node \
                      reboots.\n\nExamples:\n  kvnet smoke\n  kvnet smoke --tag quick --junit smoke.xml\n  \
                      kvnet smoke vlan-isolation leaks --jobs 2 -o json\n  kvnet smoke --allow-reboot reboot\n  \
                      kvnet smoke --resume"
    )]
    Smoke(Smoke),
    /// Lists, shows and checks profiles
    #[command(subcommand)]
    Profile(Profile),
    /// Shows what is connected to what: nodes, bridges, VLANs, attachments, pods and VMs
    #[command(
        long_about = "Shows what is connected to what: nodes, network cards, bridges, VLANs, attachments, and the NICs of \
                      pods and VMs.\n\nBesides text, json and yaml, `--output` takes dot, svg and html here.",
        after_help = "Examples:\n  kvnet topology\n  kvnet topology -o html > topology.html\n  kvnet topology --declared -o svg > plan.svg"
    )]
    Topology(Topology),
    /// Prints all manifests that `up` applies to the cluster
    #[command(after_help = "Examples:\n  kvnet render\n  kvnet render --offline --only multus -o json")]
    Render(Render),
    /// Explains an error code
    #[command(after_help = "Examples:\n  kvnet explain KVN604\n  kvnet explain")]
    Explain {
        /// The code; without one all are listed
        #[arg(add = ArgValueCandidates::new(complete::codes))]
        code: Option<String>,
    },
    /// Prints a shell's completion script, which asks kvnet itself for profiles, steps, contexts and codes
    #[command(after_help = "Examples:\n  kvnet completions bash > /etc/bash_completion.d/kvnet\n  \
                      kvnet completions zsh > /usr/local/share/zsh/site-functions/_kvnet\n  \
                      kvnet completions fish > ~/.config/fish/completions/kvnet.fish")]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Prints the manual page of kvnet or of one of its commands
    #[command(
        after_help = "Examples:\n  kvnet man > kvnet.1\n  kvnet man profile show > kvnet-profile-show.1"
    )]
    Man {
        /// The command
        command: Vec<String>,
    },
    /// Prints the version, and the versions that the profile installs
    Version {
        /// Prints which versions work together, with sources
        #[arg(long)]
        matrix: bool,
    },
}

/// Options of `up`.
#[derive(Clone, Debug, Args)]
pub struct Up {
    /// Applies without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Takes fields over from other field managers
    #[arg(long)]
    pub force_conflicts: bool,
}

/// Options of `down`.
#[derive(Clone, Debug, Args)]
pub struct Down {
    /// Takes back without asking
    #[arg(long, short)]
    pub yes: bool,
    /// Shows what would be taken back, and changes nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Does not start a pod at the end
    #[arg(long)]
    pub no_check: bool,
}

/// Options of `render`.
#[derive(Clone, Debug, Args)]
pub struct Render {
    /// Asks no cluster: renders for one of this machine alone
    #[arg(long)]
    pub offline: bool,
}

/// Options of `topology`.
#[derive(Clone, Debug, Args)]
pub struct Topology {
    /// Shows what the profile describes instead of what is there
    #[arg(long)]
    pub declared: bool,
}

/// Options of `console`.
#[derive(Clone, Debug, Args)]
pub struct Console {
    /// The virtual machine instance
    pub vm: String,
    /// Its namespace; by default that of the profile's VM
    #[arg(long, short)]
    pub namespace: Option<String>,
}

/// Options of `trace`.
#[derive(Clone, Debug, Args)]
pub struct Trace {
    /// What to follow; a name alone is looked up among pods and VMs
    #[arg(value_name = "[NAMESPACE/]NAME|vmi/NAME|pod/NAME")]
    pub target: String,
    /// A second one, written as the first: a frame is sent to its NIC, and the last link that has seen it is told
    #[arg(value_name = "TO")]
    pub to: Option<String>,
    /// The network between two, as [NAMESPACE/]NAME of a NetworkAttachmentDefinition; by default the pod network
    #[arg(long, requires = "to", value_name = "[NAMESPACE/]NAME")]
    pub network: Option<String>,
    /// Their namespace; by default that of the profile's VM
    #[arg(long, short)]
    pub namespace: Option<String>,
    /// Leaves the guest's serial console to whoever uses it
    #[arg(long)]
    pub no_console: bool,
}

/// What to do with profiles.
#[derive(Clone, Debug, Subcommand)]
pub enum Profile {
    /// Lists the shipped profiles
    List,
    /// Prints the profile with `extends` and `--set` resolved
    #[command(
        after_help = "Examples:\n  kvnet profile show walkthrough-2018\n  kvnet profile show my.yaml -o json"
    )]
    Show(Named),
    /// Checks profiles and touches nothing
    #[command(
        after_help = "Examples:\n  kvnet profile validate my.yaml\n  kvnet profile validate lab/*.yaml -o json\n  \
                      cat my.yaml | kvnet profile validate -"
    )]
    Validate {
        /// The profiles, in place of `--profile`
        #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::profiles))]
        names: Vec<String>,
    },
    /// Prints the JSON schema of profiles
    Schema,
    /// Lists the digests that `up` pinned for downloads without one in the profile, or forgets them
    #[command(after_help = "Examples:\n  kvnet profile pins\n  kvnet profile pins --forget-all")]
    Pins {
        /// Forgets the pin of this address
        #[arg(long, value_name = "ADDRESS", conflicts_with = "forget_all")]
        forget: Option<String>,
        /// Forgets all pins, also those of a damaged lock file
        #[arg(long)]
        forget_all: bool,
    },
}

/// A profile without its option.
#[derive(Clone, Debug, Args)]
pub struct Named {
    /// The profile, in place of `--profile`
    #[arg(value_name = "NAME|FILE", add = ArgValueCompleter::new(complete::profiles))]
    pub name: Option<String>,
}
