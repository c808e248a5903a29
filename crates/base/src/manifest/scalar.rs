//! What a YAML scalar means to kubectl: the YAML 1.1 rules of go-yaml v2, then the number rules of its JSON decoder.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Number, Value};

/// Why a scalar cannot become JSON.
pub(super) type Refusal = String;

/// What `text` means without quotes and without a tag.
pub(super) fn plain(text: &str) -> Result<Value, Refusal> {
    // Only these first characters can start anything but a string; the rest is decided at once.
    match text.as_bytes().first() {
        None | Some(b'~' | b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O') => {
            Ok(word(text).unwrap_or_else(|| text.into()))
        }
        Some(b'.') => infinite(text).map_or_else(|| Ok(dotted(text)), Err),
        Some(b'+' | b'-' | b'0'..=b'9') => infinite(text).map_or_else(|| Ok(numeric(text)), Err),
        Some(_) => Ok(text.into()),
    }
}

/// Whether every YAML parser takes unquoted `text` for a string: kubectl's, and those that know times and dates.
pub fn reads_as_text(text: &str) -> bool {
    let is_text = matches!(plain(text), Ok(Value::String(_)));
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    is_text
        && !is_decimal(unsigned)
        && !is_base_60(unsigned)
        && !is_date(text)
        && !is_prefixed(unsigned)
        && !matches!(text, "=" | "<<")
}

/// A number of any size: one parser's infinity is another one's string.
fn is_decimal(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit() || c == '.') && text.replace('_', "").parse::<f64>().is_ok()
}

/// Hours and minutes, or more of them: YAML 1.1 counts them together.
fn is_base_60(text: &str) -> bool {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit() || byte == b'_');
    let mut parts = whole.split(':');
    let first =
        parts.next().is_some_and(|part| part.starts_with(|c: char| c.is_ascii_digit()) && digits(part));
    let rest: Vec<&str> = parts.collect();
    first && !rest.is_empty() && digits(fraction) && rest.iter().all(|part| !part.is_empty() && digits(part))
}

/// `2001-12-14`, with a time behind it or not.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let (year, month, day) = (parts.next(), parts.next(), parts.next());
    let number = |part: Option<&str>, most: usize| {
        part.is_some_and(|it| (1..=most).contains(&it.len()) && it.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let day = day.map(|day| day.split(['T', 't', ' ']).next().unwrap_or_default());
    number(year, 4) && year.is_some_and(|year| year.len() == 4) && number(month, 2) && number(day, 2)
}

/// `0x10`, `0b1`, `0o7`: some parser takes them for numbers.
fn is_prefixed(text: &str) -> bool {
    let digits =
        text.strip_prefix("0x").or_else(|| text.strip_prefix("0b")).or_else(|| text.strip_prefix("0o"));
    digits.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'_')
    })
}

/// What `text` means with the tag `!!name`; other tags make a string of it.
pub(super) fn tagged(name: &str, text: &str) -> Result<Value, Refusal> {
    let value = match name {
        "bool" | "int" | "float" | "null" => plain(text)?,
        "binary" => return binary(text),
        _ => return Ok(text.into()),
    };
    let fits = match name {
        "bool" => value.is_boolean(),
        "null" => value.is_null(),
        "int" => value.is_i64() || value.is_u64(),
        _ => value.is_number(),
    };
    if fits { Ok(value) } else { Err(format!("`{text}` is not a `!!{name}`")) }
}

fn binary(text: &str) -> Result<Value, Refusal> {
    let bytes = STANDARD.decode(text.replace(['\n', '\r'], "")).map_err(|_| "not base64")?;
    let text = String::from_utf8(bytes).map_err(|_| "the bytes of a `!!binary` are not text")?;
    Ok(text.into())
}

/// The name that a mapping key has in JSON.
pub(super) fn key(value: Value) -> Result<String, Refusal> {
    match value {
        Value::String(text) => Ok(text),
        Value::Bool(flag) => Ok(flag.to_string()),
        Value::Number(number) if number.is_i64() => Ok(number.to_string()),
        Value::Number(number) => number.as_f64().map(float_key).ok_or_else(|| "a key is not possible".into()),
        Value::Null => Err("a key is empty".into()),
        Value::Array(_) | Value::Object(_) => Err("a key is not a scalar".into()),
    }
}

fn word(text: &str) -> Option<Value> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(true.into())
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(false.into())
        }
        "" | "~" | "null" | "Null" | "NULL" => Some(Value::Null),
        _ => None,
    }
}

/// Infinities and not-a-number exist in YAML and not in JSON: kubectl refuses the file.
fn infinite(text: &str) -> Option<Refusal> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let found = matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN");
    found.then(|| format!("`{text}` has no meaning in JSON"))
}

/// A text that starts with a dot: a float, in which an underscore may stand between two digits.
fn dotted(text: &str) -> Value {
    let bytes = text.as_bytes();
    let between_digits = |at: usize| {
        at > 0 && bytes[at - 1].is_ascii_digit() && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
    };
    let well_placed = bytes.iter().enumerate().all(|(at, byte)| *byte != b'_' || between_digits(at));
    let digits = text.replace('_', "");
    if well_placed && is_float(&digits) {
        return float(&digits).unwrap_or_else(|| text.into());
    }
    text.into()
}

/// A text that starts with a digit or a sign: underscores are skipped anywhere.
fn numeric(text: &str) -> Value {
    let digits = text.replace('_', "");
    integer(&digits)
        .or_else(|| is_float(&digits).then(|| float(&digits)).flatten())
        .or_else(|| signed_binary(&digits))
        .unwrap_or_else(|| text.into())
}

fn integer(digits: &str) -> Option<Value> {
    let (sign, body) = match digits.as_bytes().first()? {
        b'-' => ("-", &digits[1..]),
        b'+' => ("", &digits[1..]),
        _ => ("", digits),
    };
    let (radix, body) = match body.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &body[2..]),
        [b'0', b'o' | b'O', ..] => (8, &body[2..]),
        [b'0', b'b' | b'B', ..] => (2, &body[2..]),
        [b'0', _, ..] => (8, &body[1..]),
        _ => (10, body),
    };
    if !body.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return None;
    }
    if let Ok(number) = i64::from_str_radix(&format!("{sign}{body}"), radix) {
        return Some(number.into());
    }
    // An unsigned number takes no sign at all in Go; JSON then reads what int64 cannot hold as a float.
    let unsigned = digits.starts_with(|first: char| first.is_ascii_digit());
    let number = unsigned.then(|| u64::from_str_radix(body, radix).ok()).flatten()?;
    float(&number.to_string())
}

/// go-yaml handles `0b` a second time by itself, and allows a sign after it.
fn signed_binary(digits: &str) -> Option<Value> {
    i64::from_str_radix(digits.strip_prefix("0b")?, 2).ok().map(Value::from)
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?` from end to end.
fn is_float(text: &str) -> bool {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (unsigned, None),
    };
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let some_digits = |part: &str| !part.is_empty() && all_digits(part);
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => some_digits(fraction),
        Some((whole, fraction)) => some_digits(whole) && all_digits(fraction),
        None => some_digits(mantissa),
    };
    mantissa_fits && exponent.is_none_or(|part| some_digits(part.strip_prefix(['+', '-']).unwrap_or(part)))
}

/// A float as JSON keeps it: Go writes whole numbers without a fraction, and then reads an integer where it fits.
fn float(text: &str) -> Option<Value> {
    let number: f64 = text.parse().ok()?;
    // The shortest digits decide, as in Go; "-0" is read as 0.
    let whole = if number.fract() == 0.0 { number.to_string().parse::<i64>().ok() } else { None };
    match whole {
        Some(whole) => Some(whole.into()),
        None => Number::from_f64(number).map(Value::Number),
    }
}

/// Go writes a float key with the precision of 32 bits, like `%g`.
fn float_key(number: f64) -> String {
    #[allow(clippy::cast_possible_truncation, reason = "the precision is what kubectl uses")]
    let short = number as f32;
    if (1e-4..1e6).contains(&short.abs()) {
        return short.to_string();
    }
    let text = format!("{short:e}");
    let Some((mantissa, exponent)) = text.split_once('e') else { return text };
    let (sign, size) = exponent.strip_prefix('-').map_or(('+', exponent), |size| ('-', size));
    format!("{mantissa}e{sign}{size:0>2}")
}
