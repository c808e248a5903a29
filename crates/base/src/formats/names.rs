//! Names as Kubernetes, Multus and Go read them: the one place that knows their limits.

/// The longest label of a domain.
const LABEL: usize = 63;
/// The longest domain, which most objects may have as their name.
const SUBDOMAIN: usize = 253;

/// Whether a namespace or a Service can have that name: a label of RFC 1123.
pub fn is_label(name: &str) -> bool {
    name.len() <= LABEL && is_piece(name)
}

/// Whether an object of the API can have that name. Only the whole is bounded: Kubernetes does not count the letters between
/// two dots.
pub fn is_subdomain(name: &str) -> bool {
    name.len() <= SUBDOMAIN && is_domain(name)
}

/// As [`is_subdomain`], of any length.
pub fn is_domain(name: &str) -> bool {
    name.split('.').all(is_piece)
}

/// Whether a name has only `a-z`, `0-9` and `-`, with a letter or digit at both ends: all that Multus asks of the names in
/// `NAMESPACE/NAME@INTERFACE`, where a dot is refused and nothing is counted.
pub fn is_piece(name: &str) -> bool {
    let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(plain)
        && bytes.last().is_some_and(plain)
        && bytes.iter().all(|byte| plain(byte) || *byte == b'-')
}

/// Whether Go reads a text as a hardware address: pairs of digits behind `:` or `-`, or fours behind dots.
pub fn is_mac(text: &str) -> bool {
    let digits: String = text.chars().filter(|letter| !":-.".contains(*letter)).collect();
    let pairs = |separator: char| text.split(separator).all(|part| part.len() == 2);
    let fours = text.split('.').all(|part| part.len() == 4);
    matches!(digits.len(), 12 | 16 | 40)
        && digits.chars().all(|letter| letter.is_ascii_hexdigit())
        && (pairs(':') || pairs('-') || fours)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_name_has_its_own_bound() {
        let (most, more) = ("a".repeat(63), "a".repeat(64));
        assert!(is_label(&most) && !is_label(&more));
        assert!(is_subdomain(&more) && is_piece(&more));
        let long = format!("{}.{}", "a".repeat(126), "b".repeat(126));
        assert!(is_subdomain(&long) && !is_subdomain(&format!("{long}c")) && is_domain(&format!("{long}c")));
    }

    #[test]
    fn letters_and_dots() {
        for name in ["a", "0", "a-b", "a--b"] {
            assert!(is_label(name) && is_subdomain(name) && is_piece(name), "{name}");
        }
        for name in ["", "-a", "a-", "A", "a_b", "a b", "\u{e9}", "a/b", "a\n"] {
            assert!(!is_label(name) && !is_subdomain(name) && !is_piece(name), "{name:?}");
        }
        assert!(is_subdomain("a.b") && !is_label("a.b") && !is_piece("a.b"));
        for name in [".a", "a.", "a..b", "a.-b", "a-.b"] {
            assert!(!is_subdomain(name), "{name}");
        }
    }

    #[test]
    fn hardware_addresses_as_go_reads_them() {
        for text in ["02:00:00:00:00:01", "02-00-00-00-00-0A", "0200.0000.0001"] {
            assert!(is_mac(text), "{text}");
        }
        for text in ["", "02:00:00:00:00", "02:00:00:00:00:0g", "2:0:0:0:0:1", "020000000001"] {
            assert!(!is_mac(text), "{text}");
        }
    }
}
