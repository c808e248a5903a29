//! The options of `init`: one flag for each answer.

use camino::Utf8PathBuf;
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches, ValueHint};

use crate::components;
use crate::wizard::id::{Id, Segment};

/// The answers to a yes-or-no question.
const YES_NO: [&str; 2] = ["yes", "no"];

/// Options of `init`.
#[derive(Clone, Debug, Args)]
pub struct Init {
    /// Accept the proposal for every question without an answer
    #[arg(long)]
    pub defaults: bool,
    /// Read answers from this file, in the format of `-o yaml` or `-o json`
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub answers: Option<Utf8PathBuf>,
    /// The answers.
    #[command(flatten)]
    pub flags: Flags,
}

/// Answers, each named after its question.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Answers")]
pub struct Flags {
    /// Build on this shipped profile
    #[arg(long, value_name = "PROFILE")]
    base: Option<String>,
    /// Create the cluster with `kubeadm init`
    #[arg(long, value_parser = yes_no(), value_name = "YES|NO", hide_possible_values = true)]
    create_cluster: Option<String>,
    /// Set the pod CIDR, if it cannot be detected
    #[arg(long, value_name = "CIDR")]
    pod_subnet: Option<String>,
    /// Install flannel although there is another pod network
    #[arg(long, value_parser = yes_no(), value_name = "YES|NO", hide_possible_values = true)]
    flannel: Option<String>,
    /// Use the networks of the base, your own, or none
    #[arg(long, value_name = "base|own|none")]
    networks: Option<String>,
    /// Create these bridges
    #[arg(long, value_name = "NAME,...")]
    bridges: Option<String>,
    /// Use this NIC as the uplink of a bridge
    #[arg(long, value_name = "BRIDGE=NIC|none", value_parser = pair)]
    uplink: Vec<(String, String)>,
    /// Create these VLANs on a bridge
    #[arg(long, value_name = "BRIDGE=VLAN,...|none", value_parser = pair)]
    vlans: Vec<(String, String)>,
    /// Set the address range of a bridge's untagged network or of a VLAN
    #[arg(long, value_name = "BRIDGE[:VLAN]=CIDR|l2", value_parser = range)]
    range: Vec<(Segment, String)>,
    /// Install KubeVirt
    #[arg(long, value_parser = yes_no(), value_name = "YES|NO", hide_possible_values = true)]
    kubevirt: Option<String>,
    /// Use software emulation (TCG) for VMs
    #[arg(long, value_name = "auto|on|off")]
    emulation: Option<String>,
    /// Create a sample VM
    #[arg(long, value_parser = yes_no(), value_name = "YES|NO", hide_possible_values = true)]
    vm: Option<String>,
    /// Connect the sample VM's second NIC to this network
    #[arg(long, value_name = "NETWORK")]
    vm_network: Option<String>,
    /// Install the versions of the base, your own, or (`fit`) those that fit the cluster
    #[arg(long, value_name = "base|own|fit")]
    versions: Option<String>,
    #[command(flatten)]
    component_versions: Versions,
    /// Write the profile to this file; `-` prints it
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: Option<String>,
    /// Replace the file if it exists
    #[arg(long, value_parser = yes_no(), value_name = "YES|NO", hide_possible_values = true)]
    overwrite: Option<String>,
    /// Run `up` with the profile at the end
    #[arg(long, value_parser = yes_no(), value_name = "YES|NO", hide_possible_values = true)]
    run: Option<String>,
}

impl Flags {
    /// The answers that were given.
    pub fn answers(&self) -> Vec<(Id, &str)> {
        let simple = [
            (Id::Base, &self.base),
            (Id::CreateCluster, &self.create_cluster),
            (Id::PodSubnet, &self.pod_subnet),
            (Id::Flannel, &self.flannel),
            (Id::Networks, &self.networks),
            (Id::Bridges, &self.bridges),
            (Id::KubeVirt, &self.kubevirt),
            (Id::Emulation, &self.emulation),
            (Id::Vm, &self.vm),
            (Id::VmNetwork, &self.vm_network),
            (Id::Versions, &self.versions),
            (Id::File, &self.file),
            (Id::Overwrite, &self.overwrite),
            (Id::Run, &self.run),
        ];
        let simple = simple.into_iter().filter_map(|(id, answer)| Some((id, answer.as_deref()?)));
        let uplinks = self.uplink.iter().map(|(bridge, nic)| (Id::Uplink(bridge.clone()), nic.as_str()));
        let vlans = self.vlans.iter().map(|(bridge, vlans)| (Id::Vlans(bridge.clone()), vlans.as_str()));
        let ranges = self.range.iter().map(|(segment, range)| (Id::Range(segment.clone()), range.as_str()));
        simple.chain(self.component_versions.answers()).chain(uplinks).chain(vlans).chain(ranges).collect()
    }
}

/// A flag for each component with a version.
#[derive(Clone, Debug, Default)]
struct Versions(Vec<(&'static str, String)>);

impl Versions {
    fn answers(&self) -> impl Iterator<Item = (Id, &str)> {
        self.0.iter().map(|(question, version)| (Id::Version(question), version.as_str()))
    }
}

impl Args for Versions {
    fn augment_args(command: Command) -> Command {
        command.args(components::releases().map(|(_, release)| {
            let help = format!("Install this release of {}", release.part.name());
            Arg::new(release.question).long(release.question).value_name("VERSION").help(help)
        }))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Versions {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut versions = Self::default();
        versions.update_from_arg_matches(matches)?;
        Ok(versions)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        let given = |question| Some((question, matches.get_one::<String>(question)?.clone()));
        self.0.extend(components::releases().filter_map(|(_, release)| given(release.question)));
        Ok(())
    }
}

fn yes_no() -> PossibleValuesParser {
    PossibleValuesParser::new(YES_NO)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (bridge, answer) = text.split_once('=').ok_or("write it as BRIDGE=ANSWER")?;
    Ok((bridge.to_owned(), answer.to_owned()))
}

fn range(text: &str) -> Result<(Segment, String), String> {
    let wrong = "write it as BRIDGE=RANGE or BRIDGE:VLAN=RANGE";
    let (segment, answer) = pair(text).map_err(|_| wrong)?;
    Ok((Segment::parse(&segment).ok_or(wrong)?, answer))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::args::{self, Cli};

    #[test]
    fn every_question_has_a_flag_of_its_name() {
        for name in Id::names() {
            let (flag, key) = (format!("--{name}"), matches!(name, "uplink" | "vlans" | "range"));
            let answer = match name {
                "create-cluster" | "flannel" | "kubevirt" | "vm" | "overwrite" | "run" => "no",
                _ if key => "red=x",
                _ => "x",
            };
            let cli = Cli::try_parse_from(["kvnet", "init", &flag, answer]).unwrap();
            let args::Command::Init(options) = cli.command else { panic!("{name}") };
            let answers = options.flags.answers();
            assert_eq!(
                answers,
                [(Id::of(name, key.then_some("red")).unwrap(), answer.trim_start_matches("red="))]
            );
        }
    }
}
