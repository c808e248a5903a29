//! Simulated latencies: none by default, or those of a real node, scaled.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// A factor for the times that a real node takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// No latency.
    pub const INSTANT: Self = Self(0.0);

    /// The simulated duration of what takes `seconds` on a real node.
    pub fn time(self, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds * self.0).unwrap_or_default()
    }

    /// Whether there is no latency.
    pub fn is_instant(self) -> bool {
        self.0 <= 0.0
    }
}

impl FromStr for Pace {
    type Err = String;

    /// A number from 0 to 100.
    fn from_str(text: &str) -> Result<Self, String> {
        let factor: f64 = text.parse().map_err(|_| "a number is needed, for example 0.2".to_owned())?;
        if (0.0..=100.0).contains(&factor) {
            return Ok(Self(factor));
        }
        Err("the pace is a number from 0 to 100".into())
    }
}

/// Tracks pending work with its start time. After a restart of the process it starts over: the state of node and cluster
/// tells what is left to do.
#[derive(Debug)]
pub(super) struct Timers {
    pace: Pace,
    due: HashMap<String, Timer>,
}

#[derive(Debug)]
struct Timer {
    end: Instant,
    /// Whether a caller was told, or woken, since the end.
    known: bool,
}

impl Timers {
    pub fn new(pace: Pace) -> Self {
        Self { pace, due: HashMap::new() }
    }

    /// Whether `what` has taken the `seconds` that it takes on a real node; the first question starts it.
    pub fn is_over(&mut self, what: &str, seconds: f64) -> bool {
        if self.pace.is_instant() {
            return true;
        }
        let now = Instant::now();
        let end = now + self.pace.time(seconds);
        let timer = self.due.entry(what.to_owned()).or_insert(Timer { end, known: false });
        timer.known |= timer.end <= now;
        timer.known
    }

    /// Whether there is pending work whose end was not noticed.
    pub fn are_running(&self) -> bool {
        self.due.values().any(|timer| !timer.known)
    }

    /// How long until the next pending work is done; none when there is none. What ended while others were looked at
    /// counts once more: whoever asked for it has been told that it was not over.
    pub fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let next = self.due.values().filter(|timer| !timer.known).map(|timer| timer.end).min()?;
        for timer in self.due.values_mut().filter(|timer| timer.end <= now) {
            timer.known = true;
        }
        Some(next.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_factor() {
        assert_eq!("0.5".parse::<Pace>().unwrap().time(3.0), Duration::from_millis(1500));
        assert!("0".parse::<Pace>().unwrap().is_instant());
        for text in ["", "fast", "-1", "101", "NaN"] {
            assert!(text.parse::<Pace>().is_err(), "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_timer_starts_with_the_first_question_and_is_over_once_its_time_has_passed() {
        let mut timers = Timers::new("2".parse().unwrap());
        assert!(!timers.is_over("a pod", 1.0));
        assert_eq!(timers.next(), Some(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_secs(2)).await;
        assert!(timers.is_over("a pod", 1.0));
        assert_eq!(timers.next(), None);
        // One that ends before the sleep begins wakes all the same, and once.
        assert!(!timers.is_over("another", 1.0));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert!(timers.are_running());
        assert_eq!((timers.next(), timers.next()), (Some(Duration::ZERO), None));
        assert!(!timers.are_running() && timers.is_over("another", 1.0));
        assert!(Timers::new(Pace::INSTANT).is_over("a pod", 1.0));
    }
}
