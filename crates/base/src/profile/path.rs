//! Paths into a profile: `ovs.bridges[0].name`, `ovs.bridges.0.name`, `images.rewrite["ghcr.io"]`.

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A key of a map, or an index written with a dot.
    Key(String),
    /// An index in brackets.
    Index(usize),
}

impl Step {
    /// The step as an index of a list.
    pub fn index(&self) -> Option<usize> {
        match self {
            Self::Key(key) => key.parse().ok(),
            Self::Index(index) => Some(*index),
        }
    }
}

/// Reads a path.
///
/// # Errors
/// The reason, when it is not one.
pub(super) fn parse(path: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() || steps.is_empty() {
        let (step, after) = if rest.starts_with('[') { bracket(rest)? } else { key(rest)? };
        steps.push(step);
        rest = match after.strip_prefix('.') {
            Some("") => return Err("it ends with a dot"),
            Some(next) if next.starts_with('[') => return Err("it has a dot before `[`"),
            Some(next) => next,
            None if after.is_empty() || after.starts_with('[') => after,
            None => return Err("only `.` or `[` can follow `]`"),
        };
    }
    Ok(steps)
}

/// Appends a key to a path, in brackets when a dot would be misread.
pub(super) fn join(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && !key.contains(['.', '[', ']', '"', '=']);
    match (path.is_empty(), plain) {
        (true, true) => key.to_string(),
        (false, true) => format!("{path}.{key}"),
        (_, false) => format!("{path}[\"{key}\"]"),
    }
}

fn key(rest: &str) -> Result<(Step, &str), &'static str> {
    let end = rest.find(['.', '[', ']']).unwrap_or(rest.len());
    match &rest[..end] {
        "" => Err("a name is missing"),
        name => Ok((Step::Key(name.to_string()), &rest[end..])),
    }
}

fn bracket(rest: &str) -> Result<(Step, &str), &'static str> {
    if let Some(quoted) = rest.strip_prefix("[\"") {
        let (name, after) = quoted.split_once("\"]").ok_or("`\"]` is missing")?;
        return Ok((Step::Key(name.to_string()), after));
    }
    let (index, after) = rest[1..].split_once(']').ok_or("`]` is missing")?;
    let index = index.parse().map_err(|_| "`[` and `]` enclose a number, or a name in double quotes")?;
    Ok((Step::Index(index), after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_names_indexes_and_quoted_names() {
        let key = |name: &str| Step::Key(name.into());
        assert_eq!(parse("a.b[1].c"), Ok(vec![key("a"), key("b"), Step::Index(1), key("c")]));
        assert_eq!(parse("a.0.c"), Ok(vec![key("a"), key("0"), key("c")]));
        assert_eq!(parse("a[\"x.y\"].c"), Ok(vec![key("a"), key("x.y"), key("c")]));
        assert_eq!(parse(&join("a", "x.y")), Ok(vec![key("a"), key("x.y")]));
    }

    #[test]
    fn refuses_what_is_no_path() {
        for path in ["", ".", "a.", "a..b", "a[", "a[x]", "a[0]b", "a.[0]", "]", "a[\"x", "a[-1]"] {
            assert!(parse(path).is_err(), "{path}");
        }
    }
}
