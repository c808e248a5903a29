//! `iptables-save`.

use std::collections::BTreeMap;

use ipnet::IpNet;

use super::{Action, Chain, Condition, Field, Rule};

/// The tables that a list has.
pub(super) fn tables(text: &str) -> Vec<String> {
    text.lines().filter_map(|line| line.strip_prefix('*')).map(|name| name.trim().to_owned()).collect()
}

/// The chains of a list.
pub(super) fn parse(text: &str) -> BTreeMap<String, Chain> {
    let mut chains = BTreeMap::new();
    let mut table = "";
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            table = name.trim();
        } else if let Some(rest) = line.strip_prefix(':') {
            let mut words = rest.split_whitespace();
            let (name, policy) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            chains.insert(format!("iptables-{table} {name}"), chain(table, name, policy));
        } else if let Some(rest) = line.strip_prefix("-A ") {
            let name = rest.split_whitespace().next().unwrap_or_default();
            if let Some(chain) = chains.get_mut(&format!("iptables-{table} {name}")) {
                chain.rules.push(rule(line));
            }
        }
    }
    chains
}

fn chain(table: &str, name: &str, policy: &str) -> Chain {
    let hook = (policy != "-").then(|| name.to_ascii_lowercase());
    Chain { shown: format!("iptables {table} {name}"), hook, drops: policy == "DROP", ..Chain::default() }
}

fn rule(line: &str) -> Rule {
    let words = words(line);
    let mut rule = Rule { conditions: Vec::new(), action: Action::Nothing, text: line.to_owned() };
    let mut rest = words.iter().map(String::as_str).skip(2);
    let mut negated = false;
    while let Some(word) = rest.next() {
        let field = match word {
            "!" => {
                negated = true;
                continue;
            }
            "-m" => match rest.next() {
                // Their options follow, and are judged.
                Some("comment" | "conntrack" | "state" | "mark" | "tcp" | "udp" | "icmp" | "nfacct") => {
                    continue;
                }
                _ => Field::Unknown,
            },
            "--comment" | "--nfacct-name" | "--reject-with" => {
                rest.next();
                continue;
            }
            "-i" => Field::Input(rest.next().unwrap_or_default().into()),
            "-o" => Field::Output(rest.next().unwrap_or_default().into()),
            "-s" => nets(rest.next()).map_or(Field::Unknown, Field::Source),
            "-d" => nets(rest.next()).map_or(Field::Unknown, Field::Destination),
            "-p" => Field::Protocol(rest.next().map(str::to_owned).into_iter().collect()),
            "--ctstate" | "--state" => {
                let states = rest.next().unwrap_or_default().to_ascii_lowercase();
                Field::State(states.split(',').map(str::to_owned).collect())
            }
            "--mark" => match rest.next() {
                Some(mark) if !mark.starts_with("0x0") => Field::Marked,
                _ => Field::Unknown,
            },
            "-j" | "-g" => {
                rule.action = action(word, rest.next().unwrap_or_default());
                // Options of a target follow, if there are any.
                if matches!(rule.action, Action::Nothing) {
                    break;
                }
                continue;
            }
            _ => Field::Unknown,
        };
        rule.conditions.push(Condition { field, negated });
        negated = false;
    }
    rule
}

fn action(how: &str, target: &str) -> Action {
    match target {
        "ACCEPT" => Action::Accept,
        "DROP" | "REJECT" => Action::Drop,
        "RETURN" => Action::Return,
        "QUEUE" | "NFQUEUE" => Action::Unknown,
        "MARK" | "CONNMARK" | "LOG" | "NFLOG" | "MASQUERADE" | "DNAT" | "SNAT" | "REDIRECT" | "TCPMSS"
        | "CT" | "NOTRACK" | "CHECKSUM" | "TOS" | "DSCP" | "TTL" | "CLASSIFY" | "SET" | "TRACE" => {
            Action::Nothing
        }
        other if how == "-g" => Action::Goto(other.into()),
        other => Action::Jump(other.into()),
    }
}

fn nets(text: Option<&str>) -> Option<Vec<IpNet>> {
    let net =
        |text: &str| text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from));
    text?.split(',').map(net).collect()
}

/// Words as a shell reads them: comments are in quotation marks.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in line.chars() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ' ' if !quoted => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
            }
            c => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}
