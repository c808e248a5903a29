//! Which CNI configuration the node's container runtime takes.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::{Value, json};

use super::files::Files;
use super::{Runtime, SandboxHost};
use crate::error::Result;
use crate::facts::runtime::{self, CniDirs};
use crate::formats::cni::is_configuration;
use crate::store::Transaction;

/// What the container runtime makes pods' network with.
#[derive(Clone, Debug, PartialEq)]
pub enum CniChoice {
    /// This file.
    Chosen {
        /// Its name in the directory.
        file: String,
        /// Its content as a list of plugins, whatever its form was.
        list: Value,
    },
    /// There is no file that it could take.
    Missing,
    /// The first file is broken, and the runtime does not go on to the next.
    Broken {
        /// Its name in the directory.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl SandboxHost {
    /// Where the runtime looks for configurations and plugins.
    pub fn cni_directories(&self) -> Result<CniDirs> {
        self.0.store.read(|transaction| directories(transaction, self.seed().runtime))
    }

    /// The configuration that the runtime takes. containerd gives up at a broken first file; CRI-O, and the kubelet of
    /// the time when it chose by itself, step over it.
    pub fn cni_choice(&self) -> Result<CniChoice> {
        let seed = self.seed();
        let steps_over = seed.runtime == Runtime::Crio || is_of_docker_times(&seed.kubernetes);
        self.0.store.read(|transaction| {
            let directory = directories(transaction, seed.runtime).conf;
            choice(Files { transaction, user: 0 }, &directory, steps_over)
        })
    }
}

/// Until 1.23 the kubelet itself could run containers, by Docker.
fn is_of_docker_times(kubernetes: &str) -> bool {
    let minor = kubernetes.strip_prefix("v1.").and_then(|rest| rest.split('.').next());
    minor.and_then(|minor| minor.parse::<u32>().ok()).is_some_and(|minor| minor < 24)
}

fn directories(transaction: &Transaction<'_>, runtime: Runtime) -> CniDirs {
    let files = Files { transaction, user: 0 };
    let text = |path: &str| {
        let content = files.read(Utf8Path::new(path)).ok().flatten()?;
        Some(String::from_utf8_lossy(&content).into_owned())
    };
    let mut found = CniDirs::default();
    match runtime {
        Runtime::Containerd => match text("/etc/containerd/config.toml") {
            Some(text) => runtime::containerd(&text, &mut found),
            None => found.bin = vec!["/opt/cni/bin".into()],
        },
        Runtime::Crio => {
            let directory = Utf8PathBuf::from("/etc/crio/crio.conf.d");
            let names = files.list(&directory).ok().flatten().unwrap_or_default();
            for path in names.iter().map(|name| directory.join(name)) {
                runtime::crio(&text(path.as_str()).unwrap_or_default(), &mut found);
            }
        }
    }
    found
}

fn choice(files: Files<'_>, directory: &Utf8Path, steps_over: bool) -> CniChoice {
    let names = files.list(directory).ok().flatten().unwrap_or_default();
    for file in names.into_iter().filter(|name| is_configuration(name)) {
        let content = files.read(&directory.join(&file)).ok().flatten().unwrap_or_default();
        match list(&file, &content) {
            Ok(list) => return CniChoice::Chosen { file, list },
            Err(reason) if !steps_over => return CniChoice::Broken { file, reason },
            Err(_) => {}
        }
    }
    CniChoice::Missing
}

/// The plugins of a file; that of a single plugin becomes a list of one.
fn list(file: &str, content: &[u8]) -> std::result::Result<Value, String> {
    let value: Value = serde_json::from_slice(content).map_err(|error| error.to_string())?;
    if value["name"].as_str().is_none_or(str::is_empty) && file.ends_with(".conflist") {
        return Err("it has no name".to_owned());
    }
    if file.ends_with(".conflist") {
        let plugins = value["plugins"].as_array().map(Vec::as_slice).unwrap_or_default();
        let typed = plugins.iter().all(|plugin| plugin["type"].as_str().is_some_and(|kind| !kind.is_empty()));
        return match (plugins, typed) {
            ([], _) => Err("it has no plugins".to_owned()),
            (_, false) => Err("a plugin has no type".to_owned()),
            (_, true) => Ok(value),
        };
    }
    if value["type"].as_str().is_none_or(str::is_empty) {
        return Err("it has no type".to_owned());
    }
    Ok(json!({"cniVersion": value["cniVersion"], "name": value["name"], "plugins": [value]}))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::{Distribution, Seed};
    use crate::store::Store;

    const LIST: &[u8] = br#"{"name":"cbr0","plugins":[{"type":"flannel"}]}"#;
    const SINGLE: &[u8] = br#"{"cniVersion":"0.3.1","name":"m","type":"multus"}"#;

    fn node(kubernetes: &str, runtime: Runtime) -> SandboxHost {
        let seed = Seed { kubernetes: kubernetes.into(), runtime, ..Seed::new(Distribution::Debian) };
        SandboxHost::seeded(Store::in_memory(), &seed, 0).unwrap()
    }

    fn put(node: &SandboxHost, name: &str, content: &[u8]) {
        node.put_file(format!("/etc/cni/net.d/{name}"), content, 0o600).unwrap();
    }

    fn file(choice: CniChoice) -> String {
        match choice {
            CniChoice::Chosen { file, .. } | CniChoice::Broken { file, .. } => file,
            CniChoice::Missing => "none".into(),
        }
    }

    #[test]
    fn the_first_by_bytes_is_taken_and_other_extensions_are_not_seen() {
        let node = node("v1.34.4", Runtime::Containerd);
        assert_eq!(node.cni_choice().unwrap(), CniChoice::Missing);
        put(&node, "70-multus.conf", SINGLE);
        put(&node, "10-flannel.conflist", LIST);
        put(&node, "00-x.conf.kvnet-saved", SINGLE);
        assert_eq!(file(node.cni_choice().unwrap()), "10-flannel.conflist");
        put(&node, "00-multus.conf", SINGLE);
        let CniChoice::Chosen { file, list } = node.cni_choice().unwrap() else { panic!("none") };
        assert_eq!((file.as_str(), &list["plugins"][0]["type"]), ("00-multus.conf", &json!("multus")));
    }

    #[test]
    fn a_broken_first_file_stops_containerd_alone() {
        for (kubernetes, runtime, chosen) in [
            ("v1.34.4", Runtime::Containerd, "05-broken.conf"),
            ("v1.34.4", Runtime::Crio, "10-flannel.conflist"),
            ("v1.11.3", Runtime::Containerd, "10-flannel.conflist"),
        ] {
            let node = node(kubernetes, runtime);
            put(&node, "10-flannel.conflist", LIST);
            // A list under the name of a single plugin has no type.
            put(&node, "05-broken.conf", LIST);
            assert_eq!(file(node.cni_choice().unwrap()), chosen, "{kubernetes} {runtime:?}");
        }
    }
}
