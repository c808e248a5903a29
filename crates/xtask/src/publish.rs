//! `release.json`, and what is rendered from it: how krew, Homebrew, and the install script find the archives.

use std::fs;

use anyhow::{Context, Result, bail};
use serde::Serialize;

use crate::project::Project;
use crate::target::Target;

/// A release: what everything else is rendered from.
#[derive(Debug, Serialize)]
pub struct Release {
    /// The version, without a `v`.
    pub version: String,
    /// What kvnet is.
    pub description: String,
    /// The address of the repository.
    pub repository: String,
    /// The commit; none for modified sources.
    pub commit: Option<String>,
    /// The time of the commit.
    pub date: String,
    /// The archive of each target.
    pub archives: Vec<Archive>,
    /// The line of the public key, empty without a signature.
    pub signer: String,
}

/// An archive with the binary of a target.
#[derive(Debug, Serialize)]
pub struct Archive {
    /// The target.
    pub target: &'static str,
    /// Its architecture, as Go says it.
    pub arch: &'static str,
    /// Its folder.
    pub folder: String,
    /// Its address.
    pub url: String,
    /// Its sum.
    pub sha256: String,
}

impl Archive {
    /// The archive of a target.
    pub fn new(project: &Project, target: Target, sha256: String) -> Self {
        let folder = format!("kvnet-v{}-{}", project.version, target.triple);
        let url = project.url(&format!("{folder}.tar.gz"));
        Self { target: target.triple, arch: target.arch, folder, url, sha256 }
    }
}

/// The files that are rendered: name and content.
pub fn render(project: &Project, release: &Release) -> Result<Vec<(&'static str, String)>> {
    let template = |name: &str| {
        let path = project.root.join("packaging").join(name);
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    };
    Ok(vec![
        ("release.json", serde_json::to_string_pretty(release)? + "\n"),
        ("krew.yaml", fill(&each(&template("krew.yaml")?, release), release)?),
        ("kvnet.rb", fill(&each(&template("homebrew.rb")?, release), release)?),
        ("install.sh", fill(&template("install.sh")?, release)?),
    ])
}

/// Repeats the lines between `# each archive` and `# end` for every archive, with its own values filled in.
fn each(template: &str, release: &Release) -> String {
    let (mut text, mut block) = (String::new(), None::<String>);
    for line in template.lines() {
        match (line.trim(), &mut block) {
            ("# each archive", _) => block = Some(String::new()),
            ("# end", Some(repeated)) => {
                text.extend(release.archives.iter().map(|it| of_archive(repeated, it)));
                block = None;
            }
            (_, Some(repeated)) => *repeated += &format!("{line}\n"),
            (_, None) => text += &format!("{line}\n"),
        }
    }
    text
}

fn of_archive(text: &str, archive: &Archive) -> String {
    // How Homebrew says it.
    let cpu = if archive.arch == "amd64" { "intel" } else { "arm" };
    [("URL", &archive.url), ("SHA256", &archive.sha256), ("FOLDER", &archive.folder)]
        .into_iter()
        .fold(text.replace("@ARCH@", archive.arch).replace("@CPU@", cpu), |text, (name, value)| {
            text.replace(&format!("@{name}@"), value)
        })
}

/// Fills in what is the same for all archives; a value that would mean something else there is refused.
fn fill(template: &str, release: &Release) -> Result<String> {
    let values = [
        ("VERSION", &release.version),
        ("DESCRIPTION", &release.description),
        ("REPOSITORY", &release.repository),
        ("SIGNER", &release.signer.trim().to_owned()),
    ];
    let mut text = template.to_owned();
    for (name, value) in values {
        if value.contains(['\'', '\\', '\n', '$', '`', '@', '#']) {
            bail!("{name} cannot be written into a script: {value}");
        }
        text = text.replace(&format!("@{name}@"), value);
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release() -> Release {
        let archive = |arch, sum: &str| Archive {
            target: "t",
            arch,
            folder: format!("folder-{arch}"),
            url: format!("https://x/{arch}.tar.gz"),
            sha256: sum.into(),
        };
        Release {
            version: "1.2.3".into(),
            description: "Does it".into(),
            repository: "https://x".into(),
            commit: None,
            date: "2026-01-01T00:00:00Z".into(),
            archives: vec![archive("amd64", "aa"), archive("arm64", "bb")],
            signer: "me ssh-ed25519 AAAA\n".into(),
        }
    }

    #[test]
    fn a_block_is_repeated_for_each_archive() {
        let text = each("a\n  # each archive\n  - @ARCH@ @URL@ @SHA256@\n  # end\nb @VERSION@\n", &release());
        let text = fill(&text, &release()).unwrap();
        assert_eq!(
            text,
            "a\n  - amd64 https://x/amd64.tar.gz aa\n  - arm64 https://x/arm64.tar.gz bb\nb 1.2.3\n"
        );
    }

    #[test]
    fn a_value_cannot_leave_its_quotes() {
        let mut release = release();
        release.repository = "https://x'; rm -rf /; '".into();
        let error = fill("url='@REPOSITORY@'", &release).unwrap_err().to_string();
        assert!(error.starts_with("REPOSITORY cannot be written"), "{error}");
    }

    /// cargo-binstall reads Cargo.toml itself: its template has to give the address of the archive.
    #[test]
    fn binstall_finds_the_archives() {
        let text = include_str!("../../../Cargo.toml");
        let manifest: toml::Table = text.parse().unwrap();
        let binstall = &manifest["package"]["metadata"]["binstall"];
        let filled = |name: &str| {
            let values = [("repo", "https://x"), ("version", "1.2.3"), ("target", "T"), ("bin", "kvnet")];
            let template = binstall[name].as_str().unwrap().to_owned();
            values
                .into_iter()
                .fold(template, |text, (name, value)| text.replace(&format!("{{ {name} }}"), value))
        };
        let project = Project {
            root: "/".into(),
            target: "/".into(),
            version: "1.2.3".into(),
            description: String::new(),
            repository: "https://x".into(),
            commit: None,
            epoch: 0,
        };
        let target = Target { triple: "T", arch: "a", machine: "m", compiler: "c" };
        let archive = Archive::new(&project, target, String::new());
        assert_eq!(filled("pkg-url"), archive.url);
        assert_eq!(filled("bin-dir"), format!("{}/kvnet", archive.folder));
        assert_eq!(binstall["pkg-fmt"].as_str(), Some("tgz"));
    }
}
