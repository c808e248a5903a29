//! Killed on this machine: the step that writes the user's kubeconfig needs neither root nor a cluster, and keeps a copy of
//! the file that was there.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use kvnet_test_kit::run::{As, Place, text};

const STEP: &[&str] = &[
    "--only",
    "kubeconfig",
    "--set",
    "cluster.kubeconfig.source=DIR/admin.conf",
    "--set",
    "cluster.kubeconfig.path=DIR/home/config",
];
const UP: &[&str] = &["up", "--yes", "--kubeconfig", "DIR/refused.yaml"];
/// Without a cluster to connect to.
const DOWN: &[&str] = &["down", "--yes", "--no-check", "--set", "cluster.init.enabled=true"];
const SIGKILL: i32 = 9;

/// Names, modes and contents of the files in a directory.
type Files = BTreeMap<String, (u32, String)>;

fn files(directory: &Path) -> Files {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let file = |path: std::path::PathBuf| {
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, (mode, fs::read_to_string(&path).unwrap()))
    };
    entries.map(file).collect()
}

/// A home whose kubeconfig is another cluster's, or that has none.
fn home(existing: Option<&str>) -> Place {
    let place = Place::new();
    let admin = fs::read_to_string(place.path("refused.yaml")).unwrap().replace("here", "admin");
    place.write("admin.conf", &admin);
    fs::create_dir(place.path("home")).unwrap();
    if let Some(existing) = existing {
        place.write("home/config", existing);
        fs::set_permissions(place.path("home/config"), fs::Permissions::from_mode(0o600)).unwrap();
    }
    place
}

fn runs(place: &Place, command: &[&str]) {
    let output = place.kvnet(As::Tester, &[command, STEP].concat(), &[]);
    assert!(output.status.success(), "{command:?}: {}", text(&output.stderr));
}

/// Every point of a command, from a run that is not killed.
fn points(place: &Place, command: &[&str]) -> Vec<String> {
    place.kvnet(As::Tester, &[command, STEP].concat(), &[("KVNET_CHECKPOINTS", "DIR/points")]);
    let points = fs::read_to_string(place.path("points")).unwrap();
    // The place is another one in each run, so a point has a number here.
    points.lines().enumerate().map(|(index, _)| (index + 1).to_string()).collect()
}

fn killed(place: &Place, command: &[&str], point: &str) {
    let output = place.kvnet(As::Tester, &[command, STEP].concat(), &[("KVNET_KILL_AT", point)]);
    assert_eq!(output.status.signal(), Some(SIGKILL), "{command:?} at {point}: {}", text(&output.stderr));
}

const EXISTING: [Option<&str>; 2] =
    [None, Some("apiVersion: v1\nclusters: []\ncontexts: []\nusers: []\nmine: 1\n")];

#[test]
fn up_goes_on_wherever_it_was_killed_and_down_takes_all_back() {
    for existing in EXISTING {
        let undisturbed = home(existing);
        let before = files(&undisturbed.path("home"));
        let points = points(&undisturbed, UP);
        let after = files(&undisturbed.path("home"));
        assert!(points.len() > 4 && before != after);
        for point in points {
            let place = home(existing);
            killed(&place, UP, &point);
            runs(&place, UP);
            assert_eq!(files(&place.path("home")), after, "up, killed at {point}");
            runs(&place, DOWN);
            assert_eq!(files(&place.path("home")), before, "down, after up was killed at {point}");
        }
    }
}

#[test]
fn down_puts_back_what_a_killed_up_has_begun() {
    for existing in EXISTING {
        let before = files(&home(existing).path("home"));
        for point in points(&home(existing), UP) {
            let place = home(existing);
            killed(&place, UP, &point);
            runs(&place, DOWN);
            assert_eq!(files(&place.path("home")), before, "down, after up was killed at {point}");
        }
    }
}

#[test]
fn down_goes_on_wherever_it_was_killed() {
    for existing in EXISTING {
        let undisturbed = home(existing);
        let before = files(&undisturbed.path("home"));
        runs(&undisturbed, UP);
        for point in points(&undisturbed, DOWN) {
            let place = home(existing);
            runs(&place, UP);
            killed(&place, DOWN, &point);
            runs(&place, DOWN);
            assert_eq!(files(&place.path("home")), before, "down, killed at {point}");
            runs(&place, DOWN);
            assert_eq!(files(&place.path("home")), before, "down once more, killed at {point}");
        }
    }
}
