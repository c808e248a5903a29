//! The packages for Debian, Fedora and Alpine, which nfpm makes from `packaging/nfpm.yaml`.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

use crate::archive;
use crate::documents::Documents;
use crate::project::Project;
use crate::run;
use crate::target::Target;

/// The formats, each with the name of its file.
const FORMATS: [&str; 3] = ["deb", "rpm", "apk"];

/// Makes the packages of a target in a folder.
pub fn make(project: &Project, target: Target, stage: &Path, out: &Path) -> Result<Vec<String>> {
    let mut made = Vec::new();
    for format in FORMATS {
        let name = format!("kvnet-v{}-{}.{format}", project.version, target.machine);
        let mut command = Command::new("nfpm");
        command
            .args(["package", "--config", "packaging/nfpm.yaml", "--packager", format, "--target"])
            .arg(out.join(&name))
            .current_dir(&project.root)
            .env("SOURCE_DATE_EPOCH", project.epoch.to_string())
            .env("KVNET_ARCH", target.arch)
            .env("KVNET_VERSION", &project.version)
            .env("KVNET_DESCRIPTION", &project.description)
            .env("KVNET_HOMEPAGE", &project.repository)
            .env("KVNET_STAGE", stage);
        run::output(&mut command)?;
        made.push(name);
    }
    Ok(made)
}

/// Writes what the packages contain, as `packaging/nfpm.yaml` expects it.
pub fn stage(
    project: &Project,
    binary: &Path,
    documents: &Documents,
    texts: &BTreeMap<String, Vec<u8>>,
    stage: &Path,
) -> Result<()> {
    for folder in ["man", "completions", "doc"] {
        fs::create_dir_all(stage.join(folder))?;
    }
    let write = |path: &str, content: &[u8], mode| write(&stage.join(path), content, mode, project.epoch);
    write("kvnet", &fs::read(binary)?, 0o755)?;
    for (name, page) in &documents.pages {
        write(&format!("man/{name}.gz"), &archive::gzip(page.as_bytes())?, 0o644)?;
    }
    for (shell, script) in &documents.completions {
        write(&format!("completions/{shell}"), script.as_bytes(), 0o644)?;
    }
    for (name, text) in texts {
        write(&format!("doc/{name}"), text, 0o644)?;
    }
    write("doc/changelog.gz", &archive::gzip(&texts["CHANGELOG.md"])?, 0o644)?;
    write("doc/THIRD-PARTY.txt.gz", &archive::gzip(&texts["THIRD-PARTY.txt"])?, 0o644)?;
    write("doc/copyright", copyright(project).as_bytes(), 0o644)
}

fn write(path: &Path, content: &[u8], mode: u32, epoch: u64) -> Result<()> {
    fs::write(path, content).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(epoch);
    Ok(fs::File::options().write(true).open(path)?.set_modified(time)?)
}

/// Debian's file about the licence.
fn copyright(project: &Project) -> String {
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: kvnet\n\
         Source: {}\n\n\
         Files: *\n\
         Copyright: the kvnet authors, and the authors in THIRD-PARTY.txt.gz\n\
         License: Apache-2.0\n \
         On Debian systems, the text is in /usr/share/common-licenses/Apache-2.0. The licences of\n \
         what others wrote are in THIRD-PARTY.txt.gz beside this file.\n",
        project.repository
    )
}
