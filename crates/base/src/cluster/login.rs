//! How kvnet authenticates: the `Authorization` header of a kubeconfig's user, kept fresh.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::time::Instant;

use super::plugin::Plugin;
use crate::error::{Error, Result, code};
use crate::host::small;
use crate::redact::know;

/// How long a token file is cached, as in kubectl.
const TOKEN_AGE: Duration = Duration::from_mins(1);

/// What is sent with every request; cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Login(Arc<Inner>);

#[derive(Default)]
struct Inner {
    source: Source,
    header: RwLock<Option<HeaderValue>>,
    /// Told when a plugin's credentials had already expired.
    over: RwLock<Option<String>>,
    /// When the header was last checked.
    looked: tokio::sync::Mutex<Option<Instant>>,
}

/// Where the header comes from.
#[derive(Default)]
pub(super) enum Source {
    /// There is none: a client certificate, or an anonymous user.
    #[default]
    None,
    /// It is in the kubeconfig.
    Fixed(HeaderValue),
    /// The token is in a file that another process renews; the kubeconfig's token is used when it cannot be read.
    File(PathBuf, Option<HeaderValue>),
    /// From a plugin.
    Plugin(Box<Plugin>),
}

impl Login {
    /// A login with its first header.
    pub async fn new(source: Source) -> Result<Self> {
        let login = Self(Arc::new(Inner { source, ..Inner::default() }));
        login.refresh().await?;
        Ok(login)
    }

    /// The current header.
    pub fn header(&self) -> Option<HeaderValue> {
        self.0.header.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Why it cannot be valid, when that is known.
    pub fn over(&self) -> Option<String> {
        self.0.over.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gets a new header when the current one may have expired.
    /// Fails with `KVN300` when a first token cannot be read, `KVN310` when a plugin gives none.
    pub async fn refresh(&self) -> Result<()> {
        let mut looked = self.0.looked.lock().await;
        let header = match &self.0.source {
            Source::None => return Ok(()),
            Source::Fixed(header) => Some(header.clone()),
            Source::File(..) if looked.is_some_and(|at| at.elapsed() < TOKEN_AGE) => return Ok(()),
            // An old token is better than none: the file may be about to be replaced.
            Source::File(path, fixed) => match (token_of(path), fixed.clone().or_else(|| self.header())) {
                (Ok(header), _) | (Err(_), Some(header)) => Some(header),
                (Err(error), None) => return Err(error),
            },
            Source::Plugin(plugin) => {
                let credential = Box::pin(plugin.credential()).await?;
                *self.0.over.write().unwrap_or_else(PoisonError::into_inner) = credential.over;
                match credential.token {
                    Some(token) => Some(bearer(&token, "that the credential plugin gave")?),
                    None => None,
                }
            }
        };
        *looked = Some(Instant::now());
        *self.0.header.write().unwrap_or_else(PoisonError::into_inner) = header;
        Ok(())
    }
}

/// The token in a file, trimmed.
fn token_of(path: &Path) -> Result<HeaderValue> {
    let unusable = |why: String| {
        Error::new(&code::CLUSTER_CONFIG, format!("the token file {} cannot be used", path.display()))
            .because(why)
    };
    let file = small::read(path).map_err(|error| unusable(error.to_string()))?;
    let text = String::from_utf8(file.content).map_err(|_| unusable("it is not text".to_owned()))?;
    match text.trim() {
        "" => Err(unusable("it is empty".to_owned())),
        token => bearer(token, &format!("in {}", path.display())),
    }
}

/// The header for a token; `whose` says which one, in an error.
pub(super) fn bearer(token: &str, whose: &str) -> Result<HeaderValue> {
    let value = HeaderValue::from_str(&format!("Bearer {token}")).ok();
    // A header may contain more than a token may.
    let value = value.filter(|_| token.chars().all(|c| c.is_ascii_graphic()));
    let mut value = value.ok_or_else(|| {
        Error::new(&code::CLUSTER_CONFIG, format!("the token {whose} is not valid"))
            .because("it has a blank, a newline or another character that no token has")
    })?;
    know(token);
    value.set_sensitive(true);
    Ok(value)
}

pub(super) fn basic(name: &str, password: &str) -> Result<HeaderValue> {
    let text = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Error::new(&code::CLUSTER_CONFIG, "the user's name and password are not valid"))?;
    know(password);
    value.set_sensitive(true);
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_token_panics() {
        for token in
            ["s3cret\n", "s3\0cret", "\u{1b}[2Js3cret", "s3 cret", "s3\tcret", "s3crét", "\u{202e}s3cret"]
        {
            let error = bearer(token, "of user u").unwrap_err();
            assert_eq!(error.code().id, "KVN300");
            assert!(!format!("{error} {error:?}").contains("cret"), "{error:?}");
        }
        assert_eq!(bearer("abc.d-e_f~+/=", "").unwrap(), "Bearer abc.d-e_f~+/=");
        assert_eq!(basic("Aladdin", "open sesame").unwrap(), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }

    #[tokio::test]
    async fn a_token_file_may_end_as_editors_end_it_and_is_read_again() {
        tokio::time::pause();
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, "\u{20}abc \r\n\n").unwrap();
        let login = Login::new(Source::File(path.clone(), None)).await.unwrap();
        assert_eq!(login.header().unwrap(), "Bearer abc");
        std::fs::write(&path, "def\n").unwrap();
        login.refresh().await.unwrap();
        assert_eq!(login.header().unwrap(), "Bearer abc");
        tokio::time::advance(TOKEN_AGE).await;
        login.refresh().await.unwrap();
        assert_eq!(login.header().unwrap(), "Bearer def");
        std::fs::remove_file(&path).unwrap();
        tokio::time::advance(TOKEN_AGE).await;
        login.refresh().await.unwrap();
        assert_eq!(login.header().unwrap(), "Bearer def");
    }

    #[tokio::test]
    async fn a_token_file_that_has_none_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, " \n").unwrap();
        for path in [path, "/nonexistent/token".into(), "/dev/zero".into()] {
            let error = Login::new(Source::File(path.clone(), None)).await.err().unwrap();
            assert_eq!(error.code().id, "KVN300");
            assert!(error.message().contains(path.to_str().unwrap()), "{error}");
        }
    }
}
