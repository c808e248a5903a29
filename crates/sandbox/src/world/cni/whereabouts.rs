//! whereabouts: addresses from pools that are objects of the API, so that no two nodes give out the same one.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};
use serde_json::{Map, Value, json};

use super::nics::Nic;
use super::plugins::Order;
use super::runtime::Failure;
use crate::error::Result;
use crate::formats::cni::{Ipam, Range};
use crate::world::objects::{name, text};
use crate::world::scene::Scene;

/// The name of the file with what the configurations leave out.
pub(in crate::world) const FILE: &str = "whereabouts.conf";
/// Where the plugin looks for it.
const DIRECTORIES: [&str; 3] = [
    "/etc/kubernetes/cni/net.d/whereabouts.d",
    "/etc/cni/net.d/whereabouts.d",
    "/host/etc/cni/net.d/whereabouts.d",
];
const VERSION: &str = "whereabouts.cni.cncf.io/v1alpha1";
/// The namespace of its kubeconfig's context.
const NAMESPACE: &str = "kube-system";
const MANAGER: &str = "whereabouts";
/// No sandbox has more pods than this, so that ranges of a whole /8 are not searched.
const MOST: usize = 1 << 16;

/// Who has an address.
pub(in crate::world) struct Owner<'a> {
    pub id: &'a str,
    /// `NAMESPACE/NAME`.
    pub pod: String,
    pub interface: &'a str,
}

/// Gives a NIC an address of each range.
pub(super) fn reserve(
    scene: &Scene,
    order: &Order<'_>,
    ipam: &Value,
    nic: &mut Nic,
) -> Result<Result<(), Failure>> {
    if let Err(failure) = configured(scene, ipam)? {
        return Ok(Err(failure));
    }
    // The calls take turns by a Lease, which nobody removes.
    let lease = json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": MANAGER, "namespace": NAMESPACE}, "spec": {"leaseTransitions": 0}});
    scene.create(MANAGER, &lease)?;
    let pod = format!("{}/{}", order.sandbox.namespace, order.sandbox.pod);
    let owner = Owner { id: &order.sandbox.id, pod, interface: order.interface };
    match take(scene, ipam, &owner)? {
        Ok(given) => {
            nic.gateway = ipam["gateway"].as_str().and_then(|text| text.parse().ok()).or(nic.gateway);
            for (address, pool) in given {
                nic.addresses.push(IpNet::V4(address));
                nic.pools.push(pool);
            }
            Ok(Ok(()))
        }
        Err(failure) => Ok(Err(failure)),
    }
}

/// What the configuration leaves out: the plugin fails without the file, and without a kubeconfig.
fn configured(scene: &Scene, ipam: &Value) -> Result<Result<(), Failure>> {
    let own = text(ipam, "/configuration_path");
    let files = DIRECTORIES.iter().map(|directory| format!("{directory}/{FILE}"));
    for file in [own.to_owned()].into_iter().filter(|file| !file.is_empty()).chain(files) {
        let Some(content) = scene.node.text(&file)? else { continue };
        let flat: Value = serde_json::from_str(&content).unwrap_or_default();
        let path = |from: &Value| text(from, "/kubernetes/kubeconfig").to_owned();
        let path = [path(ipam), path(&flat)].into_iter().find(|path| !path.is_empty());
        let Some(path) = path else {
            return Ok(Err("you have not configured the storage engine (looks like you're using an invalid `kubernetes.kubeconfig` parameter in your config)".into()));
        };
        if scene.node.status(&path)?.is_none() {
            let cause = format!("open {path}: no such file or directory");
            return Ok(Err(format!("failed to create Kubernetes IPAM manager: {cause}")));
        }
        return Ok(Ok(()));
    }
    Ok(Err("config file not found".into()))
}

/// An address of each range, with the name of its pool; none at all when a range has none left.
pub(in crate::world) fn take(
    scene: &Scene,
    ipam: &Value,
    owner: &Owner<'_>,
) -> Result<Result<Vec<(Ipv4Net, String)>, Failure>> {
    let read = Ipam::read(ipam, "ipam").unwrap_or_default();
    let network = text(ipam, "/network_name");
    let mut given = Vec::new();
    for range in read.ranges() {
        let (subnet, ends) = match limits(range) {
            Ok(limits) => limits,
            Err(failure) => return Ok(Err(failure)),
        };
        let pool =
            Pool { scene, name: named(network, &subnet.to_string().replace('/', "-")), subnet, network };
        match pool.take(range, ends, owner)? {
            Ok(address) => {
                let address = Ipv4Net::new(address, subnet.prefix_len()).unwrap_or(subnet);
                given.push((address, pool.name));
            }
            Err(failure) => {
                for (_, pool) in &given {
                    release(scene, pool, owner.id, owner.interface)?;
                }
                return Ok(Err(failure));
            }
        }
    }
    Ok(Ok(given))
}

/// Releases what a NIC has in a pool. The pool stays.
pub(in crate::world) fn release(scene: &Scene, pool: &str, id: &str, interface: &str) -> Result<()> {
    let Some(before) = scene.get(VERSION, "IPPool", Some(NAMESPACE), pool)? else { return Ok(()) };
    let mut after = before.clone();
    let Some(all) = after["spec"]["allocations"].as_object_mut() else { return Ok(()) };
    let is_its = |owner: &Value| owner["id"] == id && owner["ifname"] == interface;
    let own: Vec<String> =
        all.iter().filter(|(_, owner)| is_its(owner)).map(|(key, _)| key.clone()).collect();
    all.retain(|_, owner| !is_its(owner));
    let subnet = text(&before, "/spec/range");
    let network = pool.strip_suffix(&subnet.replace('/', "-")).unwrap_or_default().trim_end_matches('-');
    for offset in own {
        let address = subnet.parse::<Ipv4Net>().ok().zip(offset.parse::<u32>().ok());
        let Some((subnet, offset)) = address else { continue };
        let own = named(network, &at(subnet, offset).to_string());
        if let Some(taken) = scene.get(VERSION, RESERVATION, Some(NAMESPACE), &own)? {
            scene.delete(&taken)?;
        }
    }
    scene.save(MANAGER, &before, after)
}

/// Releases all that no sandbox has any more.
pub(in crate::world) fn release_others(scene: &Scene, sandboxes: &BTreeSet<String>) -> Result<()> {
    for pool in scene.list(VERSION, "IPPool")?.iter() {
        let owners = pool["spec"]["allocations"].as_object().into_iter().flat_map(|all| all.values());
        for owner in owners.filter(|owner| !sandboxes.contains(text(owner, "/id"))) {
            release(scene, name(pool), text(owner, "/id"), text(owner, "/ifname"))?;
        }
    }
    Ok(())
}

/// The kind of the objects that keep ranges which overlap from giving out an address twice.
const RESERVATION: &str = "OverlappingRangeIPReservation";

/// The pools and addresses of a network with a name are its own.
fn named(network: &str, what: &str) -> String {
    if network.is_empty() { what.to_owned() } else { format!("{network}-{what}") }
}

fn at(subnet: Ipv4Net, offset: u32) -> Ipv4Addr {
    u32::from(subnet.network()).saturating_add(offset).into()
}

/// The subnet of a range, and its ends.
fn limits(range: &Range) -> Result<(Ipv4Net, (u32, u32)), Failure> {
    let subnet = match range.network() {
        Some(IpNet::V4(subnet)) => subnet,
        Some(IpNet::V6(subnet)) => return Err(format!("not simulated: IPv6, in the range {subnet}")),
        None => {
            let given = &range.subnet;
            return Err(format!("invalid CIDR {given}: invalid CIDR address: {given}"));
        }
    };
    if subnet.prefix_len() > 30 {
        return Err(format!(
            "error at storage engine: net mask is too short, subnet {subnet} has no usable IP addresses, it is too small"
        ));
    }
    match range.ends() {
        Some((IpAddr::V4(first), IpAddr::V4(last))) => Ok((subnet, (first.into(), last.into()))),
        _ => Err(format!("not simulated: the ends of the range {subnet}")),
    }
}

/// The pool of a range.
struct Pool<'a> {
    scene: &'a Scene,
    name: String,
    subnet: Ipv4Net,
    network: &'a str,
}

impl Pool<'_> {
    /// The address that the NIC has already, else the lowest that is free.
    fn take(
        &self,
        range: &Range,
        (first, last): (u32, u32),
        owner: &Owner<'_>,
    ) -> Result<Result<Ipv4Addr, Failure>> {
        let before = match self.read()? {
            Ok(pool) => pool,
            Err(failure) => return Ok(Err(failure)),
        };
        let all = before["spec"]["allocations"].as_object().cloned().unwrap_or_default();
        let is_its = |taken: &Value| taken["podref"] == owner.pod && taken["ifname"] == owner.interface;
        let has =
            all.iter().find(|(_, taken)| is_its(taken)).and_then(|(offset, _)| offset.parse::<u32>().ok());
        let start = u32::from(self.subnet.network());
        let address = if let Some(offset) = has {
            Some(start.saturating_add(offset))
        } else {
            self.lowest(range, (first, last), &all, owner)?
        };
        let Some(address) = address else {
            let (first, last) = (Ipv4Addr::from(first), Ipv4Addr::from(last));
            let excluded = range.exclude.join(" ");
            return Ok(Err(format!(
                "error at storage engine: Could not allocate IP in range: ip: {first} / - {last} / range: {} / excludeRanges: [{excluded}]",
                self.subnet
            )));
        };
        let mut after = before.clone();
        after["spec"]["allocations"][address.saturating_sub(start).to_string()] =
            json!({"id": owner.id, "podref": owner.pod, "ifname": owner.interface});
        self.scene.save(MANAGER, &before, after)?;
        self.scene.create(
            MANAGER,
            &json!({"apiVersion": VERSION, "kind": RESERVATION,
                "metadata": {"name": named(self.network, &Ipv4Addr::from(address).to_string()), "namespace": NAMESPACE},
                "spec": {"podref": owner.pod, "ifname": owner.interface}}),
        )?;
        Ok(Ok(address.into()))
    }

    /// The lowest address that is neither excluded nor taken.
    fn lowest(
        &self,
        range: &Range,
        (first, last): (u32, u32),
        taken: &Map<String, Value>,
        owner: &Owner<'_>,
    ) -> Result<Option<u32>> {
        let start = u32::from(self.subnet.network());
        let excluded = range.excluded().unwrap_or_default();
        for address in (first..=last).take(MOST) {
            let ip = Ipv4Addr::from(address);
            let is_excluded = excluded.iter().any(|net| net.contains(&IpAddr::V4(ip)));
            let is_taken = taken.contains_key(&address.saturating_sub(start).to_string());
            if !is_excluded && !is_taken && self.is_free(ip, owner)? {
                return Ok(Some(address));
            }
        }
        Ok(None)
    }

    /// The pool's object, made when it is missing.
    fn read(&self) -> Result<Result<Value, Failure>> {
        let find = || self.scene.get(VERSION, "IPPool", Some(NAMESPACE), &self.name);
        if let Some(pool) = find()? {
            return Ok(Ok(pool));
        }
        let served = self.scene.get(
            "apiextensions.k8s.io/v1",
            "CustomResourceDefinition",
            None,
            "ippools.whereabouts.cni.cncf.io",
        )?;
        if served.is_none() {
            let failure = "error at storage engine: the server could not find the requested resource (get ippools.whereabouts.cni.cncf.io)";
            return Ok(Err(failure.into()));
        }
        self.scene.create(
            MANAGER,
            &json!({"apiVersion": VERSION, "kind": "IPPool",
                "metadata": {"name": self.name, "namespace": NAMESPACE},
                "spec": {"range": self.subnet.to_string(), "allocations": {}}}),
        )?;
        let missing = || "error at storage engine: k8s pool initialized".to_owned();
        Ok(find()?.ok_or_else(missing))
    }

    /// Whether no other range gave out an address.
    fn is_free(&self, address: Ipv4Addr, owner: &Owner<'_>) -> Result<bool> {
        let own = named(self.network, &address.to_string());
        let taken = self.scene.get(VERSION, RESERVATION, Some(NAMESPACE), &own)?;
        Ok(taken.is_none_or(|taken| text(&taken, "/spec/podref") == owner.pod))
    }
}
