//! The release as a whole: what is built in which order, and the sums of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::archive::{self, Entry};
use crate::documents::{self, Documents};
use crate::project::{PLACEHOLDER, Project};
use crate::publish::{self, Archive, Release};
use crate::signature::{Key, sha256};
use crate::target::{self, Target};
use crate::{Options, binary, image, licences, packages, run, sbom};

/// Makes a release.
pub fn run(options: &Options) -> Result<()> {
    let targets = if options.targets.is_empty() { &target::ALL[..] } else { &options.targets };
    require(targets)?;
    let key = key(options)?;
    let project = Project::read(options.repository.as_deref(), options.modified)?;
    if project.repository == PLACEHOLDER {
        eprintln!(
            "warning: Cargo.toml has no `repository`, and there is no --repository: addresses are below {PLACEHOLDER}"
        );
    }
    let out = options.out.clone().unwrap_or_else(|| project.target.join("release-artefacts"));
    fs::create_dir_all(out.parent().context("the output needs a parent folder")?)?;
    fs::create_dir(&out).with_context(|| format!("{} has to be new", out.display()))?;
    let built = build(&project, targets)?;
    let mut making = Making { project: &project, out: out.clone(), documents: documents(&built)? };
    making.all(&built, key.as_ref())?;
    sums(&out, key.as_ref())?;
    eprintln!("release: kvnet {} is in {}", project.version, out.display());
    Ok(())
}

/// All programs that will be needed, before minutes of compiling.
fn require(targets: &[Target]) -> Result<()> {
    let compilers = targets.iter().map(|target| target.compiler);
    run::require(
        &["cargo-auditable", "git", "nfpm", "ssh-keygen"].into_iter().chain(compilers).collect::<Vec<_>>(),
    )?;
    let sysroot = run::output(Command::new("rustc").args(["--print", "sysroot"]))?;
    for target in targets {
        if !Path::new(sysroot.trim()).join("lib/rustlib").join(target.triple).exists() {
            bail!("rustc has no target {0} (`rustup target add {0}`)", target.triple);
        }
    }
    if !targets.iter().any(|target| target.is_native()) {
        bail!(
            "manual pages need a target of this machine: add `--target {}-unknown-linux-musl`",
            std::env::consts::ARCH
        );
    }
    Ok(())
}

/// The key; a release without a signature has to be asked for.
fn key(options: &Options) -> Result<Option<Key>> {
    match &options.key {
        Some(key) if !key.is_empty() => Ok(Some(Key::new(key)?)),
        _ if options.unsigned => Ok(None),
        _ => bail!("no key to sign with: set KVNET_SIGNING_KEY, or add `--unsigned`"),
    }
}

fn build(project: &Project, targets: &[Target]) -> Result<Vec<(Target, PathBuf)>> {
    let build = |target: &Target| Ok((*target, binary::build(project, *target)?));
    targets.iter().map(build).collect()
}

fn native(built: &[(Target, PathBuf)]) -> Result<&Path> {
    let native = built.iter().find(|(target, _)| target.is_native());
    native.map(|(_, binary)| binary.as_path()).context("no binary of this machine")
}

fn documents(built: &[(Target, PathBuf)]) -> Result<Documents> {
    documents::generate(native(built)?)
}

/// A release in the making.
struct Making<'a> {
    project: &'a Project,
    out: PathBuf,
    documents: Documents,
}

impl Making<'_> {
    /// Writes all files but the sums.
    fn all(&mut self, built: &[(Target, PathBuf)], key: Option<&Key>) -> Result<()> {
        let versions = run::output(Command::new(native(built)?).args(["version", "-o", "json"]))?;
        let versions: Value = serde_json::from_str(&versions)?;
        let embedded = licences::embedded(&self.project.root, &versions)?;
        let mut archives = Vec::new();
        let mut binaries = Vec::new();
        for (target, binary) in built {
            archives.push(self.target(*target, binary, &embedded)?);
            binaries.push((*target, fs::read(binary)?));
        }
        let image = image::make(self.project, &binaries)?;
        self.write(&format!("kvnet-v{}-image.tar", self.project.version), &image)?;
        let signer = key.map(Key::allowed_signer).transpose()?.unwrap_or_default();
        if !signer.is_empty() {
            self.write("allowed_signers", signer.as_bytes())?;
        }
        let release = self.release(archives, signer)?;
        for (name, content) in publish::render(self.project, &release)? {
            self.write(name, content.as_bytes())?;
        }
        Ok(())
    }

    /// Writes what a target has of its own: archive, packages and bill of materials.
    fn target(&self, target: Target, binary: &Path, embedded: &[licences::Embedded]) -> Result<Archive> {
        let metadata = self.project.metadata(target.triple)?;
        let crates = sbom::crates(self.project, &metadata, target)?;
        let bill = sbom::document(self.project, &metadata, &crates, embedded)?;
        let bill = serde_json::to_string_pretty(&bill)? + "\n";
        let mut texts = self.texts()?;
        texts.insert("THIRD-PARTY.txt".into(), licences::document(&crates, embedded)?.into_bytes());
        let folder = format!("kvnet-v{}-{}", self.project.version, target.triple);
        self.write(&format!("{folder}.cdx.json"), bill.as_bytes())?;
        let entries = self.entries(&folder, fs::read(binary)?, &texts);
        let archive = archive::gzip(&archive::tar(entries, self.project.epoch)?)?;
        self.write(&format!("{folder}.tar.gz"), &archive)?;
        let stage = tempfile::tempdir()?;
        packages::stage(self.project, binary, &self.documents, &texts, stage.path())?;
        packages::make(self.project, target, stage.path(), &self.out)?;
        Ok(Archive::new(self.project, target, sha256(&archive)))
    }

    fn texts(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let read = |name: &str| Ok((name.to_owned(), fs::read(self.project.root.join(name))?));
        ["CHANGELOG.md", "LICENSE", "README.md"].into_iter().map(read).collect()
    }

    fn entries(&self, folder: &str, binary: Vec<u8>, texts: &BTreeMap<String, Vec<u8>>) -> Vec<Entry> {
        let mut entries = vec![Entry::program(format!("{folder}/kvnet"), binary)];
        entries
            .extend(texts.iter().map(|(name, text)| Entry::file(format!("{folder}/{name}"), text.clone())));
        let pages = self.documents.pages.iter();
        entries
            .extend(pages.map(|(name, page)| Entry::file(format!("{folder}/man/{name}"), page.as_bytes())));
        let scripts = self.documents.completions.iter();
        entries.extend(
            scripts.map(|(shell, it)| Entry::file(format!("{folder}/completions/{shell}"), it.as_bytes())),
        );
        entries
    }

    fn release(&self, archives: Vec<Archive>, signer: String) -> Result<Release> {
        Ok(Release {
            version: self.project.version.clone(),
            description: self.project.description.clone(),
            repository: self.project.repository.clone(),
            commit: self.project.commit.clone(),
            date: self.project.time()?,
            archives,
            signer,
        })
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<()> {
        fs::write(self.out.join(name), content).with_context(|| name.to_owned())
    }
}

/// Writes the sums of all files, as `sha256sum --check` reads them, and signs them.
fn sums(out: &Path, key: Option<&Key>) -> Result<()> {
    let mut sums = BTreeMap::new();
    for entry in fs::read_dir(out)? {
        let entry = entry?;
        sums.insert(entry.file_name().to_string_lossy().into_owned(), sha256(&fs::read(entry.path())?));
    }
    let lines: Vec<String> = sums.iter().map(|(name, sum)| format!("{sum}  {name}\n")).collect();
    let path = out.join("SHA256SUMS");
    fs::write(&path, lines.concat())?;
    key.map_or(Ok(()), |key| key.sign(&path))
}
