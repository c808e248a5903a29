//! Networks that are configured by a file of the node: an attachment without a configuration names one.

use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::error::Result;
use crate::facts::gather::text;
use crate::formats::cni::{CniConf, is_configuration};
use crate::host::Host;

/// Where Multus looks for such files, unless its own configuration says otherwise.
const DIRECTORY: &str = "/etc/cni/multus/net.d";
/// Where Multus' pod mounts the node's files.
const HOST: &str = "/host";

/// The files of a node that can configure a network.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NamedFiles {
    /// Where Multus looks.
    pub directory: Utf8PathBuf,
    /// The files there, in order.
    files: Vec<(Utf8PathBuf, Value)>,
    /// The files in the runtime's directory.
    others: Vec<(Utf8PathBuf, Value)>,
}

/// The configuration of a network that has none of its own.
#[derive(Clone, Debug, PartialEq)]
pub enum ByFile {
    /// A file that Multus reads.
    Read(Utf8PathBuf, Value),
    /// None; at most one where Multus does not look by itself.
    Missing(Option<Utf8PathBuf>),
}

impl NamedFiles {
    /// Reads the directories.
    pub async fn read(host: &dyn Host, runtime: &Utf8Path) -> Result<Self> {
        let others = configurations(host, runtime).await?;
        let of_multus = others.iter().find_map(|(_, value)| {
            let own = CniConf::parse(&value.to_string()).filter(CniConf::is_multus);
            own.and_then(|_| directory_of(value))
        });
        let directory = of_multus.unwrap_or_else(|| DIRECTORY.into());
        let files =
            if directory == runtime { others.clone() } else { configurations(host, &directory).await? };
        Ok(Self { directory, files, others })
    }

    /// The file of a network: its `name` is the attachment's.
    pub fn of(&self, name: &str) -> ByFile {
        let named =
            |files: &[(Utf8PathBuf, Value)]| files.iter().find(|(_, value)| value["name"] == name).cloned();
        match named(&self.files) {
            Some((path, value)) => ByFile::Read(path, value),
            None => ByFile::Missing(named(&self.others).map(|(path, _)| path)),
        }
    }
}

impl ByFile {
    /// Why there is none, as text.
    pub fn missing(&self, directory: &Utf8Path) -> Option<String> {
        let Self::Missing(other) = self else { return None };
        let other = other.as_ref().map(|path| format!("; {path} has, but Multus does not look there"));
        let other = other.unwrap_or_default();
        Some(format!("it has no configuration, and no file in {directory} has its name{other}"))
    }
}

/// `confDir` of Multus, also of its plugins; the thin one's older name for it is `cniConf`.
fn directory_of(value: &Value) -> Option<Utf8PathBuf> {
    let own = std::iter::once(value).chain(value["plugins"].as_array().into_iter().flatten());
    let mut named = own.flat_map(|it| ["confDir", "cniConf"].map(|field| it[field].as_str()));
    let path = named.find_map(|path| path.filter(|path| path.starts_with('/')))?;
    Some(path.strip_prefix(HOST).unwrap_or(path).trim_end_matches('/').into())
}

async fn configurations(host: &dyn Host, directory: &Utf8Path) -> Result<Vec<(Utf8PathBuf, Value)>> {
    let mut names = host.list(directory).await?.unwrap_or_default();
    names.sort_unstable();
    let mut found = Vec::new();
    for name in names.into_iter().filter(|name| is_configuration(name)) {
        let path = directory.join(name);
        let content = text(host, path.clone()).await?.unwrap_or_default();
        found.extend(serde_json::from_str(&content).ok().map(|value: Value| (path, value)));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    const LAN: &str = r#"{"cniVersion":"0.3.1","name":"lan","plugins":[{"type":"macvlan","master":"eth1"}]}"#;

    async fn found(host: FakeHost, name: &str) -> (ByFile, String) {
        let files = NamedFiles::read(&host, "/etc/cni/net.d".into()).await.unwrap();
        (files.of(name), files.directory.to_string())
    }

    #[tokio::test]
    async fn a_file_is_found_by_the_name_in_it_where_multus_looks() {
        let host = || FakeHost::new().file("/etc/cni/multus/net.d/20-x.conflist", LAN);
        let (by, directory) = found(host(), "lan").await;
        assert!(
            matches!(&by, ByFile::Read(path, _) if path == "/etc/cni/multus/net.d/20-x.conflist"),
            "{by:?}"
        );
        assert_eq!(
            (by.missing(directory.as_str().into()), directory.as_str()),
            (None, "/etc/cni/multus/net.d")
        );
        assert_eq!(found(host(), "20-x").await.0, ByFile::Missing(None));
        // Multus says where it looks.
        let multus = r#"{"name":"m","type":"multus","confDir":"/host/etc/cni/own.d/"}"#;
        let host = host().file("/etc/cni/net.d/00-multus.conf", multus).file("/etc/cni/own.d/a.conf", LAN);
        let (by, directory) = found(host, "lan").await;
        assert!(matches!(&by, ByFile::Read(path, _) if path == "/etc/cni/own.d/a.conf"), "{by:?}");
        assert_eq!(directory, "/etc/cni/own.d");
    }

    #[tokio::test]
    async fn a_file_that_multus_does_not_read_is_named() {
        let host = FakeHost::new().file("/etc/cni/net.d/30-lan.conflist", LAN);
        let (by, directory) = found(host, "lan").await;
        assert_eq!(
            by.missing(directory.as_str().into()).unwrap(),
            "it has no configuration, and no file in /etc/cni/multus/net.d has its name; \
             /etc/cni/net.d/30-lan.conflist has, but Multus does not look there"
        );
    }
}
