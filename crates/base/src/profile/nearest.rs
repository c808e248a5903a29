//! What the user may have meant.

/// A hint that names the candidate nearest to `word`, or else all candidates.
pub fn suggestion<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    match nearest(word, &candidates) {
        Some(name) => format!("did you mean `{name}`?"),
        None if candidates.is_empty() => "nothing is allowed here".into(),
        None => format!("allowed here: {}", candidates.join(", ")),
    }
}

/// The candidate that differs from `word` by at most a third of its letters; case, `-` and `_` do not count, because
/// `pod_subnet` surely means `podSubnet`.
pub fn nearest<'a>(word: &str, candidates: &[&'a str]) -> Option<&'a str> {
    let plain = normalised(word);
    candidates
        .iter()
        .map(|candidate| (strsim::osa_distance(&plain, &normalised(candidate)), *candidate))
        .filter(|(distance, candidate)| *distance <= (candidate.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

fn normalised(word: &str) -> String {
    // A name is short; the rest of a long word cannot bring it nearer and would cost quadratic time.
    word.chars().take(64).filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelling_mistakes_find_the_name() {
        let names = ["podSubnet", "ovs", "bridges"];
        for (word, name) in
            [("pod_subnet", "podSubnet"), ("brdges", "bridges"), ("OVS", "ovs"), ("osv", "ovs")]
        {
            assert_eq!(suggestion(word, names), format!("did you mean `{name}`?"));
        }
        assert_eq!(suggestion("whatever", names), "allowed here: podSubnet, ovs, bridges");
    }
}
