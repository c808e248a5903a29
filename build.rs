//! What `kvnet version` tells about the build: the commit, what it was built from, the target and the compiler.
//!
//! Only a release build looks for the commit. Otherwise each commit would compile the program and all of its tests again.

use std::env;
use std::fs;
use std::path::Path;
use std::process::Command;

/// What the program is made of; a change elsewhere does not make a build differ from its commit.
const SOURCES: [&str; 7] =
    ["src", "crates/base", "crates/sandbox", "profiles", "templates", "Cargo.toml", "Cargo.lock"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=KVNET_COMMIT");
    let (from, commit) = if env::var("PROFILE").is_ok_and(|profile| profile == "release") {
        watch_sources();
        released().or_else(cloned).or_else(packaged).or_else(archived).unwrap_or(("unknown", String::new()))
    } else {
        ("development", String::new())
    };
    println!("cargo::rustc-env=KVNET_BUILT_FROM={from}");
    println!("cargo::rustc-env=KVNET_BUILT_COMMIT={commit}");
    println!("cargo::rustc-env=KVNET_BUILT_TARGET={}", env::var("TARGET").unwrap_or_default());
    println!("cargo::rustc-env=KVNET_BUILT_RUSTC={}", compiler());
}

/// `cargo xtask release` has made sure that the sources are those of the commit.
fn released() -> Option<(&'static str, String)> {
    is_commit(&env::var("KVNET_COMMIT").ok()?).map(|commit| ("release", commit))
}

/// A clone. A repository in a folder further up is another project's.
fn cloned() -> Option<(&'static str, String)> {
    Path::new(".git").exists().then_some(())?;
    for place in ["HEAD", "logs/HEAD"] {
        println!("cargo::rerun-if-changed={}", git(&["rev-parse", "--git-path", place])?);
    }
    let commit = is_commit(&git(&["rev-parse", "HEAD"])?)?;
    let state = git(&[&["--no-optional-locks", "status", "--porcelain", "--"][..], &SOURCES].concat())?;
    Some((if state.is_empty() { "git" } else { "git-modified" }, commit))
}

/// What `cargo package` packs says where it comes from.
fn packaged() -> Option<(&'static str, String)> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    text.split('"').find_map(is_commit).map(|commit| ("package", commit))
}

/// `git archive` fills the commit in.
fn archived() -> Option<(&'static str, String)> {
    let text = fs::read_to_string("packaging/commit").ok()?;
    is_commit(&text).map(|commit| ("archive", commit))
}

fn is_commit(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

fn watch_sources() {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
}

fn compiler() -> String {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = output(Command::new(rustc).arg("--version")).unwrap_or_default();
    version.split_whitespace().nth(1).unwrap_or("unknown").to_owned()
}

fn git(arguments: &[&str]) -> Option<String> {
    output(Command::new("git").args(arguments))
}

fn output(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
