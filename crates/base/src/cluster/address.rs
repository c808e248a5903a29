//! URLs of a kubeconfig: the API server's and its proxy's.

use http::Uri;

use super::api::encode;
use crate::error::{Error, Result, code};

/// A URL with the user and password that were in it.
#[derive(Debug)]
pub(super) struct Address {
    /// Without them.
    pub uri: Uri,
    pub login: Option<(String, String)>,
}

impl Address {
    /// `what` is the field; its value is in no message, because it may hold a password.
    pub fn parse(text: &str, what: &str, schemes: &[&str]) -> Result<Self> {
        let wrong = |why: String| {
            Error::new(&code::CLUSTER_CONFIG, format!("`{what}` of the kubeconfig is not a usable address"))
                .because(why)
        };
        let text = text.trim();
        let (scheme, rest) =
            text.split_once("://").ok_or_else(|| wrong("it has no `https://`".to_owned()))?;
        let scheme = scheme.to_ascii_lowercase();
        if !schemes.contains(&scheme.as_str()) {
            return Err(wrong(format!("only {} are supported", schemes.join(", "))));
        }
        let (authority, path) = rest.find(['/', '?', '#']).map_or((rest, ""), |end| rest.split_at(end));
        let (login, host) = match authority.rsplit_once('@') {
            Some((login, host)) => (Some(login), host),
            None => (None, authority),
        };
        check_port(host).map_err(&wrong)?;
        // A query would end up before kvnet's own paths.
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let uri: Uri =
            format!("{scheme}://{host}{path}").parse().map_err(|error| wrong(format!("{error}")))?;
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong("it has no host".to_owned()));
        }
        let login = login.map(|login| {
            let (name, password) = login.split_once(':').unwrap_or((login, ""));
            (decoded(name), decoded(password))
        });
        Ok(Self { uri, login })
    }

    /// The address with its user and password, encoded.
    pub fn with_login(&self) -> String {
        let text = self.uri.to_string();
        let (Some((name, password)), Some((scheme, rest))) = (&self.login, text.split_once("://")) else {
            return text;
        };
        format!("{scheme}://{}:{}@{rest}", encode(name), encode(password))
    }

    /// Whether it is on this machine.
    pub fn is_loopback(&self) -> bool {
        let host = self.uri.host().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
    }
}

/// An invalid port would be ignored, and the request sent to another one.
fn check_port(host: &str) -> Result<(), String> {
    let port = match host.rsplit_once(']') {
        Some((_, rest)) => rest.strip_prefix(':'),
        None => host.split_once(':').map(|(_, port)| port),
    };
    match port {
        None | Some("") => Ok(()),
        Some(port) if port.parse::<u16>().is_ok_and(|port| port > 0) => Ok(()),
        Some(_) => Err("its port is not between 1 and 65535".to_owned()),
    }
}

fn decoded(text: &str) -> String {
    // `+` is itself in this part of an address.
    let query = format!("x={}", text.replace('+', "%2B").replace('&', "%26"));
    let pair = form_urlencoded::parse(query.as_bytes()).next();
    pair.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: &[&str] = &["http", "https"];

    #[test]
    fn a_user_and_a_password_are_taken_out() {
        let address = Address::parse("https://me:s3%40c+ret@h:1/p", "server", WEB).unwrap();
        assert_eq!(address.uri, "https://h:1/p");
        assert_eq!(address.login, Some(("me".into(), "s3@c+ret".into())));
        assert_eq!(Address::parse("http://h", "server", WEB).unwrap().login, None);
    }

    #[test]
    fn what_is_no_address_is_refused_without_being_shown() {
        for text in [
            "http://user:s3cret@h:99999",
            "http://h:0",
            "http://h:-1",
            "http://[::1]:70000",
            "http://h:80:80",
            "ftp://user:s3cret@h",
            "user:s3cret@h",
            "http://",
            "http://user:s3cret@/p",
            "http://user:s3cret@h h",
        ] {
            let error = Address::parse(text, "server", WEB).unwrap_err();
            assert_eq!(error.code().id, "KVN300", "{text}");
            assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn loopback_is_this_machine() {
        for (text, expected) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(Address::parse(text, "server", WEB).unwrap().is_loopback(), expected, "{text}");
        }
    }
}
