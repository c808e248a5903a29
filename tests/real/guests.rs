//! The test's own VMs, and commands in guests: what kvnet's verification says is not taken for granted.

use std::time::{Duration, Instant};

use crate::node::Node;

/// How long a guest may take to start under emulation.
const BOOT: Duration = Duration::from_mins(4);

/// A VM of the test, like kvnet's: masquerade on the pod network, bridge on the other.
pub fn machine(name: &str, network: &str, image: &str) -> String {
    format!(
        "---
apiVersion: kubevirt.io/v1
kind: VirtualMachineInstance
metadata: {{name: {name}}}
spec:
  terminationGracePeriodSeconds: 0
  domain:
    memory: {{guest: 128M}}
    resources: {{}}
    devices:
      disks: [{{name: disk, disk: {{bus: virtio}}}}]
      interfaces: [{{name: default, masquerade: {{}}}}, {{name: blue, bridge: {{}}}}]
  networks: [{{name: default, pod: {{}}}}, {{name: blue, multus: {{networkName: {network}}}}}]
  volumes:
  - {{name: disk, containerDisk: {{image: {image}, imagePullPolicy: IfNotPresent}}}}
"
    )
}

/// What a command prints in a guest, with its exit status; through `kvnet console` in a pipe, which ends when the guest has
/// said nothing for two seconds.
pub fn run(node: &Node, machine: &str, command: &str) -> Option<(i32, String)> {
    // The quotes keep the marks out of the echo of the line.
    let line = format!("echo be''gin; {command} 2>&1; echo en''d $?");
    let script = format!("printf '\\n%s\\n' {} | kvnet console {machine} --namespace default", quoted(&line));
    let output = node.run(&["bash", "-uc", &script]);
    let text = String::from_utf8_lossy(&output.stdout).replace('\r', "");
    let (_, rest) = text.split_once("\nbegin\n")?;
    let (said, status) = rest.rsplit_once("end ")?;
    Some((status.lines().next()?.trim().parse().ok()?, said.to_owned()))
}

/// As [`run`]; the guest must answer, and the command must succeed.
pub fn sh(node: &Node, machine: &str, command: &str) -> String {
    let answer = run(node, machine, command);
    let (status, said) = answer.unwrap_or_else(|| panic!("{machine} does not answer to `{command}`"));
    assert_eq!(status, 0, "{machine}: {command}\n{said}");
    said
}

/// Waits until guests have started and taken their addresses on `blue`.
pub fn wait(node: &Node, machines: &[&str]) {
    let deadline = Instant::now() + BOOT;
    for machine in machines {
        node.sh(&format!(
            "kubectl wait vmi {machine} --for=jsonpath='{{.status.phase}}'=Running --timeout=240s"
        ));
        let ready = || {
            run(node, machine, "ip -4 addr show").is_some_and(|(_, said)| said.matches("inet ").count() >= 3)
        };
        while !ready() {
            assert!(Instant::now() < deadline, "{machine} has not started");
        }
    }
}

/// The guest's own name of its NIC on `blue`, found by its MAC address, and its address there.
pub fn nic(node: &Node, machine: &str) -> (String, String) {
    let mac = node.sh(&format!(
        "kubectl get vmi {machine} -o jsonpath='{{.status.interfaces[?(@.name==\"blue\")].mac}}'"
    ));
    let said = sh(node, machine, "ip addr show");
    // Each NIC begins with a line that is not indented.
    let blocks = said.replace("\n ", " ");
    let block = blocks.lines().find(|block| block.contains(&format!("link/ether {mac} ")));
    let words: Vec<&str> =
        block.unwrap_or_else(|| panic!("{machine} has no {mac}:\n{said}")).split_whitespace().collect();
    let address =
        words.iter().position(|word| *word == "inet").and_then(|at| words[at + 1].split('/').next());
    let address = address.unwrap_or_else(|| panic!("{machine} has no address on {mac}:\n{said}"));
    (words[1].trim_end_matches(':').to_owned(), address.to_owned())
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
