//! Killed in the sandbox: at each point of a run kvnet ends itself with SIGKILL, and the next run goes on from there.
//!
//! `KVNET_THOROUGH=1` tries every point; else those are tried that are spread over the run, the same ones each time.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Output;

use kvnet::engine::journal::{FILE, History};
use kvnet::state::StateDir;
use serde_json::Value;

use kvnet_test_kit::count;
use kvnet_test_kit::kept::{Values, differing, left_by_down, values};
use kvnet_test_kit::run::{As, Place, text};

const DEFAULT: &[&str] = &["--profile", "default"];
const WALKTHROUGH: &[&str] = &["--profile", "walkthrough-2018"];
const SIGKILL: i32 = 9;
/// Every so many points are tried without `KVNET_THOROUGH=1`; no multiple of the four that a change has.
const STRIDE: usize = 29;
/// So many of the runs that are killed are taken down afterwards: one in this number.
const TAKEN_DOWN: usize = 5;
/// Steps run side by side, so that a run may do without something that another one did: one in this number, or in a sample.
const MISSED: usize = 20;

/// A fresh sandbox, and the same after undisturbed runs.
struct Ground {
    place: Place,
    options: &'static [&'static str],
    fresh: Values,
    /// After `up`.
    up: Values,
    /// What `up` and then `down` came by.
    points: [Vec<String>; 2],
}

impl Ground {
    fn new(options: &'static [&'static str]) -> Self {
        let mut ground = Self {
            place: Place::new(),
            options,
            fresh: Values::new(),
            up: Values::new(),
            points: [Vec::new(), Vec::new()],
        };
        ground.run(3, "plan", "fresh");
        ground.fresh = values(&ground.place.path("fresh"));
        ground.copy("fresh", "up");
        ground.points[0] = ground.undisturbed("up", "up");
        ground.up = values(&ground.place.path("up"));
        ground.copy("up", "down");
        ground.points[1] = ground.undisturbed("down", "down");
        let left = left_by_down(&ground.fresh, &values(&ground.place.path("down")));
        assert!(left.is_empty(), "{left:#?}");
        ground
    }

    fn kvnet(&self, command: &[&str], sandbox: &str, variables: &[(&str, &str)]) -> Output {
        let directory = format!("DIR/{sandbox}");
        let arguments = [command, &["--sandbox-dir", &directory], self.options].concat();
        self.place.kvnet(As::Tester, &arguments, variables)
    }

    fn run(&self, code: i32, command: &str, sandbox: &str) -> String {
        let output = self.kvnet(&[command], sandbox, &[]);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{command} in {sandbox}:\n{out}\n{err}");
        out
    }

    /// Runs a command to its end and returns the points that it came by: all that it has to have.
    fn undisturbed(&self, command: &str, sandbox: &str) -> Vec<String> {
        let variable = ("KVNET_CHECKPOINTS", "DIR/points");
        let output = self.kvnet(&[command, "-o", "json"], sandbox, &[variable]);
        assert!(output.status.success(), "{command}: {}", text(&output.stderr));
        let points = fs::read_to_string(self.place.path("points")).unwrap();
        fs::remove_file(self.place.path("points")).unwrap();
        let points: Vec<String> = points.lines().map(ToOwned::to_owned).collect();
        every_change_has_its_points(&text(&output.stdout), &points);
        points
    }

    /// Kills a command at a point; false when it ended without coming by.
    fn killed(&self, command: &str, sandbox: &str, point: &str) -> bool {
        let output = self.kvnet(&[command], sandbox, &[("KVNET_KILL_AT", point)]);
        let killed = output.status.signal() == Some(SIGKILL);
        assert!(killed || output.status.success(), "{command} at {point}: {}", text(&output.stderr));
        killed
    }

    fn copy(&self, from: &str, to: &str) {
        copy(&self.place.path(from), &self.place.path(to));
    }

    fn remove(&self, sandbox: &str) {
        fs::remove_dir_all(self.place.path(sandbox)).unwrap();
    }

    fn history(&self, sandbox: &str) -> History {
        let directory = camino::Utf8PathBuf::from_path_buf(self.place.path(sandbox).join("state")).unwrap();
        History::read(&StateDir::locate(Some(&directory), true)).unwrap()
    }
}

/// A sandbox that nobody uses just now.
fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), &to).unwrap();
        }
    }
}

/// Each change has a point before its intent, after its intent, after the change and after the record of that; each
/// wait and each verification has one before and one after.
fn every_change_has_its_points(events: &str, points: &[String]) {
    let points: BTreeSet<&str> = points.iter().map(String::as_str).collect();
    let events = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut changes = 0;
    for event in events.filter(|event| event["event"] == "change-started") {
        let change = format!("{}: {}", event["step"].as_str().unwrap(), event["change"].as_str().unwrap());
        let has =
            |names: &[&str]| names.iter().all(|name| points.contains(format!("{name}{change}").as_str()));
        let journaled = has(&["before intent of ", "after intent of ", "before done of ", "after done of "]);
        assert!(journaled || has(&["before ", "after "]), "{change} lacks a point in {points:#?}");
        changes += 1;
    }
    assert!(changes > 20, "only {changes} changes");
}

/// The points to try.
fn sample(points: &[String]) -> impl Iterator<Item = (usize, &String)> {
    let all = std::env::var_os("KVNET_THOROUGH").is_some_and(|value| value == "1");
    let stride = if all { 1 } else { STRIDE };
    points.iter().enumerate().skip(stride / 2).step_by(stride)
}

/// Tries the points of a command, each in a copy of a sandbox; `goes_on` gets the sandbox in which it was killed. Returns
/// how often it was.
fn each_killed(
    ground: &Ground,
    [command, from]: [&str; 2],
    points: &[String],
    goes_on: impl Fn(usize, &str) -> Vec<String>,
) -> usize {
    let (mut killed, mut missed, mut wrong) = (0_usize, Vec::new(), Vec::new());
    for (index, point) in sample(points) {
        let sandbox = format!("killed-{index}");
        ground.copy(from, &sandbox);
        if ground.killed(command, &sandbox, point) {
            killed += 1;
        } else {
            missed.push(point);
        }
        let found = goes_on(index, &sandbox);
        if !found.is_empty() {
            wrong.push(format!("after a kill of `{command}` at {point}: {found:#?}"));
        }
        ground.remove(&sandbox);
    }
    assert!(wrong.is_empty(), "{} of {killed}:\n{}", wrong.len(), wrong.join("\n"));
    assert!(missed.len() <= killed.div_ceil(MISSED), "did not come in another run: {missed:#?}");
    killed
}

fn up_goes_on(ground: &Ground) {
    let killed = each_killed(ground, ["up", "fresh"], &ground.points[0], |index, sandbox| {
        ground.run(0, "up", sandbox);
        let plan = ground.run(0, "plan", sandbox);
        let mut wrong = differing(&ground.up, &values(&ground.place.path(sandbox)));
        if !plan.ends_with("nothing to do\n") {
            wrong.push(plan);
        }
        assert!(ground.history(sandbox).made().count() > 0);
        if index % TAKEN_DOWN == 0 {
            ground.run(0, "down", sandbox);
            wrong.extend(left_by_down(&ground.fresh, &values(&ground.place.path(sandbox))));
        }
        wrong
    });
    count::record("boundaries of `up` killed in the sandbox", killed);
}

fn down_goes_on(ground: &Ground) {
    let killed = each_killed(ground, ["down", "up"], &ground.points[1], |_, sandbox| {
        ground.run(0, "down", sandbox);
        let mut wrong = left_by_down(&ground.fresh, &values(&ground.place.path(sandbox)));
        if ground.place.path(sandbox).join("state").join(FILE).exists() {
            wrong.push("the journal goes on".into());
        }
        wrong
    });
    count::record("boundaries of `down` killed in the sandbox", killed);
}

#[test]
fn runs_of_the_default_profile_go_on_wherever_they_were_killed() {
    let ground = Ground::new(DEFAULT);
    up_goes_on(&ground);
    down_goes_on(&ground);
}

#[test]
fn runs_of_the_walkthrough_go_on_wherever_they_were_killed() {
    let ground = Ground::new(WALKTHROUGH);
    up_goes_on(&ground);
    down_goes_on(&ground);
}
