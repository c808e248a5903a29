//! What the schema cannot express: names that the kernel accepts, subnets that do not overlap, references that resolve.
//! Every violation is collected, so that one run shows them all.

mod cluster_ranges;
mod components;
mod format;
pub(super) mod guest;
mod networks;
pub(super) mod raw;
pub(super) mod reserved;
mod room;
mod subnets;
mod text;
mod vm;
mod whereabouts;

use super::Profile;

/// A value that is not possible.
#[derive(Debug)]
pub(super) struct Violation {
    /// The path of the value.
    pub path: String,
    /// What is wrong, to be read after the path.
    pub message: String,
    /// What to write instead.
    pub hint: String,
}

/// All violations of a profile.
pub(super) fn validate(profile: &Profile) -> Vec<Violation> {
    let mut found = Found { violations: Vec::new() };
    text::check(profile, &mut found);
    components::check(profile, &mut found);
    networks::check(profile, &mut found);
    whereabouts::check(profile, &mut found);
    subnets::check(profile, &mut found);
    cluster_ranges::check(profile, &mut found);
    room::check(profile, &mut found);
    vm::check(profile, &mut found);
    guest::check(profile, &mut found);
    found.violations
}

/// The violations found so far.
struct Found {
    violations: Vec<Violation>,
}

impl Found {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) {
        self.violations.push(Violation { path: path.into(), message: message.into(), hint: hint.into() });
    }

    /// Adds a violation when a format refuses a value. The path alone identifies the value, which may be long or
    /// strange.
    fn format(&mut self, path: impl Into<String>, value: &str, format: &format::Format) {
        if !(format.fits)(value) {
            self.add(path, format!("is not {}", format.name), format.hint);
        }
    }

    fn format_unless_empty(&mut self, path: impl Into<String>, value: &str, format: &format::Format) {
        if !value.is_empty() {
            self.format(path, value, format);
        }
    }
}
