//! TCP and UDP between pods.

use std::net::IpAddr;

use super::reach::{self, Asked};
use super::{failed, prints};
use crate::api::Ran;
use crate::error::Result;
use crate::world::cni::nics::Sandbox;
use crate::world::objects::items;
use crate::world::scene::Scene;

/// `nc -w SECONDS ADDRESS PORT`: the server's output.
pub(super) fn nc(scene: &Scene, sandbox: &Sandbox, words: &[&str]) -> Result<Ran> {
    let ["-w", _, address, port] = words else { return Ok(failed(1, "nc: not known here".into())) };
    let Ok(target) = address.parse::<IpAddr>() else {
        return Ok(failed(1, format!("nc: bad address '{address}'")));
    };
    let Some(there) = reach::reached(scene, sandbox, &Asked::of(target))? else {
        return Ok(failed(1, "nc: timed out".into()));
    };
    let server = Sandbox::all(scene)?.into_iter().find(|other| there.pod.as_ref() == Some(&other.uid));
    Ok(match server.as_ref().and_then(|server| Some((server, served(server, port)?))) {
        Some((server, "hostname")) => prints(format!("{}\n", server.pod)),
        Some(_) => prints(String::new()),
        None => failed(1, format!("nc: can't connect to remote host ({address}): Connection refused")),
    })
}

/// The command that a pod runs for each client of a port; none when nothing listens.
fn served<'a>(server: &'a Sandbox, port: &str) -> Option<&'a str> {
    items(&server.spec, "/containers").iter().find_map(|container| {
        let words: Vec<&str> = items(container, "/command").iter().filter_map(|word| word.as_str()).collect();
        match words.as_slice() {
            ["nc", "-ll", "-p", on, "-e", program] if *on == port => Some(*program),
            _ => None,
        }
    })
}

/// `traceroute`: datagrams to a closed port, whose receiver answers with port unreachable.
pub(super) fn traceroute(scene: &Scene, sandbox: &Sandbox, words: &[&str]) -> Result<Ran> {
    let Some(target) = words.last().and_then(|word| word.parse::<IpAddr>().ok()) else {
        return Ok(failed(1, "traceroute: bad address".into()));
    };
    let option =
        |name: &str| words.iter().position(|word| *word == name).and_then(|place| words.get(place + 1));
    let most: usize = option("-m").and_then(|hops| hops.parse().ok()).unwrap_or(30);
    let heading = format!("traceroute to {target} ({target}), {most} hops max, 46 byte packets\n");
    let hops = match reach::reached(scene, sandbox, &Asked::of(target))? {
        Some(_) => format!(" 1  {target}  0.012 ms\n"),
        None => (1..=most).flat_map(|hop| [format!("{hop:2}"), "  *\n".to_owned()]).collect(),
    };
    Ok(prints(heading + &hops))
}
