//! Command lines of `ovs-vsctl`, and what takes them.

mod corpus;

use kvnet_base::facts::packages::PackageManager;
use kvnet_base::host::{Command, Host};
use kvnet_sandbox::node::{Distribution, SandboxHost};
use kvnet_sandbox::store::Store;
use serde_json::{Value, json};

use super::plain::is_id;

pub use corpus::stories;

/// Command lines that build on one another; each story begins with an empty switch.
pub struct Story {
    pub name: &'static str,
    /// The words after `ovs-vsctl`.
    pub lines: Vec<Vec<String>>,
}

/// The program's answer without ids, and rows in an order of their own: the real database has them by chance.
pub fn answer(status: i32, stdout: &str, stderr: &str) -> Value {
    json!({"status": status, "stdout": settled(&without_ids(stdout)), "stderr": without_ids(stderr)})
}

/// What tells a line apart.
pub fn display(words: &[String]) -> String {
    let shown = |word: &String| {
        if word.is_empty() || word.contains(char::is_whitespace) { format!("'{word}'") } else { word.clone() }
    };
    words.iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn without_ids(text: &str) -> String {
    const ID: usize = 36;
    let (mut out, mut rest) = (String::with_capacity(text.len()), text);
    while let Some(first) = rest.chars().next() {
        if rest.get(..ID).is_some_and(is_id) {
            out.push_str("<id>");
            rest = &rest[ID..];
        } else {
            out.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    out
}

/// Tables of JSON are a line each, with their rows in `data`; records of text have an empty line between them.
fn settled(text: &str) -> Value {
    let tables: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str::<Value>).collect();
    if let Some(mut tables) = tables.ok().filter(|tables| tables.iter().any(Value::is_object)) {
        for table in &mut tables {
            if let Some(rows) = table["data"].as_array_mut() {
                rows.sort_by_key(Value::to_string);
            }
        }
        return tables.into();
    }
    if !text.contains("\n\n") {
        return text.into();
    }
    let mut records: Vec<&str> = text.trim_end_matches('\n').split("\n\n").collect();
    records.sort_unstable();
    json!({"records": records})
}

/// The answers of the switch in memory.
pub fn in_memory(stories: &[Story]) -> Vec<Vec<Value>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let mut all = Vec::new();
        for story in stories {
            let node = node().await;
            let mut answers = Vec::new();
            for line in &story.lines {
                let words = ["ovs-vsctl", "--no-wait"].into_iter().map(str::to_owned).chain(line.clone());
                answers.push(match node.run(&Command::new(words)).await {
                    Ok(done) => answer(done.status, &done.stdout, &done.stderr),
                    Err(error) => json!({"unknown": error.message()}),
                });
            }
            all.push(answers);
        }
        all
    })
}

/// A node with the database of Open vSwitch and nobody who does what it says.
async fn node() -> SandboxHost {
    let node = SandboxHost::new(Store::in_memory(), Distribution::Debian, 0).expect("a node");
    let install = PackageManager::Apt.install("openvswitch-switch", 60);
    let stop = Command::new(["systemctl", "stop", "ovs-vswitchd"]);
    for command in [install, stop] {
        let done = node.run(&command).await.expect("a command that the node knows");
        assert!(done.success(), "{}: {}", command.display(), done.stderr);
    }
    node
}
