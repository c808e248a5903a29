//! What the binary generates: manual pages and completion scripts.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::run;

/// Manual pages and completion scripts, with their names.
#[derive(Debug)]
pub struct Documents {
    /// `kvnet-up.1` and so on.
    pub pages: BTreeMap<String, String>,
    /// The scripts by shell.
    pub completions: BTreeMap<&'static str, String>,
}

/// Asks the binary for all of them. A page names those of its subcommands.
pub fn generate(binary: &Path) -> Result<Documents> {
    let ask = |words: &[&str]| run::output(Command::new(binary).args(words));
    let mut pages = BTreeMap::new();
    let mut wanted: Vec<Vec<String>> = vec![vec![]];
    while let Some(words) = wanted.pop() {
        let arguments: Vec<&str> = std::iter::once("man").chain(words.iter().map(String::as_str)).collect();
        let page = ask(&arguments)?;
        let name =
            std::iter::once("kvnet").chain(arguments.iter().skip(1).copied()).collect::<Vec<_>>().join("-");
        wanted.extend(subcommands(&page, &name).into_iter().map(|it| [&words[..], &[it]].concat()));
        pages.insert(format!("{name}.1"), page);
    }
    if pages.len() < 2 {
        bail!("the page kvnet(1) names no other page");
    }
    let mut completions = BTreeMap::new();
    for shell in ["bash", "fish", "zsh"] {
        completions.insert(shell, ask(&["completions", shell])?);
    }
    Ok(Documents { pages, completions })
}

/// The last words of the commands that a page refers to: `list` for `kvnet-profile-list(1)` on the page `kvnet-profile`.
fn subcommands(page: &str, name: &str) -> Vec<String> {
    let lines = page.lines().map(|line| line.replace("\\-", "-"));
    let names = lines.filter_map(|line| {
        let rest = line.strip_prefix(name)?.strip_prefix('-')?.strip_suffix("(1)")?;
        Some(rest.to_owned())
    });
    names.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_refers_to_its_subcommands() {
        let page =
            ".SH SUBCOMMANDS\n.TP\nkvnet\\-profile\\-list(1)\nLists\n.TP\nkvnet\\-profile\\-dry\\-run(1)\n";
        assert_eq!(subcommands(page, "kvnet-profile"), ["list", "dry-run"]);
        assert_eq!(subcommands("kvnet \\- Turns\n", "kvnet"), Vec::<String>::new());
    }
}
