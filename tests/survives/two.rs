//! Two at once: the second one is told who is at work, or that it came too late, and nothing is damaged.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::{Output, Stdio};
use std::thread::{self, JoinHandle};

use rustix::fs::{CWD, FileType, Mode, mknodat};

use kvnet_test_kit::count;
use kvnet_test_kit::kept::{Values, differing, left_by_down, values};
use kvnet_test_kit::run::{As, Place, text};

const OPTIONS: [&str; 4] = ["--sandbox-dir", "DIR/kept", "--skip", "kubevirt,vm"];
/// A change in the middle of `up`, and one of `down`.
const MIDDLE_OF_UP: &str = "after intent of multus: create DaemonSet kube-system/kube-multus-ds";
const MIDDLE_OF_DOWN: &str = "after intent of multus: delete DaemonSet kube-system/kube-multus-ds";

/// A sandbox in a directory of its own.
struct Kept(Place);

/// A command that stands still at a point.
struct Paused {
    process: u32,
    fifo: fs::File,
    ended: JoinHandle<(Output, Option<OwnedFd>)>,
}

impl Paused {
    /// Lets it go on to its end.
    fn ends(self) -> Output {
        drop(self.fifo);
        self.ended.join().unwrap().0
    }
}

impl Kept {
    fn new() -> Self {
        let kept = Self(Place::new());
        kept.exits(3, "plan");
        kept
    }

    /// After an undisturbed `up`.
    fn up() -> Self {
        let kept = Self::new();
        kept.exits(0, "up");
        kept
    }

    fn run(&self, command: &str) -> Output {
        self.0.kvnet(As::Tester, &[&[command], &OPTIONS[..]].concat(), &[])
    }

    /// Returns what it says.
    fn exits(&self, code: i32, command: &str) -> String {
        let output = self.run(command);
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(code), "{command}: {out}\n{err}");
        err + &out
    }

    fn has_nothing_to_do(&self) {
        let plan = self.exits(0, "plan");
        assert!(plan.ends_with("nothing to do\n"), "{plan}");
    }

    /// Starts a command and returns when it stands still.
    fn paused(&self, command: &str, point: &str) -> Paused {
        let path = self.0.path("fifo");
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let variables = [("KVNET_PAUSE_AT", point), ("KVNET_PAUSE", "DIR/fifo")];
        let mut command = self.0.command(As::Tester, &[&[command], &OPTIONS[..]].concat(), &variables);
        let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).spawn().unwrap();
        let process = child.id();
        let reader = path.clone();
        let ended = thread::spawn(move || {
            let output = child.wait_with_output().unwrap();
            // A process that never came to the point must not be waited for. The name is gone when one did.
            let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::RDONLY;
            (output, rustix::fs::open(reader, flags, Mode::empty()).ok())
        });
        // This opens as soon as the other side is there.
        let fifo = fs::OpenOptions::new().write(true).open(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(!ended.is_finished(), "{command:?} did not come to {point}");
        Paused { process, fifo, ended }
    }

    fn values(&self) -> Values {
        values(&self.0.path("kept"))
    }
}

/// An end of `up` that nobody disturbed.
fn after_up() -> Values {
    Kept::up().values()
}

fn succeeds(output: &Output, what: &str) {
    assert!(output.status.success(), "{what}: {}", text(&output.stderr));
}

/// Who holds the lock, and what to do.
fn is_refused(kept: &Kept, command: &str, holder: &str, process: u32) {
    let told = kept.exits(1, command);
    for part in ["KVN500", &format!("`kvnet {holder}`, process {process}"), "wait until it has finished"] {
        assert!(told.contains(part), "`{part}` is not in\n{told}");
    }
}

#[test]
fn while_up_works_others_are_told_who_does() {
    let kept = Kept::new();
    let fresh = kept.values();
    let first = kept.paused("up", MIDDLE_OF_UP);
    is_refused(&kept, "up", "up", first.process);
    is_refused(&kept, "down", "up", first.process);
    // Looking is not refused.
    kept.exits(3, "plan");
    succeeds(&first.ends(), "the first `up`");
    let differences = differing(&after_up(), &kept.values());
    assert!(differences.is_empty(), "{differences:#?}");
    kept.has_nothing_to_do();
    kept.exits(0, "down");
    let left = left_by_down(&fresh, &kept.values());
    assert!(left.is_empty(), "{left:#?}");
    count::record("runs at the same time", 3);
}

#[test]
fn while_down_works_others_are_told_who_does() {
    let kept = Kept::new();
    let fresh = kept.values();
    kept.exits(0, "up");
    let first = kept.paused("down", MIDDLE_OF_DOWN);
    is_refused(&kept, "up", "down", first.process);
    is_refused(&kept, "down", "down", first.process);
    succeeds(&first.ends(), "the first `down`");
    let left = left_by_down(&fresh, &kept.values());
    assert!(left.is_empty(), "{left:#?}");
    count::record("runs at the same time", 3);
}

/// One makes its plan, then the other does its whole work, then the first one gets the lock: its plan is of yesterday.
#[test]
fn a_plan_that_another_run_has_overtaken_is_not_carried_out() {
    for (late, fast) in [("up", "up"), ("up", "down"), ("down", "up"), ("down", "down")] {
        let kept = Kept::new();
        let fresh = kept.values();
        if late == "down" || fast == "down" {
            // Half of it, so that `up` and `down` both have something to do.
            let output = kept.0.kvnet(
                As::Tester,
                &[&["up"], &OPTIONS[..]].concat(),
                &[("KVNET_KILL_AT", MIDDLE_OF_UP)],
            );
            assert!(!output.status.success());
        }
        let first = kept.paused(late, &format!("before the lock of {late}"));
        kept.exits(0, fast);
        let output = first.ends();
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{late} after {fast}: {told}");
        for part in ["KVN507", "another kvnet process changed this node", "run the command again"] {
            assert!(told.contains(part), "{late} after {fast}: `{part}` is not in\n{told}");
        }
        if fast == "up" {
            kept.has_nothing_to_do();
        }
        kept.exits(0, "down");
        let left = left_by_down(&fresh, &kept.values());
        assert!(left.is_empty(), "{late} after {fast}: {left:#?}");
        count::record("runs at the same time", 2);
    }
}

/// Nobody stands still: whoever is first works, the others are told.
#[test]
fn any_number_may_start_at_the_same_moment() {
    const AT_ONCE: usize = 4;
    let kept = Kept::new();
    let fresh = kept.values();
    for commands in [["up"; AT_ONCE], ["up", "down", "up", "down"], ["down"; AT_ONCE]] {
        let outputs: Vec<Output> = thread::scope(|scope| {
            let running = commands.map(|command| scope.spawn(|| kept.run(command)));
            running.map(|running| running.join().unwrap()).into()
        });
        for (command, output) in commands.iter().zip(&outputs) {
            let told = text(&output.stderr);
            let refused = told.contains("KVN500") || told.contains("KVN507");
            let expected = i32::from(refused);
            assert_eq!(output.status.code(), Some(expected), "{command} of {commands:?}: {told}");
        }
        assert!(outputs.iter().any(|output| output.status.success()), "{commands:?}: nobody did anything");
        count::record("runs at the same time", AT_ONCE);
        if commands == ["up"; AT_ONCE] {
            let differences = differing(&after_up(), &kept.values());
            assert!(differences.is_empty(), "{differences:#?}");
        }
    }
    kept.exits(0, "down");
    let left = left_by_down(&fresh, &kept.values());
    assert!(left.is_empty(), "{left:#?}");
}

/// The lock is the kernel's and dies with its process: what the file says about a process means nothing by itself.
#[test]
fn a_stale_lock_holds_nobody_up() {
    let kept = Kept::new();
    let lock = kept.0.path("kept/state/lock");
    let killed =
        kept.0.kvnet(As::Tester, &[&["up"], &OPTIONS[..]].concat(), &[("KVNET_KILL_AT", MIDDLE_OF_UP)]);
    assert!(!killed.status.success());
    assert!(fs::read_to_string(&lock).unwrap().starts_with("`kvnet up`, process "), "a dead process's");
    kept.exits(0, "up");
    // A number that is in use again: this test's.
    fs::write(&lock, format!("`kvnet down`, process {}\n", std::process::id())).unwrap();
    kept.exits(0, "down");
    fs::write(&lock, "not what kvnet writes").unwrap();
    kept.exits(0, "up");
    kept.has_nothing_to_do();
}
