//! The images of a node that no manifest names: kubeadm's, and the runtime's pause image.

use serde_json::Value;
use toml::Table;

use super::gather::{printed, text};
use crate::error::Result;
use crate::host::Host;

/// What a node says, or why it says nothing.
pub type Said<T> = std::result::Result<T, String>;

/// The images of the cluster that the installed kubeadm makes; `version` and `repository` may be empty.
pub async fn of_kubeadm(host: &dyn Host, version: &str, repository: &str) -> Result<Said<Vec<String>>> {
    let version = match version {
        // Without a version kubeadm asks the internet for one.
        "" => match printed(host, &["kubeadm", "version", "-o", "short"]).await? {
            Ok(version) => version.trim().to_owned(),
            Err(why) => return Ok(Err(why)),
        },
        version => version.to_owned(),
    };
    let version = format!("--kubernetes-version={version}");
    let repository = format!("--image-repository={repository}");
    let mut words = vec!["kubeadm", "config", "images", "list", &version];
    if !repository.ends_with('=') {
        words.push(&repository);
    }
    let listed = printed(host, &words).await?;
    Ok(listed.map(|listed| {
        listed.lines().map(str::trim).filter(|line| is_image(line)).map(str::to_owned).collect()
    }))
}

/// The image of the container that holds a pod's namespaces, as the runtime has it configured.
pub async fn of_pause(host: &dyn Host) -> Result<Said<String>> {
    let why = match printed(host, &["crictl", "info"]).await? {
        Ok(info) => match in_info(&info) {
            Some(image) => return Ok(Ok(image)),
            None => "`crictl info` does not name it".to_owned(),
        },
        Err(why) => why,
    };
    let files = [
        ("/etc/containerd/config.toml", in_containerd as fn(&str) -> Option<String>),
        ("/etc/crio/crio.conf", in_crio),
    ];
    for (path, read) in files {
        if let Some(image) = text(host, path).await?.as_deref().and_then(read) {
            return Ok(Ok(image));
        }
    }
    Ok(match printed(host, &["containerd", "config", "dump"]).await? {
        Ok(dump) => in_containerd(&dump).ok_or(why),
        Err(_) => Err(why),
    })
}

/// Not a warning that was printed beside the list.
fn is_image(line: &str) -> bool {
    line.contains('/') && !line.contains(' ')
}

fn in_info(text: &str) -> Option<String> {
    let info: Value = serde_json::from_str(text).ok()?;
    let config = &info["config"];
    let found = config["sandboxImage"].as_str().or_else(|| config["pinnedImages"]["sandbox"].as_str())?;
    Some(found.to_owned()).filter(|image| !image.is_empty())
}

/// Versions 1 and 2 of the configuration, and version 3.
fn in_containerd(text: &str) -> Option<String> {
    let table: Table = text.parse().ok()?;
    let plugins = table.get("plugins")?;
    let old =
        ["io.containerd.grpc.v1.cri", "cri"].iter().find_map(|name| plugins.get(name)?.get("sandbox_image"));
    let new = || plugins.get("io.containerd.cri.v1.images")?.get("pinned_images")?.get("sandbox");
    let image = old.or_else(new)?.as_str()?;
    Some(image.to_owned()).filter(|image| !image.is_empty())
}

fn in_crio(text: &str) -> Option<String> {
    let table: Table = text.parse().ok()?;
    let image = table.get("crio")?.get("image")?.get("pause_image")?.as_str()?;
    Some(image.to_owned()).filter(|image| !image.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    #[tokio::test]
    async fn kubeadm_lists_the_images_of_a_version_without_asking_the_internet() {
        let host = FakeHost::new().prints(["kubeadm", "version"], "v1.37.2\n").prints(
            ["kubeadm", "config", "images", "list", "--kubernetes-version=v1.37.2"],
            "W: a warning\nr/a:v1\nr/b/c:v2\n",
        );
        assert_eq!(of_kubeadm(&host, "", "").await.unwrap(), Ok(vec!["r/a:v1".into(), "r/b/c:v2".into()]));
        assert!(of_kubeadm(&FakeHost::new(), "", "").await.unwrap().is_err());
    }

    #[tokio::test]
    async fn the_pause_image_is_found_wherever_a_runtime_has_it() {
        let v3 =
            "version = 3\n[plugins.'io.containerd.cri.v1.images'.pinned_images]\nsandbox = 'r/pause:3.10'\n";
        let v2 = "version = 2\n[plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = \"r/pause:3.10\"\n";
        let info = r#"{"config": {"sandboxImage": "r/pause:3.10"}}"#;
        for host in [
            FakeHost::new().prints(["crictl", "info"], info),
            FakeHost::new().file("/etc/containerd/config.toml", v2),
            FakeHost::new().file("/etc/containerd/config.toml", v3),
            FakeHost::new().file("/etc/crio/crio.conf", "[crio.image]\npause_image = 'r/pause:3.10'\n"),
            FakeHost::new().prints(["containerd", "config", "dump"], v3),
        ] {
            assert_eq!(of_pause(&host).await.unwrap(), Ok("r/pause:3.10".into()));
        }
        let nothing = FakeHost::new().file("/etc/containerd/config.toml", "version = 2\n");
        assert!(of_pause(&nothing).await.unwrap().is_err());
    }
}
