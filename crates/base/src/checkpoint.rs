//! Points of a run at which a test kills it, to show that the next run goes on from there. A release build has none.
//!
//! A debug build reads a few variables. `KVNET_CHECKPOINTS` names a file that gets a line for each point as it is
//! reached. `KVNET_KILL_AT` names the point at which the process kills itself with SIGKILL: such a line, or its number.
//! At the point `KVNET_PAUSE_AT` it pauses until the FIFO `KVNET_PAUSE` was opened for writing and closed again,
//! so that a test can do something else meanwhile.

#[cfg(debug_assertions)]
pub use points::reached;

/// Nothing, in a release build; `point` is not called.
#[cfg(not(debug_assertions))]
pub fn reached(_point: impl FnOnce() -> String) {}

#[cfg(debug_assertions)]
#[allow(clippy::disallowed_methods, reason = "the list belongs to the test that runs kvnet")]
mod points {
    use std::collections::HashMap;
    use std::io::Write;
    use std::sync::{LazyLock, Mutex, PoisonError};

    use rustix::process::{Signal, getpid, kill_process};

    static POINTS: LazyLock<Option<Mutex<Points>>> = LazyLock::new(Points::of_environment);

    /// Says that the run is at a point; a line that came before gets a number: `… (2)`.
    pub fn reached(point: impl FnOnce() -> String) {
        if let Some(points) = POINTS.as_ref() {
            let pause = points.lock().unwrap_or_else(PoisonError::into_inner).reach(&point());
            if let Some(fifo) = pause {
                // Without the FIFO there is no pause, which the test sees.
                let _ = std::fs::read(fifo);
            }
        }
    }

    #[derive(Default)]
    struct Points {
        kill_at: Option<String>,
        pause_at: Option<String>,
        list: Option<std::fs::File>,
        seen: HashMap<String, usize>,
        count: usize,
    }

    impl Points {
        fn of_environment() -> Option<Mutex<Self>> {
            let variable = |name: &str| std::env::var(name).ok();
            let (kill_at, pause_at) = (variable("KVNET_KILL_AT"), variable("KVNET_PAUSE_AT"));
            let list = variable("KVNET_CHECKPOINTS");
            if kill_at.is_none() && pause_at.is_none() && list.is_none() {
                return None;
            }
            let mut options = std::fs::OpenOptions::new();
            let list = list.and_then(|path| options.append(true).create(true).open(path).ok());
            Some(Mutex::new(Self { kill_at, pause_at, list, ..Self::default() }))
        }

        /// Returns the FIFO to wait for, at the point of the pause.
        fn reach(&mut self, point: &str) -> Option<String> {
            let line = self.line(point);
            if let Some(list) = &mut self.list {
                // The test that reads the list sees that it is short.
                let _ = writeln!(list, "{line}");
            }
            let number = self.count.to_string();
            let is_here =
                |point: &Option<String>| point.as_ref().is_some_and(|at| *at == line || *at == number);
            if is_here(&self.kill_at) {
                // SIGKILL cannot be refused, so nothing comes after this.
                let _ = kill_process(getpid(), Signal::KILL);
            }
            is_here(&self.pause_at).then(|| std::env::var("KVNET_PAUSE").ok())?
        }

        fn line(&mut self, point: &str) -> String {
            self.count += 1;
            let seen = self.seen.entry(point.to_owned()).or_default();
            *seen += 1;
            match *seen {
                1 => point.to_owned(),
                times => format!("{point} ({times})"),
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_point_that_comes_again_has_a_name_of_its_own() {
            let mut points = Points::default();
            assert_eq!(["a", "b", "a"].map(|point| points.line(point)), ["a", "b", "a (2)"]);
        }
    }
}
