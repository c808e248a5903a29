//! Which versions work together: what the projects say, each line with its source and the date on which it was read.

mod apis;
mod table;

use std::fmt;

use serde::{Serialize, Serializer};
use serde_json::json;

pub use apis::{Gone, gone};
pub use table::{Part, Row, Says, TABLE};

use crate::profile::Release;

/// Two numbers of a release: `(1, 34)`.
pub type Minor = (u32, u32);

/// The releases between two, both included; open where one is missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first one.
    pub first: Option<Minor>,
    /// The last one.
    pub last: Option<Minor>,
}

impl Span {
    const fn between(first: Minor, last: Minor) -> Self {
        Self { first: Some(first), last: Some(last) }
    }

    /// That one and all later ones.
    const fn since(first: Minor) -> Self {
        Self { first: Some(first), last: None }
    }

    /// That one and all earlier ones.
    const fn until(last: Minor) -> Self {
        Self { first: None, last: Some(last) }
    }

    /// Whether a release is one of them; none for what is no release, such as a commit.
    pub fn has(&self, version: &str) -> Option<bool> {
        let release = Release::parse(version)?;
        let minor = (release.major, release.minor);
        Some(self.first.is_none_or(|first| first <= minor) && self.last.is_none_or(|last| minor <= last))
    }
}

/// `{"first": "1.34", "last": "1.36"}`, with `null` for an open end.
impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let show = |end: Option<Minor>| end.map(|(major, minor)| format!("{major}.{minor}"));
        json!({"first": show(self.first), "last": show(self.last)}).serialize(serializer)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let show = |(major, minor): Minor| format!("{major}.{minor}");
        match (self.first.map(show), self.last.map(show)) {
            (None, None) => f.write_str("all"),
            (Some(first), None) => write!(f, "{first} or later"),
            (None, Some(last)) => write!(f, "up to {last}"),
            (Some(first), Some(last)) if first == last => f.write_str(&first),
            (Some(first), Some(last)) => write!(f, "{first} to {last}"),
        }
    }
}

/// The versions of another part that a release needs or supports, in the order of the table.
pub fn rows(part: Part, version: &str, with: Part) -> impl Iterator<Item = &'static Row> {
    TABLE
        .iter()
        .filter(move |row| row.part == part && row.with == with && row.releases.has(version) == Some(true))
}

/// The requirement of a release that a version of another part does not meet; none when it fits, or is not in the
/// table.
pub fn unmet(part: Part, version: &str, with: Part, has: &str) -> Option<&'static Row> {
    rows(part, version, with).find(|row| row.says == Says::Needs && row.versions.has(has) == Some(false))
}

/// The warning about a release of `KubeVirt` on a version of Kubernetes; none when it is supported, or not in the
/// table.
pub fn kubevirt_on(kubevirt: &str, kubernetes: &str) -> Option<String> {
    let row = rows(Part::KubeVirt, kubevirt, Part::Kubernetes).find(|row| row.says == Says::Supports)?;
    (row.versions.has(kubernetes) == Some(false)).then(|| {
        format!("KubeVirt {kubevirt} supports Kubernetes {}, the cluster has {kubernetes}", row.versions)
    })
}

/// The newest release of `KubeVirt` that supports a version of Kubernetes; none when the table has none.
pub fn newest_kubevirt(kubernetes: &str) -> Option<String> {
    let supports = |row: &&Row| {
        (row.part, row.with, row.says) == (Part::KubeVirt, Part::Kubernetes, Says::Supports)
            && row.versions.has(kubernetes) == Some(true)
    };
    let (major, minor) = TABLE.iter().filter(supports).filter_map(|row| row.releases.first).max()?;
    Some(format!("v{major}.{minor}.0"))
}

/// The versions of a part with which containers can have image volumes; none for a part that the table does not know.
pub fn with_image_volumes(part: Part) -> Option<Span> {
    TABLE.iter().find(|row| row.part == Part::ImageVolumes && row.with == part).map(|row| row.versions)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_outside_the_table_is_a_warning_with_both_versions() {
        assert_eq!(
            kubevirt_on("v1.5.0", "v1.34.4").unwrap(),
            "KubeVirt v1.5.0 supports Kubernetes 1.30 to 1.32, the cluster has v1.34.4"
        );
        for (kubevirt, kubernetes) in
            [("v1.5.2", "v1.32.2"), ("v1.9.0", "v1.34.4+k3s1"), ("v0.8.0", "v1.11.0"), ("v1.99.0", "v1.34.4")]
        {
            assert_eq!(kubevirt_on(kubevirt, kubernetes), None, "{kubevirt} on {kubernetes}");
        }
    }

    #[test]
    fn the_newest_release_for_a_cluster_supports_it() {
        for (kubernetes, release) in
            [("v1.32.2", Some("v1.7.0")), ("v1.36.0", Some("v1.9.0")), ("v1.11.0", None), ("?", None)]
        {
            assert_eq!(newest_kubevirt(kubernetes).as_deref(), release);
            assert_eq!(release.and_then(|release| kubevirt_on(release, kubernetes)), None);
        }
    }

    #[test]
    fn what_cannot_work_is_known() {
        for (part, version, kubernetes, needs) in [
            (Part::Multus, "v4.3.0", "v1.11.3", Some("1.16 or later")),
            (Part::Multus, "v3.1", "v1.34.4", Some("up to 1.15")),
            (Part::Flannel, "v0.10.0", "v1.16.0", Some("up to 1.15")),
            (Part::Multus, "v4.3.0", "v1.37.2", None),
            (Part::Flannel, "v0.28.10", "v1.11.3", None),
            (Part::OvsCni, "393d3ffa91a3d1f4ea326e233fac930f79aec751", "v1.11.3", None),
        ] {
            let row = unmet(part, version, Part::Kubernetes, kubernetes);
            assert_eq!(
                row.map(|row| row.versions.to_string()).as_deref(),
                needs,
                "{version} on {kubernetes}"
            );
        }
    }

    #[test]
    fn a_span_is_told_in_words() {
        for (span, text, inside, outside) in [
            (Span::between((1, 34), (1, 36)), "1.34 to 1.36", "v1.36.3", "v1.37.2"),
            (Span::between((1, 9), (1, 9)), "1.9", "v1.9.1", "v1.10.0"),
            (Span::since((1, 26)), "1.26 or later", "v2.0.0", "v1.25.9"),
            (Span::until((1, 15)), "up to 1.15", "v0.9.0", "v1.16.0"),
        ] {
            assert_eq!(span.to_string(), text);
            assert_eq!((span.has(inside), span.has(outside)), (Some(true), Some(false)), "{text}");
            assert_eq!(span.has("393d3ffa91a3"), None);
        }
    }

    /// Each line says where it comes from and when it was read.
    #[test]
    fn each_line_has_its_source_and_its_day() {
        for row in TABLE {
            assert!(row.source.starts_with("https://"), "{row:?}");
            let day: Vec<&str> = row.read.split('-').collect();
            assert!(day.len() == 3 && day.iter().all(|part| part.parse::<u32>().is_ok()), "{row:?}");
        }
    }
}
