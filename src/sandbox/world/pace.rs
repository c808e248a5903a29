//! How long things take in a sandbox: nothing by default, or as long as on a real node, scaled.

use std::collections::HashMap;
use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// A factor for the times that a real node takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace(f64);

impl Pace {
    /// Everything happens at once.
    pub const INSTANT: Self = Self(0.0);

    /// What takes `seconds` on a real node takes so long here.
    #[must_use]
    pub fn time(self, seconds: f64) -> Duration {
        Duration::try_from_secs_f64(seconds * self.0).unwrap_or_default()
    }

    /// Whether nothing takes any time.
    #[must_use]
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

/// Remembers since when something is on its way. What is forgotten with the process begins anew: the state of node and
/// cluster says what is still to be done.
#[derive(Debug)]
pub(super) struct Timers {
    pace: Pace,
    due: HashMap<String, Instant>,
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
        let time = self.pace.time(seconds);
        *self.due.entry(what.to_owned()).or_insert(now + time) <= now
    }

    /// How long until the next thing is over; none when nothing is on its way.
    pub fn next(&mut self) -> Option<Duration> {
        let now = Instant::now();
        let waiting = self.due.values().filter(|due| **due > now);
        waiting.min().map(|due| *due - now)
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
        assert!(Timers::new(Pace::INSTANT).is_over("a pod", 1.0));
    }
}
