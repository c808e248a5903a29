//! Where a value was written, and the problems that are reported at such places.

use std::fmt::{self, Write as _};
use std::sync::Arc;

use crate::error::{self, Code, Error, MOST_LISTED, Result};

/// Who wrote a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    /// A line and column of a file, both from 1.
    File { file: Arc<str>, line: usize, column: usize },
    /// `--set` with this path. The value is left out: it may be a password.
    Set(Arc<str>),
    /// Nobody: it is the model's default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { file, line, column } => write!(f, "{file}:{line}:{column}"),
            Self::Set(path) => write!(f, "--set {path}=…"),
            Self::Default => f.write_str("the built-in defaults"),
        }
    }
}

/// Something wrong with a profile, at the place where the user can fix it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub place: Place,
    pub message: String,
    pub hint: Option<String>,
}

impl Problem {
    /// The problem alone as an error.
    pub fn into_error(self, code: &'static Code) -> Error {
        let error = Error::new(code, clean(&self.message)).at(clean(&self.place.to_string()));
        let error = error.listing([self.listed(code)]);
        self.hint.into_iter().fold(error, |error, hint| error.hint(clean(&hint)))
    }

    /// As programs get it.
    fn listed(&self, code: &'static Code) -> error::Problem {
        error::Problem {
            code: code.id,
            message: clean(&self.message),
            place: Some(clean(&self.place.to_string())),
            hint: self.hint.as_deref().map(clean),
        }
    }
}

/// Messages quote names from the profile: none of them may control the terminal.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect()
}

/// The most problems that are listed: a file that is not a profile has thousands.
const MOST: usize = 10;
/// The problems as one error, in the order of their places: to fix a profile one wants the whole list.
/// The error is the first one; the others follow as lines of its message, ten in all.
///
/// # Errors
/// When there is any problem.
pub(super) fn report(code: &'static Code, mut problems: Vec<Problem>) -> Result<()> {
    problems.sort_by(|a, b| a.place.cmp(&b.place));
    let more = problems.len().saturating_sub(MOST);
    let listed: Vec<_> = problems.iter().take(MOST_LISTED).map(|problem| problem.listed(code)).collect();
    let mut problems = problems.into_iter().take(MOST);
    let Some(Problem { place, mut message, hint }) = problems.next() else {
        return Ok(());
    };
    let mut hints: Vec<String> = hint.into_iter().collect();
    for other in problems {
        // Writing to a String cannot fail.
        let _ = write!(message, "\n{}: {}", other.place, other.message);
        hints.extend(other.hint.filter(|hint| !hints.contains(hint)));
    }
    if more > 0 {
        let _ = write!(message, "\nand {more} more");
    }
    let error = Error::new(code, clean(&message)).at(clean(&place.to_string())).listing(listed);
    Err(hints.into_iter().fold(error, |error, hint| error.hint(clean(&hint))))
}
