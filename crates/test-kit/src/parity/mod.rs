//! One suite for two: the same requests for the API server in memory and for the real one, the same command lines for the
//! switch in memory and for the real one, and what may differ between their answers.
//!
//! Used by the hermetic tests, which compare with recorded answers of the real ones, and by the trial that starts those.
#![allow(clippy::needless_pass_by_value, reason = "so that literals can be given")]

pub mod api;
pub mod compare;
pub mod differences;
pub mod fixture;
pub mod memory;
pub mod plain;
pub mod send;
pub mod step;
pub mod switch;

use fixture::Recorded;
use serde_json::{Value, json};

/// The requests of a chapter as they are recorded, without answers.
pub fn asked(chapter: &api::Chapter) -> Vec<Recorded> {
    let of = |step: &step::Step| {
        let mut asked = json!({"request": format!("{} {}", step.method, step.path)});
        if !step.content_type.is_empty() {
            asked["type"] = step.content_type.into();
        }
        if !step.body.is_empty() {
            asked["body"] = step.body.as_str().into();
        }
        Recorded { name: step.name.to_owned(), asked, answer: Value::Null }
    };
    chapter.steps.iter().filter(|step| step.method != "COMPACT").map(of).collect()
}

/// The command lines of a story as they are recorded, without answers.
pub fn lines(story: &switch::Story) -> Vec<Recorded> {
    let of = |(number, words): (usize, &Vec<String>)| Recorded {
        name: format!("{}: {}", number + 1, switch::display(words)),
        asked: words.clone().into(),
        answer: Value::Null,
    };
    story.lines.iter().enumerate().map(of).collect()
}
