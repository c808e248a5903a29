//! What the node's packet filters do to a packet, from their rules alone.
//!
//! A rule that cannot be parsed counts neither as a match nor as none: it leads to [`Fate::Open`].

mod iptables;
mod nft;

use std::collections::BTreeMap;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::error::{Result, code};
use crate::host::{Command, Host};

/// A packet, as far as rules match on it. The first of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The ingress link; none for what the node itself sends, and when unknown.
    pub input: Option<String>,
    /// The egress link.
    pub output: Option<String>,
    /// The source.
    pub source: Option<IpAddr>,
    /// The destination.
    pub destination: Option<IpAddr>,
    /// `icmp`, `tcp`, `udp`.
    pub protocol: &'static str,
    /// Whether it stays within a Linux bridge.
    pub bridged: bool,
    /// Whether it passes iptables all the same.
    pub filtered: bool,
}

/// The fate of a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Every chain accepts it.
    Passes,
    /// A rule or a policy drops it.
    Dropped(String),
    /// It depends on a rule that cannot be evaluated.
    Open(String),
}

/// Whether a rule matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Match {
    Yes,
    No,
    Maybe,
}

/// A condition of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Condition {
    field: Field,
    negated: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Field {
    Input(String),
    Output(String),
    Source(Vec<IpNet>),
    Destination(Vec<IpNet>),
    Protocol(Vec<String>),
    /// States of connections, in lower case.
    State(Vec<String>),
    /// A mark, which fresh packets do not have.
    Marked,
    Unknown,
}

/// What a rule does with what it matches.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Action {
    Accept,
    Drop,
    Jump(String),
    Goto(String),
    Return,
    /// Counts, marks, logs.
    Nothing,
    Unknown,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    conditions: Vec<Condition>,
    action: Action,
    text: String,
}

/// A chain; its hook is none when only rules lead to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Chain {
    /// `iptables filter FORWARD`, `nft inet mine forward`.
    shown: String,
    hook: Option<String>,
    /// Bridge frames, not packets, traverse it.
    of_bridges: bool,
    /// The only link whose packets traverse it.
    device: Option<String>,
    drops: bool,
    rules: Vec<Rule>,
}

/// All chains, by `table chain`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Firewall {
    chains: BTreeMap<String, Chain>,
    /// What could not be read.
    pub unseen: Vec<String>,
}

impl Firewall {
    /// Reads the rules: iptables in both of its variants, and nftables.
    pub async fn read(host: &dyn Host) -> Result<Self> {
        let mut all = Self::default();
        let mut asked = 0;
        let mut seen = Vec::new();
        for program in ["iptables-save", "iptables-legacy-save", "iptables-nft-save"] {
            let Some(said) = all.said(host, &[program]).await? else { continue };
            asked += 1;
            if !seen.contains(&said) {
                all.chains.extend(iptables::parse(&said));
                seen.push(said);
            }
        }
        if let Some(said) = all.said(host, &["nft", "-j", "list", "ruleset"]).await? {
            asked += 1;
            // iptables' own rules are read from its own list.
            let known: Vec<&str> =
                seen.iter().filter(|text| !text.contains("(legacy)")).map(String::as_str).collect();
            match nft::parse(&said, &iptables::tables(&known.concat())) {
                Some(chains) => all.chains.extend(chains),
                None => all.unseen.push("`nft` does not print JSON".into()),
            }
        }
        if asked == 0 && all.unseen.is_empty() {
            all.unseen.push("neither `iptables-save` nor `nft` is installed".into());
        }
        Ok(all)
    }

    async fn said(&mut self, host: &dyn Host, words: &[&str]) -> Result<Option<String>> {
        if host.find(words[0]).await?.is_none() {
            return Ok(None);
        }
        match host.run(&Command::new(words.iter().copied())).await {
            Ok(output) if output.success() => return Ok(Some(output.stdout)),
            Ok(output) => {
                let last = output.stderr.trim().lines().last().unwrap_or("no reason").to_owned();
                self.unseen.push(format!("`{}`: {last}", words[0]));
            }
            Err(error) if error.code() == &code::INTERNAL => self.unseen.push("not simulated".into()),
            Err(error) => self.unseen.push(error.to_string()),
        }
        Ok(None)
    }

    /// What all chains of these hooks do to a packet.
    pub fn fate(&self, packet: &Packet, hooks: &[&str]) -> Fate {
        let mut open = None;
        for (key, chain) in &self.chains {
            let Some(hook) = &chain.hook else { continue };
            let elsewhere = chain.of_bridges && !packet.bridged
                || packet.bridged && packet.filtered == chain.of_bridges
                || chain.device.is_some() && chain.device != packet.input;
            if elsewhere || !hooks.contains(&hook.as_str()) {
                continue;
            }
            match self.base(key, chain, packet) {
                Fate::Dropped(why) => return Fate::Dropped(why),
                Fate::Open(why) => _ = open.get_or_insert(why),
                Fate::Passes => (),
            }
        }
        open.map_or(Fate::Passes, Fate::Open)
    }

    fn base(&self, key: &str, chain: &Chain, packet: &Packet) -> Fate {
        let mut open = None;
        let end = self.walk(key, packet, &mut open, 0);
        let dropped = match end {
            End::Dropped(rule) => Some(rule),
            End::Through if chain.drops => Some(format!("the policy of {}", chain.shown)),
            End::Accepted | End::Through => None,
        };
        match (dropped, open) {
            // An earlier rule may have accepted the packet, or dropped it.
            (Some(why), Some(Doubt { may_accept: true, .. }))
            | (None, Some(Doubt { may_drop: Some(why), .. })) => Fate::Open(why),
            (Some(why), _) => Fate::Dropped(why),
            (None, _) => Fate::Passes,
        }
    }

    fn walk(&self, key: &str, packet: &Packet, open: &mut Option<Doubt>, depth: u32) -> End {
        let Some(chain) = self.chains.get(key).filter(|_| depth < 32) else { return End::Through };
        let table = key.rsplit_once(' ').map_or(key, |(table, _)| table);
        for rule in &chain.rules {
            let matches = rule.matches(packet);
            if matches == Match::No {
                continue;
            }
            let shown = || format!("`{}` in {}", rule.text, chain.shown);
            let sure = matches == Match::Yes;
            match &rule.action {
                Action::Drop if sure => return End::Dropped(shown()),
                Action::Accept if sure => return End::Accepted,
                Action::Return if sure => return End::Through,
                Action::Jump(target) | Action::Goto(target) => {
                    let inner = self.walk(&format!("{table} {target}"), packet, open, depth + 1);
                    match inner {
                        End::Through if sure && matches!(rule.action, Action::Goto(_)) => {
                            return End::Through;
                        }
                        End::Through => (),
                        inner if sure => return inner,
                        End::Accepted => open.get_or_insert_default().may_accept = true,
                        End::Dropped(why) => _ = open.get_or_insert_default().may_drop.get_or_insert(why),
                    }
                }
                Action::Drop | Action::Unknown => {
                    _ = open.get_or_insert_default().may_drop.get_or_insert_with(shown);
                }
                Action::Accept | Action::Return => open.get_or_insert_default().may_accept = true,
                Action::Nothing => (),
            }
        }
        End::Through
    }
}

#[derive(Debug, Default)]
struct Doubt {
    may_accept: bool,
    may_drop: Option<String>,
}

enum End {
    Accepted,
    Dropped(String),
    Through,
}

impl Rule {
    fn matches(&self, packet: &Packet) -> Match {
        let all: Vec<Match> = self.conditions.iter().map(|condition| condition.matches(packet)).collect();
        match () {
            () if all.contains(&Match::No) => Match::No,
            () if all.contains(&Match::Maybe) => Match::Maybe,
            () => Match::Yes,
        }
    }
}

impl Condition {
    fn matches(&self, packet: &Packet) -> Match {
        let plain = match &self.field {
            Field::Input(name) => link(name, packet.input.as_deref()),
            Field::Output(name) => link(name, packet.output.as_deref()),
            Field::Source(nets) => address(nets, packet.source),
            Field::Destination(nets) => address(nets, packet.destination),
            Field::Protocol(names) => of(names.iter().any(|name| name == packet.protocol || name == "all")),
            Field::State(states) => of(states.iter().any(|state| state == "new")),
            Field::Marked => Match::No,
            Field::Unknown => Match::Maybe,
        };
        match (plain, self.negated) {
            (Match::Yes, true) => Match::No,
            (Match::No, true) => Match::Yes,
            (plain, _) => plain,
        }
    }
}

fn of(holds: bool) -> Match {
    if holds { Match::Yes } else { Match::No }
}

/// `cni+` and `cni*` match every link with that prefix.
fn link(pattern: &str, name: Option<&str>) -> Match {
    if ["+", "*"].contains(&pattern) {
        return Match::Yes;
    }
    let Some(name) = name else { return Match::Maybe };
    of(match pattern.strip_suffix(['+', '*']) {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    })
}

fn address(nets: &[IpNet], address: Option<IpAddr>) -> Match {
    if nets.iter().any(|net| net.prefix_len() == 0) {
        return Match::Yes;
    }
    address.map_or(Match::Maybe, |address| of(nets.iter().any(|net| net.contains(&address))))
}

#[cfg(test)]
#[path = "firewall/tests.rs"]
mod tests;
