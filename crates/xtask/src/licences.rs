//! The licences of what others wrote.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};
use cargo_metadata::Package;
use serde::Deserialize;
use serde_json::Value;

/// A manifest or data of others in kvnet; `packaging/embedded.toml` lists them.
#[derive(Debug, Deserialize)]
pub struct Embedded {
    /// Its name, which `kvnet version` may know.
    pub name: String,
    /// Its version; what `kvnet version` says where the list has none.
    #[serde(default)]
    pub version: String,
    /// Its licence, as SPDX has it.
    pub license: String,
    /// Whose it is.
    pub holder: String,
    /// What kvnet has of it.
    pub what: String,
}

#[derive(Deserialize)]
struct List {
    embedded: Vec<Embedded>,
}

/// Reads the list, with the versions of this kvnet.
pub fn embedded(root: &Path, versions: &Value) -> Result<Vec<Embedded>> {
    let text = fs::read_to_string(root.join("packaging/embedded.toml"))?;
    let mut list = toml::from_str::<List>(&text)?.embedded;
    for it in list.iter_mut().filter(|it| it.version.is_empty()) {
        let version = versions[&it.name].as_str();
        it.version = version.with_context(|| format!("`kvnet version` has no {}", it.name))?.to_owned();
    }
    Ok(list)
}

/// The document: who wrote what under which licence, and each text of a licence once.
pub fn document(crates: &[Package], embedded: &[Embedded]) -> Result<String> {
    let mut list = "kvnet contains the work of others, under the licences below.\n\n".to_owned();
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in crates.iter().filter(|package| package.source.is_some()) {
        let name = format!("{} {}", package.name, package.version);
        let license = package.license.as_deref().unwrap_or("see its text");
        list += &format!("- {name}: {license}; {}\n", authors(package));
        for text in texts_of(package)? {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    for it in embedded {
        let name = format!("{} {}", it.name, it.version);
        list += &format!("- {name}: {}; {}: {}\n", it.license, it.holder, it.what);
        texts.entry(standard(&it.license)?).or_default().push(name);
    }
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_by(|one, other| one.1.cmp(&other.1));
    for (text, whose) in texts {
        list += &format!("\n{}\n{}\n\n{}\n", "-".repeat(100), whose.join(", "), text.trim_matches('\n'));
    }
    Ok(list)
}

fn authors(package: &Package) -> String {
    match (&package.authors[..], &package.repository) {
        ([], Some(repository)) => repository.clone(),
        ([], None) => "its authors".to_owned(),
        (authors, _) => authors.join(", "),
    }
}

/// The texts that a crate brings along, or those of the licences that it names.
fn texts_of(package: &Package) -> Result<Vec<String>> {
    let folder = package.manifest_path.parent().context("a manifest has a folder")?;
    let mut files: Vec<_> = fs::read_dir(folder)?.collect::<Result<_, _>>()?;
    files.sort_by_key(fs::DirEntry::file_name);
    let texts =
        files.iter().filter(|file| is_licence(&file.file_name().to_string_lossy()) && file.path().is_file());
    let texts = texts.map(|file| Ok(String::from_utf8_lossy(&fs::read(file.path())?).replace("\r\n", "\n")));
    let texts: Vec<String> = texts.collect::<Result<_>>()?;
    if !texts.is_empty() {
        return Ok(texts);
    }
    let named = package.license.as_deref().with_context(|| format!("{} has no licence", package.name))?;
    spdx::Expression::parse_mode(named, spdx::ParseMode::LAX)?
        .requirements()
        .filter_map(|it| it.req.license.id())
        .map(|id| standard(id.name))
        .collect()
}

fn is_licence(file: &str) -> bool {
    let file = file.to_ascii_uppercase();
    ["LICENSE", "LICENCE", "COPYING", "NOTICE", "COPYRIGHT", "UNLICENSE"]
        .iter()
        .any(|it| file.starts_with(it))
}

/// The text of a licence as SPDX has it.
fn standard(name: &str) -> Result<String> {
    let Some(id) = spdx::license_id(name) else { bail!("SPDX knows no licence {name}") };
    Ok(id.text().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_with_licences_are_found_by_name() {
        for file in ["LICENSE", "license-mit.txt", "COPYING", "NOTICE"] {
            assert!(is_licence(file), "{file}");
        }
        assert!(!is_licence("README.md"));
    }

    #[test]
    fn what_is_embedded_has_the_version_of_this_kvnet_and_a_text() {
        let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
        let versions =
            serde_json::json!({"flannel": "v1", "multus": "v2", "ovs-cni": "v3", "whereabouts": "v4"});
        let list = embedded(root, &versions).unwrap();
        assert_eq!(list[0].version, "v1");
        let text = document(&[], &list).unwrap();
        assert!(text.contains("- multus v2: Apache-2.0; ") && text.contains("Apache License"), "{text}");
        let error = embedded(root, &serde_json::json!({})).unwrap_err();
        assert_eq!(error.to_string(), "`kvnet version` has no flannel");
    }
}
