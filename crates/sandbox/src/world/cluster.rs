//! A cluster as left by `kubeadm init`: its own objects, once the node has its files.

use serde::Serialize;
use serde_json::Value;

use super::objects::{hex, text};
use super::scene::Scene;
use crate::error::Result;
use crate::formats::kubernetes::node_mask;
use crate::manifest::parse_manifests;
use crate::template;

const TEMPLATE: &str = "sandbox/cluster.yaml.tera";
const ADMIN: &str = "/etc/kubernetes/admin.conf";
const KUBEADM: &str = "kubeadm";

/// A node that exists only in the API.
#[derive(Serialize)]
struct Other {
    name: String,
    address: String,
    pod_cidr: String,
    machine: String,
}

#[derive(Serialize)]
struct Values<'a> {
    node: &'a str,
    hostname: &'a str,
    others: Vec<Other>,
    address: &'a str,
    version: &'a str,
    /// The pod subnet given to kubeadm; may be empty.
    pod_subnet: &'a str,
    /// The node's podCIDR.
    pod_cidr: &'a str,
    os: &'a str,
    /// The kubelet reads it from the same file.
    machine_id: &'a str,
    runtime: &'a str,
    /// Whether it is a cluster of 2018.
    old: bool,
    /// The label and the taint of control planes.
    role: &'a str,
    now: &'a str,
}

/// Makes the objects of a cluster that has just been created; does nothing when there is none or when they are there.
pub(super) fn run(scene: &Scene) -> Result<()> {
    if scene.own_node()?.is_some() || scene.node.status(ADMIN)?.is_none() {
        return Ok(());
    }
    let node = scene.node_name()?;
    let hostname = scene.node.text("/proc/sys/kernel/hostname")?.unwrap_or_default();
    let machine_id = scene.node.text("/etc/machine-id")?.unwrap_or_default();
    let (pod_subnet, mask) = pod_subnet(scene)?;
    let pod_cidr =
        pod_subnet.parse::<ipnet::Ipv4Net>().ok().and_then(|subnet| subnet.subnets(mask).ok()?.next());
    let values = Values {
        node: &node,
        hostname: hostname.trim(),
        others: others(scene, &pod_subnet, mask),
        address: &address(scene)?,
        version: scene.kubernetes(),
        pod_cidr: &pod_cidr.map(|cidr| cidr.to_string()).unwrap_or_default(),
        pod_subnet: &pod_subnet,
        os: &pretty_name(scene)?,
        machine_id: machine_id.trim(),
        runtime: if scene.is_old() { "docker://18.6.1" } else { "containerd://2.1.4" },
        old: scene.is_old(),
        role: if scene.is_old() {
            "node-role.kubernetes.io/master"
        } else {
            "node-role.kubernetes.io/control-plane"
        },
        now: &scene.now(),
    };
    let objects = parse_manifests(&template::render(TEMPLATE, &values)?, TEMPLATE)?;
    // The node comes last: its existence implies the rest.
    objects.iter().try_for_each(|object| scene.create(manager_of(object), object))
}

fn others(scene: &Scene, pod_subnet: &str, mask: u8) -> Vec<Other> {
    let subnets = pod_subnet.parse::<ipnet::Ipv4Net>().ok().and_then(|subnet| subnet.subnets(mask).ok());
    let mut subnets = subnets.into_iter().flatten().skip(1);
    let other = |number: u8| Other {
        name: format!("worker-{number}"),
        address: format!("10.0.0.{}", 10 + u32::from(number)),
        pod_cidr: subnets.next().map(|cidr| cidr.to_string()).unwrap_or_default(),
        machine: hex(&format!("worker-{number}"), 32),
    };
    (1..=scene.node.seed().other_nodes).map(other).collect()
}

fn manager_of(object: &Value) -> &'static str {
    if text(object, "/kind") == "Node" { "kubelet" } else { KUBEADM }
}

/// What kvnet's own configuration for kubeadm says, else what the sandbox's node was made with; and the prefix of each node's
/// part of it.
fn pod_subnet(scene: &Scene) -> Result<(String, u8)> {
    const MASK: u8 = 24;
    let Some(given) = scene.node.text("/etc/kubernetes/kvnet-kubeadm.yaml")? else {
        return Ok(("10.244.0.0/16".into(), MASK));
    };
    let documents = parse_manifests(&named(&given), "kvnet-kubeadm.yaml").unwrap_or_default();
    let subnet = documents.iter().find_map(|document| {
        Some((document, document.pointer("/networking/podSubnet")?.as_str()?.to_owned()))
    });
    let Some((document, subnet)) = subnet else { return Ok((String::new(), MASK)) };
    let mask = document.as_object().and_then(node_mask).and_then(Result::ok);
    Ok((subnet, mask.unwrap_or(MASK)))
}

/// kubeadm's documents have no names, which manifests must have.
fn named(documents: &str) -> String {
    documents.replace("\nkind:", "\nmetadata: {name: kubeadm}\nkind:")
}

fn address(scene: &Scene) -> Result<String> {
    let links = scene.node.links()?;
    let routed =
        links.iter().find(|link| link.gateway.is_some()).or(links.iter().find(|link| link.kind == "ether"));
    let address =
        routed.and_then(|link| link.addresses.first()).and_then(|address| address.split('/').next());
    Ok(address.unwrap_or("10.0.0.10").to_owned())
}

fn pretty_name(scene: &Scene) -> Result<String> {
    let release = scene.node.text("/etc/os-release")?.unwrap_or_default();
    let line = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    Ok(line.unwrap_or("Linux").trim_matches('"').to_owned())
}
