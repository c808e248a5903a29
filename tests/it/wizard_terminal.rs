//! A person at a terminal: a real pseudo-terminal, whose screen is worked out by a terminal emulator.

use std::io::{Read, Write};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::KVNET;
use kvnet_test_kit::run::{Place, is_root};

/// So many rows that nothing scrolls away.
const ROWS: u16 = 400;
/// A machine with other work takes its time.
const PATIENCE: Duration = Duration::from_secs(90);
pub const CTRL_C: &str = "\u{3}";
pub const ESCAPE: &str = "\u{1b}";
pub const DOWN: &str = "\u{1b}[B";
pub const ENTER: &str = "\r";

/// kvnet on a terminal.
pub struct Terminal {
    pub place: Place,
    child: Child,
    keys: ChildStdin,
    screen: Arc<(Mutex<Seen>, Condvar)>,
}

struct Seen {
    parser: vt100::Parser,
    raw: Vec<u8>,
    ended: bool,
}

impl Terminal {
    /// Starts `kvnet ARGUMENTS`, in a directory of its own, on a terminal with so many columns.
    pub fn start(columns: u16, arguments: &str, variables: &[(&str, &str)]) -> Self {
        Self::start_in(Place::new(), columns, arguments, variables)
    }

    pub fn start_in(place: Place, columns: u16, arguments: &str, variables: &[(&str, &str)]) -> Self {
        // What `stty` says afterwards shows whether the terminal is as it was.
        let line = format!(
            "stty rows {ROWS} cols {columns}; \"$PROGRAM\" {arguments}; echo \"exit code $?\"; stty -a | tr ' ' '\\n' | \
             grep --line-regexp --extended-regexp -- '-?(echo|icanon|isig);?' | tr '\\n' ' '; echo end"
        );
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("PROGRAM", KVNET);
        command.env("HOME", place.path("")).env("KVNET_STATE_DIR", place.path("state"));
        command.env("TERM", "xterm").env("SHELL", "/bin/bash").envs(variables.iter().copied());
        command.current_dir(place.path("")).stdin(Stdio::piped()).stdout(Stdio::piped());
        if is_root() {
            std::os::unix::fs::chown(place.path("state"), Some(0), Some(0)).unwrap();
        }
        let mut child = command.spawn().unwrap();
        let seen = Seen { parser: emulator(ROWS, columns), raw: Vec::new(), ended: false };
        let screen = Arc::new((Mutex::new(seen), Condvar::new()));
        let (mut output, shared) = (child.stdout.take().unwrap(), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            loop {
                let count = output.read(&mut buffer).unwrap_or(0);
                let mut seen = shared.0.lock().unwrap();
                seen.parser.process(&buffer[..count]);
                seen.raw.extend(&buffer[..count]);
                seen.ended = count == 0;
                shared.1.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        Self { place, keys: child.stdin.take().unwrap(), child, screen }
    }

    /// Presses keys.
    pub fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
        self.keys.flush().unwrap();
    }

    /// Waits until the screen ends with a block of lines that has this text: the question that is being asked.
    pub fn sees(&self, text: &str) {
        self.wait(text, |screen| {
            screen.trim_end().rsplit("\n\n").next().is_some_and(|last| last.contains(text))
        });
    }

    /// Waits until the text is so many times on the screen.
    pub fn sees_times(&self, text: &str, times: usize) {
        self.wait(text, |screen| screen.matches(text).count() >= times);
    }

    fn wait(&self, what: &str, holds: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.screen.0.lock().unwrap();
        loop {
            let screen = seen.parser.screen().contents();
            if holds(&screen) {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero() && !seen.ended, "`{what}` is not on the screen:\n{screen}");
            seen = self.screen.1.wait_timeout(seen, left).unwrap().0;
        }
    }

    /// Answers questions: each is waited for by its title.
    pub fn answer(&mut self, answers: &[(&str, &str)]) {
        for (title, keys) in answers {
            self.sees(title);
            self.press(keys);
        }
    }

    /// Waits for the end, checks exit code and terminal, and returns the screen.
    pub fn ends(mut self, code: i32) -> Ended {
        self.sees_times("exit code", 1);
        drop(self.keys);
        self.child.wait().unwrap();
        let mut seen = self.screen.0.lock().unwrap();
        while !seen.ended {
            seen = self.screen.1.wait(seen).unwrap();
        }
        let screen = seen.parser.screen().contents();
        assert!(screen.contains(&format!("exit code {code}\n")), "{screen}");
        for mode in ["isig", "icanon", "echo"] {
            let is_on = screen.contains(&format!(" {mode} ")) || screen.contains(&format!("\n{mode} "));
            assert!(is_on, "{mode} is off:\n{screen}");
        }
        assert!(!seen.parser.screen().hide_cursor(), "the cursor is hidden:\n{screen}");
        let raw = String::from_utf8_lossy(&seen.raw).into_owned();
        Ended { place: self.place, screen, raw }
    }
}

fn emulator(rows: u16, columns: u16) -> vt100::Parser {
    let size = |count| NonZero::new(count).unwrap();
    vt100::Parser::new(size(rows), size(columns), 0)
}

/// What is left when kvnet has ended.
pub struct Ended {
    pub place: Place,
    pub screen: String,
    pub raw: String,
}

impl Ended {
    /// The files in the directory, those of the place itself left out.
    pub fn files(&self) -> Vec<String> {
        let names = std::fs::read_dir(self.place.path("")).unwrap();
        let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.filter(|name| name != "state" && name != "refused.yaml").collect();
        names.sort();
        names
    }

    pub fn profile(&self) -> PathBuf {
        self.place.path("kvnet.yaml")
    }

    /// Every line is short enough for the terminal, and says so by not being continued.
    pub fn lines_fit(&self, columns: usize) {
        for line in self.raw.split('\n') {
            let mut parser = emulator(4, 500);
            parser.process(line.as_bytes());
            let shown = parser.screen().contents();
            assert!(shown.trim_end().chars().count() <= columns, "{shown}");
        }
    }
}
