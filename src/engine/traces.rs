//! How what a component has left on the node is removed.

use super::change::Change;
pub use crate::components::Traces;
use crate::error::Result;
use crate::host::{Command, Host};

/// The changes that remove what exists now and did not before.
pub async fn removal(traces: &Traces, host: &dyn Host, before: &[String]) -> Result<Vec<Change>> {
    let present = traces.present(host).await?;
    let ours = |name: &str| present.iter().any(|p| p == name) && !before.iter().any(|b| b == name);
    let mut changes = Vec::new();
    for path in traces.files.iter().filter(|path| ours(path.as_str())) {
        changes.push(Change::RemoveFile { path: path.clone(), before: None });
    }
    for path in traces.directories.iter().filter(|path| ours(path.as_str())) {
        let command = Command::new(["rmdir", "--ignore-fail-on-non-empty", path.as_str()]);
        changes.push(run(format!("remove directory {path} if it is empty"), command));
    }
    for path in traces.trees.iter().filter(|path| ours(path.as_str())) {
        // What is mounted below is still in use.
        let command = Command::new(["rm", "--recursive", "--force", "--one-file-system", path.as_str()]);
        changes.push(run(format!("remove directory {path} with its content"), command));
    }
    for link in traces.links.iter().filter(|link| ours(&format!("link:{link}"))) {
        let command = Command::new(["ip", "link", "delete", link]);
        changes.push(run(format!("remove network link {link}"), command));
    }
    Ok(changes)
}

fn run(purpose: String, command: Command) -> Change {
    Change::Run { before: Some("left by the component".into()), purpose, command, undo: None }
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
            removal(&traces, &host, &["/opt/cni/bin/flannel".into(), "/run/other".into()]).await.unwrap();
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
