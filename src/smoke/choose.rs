//! The selected cases, by name and by tag.

use std::collections::BTreeSet;

use super::{CASES, Case};
use crate::error::{Error, Result, code};

/// The selection on the command line.
#[derive(Clone, Debug, Default)]
pub struct Choice {
    /// The cases by name; empty for all.
    pub names: Vec<String>,
    /// Only cases with one of these tags.
    pub tags: Vec<String>,
    /// Cases to skip.
    pub skip: Vec<String>,
}

impl Choice {
    /// The selected cases, in the order of the list.
    /// Fails with `KVN806` for an unknown name or tag, and when nothing is selected.
    pub fn cases(&self) -> Result<Vec<&'static Case>> {
        for name in self.names.iter().chain(&self.skip) {
            if !CASES.iter().any(|case| case.name == name) {
                return Err(unknown(&format!("there is no case `{name}`")));
            }
        }
        if let Some(tag) = self.tags.iter().find(|tag| !tags().contains(tag.as_str())) {
            let known = tags().into_iter().collect::<Vec<_>>().join(", ");
            return Err(
                unknown(&format!("no case has the tag `{tag}`")).hint(format!("the tags are {known}"))
            );
        }
        let chosen: Vec<_> = CASES.iter().filter(|case| self.wants(case)).collect();
        if chosen.is_empty() {
            return Err(unknown("no case matches the selection"));
        }
        Ok(chosen)
    }

    fn wants(&self, case: &Case) -> bool {
        let is = |names: &[String]| names.iter().any(|name| name == case.name);
        let named = self.names.is_empty() || is(&self.names);
        let tagged = self.tags.is_empty() || self.tags.iter().any(|tag| case.tags.contains(&tag.as_str()));
        named && tagged && !is(&self.skip)
    }
}

/// Every tag.
pub fn tags() -> BTreeSet<&'static str> {
    CASES.iter().flat_map(|case| case.tags).copied().collect()
}

fn unknown(message: &str) -> Error {
    Error::new(&code::SMOKE_CASE_UNKNOWN, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(names: &[&str], tags: &[&str], skip: &[&str]) -> Result<Vec<&'static str>> {
        let owned = |words: &[&str]| words.iter().map(ToString::to_string).collect();
        let choice = Choice { names: owned(names), tags: owned(tags), skip: owned(skip) };
        Ok(choice.cases()?.into_iter().map(|case| case.name).collect())
    }

    #[test]
    fn names_tags_and_exceptions_narrow_each_other() {
        assert_eq!(chosen(&[], &[], &[]).unwrap().len(), CASES.len());
        assert_eq!(chosen(&["leaks", "dns"], &[], &[]).unwrap(), ["dns", "leaks"]);
        assert_eq!(chosen(&[], &["walkthrough"], &["a-bridge-network"]).unwrap(), ["flannel-network"]);
        assert_eq!(chosen(&["dns"], &["walkthrough"], &[]).unwrap_err().code().id, "KVN806");
    }

    #[test]
    fn what_does_not_exist_is_refused() {
        for (names, tags, skip) in [(["fly"], "", ""), (["dns"], "fly", ""), (["dns"], "", "fly")] {
            let words = |word: &'static str| if word.is_empty() { vec![] } else { vec![word] };
            let error = chosen(&names, &words(tags), &words(skip)).unwrap_err();
            assert_eq!((error.code().id, error.exit_code()), ("KVN806", 2));
            assert!(error.message().contains("`fly`"), "{error}");
        }
    }
}
