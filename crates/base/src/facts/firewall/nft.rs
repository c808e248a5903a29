//! `nft -j list ruleset`.

use std::collections::BTreeMap;

use ipnet::IpNet;
use serde_json::Value;

use super::{Action, Chain, Condition, Field, Rule};

const BUILT_IN: [&str; 5] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// The chains of a ruleset; none when it is not one. `known` are the tables that iptables lists itself.
pub(super) fn parse(text: &str, known: &[String]) -> Option<BTreeMap<String, Chain>> {
    let value: Value = serde_json::from_str(text).ok()?;
    let mut chains = BTreeMap::new();
    let items = value["nftables"].as_array()?;
    for chain in items.iter().filter_map(|item| item.get("chain")).filter(|chain| concerns(chain)) {
        let name = text_of(&chain["name"]);
        if is_iptables(chain, known) && BUILT_IN.contains(&name) {
            continue;
        }
        chains.insert(format!("{} {name}", table(chain)), base(chain));
    }
    for rule in items.iter().filter_map(|item| item.get("rule")) {
        if let Some(chain) = chains.get_mut(&format!("{} {}", table(rule), text_of(&rule["chain"]))) {
            chain.rules.push(parse_rule(rule));
        }
    }
    Some(chains)
}

/// The pod network has no IPv6 or ARP packets.
fn concerns(chain: &Value) -> bool {
    ["ip", "inet", "bridge", "netdev"].contains(&text_of(&chain["family"]))
}

fn is_iptables(chain: &Value, known: &[String]) -> bool {
    chain["family"] == "ip" && known.iter().any(|table| chain["table"] == table.as_str())
}

fn table(of: &Value) -> String {
    format!("nft-{}-{}", text_of(&of["family"]), text_of(&of["table"]))
}

fn base(chain: &Value) -> Chain {
    Chain {
        shown: format!(
            "nftables {} {} {}",
            text_of(&chain["family"]),
            text_of(&chain["table"]),
            text_of(&chain["name"])
        ),
        hook: chain["hook"].as_str().map(str::to_owned),
        of_bridges: chain["family"] == "bridge",
        device: chain["dev"].as_str().map(str::to_owned),
        drops: chain["policy"] == "drop",
        rules: Vec::new(),
    }
}

fn parse_rule(rule: &Value) -> Rule {
    let mut parsed = Rule { conditions: Vec::new(), action: Action::Nothing, text: String::new() };
    let mut words: Vec<String> = Vec::new();
    for expression in rule["expr"].as_array().into_iter().flatten() {
        let Some((kind, value)) = expression.as_object().and_then(|object| object.iter().next()) else {
            continue;
        };
        match kind.as_str() {
            "match" => {
                let (condition, text) = condition(value);
                parsed.conditions.push(condition);
                words.push(text);
            }
            "accept" => parsed.action = Action::Accept,
            "drop" | "reject" => parsed.action = Action::Drop,
            "return" => parsed.action = Action::Return,
            "jump" => parsed.action = Action::Jump(text_of(&value["target"]).into()),
            "goto" => parsed.action = Action::Goto(text_of(&value["target"]).into()),
            "counter" | "log" | "mangle" | "masquerade" | "snat" | "dnat" | "redirect" | "notrack"
            | "comment" => {
                continue;
            }
            "queue" | "vmap" => parsed.action = Action::Unknown,
            _ => parsed.conditions.push(Condition { field: Field::Unknown, negated: false }),
        }
        if kind != "match" {
            words.push(kind.clone());
        }
    }
    let handle = rule["handle"].as_u64().map(|handle| format!(" (handle {handle})")).unwrap_or_default();
    parsed.text = format!("{}{handle}", words.join(" "));
    parsed
}

fn condition(value: &Value) -> (Condition, String) {
    let (left, right) = (&value["left"], &value["right"]);
    let negated = value["op"] == "!=";
    let payload = (text_of(&left["payload"]["protocol"]), text_of(&left["payload"]["field"]));
    let meta = text_of(&left["meta"]["key"]);
    let field = match (payload, meta) {
        (("ip", "saddr"), _) => nets(right).map(Field::Source),
        (("ip", "daddr"), _) => nets(right).map(Field::Destination),
        (("ip", "protocol"), _) | (_, "l4proto") => strings(right).map(Field::Protocol),
        (_, "iifname" | "iif" | "ibrname") => right.as_str().map(|name| Field::Input(name.into())),
        (_, "oifname" | "oif" | "obrname") => right.as_str().map(|name| Field::Output(name.into())),
        _ if left["ct"]["key"] == "state" => strings(right).map(Field::State),
        _ => None,
    };
    let name = [payload.1, meta].concat();
    let shown = match right.as_str() {
        Some(text) => text.to_owned(),
        None => right.to_string(),
    };
    let sign = if negated { "!= " } else { "" };
    let name = if name.is_empty() { "a condition".to_owned() } else { name };
    (Condition { field: field.unwrap_or(Field::Unknown), negated }, format!("{name} {sign}{shown}"))
}

fn strings(value: &Value) -> Option<Vec<String>> {
    let list =
        value["set"].as_array().or_else(|| value.as_array()).cloned().unwrap_or_else(|| vec![value.clone()]);
    list.iter().map(|one| one.as_str().map(str::to_owned)).collect()
}

fn nets(value: &Value) -> Option<Vec<IpNet>> {
    let list = value["set"].as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
    let net = |one: &Value| -> Option<IpNet> {
        if let Some(text) = one.as_str() {
            return Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?));
        }
        let prefix = &one["prefix"];
        format!("{}/{}", prefix["addr"].as_str()?, prefix["len"].as_u64()?).parse().ok()
    };
    list.iter().map(net).collect()
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
