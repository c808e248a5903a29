//! The bill of materials: every crate in the binary of a target, and the embedded manifests, as `CycloneDX`.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context, Result};
use cargo_metadata::{Metadata, Package};
use serde_json::{Value, json};

use crate::licences::Embedded;
use crate::project::Project;
use crate::run;
use crate::target::Target;

/// The crates of a binary, those that only run during its build included, by name and version.
pub fn crates(project: &Project, metadata: &Metadata, target: Target) -> Result<Vec<Package>> {
    let tree = ["tree", "--locked", "--package", "kvnet", "--edges", "normal,build", "--prefix", "none"];
    let mut command = Command::new("cargo");
    command.args(tree).args(["--format", "{p}", "--target", target.triple]).current_dir(&project.root);
    let named = names(&run::output(&mut command)?);
    let package = |(name, version): &(String, String)| {
        let found =
            metadata.packages.iter().find(|it| it.name == *name && it.version.to_string() == *version);
        found.cloned().with_context(|| format!("cargo metadata does not know {name} {version}"))
    };
    named.iter().map(package).collect()
}

/// The lines of `cargo tree` as names and versions.
fn names(tree: &str) -> BTreeSet<(String, String)> {
    let words = tree.lines().map(str::split_whitespace);
    let named = words.filter_map(|mut words| {
        let name = words.next()?;
        Some((name.to_owned(), words.next()?.strip_prefix('v')?.to_owned()))
    });
    named.collect()
}

/// The document.
pub fn document(
    project: &Project,
    metadata: &Metadata,
    crates: &[Package],
    embedded: &[Embedded],
) -> Result<Value> {
    let (own, others): (Vec<&Package>, Vec<&Package>) = crates.iter().partition(|it| it.name == "kvnet");
    let own = own.first().context("kvnet does not depend on itself")?;
    let mut components: Vec<Value> = others.into_iter().map(component).collect();
    components.extend(embedded.iter().map(manifest));
    let mut itself = component(own);
    itself["type"] = json!("application");
    let tool = json!({"type": "application", "name": "cargo xtask release"});
    Ok(json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"timestamp": project.time()?, "tools": {"components": [tool]}, "component": itself},
        "components": components,
        "dependencies": dependencies(metadata, crates)?,
    }))
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version.to_string(),
        "purl": reference(package),
    });
    if let Some(license) = &package.license {
        // Cargo once wrote MIT/Apache-2.0.
        component["licenses"] = json!([{"expression": license.replace('/', " OR ")}]);
    }
    component
}

fn manifest(embedded: &Embedded) -> Value {
    let reference = format!("pkg:generic/{}@{}", embedded.name, embedded.version);
    json!({
        "type": "data",
        "bom-ref": reference,
        "name": embedded.name,
        "version": embedded.version,
        "purl": reference,
        "licenses": [{"expression": embedded.license}],
    })
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

/// Which crate needs which.
fn dependencies(metadata: &Metadata, crates: &[Package]) -> Result<Vec<Value>> {
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let needs = |package: &Package| {
        let node = resolve.nodes.iter().find(|node| node.id == package.id);
        let ids = node.map(|node| &node.dependencies[..]).unwrap_or_default();
        let needed: BTreeSet<String> =
            crates.iter().filter(|it| ids.contains(&it.id)).map(reference).collect();
        json!({"ref": reference(package), "dependsOn": needed})
    };
    Ok(crates.iter().map(needs).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_names_and_versions() {
        let tree =
            "kvnet v0.1.0 (/here)\nserde v1.0.2\nserde_derive v1.0.2 (proc-macro)\nserde v1.0.2 (*)\n\n";
        let seen = names(tree);
        let seen: Vec<_> = seen.iter().map(|(name, version)| (name.as_str(), version.as_str())).collect();
        assert_eq!(seen, [("kvnet", "0.1.0"), ("serde", "1.0.2"), ("serde_derive", "1.0.2")]);
    }
}
