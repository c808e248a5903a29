//! Faults of the real host: a disk without room, a directory that nobody can write, files in the way, tools that hang or
//! print garbage.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::time::{Duration, Instant};

use camino::Utf8PathBuf;
use kvnet::error::code;
use kvnet::facts::ovs::OvsState;
use kvnet::host::{Command, Host, local::LocalHost};

use kvnet_test_kit::run::{As, Place, text};

/// One step, that writes the kubeconfig; the file to write is to follow, as `cluster.kubeconfig.path=FILE`.
pub const UP: &[&str] = &[
    "up",
    "--yes",
    "--kubeconfig",
    "DIR/refused.yaml",
    "--only",
    "kubeconfig",
    "--set",
    "cluster.kubeconfig.source=DIR/refused.yaml",
    "--set",
];

struct Row {
    name: &'static str,
    who: As,
    prepare: fn(&Place),
    /// The kubeconfig that is written.
    path: &'static str,
    code: &'static str,
}

/// The state is in `DIR/own`, so that only the file of the node meets the fault.
const ROWS: &[Row] = &[
    Row {
        name: "no room",
        who: As::NobodyOnFullDisk,
        prepare: |_| {},
        path: "DIR/state/config",
        code: "KVN205",
    },
    Row {
        name: "read-only",
        who: As::NobodyOnReadOnlyDisk,
        prepare: |_| {},
        path: "DIR/state/config",
        code: "KVN206",
    },
    Row {
        name: "no permission",
        who: As::Nobody,
        prepare: |_| {},
        path: "/etc/kvnet-test/config",
        code: "KVN203",
    },
    Row {
        name: "a link in place of the file",
        who: As::Nobody,
        prepare: |place| symlink("/etc/hostname", place.path("state/config")).unwrap(),
        path: "DIR/state/config",
        code: "KVN600",
    },
    Row {
        name: "a link to nowhere in place of the file",
        who: As::Nobody,
        prepare: |place| symlink("/nonexistent", place.path("state/config")).unwrap(),
        path: "DIR/state/config",
        code: "KVN207",
    },
    Row {
        name: "a directory in place of the file",
        who: As::Nobody,
        prepare: |place| fs::create_dir(place.path("state/config")).unwrap(),
        path: "DIR/state/config",
        code: "KVN204",
    },
    Row {
        name: "a link in place of the copy that is kept",
        who: As::Nobody,
        prepare: |place| {
            place.write("state/config", "apiVersion: v1\nclusters: []\ncontexts: []\nusers: []\n");
            symlink("/nonexistent", place.path("state/config.kvnet-saved")).unwrap();
        },
        path: "DIR/state/config",
        code: "KVN220",
    },
    Row {
        name: "a directory that everybody can write to",
        who: As::Nobody,
        prepare: |place| fs::set_permissions(place.path("state"), fs::Permissions::from_mode(0o777)).unwrap(),
        path: "DIR/state/config",
        code: "KVN207",
    },
    Row {
        name: "a file in place of a directory",
        who: As::Nobody,
        prepare: |place| place.write("state/dir", ""),
        path: "DIR/state/dir/config",
        code: "KVN204",
    },
];

#[test]
fn a_file_that_cannot_be_written_is_an_error_and_no_success() {
    for row in ROWS {
        let place = Place::new();
        place.give("own");
        (row.prepare)(&place);
        let path = format!("cluster.kubeconfig.path={}", row.path);
        let variables = [("KVNET_STATE_DIR", "DIR/own")];
        let output = place.kvnet(row.who, &[UP, &[&path]].concat(), &variables);
        let err = text(&output.stderr);
        assert!(matches!(output.status.code(), Some(1 | 4)), "{}: {:?} {err}", row.name, output.status);
        assert!(
            err.contains(&format!("error[{}]", row.code)) && err.contains("hint:"),
            "{}: {err}",
            row.name
        );
        // Nothing is left half done, and the journal can be read by the next run.
        let again = place.kvnet(row.who, &[UP, &[&path]].concat(), &variables);
        assert!(text(&again.stderr).contains(row.code), "{}: {}", row.name, text(&again.stderr));
        let leftovers = fs::read_dir(place.path("state")).unwrap().flatten();
        let mut leftovers =
            leftovers.filter(|entry| entry.file_name().to_string_lossy().ends_with("kvnet-new"));
        assert!(leftovers.next().is_none(), "{}", row.name);
    }
}

#[test]
fn a_file_that_changes_between_plan_and_write_stays() {
    use kvnet::engine::change::Change;
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(directory.path().join("f")).unwrap();
    fs::write(&path, "theirs").unwrap();
    let (before, after) = (Some("as planned".into()), "ours".into());
    let change = Change::WriteFile { path: path.clone(), mode: 0o644, before, after, secret: false };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let error = runtime.block_on(kvnet::engine::on_node::apply_host_change(&LocalHost, &change)).unwrap_err();
    assert_eq!((error.code().id, fs::read_to_string(&path).unwrap().as_str()), ("KVN204", "theirs"));
}

/// The child of a child in a session of its own cannot be reached by its group; everything else of the tool is.
#[tokio::test]
async fn a_tool_that_hangs_is_ended_with_all_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let list = directory.path().join("processes");
    let script = "sleep 300 & echo $! >>\"$0\"; (sleep 300 & echo $! >>\"$0\"; trap '' TERM INT HUP; sleep 300) & \
                  echo $! >>\"$0\"; echo $$ >>\"$0\"; exec sleep 300 >/dev/null";
    let command =
        Command::new(["sh", "-c", script, list.to_str().unwrap()]).timeout(Duration::from_millis(500));
    let begin = Instant::now();
    let error = LocalHost.run(&command).await.unwrap_err();
    assert_eq!(error.code(), &code::HOST_TIMEOUT);
    assert!(begin.elapsed() < Duration::from_secs(5));
    let processes = fs::read_to_string(&list).unwrap();
    assert_eq!(processes.lines().count(), 4);
    for process in processes.lines() {
        // A process that got SIGKILL still has to be given a processor to end.
        while is_running(process) {
            assert!(begin.elapsed() < Duration::from_secs(30), "process {process} outlived the deadline");
            tokio::task::yield_now().await;
        }
    }
}

fn is_running(process: &str) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    !(status.is_empty() || status.contains("State:\tZ") || status.contains("State:\tX"))
}

#[tokio::test]
async fn a_tool_that_prints_garbage_is_an_error_with_a_code() {
    for garbage in ["\\377\\376\\000", "{\"headings\": 1}", "[]\\n[]\\n[]", "{}", ""] {
        let command = Command::new(["sh", "-c", &format!("printf '{garbage}'")]);
        let output = LocalHost.run(&command).await.unwrap().ok(&command).unwrap();
        assert_eq!(OvsState::parse(&output.stdout).unwrap_err().code(), &code::OVS_UNAVAILABLE, "{garbage}");
    }
}
