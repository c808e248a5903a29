//! The cluster, for people: what a plan, a prompt and a report show before anything is changed.

use std::fmt;

use camino::Utf8PathBuf;
use serde::Serialize;

/// A connection's target and its source: no secrets, so that it may be shown anywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The address of the API server, without a user or password in it.
    pub server: String,
    /// The context of the kubeconfig.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The user of that context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The kubeconfig that has the context.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<Utf8PathBuf>,
}

impl fmt::Display for Place {
    /// ``https://10.0.0.1:6443 (context `prod` of /root/.kube/config)``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.server)?;
        match (&self.context, &self.file) {
            (Some(context), Some(file)) => write!(f, " (context `{context}` of {file})"),
            (Some(context), None) => write!(f, " (context `{context}`)"),
            (None, Some(file)) => write!(f, " ({file})"),
            (None, None) => Ok(()),
        }
    }
}

/// An address without its user and password, query and fragment, and without the slash at its end.
pub fn bare_address(address: &str) -> String {
    let address = address.split(['?', '#']).next().unwrap_or(address);
    let (scheme, rest) = address.split_once("://").map_or(("", address), |(scheme, rest)| (scheme, rest));
    let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
    // The last `@` ends it: a password may contain one.
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let separator = if scheme.is_empty() { "" } else { "://" };
    format!("{scheme}{separator}{host}{}", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_keeps_no_secret() {
        for (address, bare) in [
            ("https://10.0.0.1:6443/", "https://10.0.0.1:6443"),
            ("http://user:s3cret@h:1", "http://h:1"),
            ("http://user:s3@cret@h:1/a/b/", "http://h:1/a/b"),
            ("https://h/p?token=s3cret#s3cret", "https://h/p"),
            ("https://[::1]:6443", "https://[::1]:6443"),
            ("user:s3cret@h", "h"),
        ] {
            assert_eq!(bare_address(address), bare);
        }
    }

    #[test]
    fn people_are_told_server_context_and_file() {
        let mut place = Place { server: "https://h:1".into(), ..Place::default() };
        assert_eq!(place.to_string(), "https://h:1");
        place.context = Some("prod".into());
        assert_eq!(place.to_string(), "https://h:1 (context `prod`)");
        place.file = Some("/root/.kube/config".into());
        assert_eq!(place.to_string(), "https://h:1 (context `prod` of /root/.kube/config)");
    }
}
