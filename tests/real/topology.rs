//! What `kvnet topology` shows is what is there.

use serde_json::Value;

use crate::networks::{address, port_tag};
use crate::node::Node;

/// The pods that run now are where the picture has them.
pub fn check(node: &Node) {
    let shown = node.json("kvnet topology -o json");
    let here = &shown["nodes"][0];
    assert_eq!(
        here["name"].as_str(),
        Some(node.sh("kubectl get node -o jsonpath='{.items[0].metadata.name}'").trim())
    );
    let blue = named(&here["bridges"], "blue");
    assert_eq!(
        (&blue["kind"], &blue["vlans"]),
        (&"open-vswitch".into(), &serde_json::json!([100])),
        "{shown}"
    );
    let carriers = here["cards"].as_array().expect("cards").iter().filter(|card| card["carriesNode"] == true);
    let route = node.sh("ip -j route show default");
    let route: Value = serde_json::from_str(&route).expect("routes");
    assert_eq!(carriers.map(|card| &card["name"]).collect::<Vec<_>>(), [&route[0]["dev"]], "{shown}");
    for (pod, network, vlan) in [
        ("blue-1", "default/ovs-blue", Value::Null),
        ("tagged-2", "default/ovs-blue100", 100.into()),
        ("walker", "default/a-bridge-network", Value::Null),
    ] {
        let nics = &named(&here["guests"], pod)["nics"];
        assert_eq!(nics[0]["addresses"][0], address(node, pod, "eth0").as_str(), "{nics}");
        assert_eq!(
            (&nics[1]["network"], &nics[1]["addresses"][0]),
            (&network.into(), &address(node, pod, "net1").into())
        );
        let attachment = named(&shown["networks"], network);
        assert_eq!(attachment["vlan"], vlan, "{attachment}");
        if attachment["bridge"] == "blue" {
            assert_eq!(port_tag(node, pod), if vlan.is_null() { "[]".into() } else { vlan.to_string() });
        }
    }
    for (format, begin) in
        [("text", "https://"), ("dot", "graph kvnet {"), ("svg", "<svg "), ("html", "<!doctype html>")]
    {
        let drawn = node.sh(&format!("kvnet topology -o {format}"));
        assert!(drawn.starts_with(begin) && drawn.contains("tagged-2"), "{drawn}");
    }
    node.say("topology shows the node, its bridge and the pods where they are");
}

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let found = list.as_array().and_then(|list| list.iter().find(|one| one["name"] == name));
    found.unwrap_or_else(|| panic!("no {name} in {list}"))
}
