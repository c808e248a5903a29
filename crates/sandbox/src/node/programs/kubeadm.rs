//! `kubeadm`: its version, and `init` as far as the node is concerned; the cluster's objects follow from its files.

use camino::Utf8Path;
use serde::Deserialize;

use super::{Invocation, fails, joined, prints};
use crate::host::Output;
use crate::node::files::Files;
use crate::node::seed::kubernetes;

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";
/// Files that must not be there yet, and the names of the checks for them.
const FRESH: [&str; 5] = [
    "/etc/kubernetes/manifests/kube-apiserver.yaml",
    "/etc/kubernetes/manifests/kube-controller-manager.yaml",
    "/etc/kubernetes/manifests/kube-scheduler.yaml",
    "/etc/kubernetes/manifests/etcd.yaml",
    "/var/lib/etcd/member",
];

/// `kubeadm version -o short`, `kubeadm init --config FILE [--ignore-preflight-errors=...]`.
pub(super) fn run(call: &mut Invocation<'_, '_>) -> Option<Output> {
    match call.words[..] {
        ["version", "-o", "short"] => prints(format!("{}\n", call.seed.kubernetes)),
        ["init", "--config", path] => init(call, path, ""),
        ["init", "--config", path, ignored] => {
            init(call, path, ignored.strip_prefix("--ignore-preflight-errors=")?)
        }
        _ => None,
    }
}

fn init(call: &mut Invocation<'_, '_>, path: &str, ignored: &str) -> Option<Output> {
    let files = Files { transaction: call.transaction, user: call.user };
    let Ok(Some(text)) = files.read(Utf8Path::new(path)) else {
        let error = "unable to read config from";
        return fails(1, format!("{error} \"{path}\": open {path}: no such file or directory"));
    };
    if let Err(error) = kind_of_first(&text) {
        return fails(1, format!("error unmarshaling configuration: {error}"));
    }
    let ignored: Vec<String> = ignored.split(',').map(str::to_lowercase).collect();
    let is_counted = |(name, _): &(String, String)| {
        !ignored.contains(&"all".to_owned()) && !ignored.contains(&name.to_lowercase())
    };
    let errors: Vec<(String, String)> = problems(call).into_iter().filter(is_counted).collect();
    if !errors.is_empty() {
        let lines = joined(errors.iter().map(|(name, text)| format!("\t[ERROR {name}]: {text}\n")));
        return fails(
            1,
            format!(
                "error execution phase preflight: [preflight] Some fatal errors occurred:\n{lines}[preflight] If you know \
                 what you are doing, you can make a check non-fatal with `--ignore-preflight-errors=...`\nTo see the stack \
                 trace of this error execute with --v=5 or higher"
            ),
        );
    }
    kubernetes::plant(call.transaction, call.seed, &node_name(&text));
    prints(format!(
        "[init] Using Kubernetes version: {}\n[preflight] Running pre-flight checks\n\nYour Kubernetes control-plane has \
         initialized successfully!\n",
        call.seed.kubernetes
    ))
}

/// The name that the configuration gives the node.
fn node_name(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let documents = serde_yaml::Deserializer::from_str(&text)
        .filter_map(|document| serde_json::Value::deserialize(document).ok());
    let mut names = documents.filter_map(|document| {
        document.pointer("/nodeRegistration/name").and_then(|name| name.as_str()).map(str::to_owned)
    });
    names.next().unwrap_or_default()
}

/// What keeps kubeadm from starting, by the names of its checks.
fn problems(call: &Invocation<'_, '_>) -> Vec<(String, String)> {
    let files = Files { transaction: call.transaction, user: 0 };
    let mut found = Vec::new();
    if call.user != 0 {
        found.push(("IsPrivilegedUser".to_owned(), "user is not running as root".to_owned()));
    }
    let forwarding = files.read(Utf8Path::new(FORWARDING)).ok().flatten().unwrap_or_default();
    if forwarding != b"1\n" {
        let name = format!("FileContent-{}", FORWARDING.replace('/', "-"));
        found.push((name, format!("{FORWARDING} contents are not set to 1")));
    }
    for path in FRESH {
        if matches!(files.stat(Utf8Path::new(path)), Ok(Some(_))) {
            found.push((
                format!("FileAvailable-{}", path.replace('/', "-")),
                format!("{path} already exists"),
            ));
        }
    }
    found
}

fn kind_of_first(text: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(text);
    let first = text.split("\n---").find(|part| !part.trim_matches(['-', '\n', ' ']).is_empty());
    let first = first.unwrap_or_default().trim_start_matches("---");
    let value: serde_json::Value = serde_yaml::from_str(first).map_err(|error| error.to_string())?;
    match value["kind"].as_str() {
        Some(_) => Ok(()),
        None => Err("kind and apiVersion is mandatory information that must be specified".to_owned()),
    }
}
