//! Help, versions, explanations, completions.

use std::io::Write;
use std::process::{Command, Stdio};

use kvnet::cli::command;
use kvnet::error::CODES;

use crate::KVNET;
use kvnet_test_kit::run::{As, Place, text};

fn says(arguments: &[&str]) -> String {
    let output = Place::new().kvnet(As::Tester, arguments, &[]);
    assert!(output.status.success() && output.stderr.is_empty(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// Every command with its subcommands, as words.
fn commands(command: &clap::Command, before: &[String]) -> Vec<Vec<String>> {
    let mut all = vec![before.to_vec()];
    for sub in command.get_subcommands() {
        let words = [before, &[sub.get_name().to_owned()]].concat();
        all.extend(commands(sub, &words));
    }
    all
}

#[test]
fn every_command_has_help_that_fits_and_examples_that_parse() {
    let commands = commands(&command(), &[]);
    assert!(commands.len() > 12);
    let mut examples = 0;
    for words in commands {
        let mut arguments: Vec<&str> = words.iter().map(String::as_str).collect();
        arguments.push("--help");
        let help = says(&arguments);
        for line in help.lines() {
            assert!(line.chars().count() <= 100, "{words:?}: {line}");
        }
        for line in help.lines().filter_map(|line| line.strip_prefix("  kvnet ")) {
            let line = line.split(" >").next().unwrap();
            let example = std::iter::once("kvnet").chain(line.split_whitespace());
            assert!(command().try_get_matches_from(example).is_ok(), "{words:?}: {line}");
            examples += 1;
        }
    }
    assert!(examples >= 10, "{examples} examples");
}

/// Read in review when words change.
#[test]
fn all_help_reads_well() {
    let mut root = command().term_width(80);
    root.build();
    let mut all = String::new();
    for words in commands(&command(), &[]) {
        let find = |from: clap::Command, word: &String| from.find_subcommand(word).unwrap().clone();
        // What the environment says is not part of the words.
        let shown = words.iter().fold(root.clone(), find).mut_args(|option| option.hide_env_values(true));
        let line =
            ["kvnet"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
        all.push_str(&format!("$ {line} --help\n{}\n", shown.term_width(80).render_long_help()));
    }
    insta::assert_snapshot!(all);
}

#[test]
fn the_version_is_the_packages() {
    assert_eq!(says(&["--version"]), concat!("kvnet ", env!("CARGO_PKG_VERSION"), "\n"));
    assert!(
        says(&["version", "--matrix"])
            .contains("  KubeVirt 1.9           supports Kubernetes 1.34 to 1.36\n")
    );
    assert!(says(&["version"]).starts_with(concat!("kvnet       ", env!("CARGO_PKG_VERSION"), "\n")));
}

#[test]
fn every_error_code_is_explained() {
    assert_eq!(says(&["explain", "104"]), says(&["explain", "KVN104"]));
    let list = says(&["explain"]);
    assert_eq!(list.lines().count(), CODES.len());
    for code in CODES {
        assert!(list.contains(&format!("{}  {}\n", code.id, code.title)), "{}", code.id);
    }
    // Both ways of writing a code; each one would only repeat the table.
    for wanted in [CODES[0].id, "kvn604"] {
        assert!(says(&["explain", wanted]).contains("What to do: "), "{wanted}");
    }
}

/// zsh and fish are checked where they are installed; `.ci/run` installs them.
#[test]
fn completion_scripts_parse() {
    for (shell, option) in [("bash", "-n"), ("zsh", "-n"), ("fish", "--no-execute")] {
        let script = says(&["completions", shell]);
        let child = Command::new(shell).arg(option).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let Ok(mut child) = child else {
            assert!(shell != "bash" && std::env::var_os("KVNET_REAL").is_none(), "{shell} is not installed");
            continue;
        };
        child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{shell}: {}", text(&output.stderr));
    }
}

/// What bash offers for the last word, with the script loaded and kvnet on the PATH.
fn offered(words: &[&str], kubeconfig: &str) -> Vec<String> {
    let place = Place::new();
    place.write("config", kubeconfig);
    place.write("mine.yaml", "");
    let directory = std::path::Path::new(KVNET).parent().unwrap();
    let type_it = format!(
        "source <(kvnet completions bash); COMP_WORDS=({}); COMP_CWORD={}; _clap_complete_kvnet kvnet {}; \
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1,
        format_args!("'{}'", words.last().unwrap()),
    );
    let output = Command::new("bash")
        .args(["--norc", "-c", &type_it])
        .env("PATH", format!("{}:/usr/bin:/bin", directory.display()))
        .env("KUBECONFIG", place.path("config"))
        .current_dir(place.path(""))
        .output()
        .unwrap();
    text(&output.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn bash_offers_profiles_steps_contexts_and_codes() {
    let kubeconfig = "apiVersion: v1\nkind: Config\ncontexts:\n- name: lab-one\n  context: {cluster: c, user: u}\n\
                      - name: lab-two\n  context: {cluster: c, user: u}\n";
    let offered = |words: &[&str]| offered(words, kubeconfig);
    assert_eq!(offered(&["kvnet", "stat"]), ["status"]);
    assert_eq!(offered(&["kvnet", "up", "--force-"]), ["--force-conflicts"]);
    assert_eq!(offered(&["kvnet", "plan", "--profile", "walk"]), ["walkthrough-2018"]);
    assert_eq!(offered(&["kvnet", "plan", "--profile", "mi"]), ["mine.yaml"]);
    assert_eq!(offered(&["kvnet", "up", "--skip", "ovs-b"]), ["ovs-bridges"]);
    assert_eq!(offered(&["kvnet", "up", "--skip", "vm,kubev"]), ["vm,kubevirt"]);
    assert_eq!(offered(&["kvnet", "up", "--context", "lab"]), ["lab-one", "lab-two"]);
    assert_eq!(offered(&["kvnet", "explain", "KVN60"]).first().unwrap(), "KVN600");
}

#[test]
fn every_command_has_a_manual_page() {
    for words in commands(&command(), &[]) {
        let mut arguments = vec!["man"];
        arguments.extend(words.iter().map(String::as_str));
        let page = says(&arguments);
        let title =
            ["kvnet"].iter().copied().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join("-");
        assert!(page.contains(&format!(".TH {title} 1")), "{page}");
        assert!(page.contains(".SH SYNOPSIS"), "{title}");
    }
    let output = Place::new().kvnet(As::Tester, &["man", "fly"], &[]);
    assert_eq!(output.status.code(), Some(2));
}
