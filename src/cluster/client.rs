//! Connecting: which kubeconfig, which context, and whether the API server answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use camino::Utf8PathBuf;
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde::Deserialize;

use super::Cluster;
use super::health::Health;
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
        let (kubeconfig, origin) = load(options)?;
        check_context(&kubeconfig, options.context.as_deref(), &origin)?;
        let mut config = client_config(kubeconfig, options.context.clone(), &origin).await?;
        // The API server's audit log tells by it which requests were kvnet's.
        config.headers.push((http::header::USER_AGENT, http::HeaderValue::from_static(USER_AGENT)));
        let server = config.cluster_url.to_string().trim_end_matches('/').to_owned();
        // One provider for the whole process; a second call changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = kube::Client::try_from(config).map_err(|error| unusable(&origin).because(error))?;
        let answer_time = options.answer_time.map_or(ANSWER_TIME, |time| time.min(ANSWER_TIME));
        Ok(Self {
            client,
            server: server.into(),
            origin: origin.into(),
            answer_time,
            kinds: Arc::default(),
            health: Health::default(),
        })
    }

    /// A cluster behind a client that exists already: a fake one in tests.
    pub fn from_client(client: kube::Client) -> Self {
        let (server, origin) = ("https://cluster".into(), "a client".into());
        Self {
            client,
            server,
            origin,
            answer_time: ANSWER_TIME,
            kinds: Arc::default(),
            health: Health::default(),
        }
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
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
    let contexts = load(options).map(|(kubeconfig, _)| kubeconfig.contexts).unwrap_or_default();
    contexts.into_iter().map(|context| context.name).collect()
}

/// The kubeconfig and where it comes from.
fn load(options: &ConnectOptions) -> Result<(Kubeconfig, String)> {
    if let Some(path) = &options.kubeconfig {
        return Ok((read(path.as_std_path())?, path.to_string()));
    }
    if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        return load_list(&std::env::split_paths(&list).collect::<Vec<_>>());
    }
    load_first(&default_paths(options))
}

/// The files of `KUBECONFIG`, merged; like kubectl, files that do not exist are skipped.
fn load_list(paths: &[PathBuf]) -> Result<(Kubeconfig, String)> {
    let origin = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(":");
    let origin = format!("{origin} (from KUBECONFIG)");
    let existing: Vec<&PathBuf> = paths.iter().filter(|path| path.exists()).collect();
    if existing.is_empty() {
        return Err(Error::new(&code::CLUSTER_CONFIG, format!("no such file: {origin}")));
    }
    let merged = existing.iter().try_fold(Kubeconfig::default(), |merged, path| {
        merged.merge(read(path)?).map_err(|error| unusable(&origin).because(error))
    })?;
    Ok((merged, origin))
}

/// The first file with at least one context.
fn load_first(paths: &[PathBuf]) -> Result<(Kubeconfig, String)> {
    for path in paths.iter().filter(|path| path.exists()) {
        let kubeconfig = read(path)?;
        if !kubeconfig.contexts.is_empty() {
            return Ok((kubeconfig, path.display().to_string()));
        }
    }
    let tried = paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    Err(Error::new(&code::CLUSTER_CONFIG, "no kubeconfig with a cluster was found")
        .because(format!("tried {tried}")))
}

fn default_paths(options: &ConnectOptions) -> Vec<PathBuf> {
    let home = std::env::home_dir().map(|home| home.join(".kube/config"));
    home.into_iter().chain(options.fallback.iter().map(|path| path.clone().into_std_path_buf())).collect()
}

fn read(path: &Path) -> Result<Kubeconfig> {
    Kubeconfig::read_from(path).map_err(|error| unusable(&path.display().to_string()).because(cause(&error)))
}

fn unusable(origin: &str) -> Error {
    Error::new(&code::CLUSTER_CONFIG, format!("kubeconfig {origin} cannot be used"))
}

/// The reason without the source text around it, which could hold a key.
fn cause(error: &kube::config::KubeconfigError) -> String {
    use kube::config::KubeconfigError as E;
    match error {
        E::ReadConfig(error, _) => error.to_string(),
        E::Parse(_) => "it is not valid YAML of a kubeconfig".to_owned(),
        E::LoadClientKey(_) => "its client key cannot be loaded".to_owned(),
        other => other.to_string(),
    }
}

fn check_context(kubeconfig: &Kubeconfig, wanted: Option<&str>, origin: &str) -> Result<()> {
    let current = kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
    let contexts: Vec<&str> = kubeconfig.contexts.iter().map(|context| context.name.as_str()).collect();
    let Some(name) = wanted.or(current) else {
        return Err(Error::new(&code::CLUSTER_CONFIG, format!("kubeconfig {origin} has no current context"))
            .hint(format!("choose one with `--context`: {}", list_or_none(&contexts))));
    };
    if contexts.contains(&name) {
        return Ok(());
    }
    Err(Error::new(&code::CLUSTER_CONFIG, format!("kubeconfig {origin} has no context `{name}`"))
        .hint(format!("it has: {}", list_or_none(&contexts))))
}

fn list_or_none(names: &[&str]) -> String {
    if names.is_empty() { "none".to_owned() } else { names.join(", ") }
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
