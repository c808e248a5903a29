//! The name of an image: registry, repository, tag and digest.

use std::fmt;
use std::str::FromStr;

use super::images::{HUB, full_name};

/// An image as a runtime understands its name. Two names of the same image are equal.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// The host of the registry, with its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository in it.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The tag; none for an image by digest alone.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest that the name has, with its algorithm.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// What a registry is asked for: the digest, else the tag.
    pub fn wanted(&self) -> &str {
        self.digest.as_deref().or(self.tag.as_deref()).unwrap_or(LATEST)
    }

    /// The same image with a digest.
    #[must_use]
    pub fn with_digest(mut self, digest: &str) -> Self {
        self.digest = Some(digest.to_owned());
        self
    }

    /// The same image without a digest.
    #[must_use]
    pub fn without_digest(mut self) -> Self {
        self.digest = None;
        self
    }

    /// The same image without a tag.
    #[must_use]
    pub fn without_tag(mut self) -> Self {
        self.tag = None;
        self
    }
}

/// The tag of a name without one.
const LATEST: &str = "latest";
/// The longest tag.
const MOST: usize = 128;

impl FromStr for Reference {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("`{text}` is not the name of an image: {why}");
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before a slash is that of a port.
        let (name, tag) = match rest.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')) {
            Some((name, tag)) => (name, Some(tag)),
            None => (rest, None),
        };
        let full = full_name(name);
        let (registry, repository) = full.split_once('/').unwrap_or((HUB, &full));
        // Old names of the same registry.
        let registry = if registry.strip_prefix("index.") == Some(HUB) { HUB } else { registry };
        let repository = if registry == HUB && !repository.contains('/') {
            format!("library/{repository}")
        } else {
            repository.to_owned()
        };
        if !is_host(registry) {
            return Err(wrong("its registry is not a host"));
        }
        if repository.is_empty() || !repository.split('/').all(is_component) {
            return Err(wrong("lower-case letters, digits and single separators are allowed"));
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(wrong("its tag is invalid"));
        }
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(wrong("its digest is not `sha256:` with 64 hexadecimal digits"));
        }
        let tag = tag.or_else(|| digest.is_none().then_some(LATEST)).map(str::to_owned);
        Ok(Self { registry: registry.to_owned(), repository, tag, digest: digest.map(str::to_owned) })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

/// A host and perhaps a port; nothing that could lead elsewhere in an address.
fn is_host(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    !text.is_empty() && text.chars().all(plain) && !text.starts_with(['-', ':'])
}

fn is_component(text: &str) -> bool {
    let letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let ends = text.starts_with(letter) && text.ends_with(letter);
    ends && text.chars().all(|c| letter(c) || "._-".contains(c)) && !text.contains("..")
}

fn is_tag(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() <= MOST && text.starts_with(word) && text.chars().all(|c| word(c) || ".-".contains(c))
}

/// Whether a text is a SHA-256 digest as `sha256:HEX`, in lower case.
pub fn is_digest(text: &str) -> bool {
    let hex =
        |digits: &str| digits.len() == 64 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    text.strip_prefix("sha256:").is_some_and(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_name_is_completed_as_a_runtime_does() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        for (text, full) in [
            ("busybox", format!("{HUB}/library/busybox:latest")),
            ("busybox:1.37", format!("{HUB}/library/busybox:1.37")),
            ("kubevirt/virt-api:v1", format!("{HUB}/kubevirt/virt-api:v1")),
            (&format!("{HUB}/busybox"), format!("{HUB}/library/busybox:latest")),
            (&format!("index.{HUB}/a/b"), format!("{HUB}/a/b:latest")),
            ("mirror:5000/a/b", "mirror:5000/a/b:latest".into()),
            ("localhost/a:v", "localhost/a:v".into()),
            ("[::1]:5000/a:v", "[::1]:5000/a:v".into()),
            (&format!("r.example/a@{digest}"), format!("r.example/a@{digest}")),
            (&format!("r.example/a:v@{digest}"), format!("r.example/a:v@{digest}")),
        ] {
            let found: Reference = text.parse().unwrap();
            assert_eq!(found.to_string(), full, "{text}");
            assert_eq!(found.to_string().parse::<Reference>().unwrap(), found, "{text}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_no_name() {
        for text in [
            "",
            ":",
            "a:",
            "@",
            "a@sha256:00",
            "a@md5:00",
            "A/b",
            "r.example/A",
            "r.example/../x",
            "r.example//x",
            "r.example/a?x",
            "user@r.example/a",
            "r.example/a b",
            "r.example/a:-x",
            "r.example/a#b",
            "-r.x/a",
            "https://r.example/a",
            "r.example/.a",
            "r.example/a/",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?}: {:?}", text.parse::<Reference>());
        }
    }
}
