//! A profile as text, for people and for comparing.

use serde_json::Value as Json;
use sha2::{Digest, Sha256};

use super::Profile;

/// The replacement for a secret in output.
const HIDDEN: &str = "(hidden)";

/// The profile as YAML. It holds every field, secrets too: use [`redacted`] before showing it.
pub fn to_yaml(profile: &Profile) -> String {
    // Only a map with keys that are not strings could fail, and the model has none.
    serde_yaml::to_string(profile).unwrap_or_else(|cause| format!("# not possible as YAML: {cause}\n"))
}

/// The profile without its secrets: user data holds passwords, network data can hold those of a wireless network.
pub fn redacted(profile: &Profile) -> Profile {
    let mut profile = profile.clone();
    let vm = &mut profile.vm;
    let texts = [&mut vm.cloud_init.user_data, &mut vm.cloud_init.network_data, &mut vm.login.password];
    for secret in texts.into_iter().chain(&mut vm.login.ssh_keys) {
        if !secret.is_empty() {
            *secret = HIDDEN.into();
        }
    }
    profile
}

/// SHA-256 of the profile's canonical JSON (keys sorted, no white space), in hexadecimal.
pub fn digest(profile: &Profile) -> String {
    let json = serde_json::to_value(profile).map(|json| sorted(&json)).unwrap_or_default();
    format!("{:x}", Sha256::digest(json.to_string()))
}

/// The order of keys says nothing, so it must not change the digest.
fn sorted(json: &Json) -> Json {
    match json {
        Json::Array(items) => items.iter().map(sorted).collect(),
        Json::Object(map) => {
            let mut entries: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            Json::Object(entries.into_iter().collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_else_changes() {
        let mut profile = Profile::default();
        assert_eq!(redacted(&profile), profile);
        profile.vm.cloud_init.user_data = "#cloud-config\npassword: s3cret\n".into();
        profile.vm.login.password = "s3cret".into();
        profile.vm.login.ssh_keys = vec!["ssh-ed25519 s3cret me@home".into()];
        let yaml = to_yaml(&redacted(&profile));
        assert!(yaml.contains("userData: (hidden)") && !yaml.contains("s3cret"), "{yaml}");
    }

    #[test]
    fn the_digest_ignores_the_order_of_keys() {
        let sorted_text = |text: &str| sorted(&serde_json::from_str(text).expect("JSON")).to_string();
        assert_eq!(
            sorted_text(r#"{"b":1,"a":{"d":[{"z":1,"y":2}]}}"#),
            r#"{"a":{"d":[{"y":2,"z":1}]},"b":1}"#
        );
        assert_eq!(digest(&Profile::default()).len(), 64);
    }
}
