//! Where the values of a profile were written, for checks that come later.

use std::collections::BTreeMap;

use super::Profile;

/// The places of the values that a user wrote, by path; no part of what a profile means.
#[derive(Clone, Debug, Default)]
pub struct Written(pub(in crate::profile) BTreeMap<String, String>);

impl PartialEq for Written {
    /// Profiles compare equal wherever they were written.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Profile {
    /// Where a value was written: in a file or on the command line, or its path, when it is a default.
    pub fn place_of(&self, path: &str) -> String {
        // What is missing is missing in what would hold it.
        let mut outer = path;
        loop {
            if let Some(place) = self.written.0.get(outer) {
                return place.clone();
            }
            match outer.rfind(['.', '[']) {
                Some(end) => outer = &outer[..end],
                None => return path.to_owned(),
            }
        }
    }

    /// Whether a user wrote a value, as opposed to a default or a shipped profile.
    pub fn is_written(&self, path: &str) -> bool {
        self.written.0.contains_key(path)
    }
}
