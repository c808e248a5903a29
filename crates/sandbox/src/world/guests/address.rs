//! `ip address` in a container, printed as busybox does.

use ipnet::IpNet;

use super::failed;
use crate::api::Ran;
use crate::error::Result;
use crate::world::cni::nics::{Nic, Sandbox};
use crate::world::scene::Scene;

const LOOPBACK: &str = "1: lo: <LOOPBACK,UP,LOWER_UP> mtu 65536 qdisc noqueue qlen 1000\n    \
    link/loopback 00:00:00:00:00:00 brd 00:00:00:00:00:00\n    inet 127.0.0.1/8 scope host lo\n       \
    valid_lft forever preferred_lft forever\n";

/// Shows addresses, or adds one.
pub(super) fn ip(scene: &Scene, mut sandbox: Sandbox, words: &[&str]) -> Result<Ran> {
    let short = words.contains(&"-o");
    let words: Vec<&str> = words.iter().filter(|word| !word.starts_with('-')).copied().collect();
    let [object, words @ ..] = words.as_slice() else { return Ok(failed(1, "ip: no object".into())) };
    if !"address".starts_with(object) {
        return Ok(failed(1, format!("ip: invalid argument '{object}'")));
    }
    let device = words.iter().position(|word| *word == "dev").and_then(|place| words.get(place + 1));
    match words {
        ["add", address, ..] => add(scene, &mut sandbox, address, device.copied()),
        [] | ["show", ..] => Ok(show(&sandbox, device.copied(), short)),
        [word, ..] => Ok(failed(1, format!("ip: invalid argument '{word}' to 'ip'"))),
    }
}

fn add(scene: &Scene, sandbox: &mut Sandbox, address: &str, device: Option<&str>) -> Result<Ran> {
    let nic = sandbox.nics.iter_mut().find(|nic| Some(nic.name.as_str()) == device);
    let (Some(nic), Ok(address)) = (nic, address.parse::<IpNet>()) else {
        return Ok(failed(1, "ip: cannot find device or address".into()));
    };
    if nic.addresses.contains(&address) {
        return Ok(failed(2, "ip: RTNETLINK answers: File exists".into()));
    }
    nic.addresses.push(address);
    sandbox.keep(scene)?;
    Ok(Ran::default())
}

fn show(sandbox: &Sandbox, device: Option<&str>, short: bool) -> Ran {
    let all = sandbox.nics.iter().zip(2..).filter(|(nic, _)| device.is_none_or(|device| device == nic.name));
    let shown: Vec<String> =
        all.map(|(nic, number)| if short { lines(nic, number) } else { long(nic, number) }).collect();
    if let (Some(device), true) = (device, shown.is_empty()) {
        return failed(1, format!("ip: can't find device '{device}'"));
    }
    let loopback = if device.is_none() && !short { LOOPBACK } else { "" };
    Ran { code: 0, stdout: format!("{loopback}{}", shown.concat()), stderr: String::new() }
}

fn lines(nic: &Nic, number: usize) -> String {
    let line = |address: &IpNet| {
        format!(
            "{number}: {}    {}\\       valid_lft forever preferred_lft forever\n",
            nic.name,
            inet(address, &nic.name)
        )
    };
    nic.addresses.iter().map(line).collect()
}

fn long(nic: &Nic, number: usize) -> String {
    let Nic { name, mac, mtu, .. } = nic;
    let addresses = nic.addresses.iter();
    let addresses = addresses.map(|address| {
        format!("    {}\n       valid_lft forever preferred_lft forever\n", inet(address, name))
    });
    format!(
        "{number}: {name}@if{}: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu {mtu} qdisc noqueue qlen 1000\n    \
         link/ether {mac} brd ff:ff:ff:ff:ff:ff\n{}",
        number + 20,
        addresses.collect::<String>()
    )
}

fn inet(address: &IpNet, name: &str) -> String {
    match address {
        IpNet::V4(four) => format!("inet {four} brd {} scope global {name}", four.broadcast()),
        IpNet::V6(six) => format!("inet6 {six} scope global"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::cni::nics::Wire;

    fn sandbox() -> Sandbox {
        let nic = Nic {
            name: "net1".into(),
            mac: "9e:88:f6:61:7e:27".into(),
            mtu: 1500,
            addresses: vec!["192.168.5.3/24".parse().unwrap()],
            wire: Wire::Switch,
            ..Nic::default()
        };
        Sandbox { nics: vec![nic], ..Sandbox::default() }
    }

    #[test]
    fn addresses_are_printed_as_busybox_does() {
        let shown = show(&sandbox(), Some("net1"), false).stdout;
        assert_eq!(
            shown,
            "2: net1@if22: <BROADCAST,MULTICAST,UP,LOWER_UP,M-DOWN> mtu 1500 qdisc noqueue qlen 1000\n    \
             link/ether 9e:88:f6:61:7e:27 brd ff:ff:ff:ff:ff:ff\n    \
             inet 192.168.5.3/24 brd 192.168.5.255 scope global net1\n       \
             valid_lft forever preferred_lft forever\n"
        );
        assert_eq!(
            show(&sandbox(), None, true).stdout,
            "2: net1    inet 192.168.5.3/24 brd 192.168.5.255 scope global net1\\       valid_lft forever preferred_lft forever\n"
        );
        assert_eq!(show(&sandbox(), Some("net9"), false).code, 1);
    }
}
