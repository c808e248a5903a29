//! When two values are equal although they are written differently.

use serde_json::Value;

/// Fields whose values, at any depth, are quantities.
const QUANTITIES: &str = "resources requests limits capacity sizeLimit divisor hard default defaultRequest";
/// Fields of built-in kinds that are not stored when they are false or zero.
const ZERO_IS_ABSENT: &str = "\
    deprecated exclusiveMaximum exclusiveMinimum globalDefault hostIPC hostNetwork hostPID \
    initialDelaySeconds insecureSkipTLSVerify minReadySeconds nullable paused preserveUnknownFields priority \
    publishNotReadyAddresses readOnly stdin stdinOnce tty uniqueItems unschedulable \
    x-kubernetes-embedded-resource x-kubernetes-int-or-string";
/// Maps that are not stored when they are empty. Other empty maps choose something, like `emptyDir: {}`.
const EMPTY_IS_ABSENT: &str = "\
    affinity annotations binaryData data labels limits matchLabels metadata nodeSelector options parameters \
    properties requests resources securityContext spec strategy updateStrategy";

fn has(fields: &str, field: &str) -> bool {
    fields.split(' ').any(|one| one == field)
}

/// Whether the server stores a desired value of `field` as no value at all.
pub(super) fn is_stored_as_absent(field: &str, desired: &Value) -> bool {
    match desired {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => {
            let absent = |(field, value): (&String, &Value)| is_stored_as_absent(field, value);
            has(EMPTY_IS_ABSENT, field) && map.iter().all(absent)
        }
        // An empty class means "no class", which is stored.
        Value::String(text) => text.is_empty() && field != "storageClassName",
        Value::Bool(value) => !value && has(ZERO_IS_ABSENT, field),
        Value::Number(number) => number.as_f64() == Some(0.0) && has(ZERO_IS_ABSENT, field),
    }
}

/// Fields that their component fills when they are empty, by the end of their path.
const FILLED_WHEN_EMPTY: &[[&str; 2]] = &[["machine", "type"]];

/// Whether two scalars at a path of field names are the same to the server.
pub(super) fn same_scalar(path: &[String], desired: &Value, live: &Value) -> bool {
    if desired == live {
        return true;
    }
    match (desired, live) {
        (Value::Number(a), Value::Number(b)) => a.as_f64() == b.as_f64(),
        (Value::String(a), Value::String(_)) if a.is_empty() && is_filled(path) => true,
        (Value::String(a), Value::String(b)) if path.first().is_some_and(|field| field == "data") => {
            a.split_whitespace().eq(b.split_whitespace())
        }
        _ if is_quantity(path) => quantity(desired).is_some_and(|value| quantity(live) == Some(value)),
        _ => false,
    }
}

fn is_filled(path: &[String]) -> bool {
    FILLED_WHEN_EMPTY.iter().any(|end| path.len() >= 2 && path[path.len() - 2..] == *end)
}

fn is_quantity(path: &[String]) -> bool {
    path.iter().any(|field| has(QUANTITIES, field))
}

/// A quantity in thousandths of a billionth, exact for everything that Kubernetes accepts below 10^20.
fn quantity(value: &Value) -> Option<i128> {
    let text = match value {
        Value::String(text) => text.trim().to_owned(),
        Value::Number(number) => number.to_string(),
        _ => return None,
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && !"+-.".contains(c)).unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    decimal(digits)?.checked_mul(factor(suffix)?)?.checked_div(NANO)
}

/// The scale of decimals: nine places before the suffix counts, nine after it.
const NANO: i128 = 1_000_000_000;

fn decimal(digits: &str) -> Option<i128> {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, digits.trim_start_matches('+')),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.len() > 9 {
        return None;
    }
    let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let fraction: i128 = format!("{fraction:0<9}").parse().ok()?;
    Some(sign * (whole.checked_mul(NANO)? + fraction))
}

/// What a suffix multiplies with, in billionths.
fn factor(suffix: &str) -> Option<i128> {
    let binary = |power: u32| NANO.checked_mul(1024_i128.checked_pow(power)?);
    let decimal = |power: i32| match u32::try_from(9 + power) {
        Ok(power) => 10_i128.checked_pow(power),
        Err(_) => None,
    };
    match suffix {
        "" => Some(NANO),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        exponent => decimal(exponent.strip_prefix(['e', 'E'])?.parse().ok().filter(|power| *power <= 18)?),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn quantities_are_compared_by_value() {
        let same = [
            ("0.1", "100m"),
            ("1Gi", "1024Mi"),
            ("1", "1000m"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("128E", "128E"),
        ];
        for (a, b) in same {
            assert_eq!(quantity(&json!(a)), quantity(&json!(b)), "{a} {b}");
        }
        assert_eq!(quantity(&json!(1)), quantity(&json!("1")));
        assert_ne!(quantity(&json!("1Gi")), quantity(&json!("1G")));
        for none in ["", "x", "1Q", ".", "1e"] {
            assert_eq!(quantity(&json!(none)), None, "{none}");
        }
    }

    #[test]
    fn quantities_count_only_where_they_are() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        assert!(same_scalar(&path("spec.resources.limits.cpu"), &json!("0.1"), &json!("100m")));
        assert!(!same_scalar(&path("spec.args"), &json!("0.1"), &json!("100m")));
    }

    #[test]
    fn what_the_component_fills_in_is_no_difference() {
        let path = |text: &str| text.split('.').map(str::to_owned).collect::<Vec<_>>();
        let machine = path("spec.domain.machine.type");
        assert!(same_scalar(&machine, &json!(""), &json!("q35")));
        assert!(!same_scalar(&machine, &json!("pc"), &json!("q35")));
        assert!(!same_scalar(&path("data.type"), &json!(""), &json!("q35")));
    }
}
