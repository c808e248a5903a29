//! Releases: three numbers, ordered.

/// A release: `v1.9.0`, `v3.1`, `v1.0.0-rc.1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Release {
    /// The first number.
    pub major: u32,
    /// The second number.
    pub minor: u32,
    /// The third number; 0 when there is none.
    pub patch: u32,
}

impl Release {
    /// A release by its numbers.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Reads a release; nothing when it is none, for example a commit. What follows `-` or `+` does not count.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers = text.strip_prefix('v').unwrap_or(text);
        let (numbers, suffix) = numbers.find(['-', '+']).map_or((numbers, ""), |at| numbers.split_at(at));
        let number = |part: &str| part.bytes().all(|b| b.is_ascii_digit()).then(|| part.parse().ok())?;
        let parts = numbers.split('.').map(number).collect::<Option<Vec<u32>>>()?;
        let plain = suffix.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.'));
        match parts[..] {
            _ if !plain || suffix.len() == 1 => None,
            [major, minor] => Some(Self { major, minor, patch: 0 }),
            [major, minor, patch] => Some(Self { major, minor, patch }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_releases_and_nothing_else() {
        assert_eq!(Release::parse("v0.28.10"), Some(Release::new(0, 28, 10)));
        assert_eq!(Release::parse("v3.1"), Some(Release::new(3, 1, 0)));
        assert_eq!(Release::parse("1.0.0-rc.1"), Some(Release::new(1, 0, 0)));
        for text in
            ["", "v", "v1", "v1.", "v1.2.3.4", "393d3ffa", "main", "v1.2.x", "v1.2.3-", "v1.2.3-a b", "v+1.2"]
        {
            assert_eq!(Release::parse(text), None, "{text}");
        }
    }
}
