//! The JSON schema of a profile: editors complete and check with it, and [`super::check`] refuses with the same one, so
//! that the two cannot disagree.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value as Json, json};

use super::Profile;

/// The JSON schema of a profile (draft 7, the one that all editors know), made from the model's own documentation. It
/// refers to nothing outside of itself.
pub fn schema() -> Json {
    SCHEMA.clone()
}

/// The schema, made once.
pub(super) static SCHEMA: LazyLock<Json> = LazyLock::new(|| {
    let mut schema = SchemaSettings::draft07().into_generator().into_root_schema_for::<Profile>().to_value();
    schema["title"] = json!("kvnet profile");
    add_extends(&mut schema);
    if let Some(network) = schema.pointer_mut("/definitions/Network") {
        spell_out_variants(network);
    }
    schema
});

/// `extends` is no field of the resolved profile, but one of every file.
fn add_extends(schema: &mut Json) {
    schema["properties"]["extends"] = json!({
        "type": "string",
        "description": "The profile to build on: a shipped name, or a path relative to this file. Maps merge key by \
                        key; lists and all other values are replaced. Without it, fields that are left out take \
                        their documented defaults.",
        "examples": ["default", "./base.yaml"],
    });
}

/// Moves the fields that all kinds of network share into each kind, so that each can refuse unknown fields:
/// `additionalProperties` sees only its own object.
fn spell_out_variants(network: &mut Json) {
    let shared = network["properties"].as_object().cloned().unwrap_or_default();
    let required = network["required"].as_array().cloned().unwrap_or_default();
    let variants = network["oneOf"].as_array().cloned().unwrap_or_default();
    let variants: Vec<Json> = variants.into_iter().map(|v| variant(v, &shared, &required)).collect();
    *network = json!({ "description": network["description"], "oneOf": variants });
}

fn variant(mut variant: Json, shared: &Map<String, Json>, required: &[Json]) -> Json {
    let mut properties = shared.clone();
    properties.extend(variant["properties"].as_object().cloned().unwrap_or_default());
    let mut all = required.to_vec();
    all.extend(variant["required"].as_array().cloned().unwrap_or_default());
    variant["properties"] = Json::Object(properties);
    variant["required"] = Json::Array(all);
    variant["additionalProperties"] = json!(false);
    variant
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_is_described_and_nothing_is_external() {
        let text = schema().to_string();
        assert!(!text.contains("\"$ref\":\"http"), "{text}");
        for (name, field) in schema()["properties"].as_object().expect("an object") {
            assert!(field["description"].is_string(), "{name}");
        }
        for (name, definition) in schema()["definitions"].as_object().expect("an object") {
            for (field, schema) in definition["properties"].as_object().into_iter().flatten() {
                assert!(schema["description"].is_string(), "{name}.{field}");
            }
        }
    }

    #[test]
    fn the_file_for_editors_is_current() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles/schema.json");
        let current = serde_json::to_string_pretty(&schema()).expect("JSON") + "\n";
        if std::env::var_os("KVNET_BLESS").is_some() {
            std::fs::write(path, &current).expect("written");
        }
        let file = std::fs::read_to_string(path).unwrap_or_default();
        assert!(file == current, "run this test once with KVNET_BLESS=1 and read the difference");
    }

    #[test]
    fn every_kind_of_network_refuses_unknown_fields() {
        let schema = schema();
        let variants = schema["definitions"]["Network"]["oneOf"].as_array().expect("kinds");
        assert_eq!(variants.len(), 4);
        for variant in variants {
            assert_eq!(variant["additionalProperties"], false);
            assert!(
                variant["properties"]["name"].is_object()
                    && variant["properties"]["kind"]["const"].is_string()
            );
        }
    }
}
