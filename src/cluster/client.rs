//! Connecting: which kubeconfig, which context, and whether the API server answers.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;

use super::Cluster;
use super::find::{Found, cause, unusable};
use super::health::Health;
use super::place::Place;
use super::request::{ANSWER_TIME, Call};
use crate::error::{Error, Result, code};

/// How long a TCP connection and its TLS handshake may take.
const CONNECT_TIME: Duration = Duration::from_secs(5);
const USER_AGENT: &str = concat!("kvnet/", env!("CARGO_PKG_VERSION"));

/// Where to look for a cluster.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// The kubeconfig that was asked for; nothing else is tried then.
    pub kubeconfig: Option<Utf8PathBuf>,
    /// The context that was asked for; otherwise the current one.
    pub context: Option<String>,
    /// What is read when neither `KUBECONFIG` nor `~/.kube/config` is there: `/etc/kubernetes/admin.conf`.
    pub fallback: Option<Utf8PathBuf>,
    /// How long the API server may take for one answer, when that is less than the usual 20 seconds.
    pub answer_time: Option<Duration>,
}

/// What the API server says about itself.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServerVersion {
    /// `1`.
    pub major: String,
    /// `34`; some distributions append `+`.
    pub minor: String,
    /// `v1.34.4`.
    pub git_version: String,
}

impl Cluster {
    /// A client for the cluster of `--kubeconfig`, else `$KUBECONFIG`, else `~/.kube/config`, else the fallback.
    /// Sends nothing yet.
    ///
    /// # Errors
    /// `KVN300` with the files that were tried.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        let found = Found::look(options)?;
        let context = found.context(options.context.as_deref())?;
        let Found { kubeconfig, origin, .. } = &found;
        let mut config = client_config(kubeconfig.clone(), options.context.clone(), origin).await?;
        // The API server's audit log tells by it which requests were kvnet's.
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
        let place = found.place(context, &config.cluster_url.to_string());
        // One provider for the whole process; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = kube::Client::try_from(config).map_err(|error| unusable(origin).because(error))?;
        let answer_time = options.answer_time.map_or(ANSWER_TIME, |time| time.min(ANSWER_TIME));
        Ok(Self {
            client,
            server: place.server.as_str().into(),
            place: Arc::new(place),
            origin: origin.as_str().into(),
            answer_time,
            kinds: Arc::default(),
            health: Health::default(),
        })
    }

    /// A cluster behind a client that exists already: a fake one in tests.
    pub fn from_client(client: kube::Client) -> Self {
        let place = Place { server: "https://cluster".into(), ..Place::default() };
        Self {
            client,
            server: place.server.as_str().into(),
            place: Arc::new(place),
            origin: "a client".into(),
            answer_time: ANSWER_TIME,
            kinds: Arc::default(),
            health: Health::default(),
        }
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// Which cluster it is, for people; everything that changes something says it first.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The kubeconfig that the connection was made from, for people.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The version of the API server.
    ///
    /// # Errors
    /// `KVN301`, `KVN302` or `KVN307`, see [`Cluster::reachable`].
    pub async fn version(&self) -> Result<ServerVersion> {
        self.version_by(&Call::get("/version")).await
    }

    /// Whether the API server answers and accepts the credentials, asked once without retries.
    ///
    /// # Errors
    /// `KVN301` when it does not answer, `KVN302` when it refuses, `KVN307` when something else answers.
    pub async fn reachable(&self) -> Result<ServerVersion> {
        let version = self.version_by(&Call::get("/version").once()).await?;
        // /version is open to everybody, so it says nothing about the credentials.
        let call = Call::get("/api/v1/namespaces/kube-system").once();
        self.call(&call).await?.done(&self.server)?;
        Ok(version)
    }

    async fn version_by(&self, call: &Call) -> Result<ServerVersion> {
        let value = self.call(call).await?.done(&self.server)?;
        serde_json::from_value(value).map_err(|error| {
            Error::new(&code::CLUSTER_ANSWER, format!("{} does not say its version", self.server))
                .because(error)
        })
    }
}

/// The names of the contexts of the kubeconfig that would be taken; none when there is no usable one.
pub fn contexts(options: &ConnectOptions) -> Vec<String> {
    let contexts = Found::look(options).map(|found| found.kubeconfig.contexts).unwrap_or_default();
    contexts.into_iter().map(|context| context.name).collect()
}

async fn client_config(
    kubeconfig: Kubeconfig,
    context: Option<String>,
    origin: &str,
) -> Result<kube::Config> {
    let proxied = names_proxy(&kubeconfig, context.as_deref());
    let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
    let mut config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| unusable(origin).because(cause(&error)))?;
    config.connect_timeout = Some(CONNECT_TIME);
    // Watches and exec are silent for long; calls have their own time limit.
    config.read_timeout = None;
    // The retries of this module know which requests they may repeat and say why they gave up.
    config.default_retry = false;
    // kube takes HTTPS_PROXY for the API server too, and its check of NO_PROXY looks at the proxy's own name. A node's
    // proxy is for downloads; only a proxy that the kubeconfig names is meant for the API server.
    if !proxied {
        config.proxy_url = None;
    }
    Ok(config)
}

fn names_proxy(kubeconfig: &Kubeconfig, context: Option<&str>) -> bool {
    let name = context.or(kubeconfig.current_context.as_deref());
    let context = kubeconfig.contexts.iter().find(|context| Some(context.name.as_str()) == name);
    let cluster =
        context.and_then(|context| context.context.as_ref()).map(|context| context.cluster.as_str());
    let cluster = kubeconfig.clusters.iter().find(|candidate| Some(candidate.name.as_str()) == cluster);
    cluster.and_then(|cluster| cluster.cluster.as_ref()).is_some_and(|cluster| cluster.proxy_url.is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADMIN: &str = "apiVersion: v1\nkind: Config\ncurrent-context: a\nclusters:\n- name: c\n  cluster: {server: 'https://127.0.0.1:1'}\ncontexts:\n- name: a\n  context: {cluster: c, user: u}\nusers:\n- name: u\n  user: {token: s3cret}\n";

    fn file(text: &str) -> (tempfile::TempDir, Utf8PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let path = Utf8PathBuf::from_path_buf(directory.path().join("config")).unwrap();
        std::fs::write(&path, text).unwrap();
        (directory, path)
    }

    #[tokio::test]
    async fn a_file_that_is_asked_for_must_exist() {
        let options = ConnectOptions { kubeconfig: Some("/nonexistent/config".into()), ..Default::default() };
        let error = Cluster::connect(&options).await.err().unwrap();
        assert_eq!(error.code().id, "KVN300");
        assert!(error.message().contains("/nonexistent/config"), "{error}");
    }

    #[tokio::test]
    async fn a_wrong_context_is_answered_with_the_right_ones() {
        let (_directory, path) = file(ADMIN);
        let options =
            ConnectOptions { kubeconfig: Some(path), context: Some("b".into()), ..Default::default() };
        let error = Cluster::connect(&options).await.err().unwrap();
        assert_eq!(error.hints(), ["it has: a"]);
    }

    #[tokio::test]
    async fn garbage_is_refused_without_showing_it() {
        let (_directory, path) = file("users: [{name: u, user: {token: s3cret");
        let error = Cluster::connect(&ConnectOptions { kubeconfig: Some(path), ..Default::default() })
            .await
            .err()
            .unwrap();
        assert_eq!(error.code().id, "KVN300");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_connection_is_said_at_once() {
        let (_directory, path) = file(ADMIN);
        let cluster =
            Cluster::connect(&ConnectOptions { kubeconfig: Some(path), ..Default::default() }).await.unwrap();
        let error = cluster.reachable().await.unwrap_err();
        assert_eq!(error.code().id, "KVN301");
        assert!(error.message().contains("https://127.0.0.1:1"), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}
