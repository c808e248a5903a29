//! The serial console of a virtual machine: a guest with a root shell without login.

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, duplex};

use super::{address, failed, inside, reach};
use crate::api::Ran;
use crate::error::Result;
use crate::world::cni::nics::{Nic, Sandbox};
use crate::world::objects::{is_controlled_by, is_leaving, text, uid};
use crate::world::scene::Scene;

/// How many bytes may wait on the line.
const LINE: usize = 64 << 10;
const PROMPT: &str = "# ";
/// The name that the cluster's DNS knows in any case.
const KNOWN_NAME: &str = "kubernetes.default.svc.cluster.local";

/// A running guest.
#[derive(Clone)]
struct Guest {
    scene: Scene,
    /// The sandbox of its pod.
    pod: Sandbox,
    /// The NICs as the guest has them, each with the name of the pod's NIC that it is connected to.
    nics: Vec<(Nic, String)>,
}

/// Connects to a VM's console; none when it is not running.
pub(super) fn connect(scene: &Scene, namespace: &str, name: &str) -> Result<Option<DuplexStream>> {
    let Some(guest) = guest(scene, namespace, name)? else { return Ok(None) };
    let (ours, theirs) = duplex(LINE);
    tokio::spawn(serve(guest, ours));
    Ok(Some(theirs))
}

fn guest(scene: &Scene, namespace: &str, name: &str) -> Result<Option<Guest>> {
    for version in ["kubevirt.io/v1", "kubevirt.io/v1alpha2"] {
        let instance = scene.get(version, "VirtualMachineInstance", Some(namespace), name)?;
        let Some(instance) = instance.filter(|instance| text(instance, "/status/phase") == "Running") else {
            continue;
        };
        let pods = scene.list("v1", "Pod")?;
        let pod = pods.iter().find(|pod| is_controlled_by(pod, &instance) && !is_leaving(pod));
        let Some(pod) = pod else { continue };
        if let Some(pod) = Sandbox::of(scene, uid(pod))? {
            let nics = inside::nics(scene, &instance, &pod.nics)?;
            return Ok(Some(Guest { scene: scene.clone(), pod, nics }));
        }
    }
    Ok(None)
}

/// Reads lines and answers them until the client disconnects.
async fn serve(guest: Guest, line: DuplexStream) {
    let (reader, mut writer) = tokio::io::split(line);
    let mut lines = BufReader::new(reader).lines();
    // A disconnected client needs no answer.
    let _ = writer.write_all(PROMPT.as_bytes()).await;
    while let Ok(Some(typed)) = lines.next_line().await {
        // Ctrl-U clears the line.
        let typed = typed.rsplit('\u{15}').next().unwrap_or_default();
        let answer = format!("{typed}\r\n{}{PROMPT}", guest.answer(typed).replace('\n', "\r\n"));
        if writer.write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl Guest {
    /// What a line prints: commands one after the other, and among them one group of them side by side.
    fn answer(&self, line: &str) -> String {
        let line = without_substitutions(line);
        let Some((before, (jobs, after))) =
            line.split_once("( {").and_then(|(before, rest)| Some((before, rest.rsplit_once("wait )")?)))
        else {
            return self.commands(&line);
        };
        let jobs = jobs.split(" & ").filter_map(|job| job.rsplit_once("} 2>&1 | sed 's/^/"));
        let printed = jobs.map(|(commands, prefix)| {
            let prefix = prefix.trim_end_matches("/'");
            let printed = self.commands(commands.trim_start_matches([' ', '{']));
            printed.lines().fold(String::new(), |all, line| all + prefix + line + "\n")
        });
        format!("{}{}{}", self.commands(before), printed.collect::<String>(), self.commands(after))
    }

    /// What commands print: `;` and `||`, `$?`, quotes; no other syntax.
    fn commands(&self, line: &str) -> String {
        let mut status = 0;
        let mut printed = String::new();
        for commands in line.split(';') {
            for (number, command) in commands.split("||").enumerate() {
                if number > 0 && status == 0 {
                    break;
                }
                let ran = self.run(&words(command, status));
                printed += &format!("{}{}", ran.stdout, ran.stderr);
                status = ran.code;
            }
        }
        printed
    }

    fn run(&self, words: &[String]) -> Ran {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let result = match words.as_slice() {
            [] | ["true"] => return Ran::default(),
            ["echo", rest @ ..] => return printed(format!("{}\n", rest.join(" "))),
            ["id", "-u"] => return printed("0\n".into()),
            ["ip", object, rest @ ..] if "route".starts_with(object) => return self.routes(rest),
            ["ip", _, "add", ..] => return failed(1, "ip: not in the sandbox\n".into()),
            ["ip", rest @ ..] => {
                let nics = self.nics.iter().map(|(nic, _)| nic.clone()).collect();
                address::ip(&self.scene, Sandbox { nics, ..self.pod.clone() }, rest)
            }
            ["ping", rest @ ..] => reach::ping(&self.scene, &self.outside(), &self.with_pod_names(rest)),
            ["arping", rest @ ..] => reach::arping(&self.scene, &self.outside(), &self.with_pod_names(rest)),
            ["getent", "hosts", name] | ["nslookup", name] => return resolve(name),
            [program, ..] => return failed(127, format!("sh: {program}: not found\n")),
        };
        result.unwrap_or_else(|error| failed(1, format!("{error}\n")))
    }

    /// The pod's NICs as seen on their networks: with the guest's own addresses, with masquerade with the pod's. The guest's
    /// default route comes first; a guest without one only reaches its own segments.
    fn outside(&self) -> Sandbox {
        let connected = |(guest, name): &(Nic, String)| {
            let of_pod = self.pod.nics.iter().find(|nic| nic.name == *name)?;
            let behind = of_pod.guest.is_none() && !guest.addresses.is_empty();
            let addresses = if behind { of_pod.addresses.clone() } else { guest.addresses.clone() };
            Some(Nic { addresses, ..of_pod.clone() })
        };
        let mut nics: Vec<Nic> = self.nics.iter().filter_map(connected).collect();
        if self.nics.iter().all(|(nic, _)| nic.gateway.is_none()) {
            nics.retain(|nic| nic.name != "eth0" || nic.guest.is_some());
        }
        Sandbox { nics, ..self.pod.clone() }
    }

    /// The words with the pod's names of NICs in place of the guest's.
    fn with_pod_names<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        let name = |word: &'a str| {
            let nic = self.nics.iter().find(|(nic, _)| nic.name == word);
            nic.map_or(word, |(_, of_pod)| of_pod.as_str())
        };
        words.iter().map(|word| name(word)).collect()
    }

    fn routes(&self, words: &[&str]) -> Ran {
        if !matches!(words, [] | ["show"]) {
            return failed(1, "ip: invalid argument\n".into());
        }
        let nics = || self.nics.iter().map(|(nic, _)| nic);
        let default =
            nics().filter_map(|nic| Some(format!("default via {} dev {}\n", nic.gateway?, nic.name)));
        let near = nics().flat_map(|nic| {
            nic.addresses
                .iter()
                .map(|net| format!("{} dev {} scope link src {}\n", net.trunc(), nic.name, net.addr()))
        });
        printed(default.chain(near).collect())
    }
}

fn printed(stdout: String) -> Ran {
    Ran { code: 0, stdout, stderr: String::new() }
}

fn resolve(name: &str) -> Ran {
    match name {
        KNOWN_NAME => printed(format!("10.96.0.1       {name}\n")),
        _ => failed(2, String::new()),
    }
}

/// The line without its `$(...)`: the guest already is root.
fn without_substitutions(line: &str) -> String {
    let mut depth = 0;
    let mut before = ' ';
    let mut kept = String::new();
    for character in line.chars() {
        match character {
            '(' if depth > 0 || before == '$' => {
                if depth == 0 {
                    kept.pop();
                }
                depth += 1;
            }
            ')' if depth > 0 => depth -= 1,
            _ if depth == 0 => kept.push(character),
            _ => {}
        }
        before = character;
    }
    kept
}

/// The words of a command without quotes.
fn words(command: &str, status: i32) -> Vec<String> {
    let words = command.split_whitespace().filter(|word| *word != "2>&1");
    words.map(|word| word.replace(['\'', '"'], "").replace("$?", &status.to_string())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_taken_apart_as_a_shell_would() {
        assert_eq!(words("echo kvnet''-end-1 $?", 3), ["echo", "kvnet-end-1", "3"]);
        assert_eq!(
            without_substitutions("$([ $(id -u) = 0 ] || echo sudo -n) arping -D; echo $?"),
            " arping -D; echo $?"
        );
    }
}
