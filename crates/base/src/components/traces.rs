//! What a component leaves on a node by itself: files, directories and network links.

use camino::{Utf8Path, Utf8PathBuf};

use crate::error::Result;
use crate::host::Host;

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
}

/// The network links of the node. `/sys/class/net` may be that of another network namespace.
async fn links(host: &dyn Host) -> Result<Vec<String>> {
    let text = host.read(Utf8Path::new("/proc/net/dev")).await?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(text.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name.trim().to_owned()).collect())
}
