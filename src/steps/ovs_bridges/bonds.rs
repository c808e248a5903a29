//! Bonds of Open vSwitch, and which of the networks' VLANs an uplink carries. Pure.

use crate::error::{Error, Result, code};
use crate::facts::ovs::{OvsBridge, OvsPort, OvsState};
use crate::profile::Profile;

/// Refuses a NIC that is in a bond already, and a second uplink of a bridge beside its bond: frames would loop.
pub(super) fn refuse_beside(uplink: &str, bridge: &str, state: &OvsState) -> Result<()> {
    let Some((on, bond)) = bonds(state).find(|(on, bond)| has(bond, uplink) || on.name == bridge) else {
        return Ok(());
    };
    let (name, cards) = (&bond.name, cards(bond));
    let error = |message| Error::new(&code::OVS_UPLINK, message);
    let join = format!("write `uplink: {name}`: the bond stays as it is");
    if !has(bond, uplink) {
        let message = format!("bridge {bridge} has bond {name} ({cards}); {uplink} would be a second uplink");
        return Err(error(message).hint(join));
    }
    let message = format!("uplink {uplink} is a NIC of bond {name} ({cards}) on bridge {}", on.name);
    let other = || format!("name another NIC, or remove the bond from bridge {} first", on.name);
    Err(error(message).hint(if on.name == bridge { join } else { other() }))
}

/// The networks whose VLAN does not leave the node, because their bridge's uplink carries only others.
pub(super) fn uncarried(profile: &Profile, state: &OvsState) -> Vec<String> {
    let mut told = Vec::new();
    for network in &profile.networks {
        let Some(port) = profile.port_of(network) else { continue };
        let wanted = profile.ovs.bridges.iter().find(|bridge| bridge.name == port.bridge);
        let uplink = wanted.and_then(|bridge| bridge.uplink.as_deref());
        let (Some(bridge), Some(vlan)) = (state.bridge(&port.bridge), port.vlan) else { continue };
        let out = bridge.ports.iter().find(|it| Some(it.name.as_str()) == uplink || is_bond(it));
        if let Some((out, carried)) = out.and_then(|out| Some((out, carried(out)?)))
            && !carried.contains(&vlan)
        {
            let list = carried.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let (name, out) = (network.full_name(), &out.name);
            told.push(format!("network {name}: {out} carries only VLAN {list}, not its VLAN {vlan}"));
        }
    }
    told
}

/// The VLANs of a port; none when it carries all.
fn carried(port: &OvsPort) -> Option<Vec<u16>> {
    match (port.tag, port.trunks.as_slice()) {
        (Some(tag), _) => Some(vec![tag]),
        (None, []) => None,
        (None, trunks) => Some(trunks.to_vec()),
    }
}

fn bonds(state: &OvsState) -> impl Iterator<Item = (&OvsBridge, &OvsPort)> {
    state.ports().filter(|(_, port)| is_bond(port))
}

fn is_bond(port: &OvsPort) -> bool {
    port.interfaces.len() > 1
}

fn has(bond: &OvsPort, card: &str) -> bool {
    bond.interfaces.iter().any(|interface| interface.name == card)
}

fn cards(bond: &OvsPort) -> String {
    bond.interfaces.iter().map(|it| it.name.as_str()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::ovs::OvsInterface;
    use crate::profile;

    fn state() -> OvsState {
        let interface = |name: &str| OvsInterface { name: name.into(), ..OvsInterface::default() };
        let bond = OvsPort {
            name: "bond0".into(),
            trunks: vec![30, 40],
            interfaces: vec![interface("eth1"), interface("eth2")],
            ..OvsPort::default()
        };
        let bridge = |name: &str, ports| OvsBridge { name: name.into(), ports, ..OvsBridge::default() };
        OvsState { bridges: vec![bridge("blue", vec![bond]), bridge("red", Vec::new())] }
    }

    #[test]
    fn the_bond_is_named() {
        let told = |uplink, bridge| {
            let error = refuse_beside(uplink, bridge, &state()).unwrap_err();
            (error.code().id, format!("{error}; {}", error.hints()[0]))
        };
        for (uplink, bridge, says) in [
            (
                "eth1",
                "blue",
                "uplink eth1 is a NIC of bond bond0 (eth1, eth2) on bridge blue; write `uplink: bond0`",
            ),
            ("eth1", "red", "on bridge blue; name another NIC"),
            ("eth3", "blue", "bridge blue has bond bond0 (eth1, eth2); eth3 would be a second uplink; write"),
        ] {
            let (code, text) = told(uplink, bridge);
            assert!(code == "KVN606" && text.contains(says), "{text}");
        }
        assert!(refuse_beside("eth3", "red", &state()).is_ok());
    }

    #[test]
    fn a_vlan_that_the_bond_does_not_carry_is_told() {
        let text = "extends: default\nvm: {enabled: false}\novs: {bridges: [{name: blue, uplink: bond0}]}\nnetworks:\n\
                    - {name: a, kind: ovs, bridge: blue, vlan: 30}\n- {name: b, kind: ovs, bridge: blue, vlan: 50}\n";
        let profile = profile::load_text(text, "t.yaml", &[]).unwrap().profile;
        assert_eq!(
            uncarried(&profile, &state()),
            ["network b: bond0 carries only VLAN 30, 40, not its VLAN 50"]
        );
        assert!(uncarried(&profile, &OvsState::default()).is_empty());
    }
}
