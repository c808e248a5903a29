//! Logins from the configuration of container tools; nothing else of it is read.
#![allow(
    clippy::disallowed_methods,
    reason = "the operator's own file does not go through the node's host boundary"
)]

use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use camino::{Utf8Path, Utf8PathBuf};
use serde_json::Value;

use crate::error::{Error, Result, code};
use crate::manifest::HUB;
use crate::redact::know;

/// The logins of registries, by host.
#[derive(Clone, Default)]
pub struct Credentials {
    /// The file that they are from.
    file: String,
    logins: BTreeMap<String, Login>,
    /// The program that has the login of a host; the empty host means all others.
    helpers: BTreeMap<String, String>,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: String,
}

impl fmt::Debug for Login {
    /// Passwords are never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").finish_non_exhaustive()
    }
}

impl fmt::Debug for Credentials {
    /// Passwords are never shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("hosts", &self.logins.keys()).finish_non_exhaustive()
    }
}

impl Credentials {
    /// The logins of `docker login`: `config.json` in `DOCKER_CONFIG`, else in `.docker` in the home directory. None
    /// when there is no such file.
    ///
    /// # Errors
    /// `KVN435` for a file that cannot be read.
    pub fn of_user() -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let directory = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| format!("{home}/.docker")));
        directory.map_or_else(
            || Ok(Self::default()),
            |directory| Self::read(&Utf8PathBuf::from(directory).join("config.json")),
        )
    }

    /// The logins of one file; none when it does not exist.
    ///
    /// # Errors
    /// `KVN435` for a file that cannot be read.
    pub fn read(path: &Utf8Path) -> Result<Self> {
        let wrong = |cause: String| {
            Error::new(&code::REGISTRY_LOGIN, "the file with the logins of registries cannot be read")
                .at(path.as_str())
                .because(cause)
        };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(wrong(error.to_string())),
        };
        // The parser's message may quote the file.
        let json: Value = serde_json::from_str(&text)
            .map_err(|error| wrong(format!("it is not JSON at line {}", error.line())))?;
        let mut found = Self { file: path.to_string(), ..Self::default() };
        for (host, entry) in json["auths"].as_object().into_iter().flatten() {
            if let Some(login) =
                login(entry).map_err(|cause| wrong(format!("the login of `{host}` {cause}")))?
            {
                found.logins.insert(host_of(host), login);
            }
        }
        for (host, program) in json["credHelpers"].as_object().into_iter().flatten() {
            found.helpers.insert(host_of(host), program.as_str().unwrap_or_default().to_owned());
        }
        if let Some(program) = json["credsStore"].as_str().filter(|program| !program.is_empty()) {
            found.helpers.insert(String::new(), program.to_owned());
        }
        Ok(found)
    }

    pub(super) fn of(&self, registry: &str) -> Option<&Login> {
        self.logins.get(registry)
    }

    /// What to do when a registry denies access.
    pub(super) fn hint(&self, registry: &str) -> String {
        if self.logins.contains_key(registry) {
            return format!("check the login of {registry} in {}, and that it may pull the image", self.file);
        }
        match self.helpers.get(registry).or_else(|| self.helpers.get("")) {
            Some(program) => format!(
                "the login is kept by `docker-credential-{program}`, which kvnet does not run: log in with DOCKER_CONFIG set \
                 to a directory without `credsStore` and `credHelpers`, and pass that to kvnet"
            ),
            None => format!(
                "log in with `docker login {registry}`, or check the name: some registries deny what does not exist"
            ),
        }
    }
}

/// The host that an entry is for: some tools write it as an address.
fn host_of(entry: &str) -> String {
    let rest = entry.split_once("://").map_or(entry, |(_, rest)| rest);
    let host = rest.split('/').next().unwrap_or_default();
    let is_hub = host.strip_prefix("index.") == Some(HUB) || host.strip_prefix("registry-1.") == Some(HUB);
    if is_hub { HUB.to_owned() } else { host.to_owned() }
}

/// The login of an entry; none for one whose login is kept elsewhere.
fn login(entry: &Value) -> Result<Option<Login>, &'static str> {
    let text = |field: &str| entry[field].as_str().filter(|text| !text.is_empty());
    let login = match (text("auth"), text("username"), text("password")) {
        (Some(auth), ..) => {
            know(auth);
            let bytes = STANDARD.decode(auth.trim()).map_err(|_| "is not base64")?;
            let text = String::from_utf8(bytes).map_err(|_| "is not text")?;
            let (user, password) = text.split_once(':').ok_or("has no password")?;
            Login { user: user.to_owned(), password: password.trim_end_matches('\0').to_owned() }
        }
        (None, Some(user), Some(password)) => Login { user: user.to_owned(), password: password.to_owned() },
        _ if text("identitytoken").is_some() => return Err("is an identity token, which kvnet cannot use"),
        _ => return Ok(None),
    };
    know(&login.password);
    Ok(Some(login))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Result<Credentials> {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("config.json")).unwrap();
        std::fs::write(&path, text).unwrap();
        Credentials::read(&path)
    }

    #[test]
    fn logins_are_found_by_the_host_however_it_is_written() {
        let auth = STANDARD.encode("me:pass:word");
        let found = read(
            &json!({"auths": {
                format!("https://index.{HUB}/v1/"): {"auth": auth},
                "mirror:5000": {"username": "you", "password": "other-pass"},
                "https://r.example/v2/": {"auth": auth},
                "kept.example": {},
            }})
            .to_string(),
        )
        .unwrap();
        for host in [HUB, "r.example"] {
            assert_eq!(found.of(host).unwrap().password, "pass:word", "{host}");
        }
        assert_eq!(found.of("mirror:5000").unwrap().user, "you");
        assert!(found.of("kept.example").is_none() && found.of("mirror").is_none());
        assert!(!format!("{found:?}").contains("pass"), "{found:?}");
    }

    #[test]
    fn a_program_that_has_the_login_is_named() {
        let found = read(r#"{"credsStore": "desktop", "credHelpers": {"r.example": "cloud"}}"#).unwrap();
        assert!(found.hint("r.example").contains("docker-credential-cloud"));
        assert!(found.hint("other.example").contains("docker-credential-desktop"));
    }

    #[test]
    fn a_damaged_file_is_told_without_its_contents() {
        for text in [r#"{"auths": {"h": {"auth": "canary"}}"#, r#"{"auths": {"h": {"auth": "canary!"}}}"#] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code().id, "KVN435");
            assert!(!error.to_string().contains("canary"), "{error}");
        }
        let token = read(r#"{"auths": {"h": {"identitytoken": "canary"}}}"#).unwrap_err();
        assert!(
            token.to_string().contains("identity token") && !token.to_string().contains("canary"),
            "{token}"
        );
    }
}
