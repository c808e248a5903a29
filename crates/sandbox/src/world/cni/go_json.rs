//! Why text is not JSON, in the words of Go's decoder, which all plugins and Multus print.

use serde_json::Value;

/// The value, or the decoder's complaint.
pub(super) fn parse(text: &str) -> Result<Value, String> {
    serde_json::from_str(text).map_err(|error| complaint(text, &error))
}

fn complaint(text: &str, error: &serde_json::Error) -> String {
    if error.is_eof() {
        return "unexpected end of JSON input".into();
    }
    let line = text.lines().nth(error.line().saturating_sub(1)).unwrap_or_default();
    let at = error.column().saturating_sub(1);
    let found = line.get(at..).and_then(|rest| rest.chars().next()).unwrap_or(' ');
    let said = error.to_string();
    let place = [
        ("expected `,` or `}`", "after object key:value pair"),
        ("expected `,` or `]`", "after array element"),
        ("expected `:`", "after object key"),
        ("key must be a string", "looking for beginning of object key string"),
        ("trailing characters", "after top-level value"),
    ];
    let place = place.iter().find(|(rust, _)| said.contains(rust));
    format!("invalid character '{found}' {}", place.map_or("looking for beginning of value", |(_, go)| go))
}

/// What the decoder calls a value's type.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_told_as_go_tells_them() {
        for (text, complaint) in [
            (r#"[ {"name":"a" ]"#, "invalid character ']' after object key:value pair"),
            (r#"[{"name":"a"},]"#, "invalid character ']' looking for beginning of value"),
            (r#"[{"name":"a"} {"#, "invalid character '{' after array element"),
            (r#"[{"name":"a""#, "unexpected end of JSON input"),
            (r"{name: 1}", "invalid character 'n' looking for beginning of object key string"),
            (r#"[] "a""#, "invalid character '\"' after top-level value"),
        ] {
            assert_eq!(parse(text).unwrap_err(), complaint, "{text}");
        }
    }
}
