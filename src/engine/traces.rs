//! What a component leaves on the node by itself: files, directories and network links.

use camino::{Utf8Path, Utf8PathBuf};

use super::change::Change;
use crate::error::Result;
use crate::host::{Command, Host};

/// What a component creates on the node without a change of kvnet's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Traces {
    /// Files.
    pub files: Vec<Utf8PathBuf>,
    /// Directories, removed when they are empty; never the CNI configuration directory itself.
    pub directories: Vec<Utf8PathBuf>,
    /// Directories that are the component's alone, removed with their content.
    pub trees: Vec<Utf8PathBuf>,
    /// Network links.
    pub links: Vec<String>,
}

impl Traces {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.directories.is_empty() && self.trees.is_empty() && self.links.is_empty()
    }

    /// Those that exist on the node now: paths, and `link:NAME`.
    pub async fn present(&self, host: &dyn Host) -> Result<Vec<String>> {
        let mut present = Vec::new();
        for path in self.files.iter().chain(&self.directories).chain(&self.trees) {
            if host.stat(path).await?.is_some() {
                present.push(path.to_string());
            }
        }
        if !self.links.is_empty() {
            let there = links(host).await?;
            present.extend(
                self.links.iter().filter(|link| there.contains(link)).map(|link| format!("link:{link}")),
            );
        }
        Ok(present)
    }

    /// The changes that remove what exists now and did not before.
    pub async fn removal(&self, host: &dyn Host, before: &[String]) -> Result<Vec<Change>> {
        let present = self.present(host).await?;
        let ours = |name: &str| present.iter().any(|p| p == name) && !before.iter().any(|b| b == name);
        let mut changes = Vec::new();
        for path in self.files.iter().filter(|path| ours(path.as_str())) {
            changes.push(Change::RemoveFile { path: path.clone(), before: None });
        }
        for path in self.directories.iter().filter(|path| ours(path.as_str())) {
            let command = Command::new(["rmdir", "--ignore-fail-on-non-empty", path.as_str()]);
            changes.push(run(format!("remove directory {path} if it is empty"), command));
        }
        for path in self.trees.iter().filter(|path| ours(path.as_str())) {
            // What is mounted below is still in use.
            let command = Command::new(["rm", "--recursive", "--force", "--one-file-system", path.as_str()]);
            changes.push(run(format!("remove directory {path} with its content"), command));
        }
        for link in self.links.iter().filter(|link| ours(&format!("link:{link}"))) {
            let command = Command::new(["ip", "link", "delete", link]);
            changes.push(run(format!("remove network link {link}"), command));
        }
        Ok(changes)
    }
}

fn run(purpose: String, command: Command) -> Change {
    Change::Run { before: Some("left by the component".into()), purpose, command, undo: None }
}

/// The network links of the node. `/sys/class/net` may be that of another network namespace.
async fn links(host: &dyn Host) -> Result<Vec<String>> {
    let text = host.read(Utf8Path::new("/proc/net/dev")).await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[tokio::test]
    async fn only_what_was_not_there_before_is_removed() {
        let host = FakeHost::new()
            .file("/opt/cni/bin/flannel", "")
            .file("/run/flannel/subnet.env", "")
            .file("/run/kubevirt/sockets/a", "")
            .file("/run/other/a", "")
            .file("/proc/net/dev", "Inter-| Receive\n face |bytes\n    lo: 0 0\n  cni0: 5 0\n");
        let traces = Traces {
            files: vec!["/opt/cni/bin/flannel".into(), "/run/flannel/subnet.env".into(), "/absent".into()],
            directories: Vec::new(),
            trees: vec!["/run/kubevirt".into(), "/run/other".into()],
            links: vec!["cni0".into(), "flannel.1".into()],
        };
        let changes =
            traces.removal(&host, &["/opt/cni/bin/flannel".into(), "/run/other".into()]).await.unwrap();
        let lines: Vec<String> = changes.iter().map(ToString::to_string).collect();
        assert_eq!(
            lines,
            [
                "remove file /run/flannel/subnet.env",
                "remove directory /run/kubevirt with its content",
                "remove network link cni0"
            ]
        );
    }
}
