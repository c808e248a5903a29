//! Inside the guest: its NICs, and what it reaches.

use std::net::IpAddr;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::plan::Machine;
use crate::cluster::{Cluster, Console, ObjectKey};
use crate::context::Context;
use crate::context::events::Progress;
use crate::error::{Result, code};
use crate::guest::{Ended, GuestNic, Link, Shell, agent_nics, ips_of, links};
use crate::verify::Found;

/// How long one command in the guest may take; emulation is slow.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long the guest may take to get its addresses, once it accepts commands.
const ADDRESSES: Duration = Duration::from_secs(30);
/// The polling interval: a guest cannot be watched.
const PAUSE: Duration = Duration::from_millis(300);
/// A name that every cluster resolves.
const NAME: &str = "kubernetes.default.svc.cluster.local";

/// The guest, as far as it can be reached.
pub struct Guest {
    shell: Option<Shell<Console>>,
    nics: Vec<GuestNic>,
    /// The gateways of its default routes, each with the NIC's name.
    gateways: Vec<(String, IpAddr)>,
    /// Why there is no shell in it; none when there is.
    why_silent: Option<String>,
}

impl Guest {
    /// Opens a shell on the serial console once the guest has started; without one, reads the agent's report.
    pub async fn meet(
        cx: &Context,
        cluster: &Cluster,
        machine: &Machine,
        progress: Progress<'_>,
    ) -> Result<Self> {
        let console = cluster.console(&machine.namespace, &machine.name).await?;
        let patience = Duration::from_secs(cx.profile.timeouts.vm);
        match Shell::open(console, &cx.profile.vm.login, patience, progress).await {
            Ok(shell) => {
                let mut guest =
                    Self { shell: Some(shell), nics: Vec::new(), gateways: Vec::new(), why_silent: None };
                guest.look().await?;
                Ok(guest)
            }
            // The user's image may have no usable console.
            Err(error) if error.code() == &code::CONSOLE => {
                let version = cx.profile.kubevirt.api_version();
                let key = ObjectKey::new(
                    version,
                    "VirtualMachineInstance",
                    Some(&machine.namespace),
                    &machine.name,
                );
                let live = cluster.get(&key).await?.unwrap_or_default();
                let nics = agent_nics(&live).unwrap_or_default();
                let why_silent = Some(format!("{error}; {}", error.hints().join("; ")));
                Ok(Self { shell: None, nics, gateways: Vec::new(), why_silent })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether every NIC that must have an address has it.
    pub fn has_addresses(&self, machine: &Machine) -> bool {
        let mut wanted = machine.nics.iter().filter(|nic| nic.has_address());
        wanted.all(|nic| self.nic(&nic.mac).is_some_and(|(_, link)| nic.address(&link.ips).0))
    }

    /// Waits for its addresses. A NIC without one is not an error: its check reports it.
    pub async fn wait_addresses(&mut self, machine: &Machine) -> Result<()> {
        let deadline = Instant::now() + ADDRESSES;
        self.look().await?;
        while self.shell.is_some() && !self.has_addresses(machine) && Instant::now() < deadline {
            sleep(PAUSE).await;
            self.look().await?;
        }
        Ok(())
    }

    /// Reads NICs and routes again.
    async fn look(&mut self) -> Result<()> {
        if let Some(ended) = self.run("ip addr show; ip route show").await? {
            self.nics = links(&ended.output);
            self.gateways = gateways(&ended.output);
        }
        Ok(())
    }

    /// The guest's NIC with a MAC address.
    pub fn nic(&self, mac: &str) -> Option<&(String, Link)> {
        self.nics.iter().find(|(_, link)| link.mac == mac)
    }

    /// The addresses on the wire of a NIC.
    pub fn ips_of(&self, mac: &str) -> Vec<IpAddr> {
        ips_of(&self.nics, mac)
    }

    /// Whether an address is one of the guest's own, on whichever NIC.
    pub fn has(&self, ip: IpAddr) -> bool {
        self.nics.iter().any(|(_, link)| link.ips.contains(&ip))
    }

    /// A link of the guest, which need not be a NIC of the VM.
    pub fn link(&self, name: &str) -> Option<&Link> {
        self.nics.iter().find(|(own, _)| own == name).map(|(_, link)| link)
    }

    /// Whether anything is known about the guest's NICs.
    pub fn speaks(&self) -> bool {
        !self.nics.is_empty()
    }

    /// The gateway of a NIC; none when it has none or it is unknown.
    pub fn gateway(&self, nic: &str) -> Option<IpAddr> {
        self.gateways.iter().find(|(name, _)| name == nic).map(|(_, gateway)| *gateway)
    }

    /// Whether there is a shell, which alone knows about gateways.
    pub fn has_shell(&self) -> bool {
        self.shell.is_some()
    }

    /// Why a check in the guest could not run.
    pub fn why_not(&self) -> String {
        self.why_silent.clone().unwrap_or_else(|| "the guest lacks the tools".into())
    }

    /// Asks the guest several questions at once; the answers are in their order, none where it cannot tell.
    pub async fn ask(&mut self, questions: &[Question]) -> Result<Vec<Option<Found>>> {
        if questions.is_empty() {
            return Ok(Vec::new());
        }
        let Some(shell) = &mut self.shell else { return Ok(vec![None; questions.len()]) };
        let commands: Vec<String> = questions.iter().map(|question| question.command.clone()).collect();
        let ended = shell.run_all(&commands, PATIENCE).await?;
        Ok(questions.iter().zip(&ended).map(|(question, ended)| question.answer(ended)).collect())
    }

    async fn run(&mut self, command: &str) -> Result<Option<Ended>> {
        match &mut self.shell {
            Some(shell) => shell.run(command, PATIENCE).await.map(Some),
            None => Ok(None),
        }
    }
}

pub struct Question {
    command: String,
    about: About,
}

enum About {
    /// Whether it resolves a name.
    Name,
    /// Whether an address answers a ping.
    Ping(IpAddr),
    /// Whether an address answers an ARP request, and whether it should.
    Arp(IpAddr, bool),
}

impl Question {
    /// Whether the guest resolves a name.
    pub fn resolves() -> Self {
        Self { command: format!("getent hosts {NAME} || nslookup {NAME}"), about: About::Name }
    }

    /// Whether an address answers a ping over a NIC.
    pub fn pings(nic: &str, address: IpAddr) -> Self {
        Self { command: format!("ping -I {nic} -c 1 -W 5 {address}"), about: About::Ping(address) }
    }

    /// Whether an address answers an ARP request, or does not, as expected. The request comes from 0.0.0.0, so any NIC can
    /// send it.
    pub fn arpings(nic: &str, address: IpAddr, should_answer: bool) -> Self {
        let tries = if should_answer { 3 } else { 1 };
        let command =
            format!("$([ $(id -u) = 0 ] || echo sudo -n) arping -D -I {nic} -c {tries} -w {tries} {address}");
        Self { command, about: About::Arp(address, should_answer) }
    }

    fn answer(&self, ended: &Ended) -> Option<Found> {
        let succeeded = ended.status == 0;
        let verb = |answers: bool| if answers { "answers" } else { "does not answer" };
        match self.about {
            // Neither program is installed.
            About::Name if ended.status == 127 => None,
            About::Name if succeeded => Some(Found::of(true, format!("{NAME} resolves"))),
            About::Name => Some(Found::of(false, last_line(ended))),
            About::Ping(address) => Some(Found::of(succeeded, format!("{address} {}", verb(succeeded)))),
            About::Arp(address, should_answer) => {
                // Without this line the request was not sent.
                ended.output.contains("Sent ").then(|| {
                    let answers = ended.output.to_lowercase().contains("reply from");
                    Found::of(answers == should_answer, format!("{address} {} an ARP request", verb(answers)))
                })
            }
        }
    }
}

fn last_line(ended: &Ended) -> String {
    ended.output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output").trim().to_owned()
}

/// `default via 10.0.2.1 dev eth0 ...`
fn gateways(routes: &str) -> Vec<(String, IpAddr)> {
    let gateway = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |word: &str| words.get(words.iter().position(|one| *one == word)? + 1).copied();
        let is_default = words.first() == Some(&"default");
        Some((after("dev").filter(|_| is_default)?.to_owned(), after("via")?.parse().ok()?))
    };
    routes.lines().filter_map(gateway).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gateways_are_those_of_default_routes() {
        let routes = "default via 10.0.2.1 dev enp1s0 proto dhcp metric 100\n10.0.2.0/24 dev enp1s0 scope link\ndefault dev ppp0\n";
        assert_eq!(gateways(routes), [("enp1s0".to_owned(), "10.0.2.1".parse().unwrap())]);
    }
}
