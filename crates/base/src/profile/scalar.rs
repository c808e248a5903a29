//! What an unquoted YAML scalar means, after the core schema of YAML 1.2.

use serde_json::Number;

use super::node::Value;

/// The value of an unquoted scalar; nothing when it is a number that JSON does not have.
pub(super) fn plain(text: &str) -> Option<Value> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        "true" | "True" | "TRUE" => Some(Value::Bool(true)),
        "false" | "False" | "FALSE" => Some(Value::Bool(false)),
        _ => number(text),
    }
}

fn number(text: &str) -> Option<Value> {
    let unsigned = text.trim_start_matches(['+', '-']);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN") {
        return None;
    }
    if let Some(whole) = whole(text) {
        return Some(Value::Number(whole));
    }
    match float(text) {
        Some(float) => Number::from_f64(float).map(Value::Number),
        None => Some(Value::Text(text.to_string())),
    }
}

fn whole(text: &str) -> Option<Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix).filter(|digits| !digits.starts_with('+')) {
            return u64::from_str_radix(digits, radix).ok().map(Number::from);
        }
    }
    let text = decimal(text)?;
    text.parse::<u64>().map(Number::from).or_else(|_| text.parse::<i64>().map(Number::from)).ok()
}

fn float(text: &str) -> Option<f64> {
    decimal(text)?.parse().ok()
}

/// The text without `+` when it can only be a decimal number. A leading zero makes it none, since YAML 1.1 and 1.2
/// disagree about its value, and Rust reads more as a number than YAML does (`inf`, `nan`).
fn decimal(text: &str) -> Option<&str> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let has_leading_zero = digits.starts_with('0') && digits[1..].starts_with(|c: char| c.is_ascii_digit());
    let is_decimal = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.contains(|c: char| c.is_ascii_digit())
        && digits.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-'));
    (is_decimal && !has_leading_zero).then(|| text.strip_prefix('+').unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_yaml_1_2() {
        let json = |text: &str| plain(text).map(|value| format!("{value:?}"));
        for text in [
            "yes", "on", "0644", "1_000", "inf", "nan", "1.2.3", "12:30", "-", ".", "+", "e5", "0x", "v1",
            "1e",
        ] {
            assert_eq!(json(text), Some(format!("Text({text:?})")), "{text}");
        }
        for (text, number) in
            [("0x1f", "31"), ("0o17", "15"), ("-5", "-5"), ("+5", "5"), ("1e3", "1000.0"), (".5", "0.5")]
        {
            assert_eq!(json(text), Some(format!("Number(Number({number}))")), "{text}");
        }
        assert!(plain(".inf").is_none() && plain("1e999").is_none());
    }
}
