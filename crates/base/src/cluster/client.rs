//! Connecting: which kubeconfig, which context, and whether the API server answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::access::{self, Access};
use super::expected::Expected;
use super::find::Found;
use super::health::Health;
use super::login::Login;
use super::place::Place;
use super::request::{ANSWER_TIME, ApiCall};
use super::{Cluster, ObjectKey};
use crate::error::{Error, Result, code};
use crate::host::small;

/// How long a cluster may take to identify itself.
const IDENTITY_TIME: Duration = Duration::from_secs(5);
/// The minimum timeout of an answer.
const LEAST_TIME: Duration = Duration::from_secs(1);

/// Where to look for a cluster.
#[derive(Clone, Debug, Default)]
pub struct ConnectOptions {
    /// The requested kubeconfig; nothing else is tried then.
    pub kubeconfig: Option<Utf8PathBuf>,
    /// The requested context; otherwise the current one.
    pub context: Option<String>,
    /// The fallback when there is neither `KUBECONFIG` nor `~/.kube/config`: `/etc/kubernetes/admin.conf`.
    pub fallback: Option<Utf8PathBuf>,
    /// How long the API server may take for one answer, when that is less than the usual 20 seconds.
    pub answer_time: Option<Duration>,
    /// How long a credential plugin may take, when that is not the usual minute.
    pub deadline: Option<Duration>,
    /// Told that a plugin is run, and what is insecure about the connection.
    pub tell: Tell,
}

/// Receives notes about a connection; drops them by default.
#[derive(Clone, Default)]
pub struct Tell(Option<Arc<Listener>>);

type Listener = dyn Fn(bool, &str) + Send + Sync;

impl Tell {
    /// Whether it is a warning, and the text.
    pub fn new(tell: impl Fn(bool, &str) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn note(&self, text: &str) {
        self.0.iter().for_each(|tell| tell(false, text));
    }

    pub(super) fn warn(&self, text: &str) {
        self.0.iter().for_each(|tell| tell(true, text));
    }
}

impl std::fmt::Debug for Tell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_some() { "Tell(somebody)" } else { "Tell(nobody)" })
    }
}

/// The API server's version.
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

/// The identity of a cluster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterId {
    /// The uid of its namespace kube-system. A cluster that was restored from another's etcd has the same.
    pub uid: String,
    /// The digest of the CA that it gives to its pods; none where it does not publish it, as before Kubernetes 1.20.
    pub authority: Option<String>,
}

impl ClusterId {
    /// Whether it is that cluster: the same CA too, where both are known.
    pub fn is(&self, other: &Self) -> bool {
        let differs = |(one, other): (&String, &String)| one != other;
        self.uid == other.uid && !self.authority.as_ref().zip(other.authority.as_ref()).is_some_and(differs)
    }
}

impl Cluster {
    /// A client for the cluster of `--kubeconfig`, else `$KUBECONFIG`, else `~/.kube/config`, else the fallback.
    /// Sends nothing yet, but runs a credential plugin.
    /// Fails with `KVN300` with the files that were tried, or what of the kubeconfig cannot be used; `KVN310`, `KVN311`
    /// and `KVN313` about how it logs in.
    pub async fn connect(options: &ConnectOptions) -> Result<Self> {
        let found = Found::look(options)?;
        let context = found.context(options.context.as_deref())?;
        let chosen = found.choose(context)?;
        let begin = Instant::now();
        let Access { client, login, server, route, authority } =
            Box::pin(access::open(&chosen, options)).await?;
        // A credential plugin's time counts towards the command's.
        // The time that a busy machine takes to read a few files does not count.
        let taken = Some(begin.elapsed()).filter(|taken| *taken >= LEAST_TIME).unwrap_or_default();
        let left = |time: Duration| time.saturating_sub(taken).max(LEAST_TIME);
        let answer_time = options.answer_time.map_or(ANSWER_TIME, |time| left(time).min(ANSWER_TIME));
        Ok(Self {
            login,
            place: Arc::new(found.place(context, &server)),
            server: server.into(),
            route: route.into(),
            authority: authority.map(Into::into),
            answer_time,
            ..Self::from_client(client)
        })
    }

    /// A cluster behind an existing client: a fake one in tests.
    pub fn from_client(client: kube::Client) -> Self {
        let place = Place { server: "https://cluster".into(), ..Place::default() };
        Self {
            client,
            login: Login::default(),
            server: place.server.as_str().into(),
            route: place.server.as_str().into(),
            authority: None,
            place: Arc::new(place),
            answer_time: ANSWER_TIME,
            kinds: Arc::default(),
            health: Health::default(),
            offers: Arc::default(),
            tape: None,
        }
    }

    /// The address of the API server.
    pub fn server(&self) -> &str {
        &self.server
    }

    /// The cluster for people; named before anything is changed.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The version of the API server.
    pub async fn version(&self) -> Result<ServerVersion> {
        self.version_by(&ApiCall::get("/version")).await
    }

    /// Whether the API server answers and accepts the credentials, asked once without retries.
    /// Fails with `KVN301` when it does not answer, `KVN302` when it refuses, `KVN307` when something else answers.
    pub async fn reachable(&self) -> Result<ServerVersion> {
        let version = self.version_by(&ApiCall::get("/version").once()).await?;
        // /version is public, so it says nothing about the credentials.
        let call = ApiCall::of_system().once();
        self.call(&call).await?.done(&self.server)?;
        Ok(version)
    }

    /// The cluster of the kubeconfig `admin`, a node's own, when that is not this one. The identity of the namespace
    /// kube-system decides where both answer, else address and CA. None when it is this one, does not exist, or may not
    /// be read.
    ///
    /// # Errors
    /// As [`Cluster::connect`], when the file exists and cannot be used.
    pub async fn leads_elsewhere(&self, admin: &Utf8Path) -> Result<Option<Place>> {
        use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
        if let Err(error) = small::read(admin.as_std_path())
            && matches!(error.kind(), NotFound | NotADirectory | PermissionDenied)
        {
            return Ok(None);
        }
        let options = ConnectOptions {
            kubeconfig: Some(admin.to_owned()),
            answer_time: Some(self.answer_time.min(IDENTITY_TIME)),
            ..ConnectOptions::default()
        };
        let other = Self::connect(&options).await?;
        let same_authority = self.authority.is_some() && self.authority == other.authority;
        if self.server == other.server && self.authority == other.authority {
            return Ok(None);
        }
        let is_here = match tokio::join!(self.identity(), other.identity()) {
            (Some(here), Some(there)) => here.is(&there),
            _ => same_authority || self.server == other.server,
        };
        Ok((!is_here).then(|| other.place().clone()))
    }

    /// Whether a kubeconfig names this API server and its CA; sends no request.
    pub fn is_named_by(&self, kubeconfig: &Utf8Path) -> bool {
        let named = || {
            let found = Found::read(kubeconfig.as_std_path())?;
            access::leads_to(&found.choose(found.context(None)?)?)
        };
        named().is_ok_and(|(server, authority)| {
            server == *self.server && authority.as_deref() == self.authority.as_deref()
        })
    }

    /// The unique part; none when it cannot be read.
    pub async fn identity(&self) -> Option<ClusterId> {
        let text = async |call: ApiCall, pointer: &str| {
            let object = self.call(&call).await.ok()?.done(&self.server).ok()?;
            Some(object.pointer(pointer)?.as_str()?.to_owned()).filter(|text| !text.is_empty())
        };
        let root = ApiCall::get("/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt").expects(
            Expected::Object(ObjectKey::new("v1", "ConfigMap", Some("kube-system"), "kube-root-ca.crt")),
        );
        let (uid, authority) =
            tokio::join!(text(ApiCall::of_system(), "/metadata/uid"), text(root, "/data/ca.crt"),);
        let authority = authority.map(|pem| format!("{:x}", Sha256::digest(pem.trim())));
        Some(ClusterId { uid: uid?, authority })
    }

    async fn version_by(&self, call: &ApiCall) -> Result<ServerVersion> {
        let value = self.call(call).await?.done(&self.server)?;
        serde_json::from_value(value).map_err(|error| {
            Error::new(&code::CLUSTER_ANSWER, format!("{} does not report its version", self.server))
                .because(error)
        })
    }
}

/// The names of the contexts of the kubeconfig that would be used; none when there is no usable one.
pub fn contexts(options: &ConnectOptions) -> Vec<String> {
    let contexts = Found::look(options).map(|found| found.kubeconfig.contexts).unwrap_or_default();
    contexts.into_iter().map(|context| context.name).collect()
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

    /// A server that says this identity of kube-system, and nothing else.
    async fn cluster_of(uid: Option<&str>) -> String {
        cluster_with(uid, None).await
    }

    async fn cluster_with(uid: Option<&str>, authority: Option<&str>) -> String {
        use wiremock::matchers::path;
        use wiremock::{Mock, MockServer, ResponseTemplate};
        let server = MockServer::start().await;
        let answer = match uid {
            Some(uid) => ResponseTemplate::new(200)
                .set_body_json(serde_json::json!({"metadata": {"name": "kube-system", "uid": uid}})),
            None => {
                ResponseTemplate::new(403).set_body_json(serde_json::json!({"kind": "Status", "code": 403}))
            }
        };
        Mock::given(path("/api/v1/namespaces/kube-system")).respond_with(answer).mount(&server).await;
        if let Some(authority) = authority {
            let map =
                serde_json::json!({"metadata": {"name": "kube-root-ca.crt"}, "data": {"ca.crt": authority}});
            Mock::given(path("/api/v1/namespaces/kube-system/configmaps/kube-root-ca.crt"))
                .respond_with(ResponseTemplate::new(200).set_body_json(map))
                .mount(&server)
                .await;
        }
        let address = server.uri();
        // It is to answer until the test ends.
        Box::leak(Box::new(server));
        address
    }

    #[tokio::test]
    async fn a_server_that_asks_for_a_longer_wait_than_there_is_time_is_not_waited_for() {
        use wiremock::{Mock, MockServer, ResponseTemplate, matchers::any};
        let server = MockServer::start().await;
        let busy = ResponseTemplate::new(503).insert_header("Retry-After", "15");
        Mock::given(any()).respond_with(busy).mount(&server).await;
        let (_directory, path) = file(&ADMIN.replace("https://127.0.0.1:1", &server.uri()));
        let answer_time = Some(Duration::from_secs(2));
        let options = ConnectOptions { kubeconfig: Some(path), answer_time, ..Default::default() };
        let cluster = Cluster::connect(&options).await.unwrap();
        let begin = std::time::Instant::now();
        assert_eq!(cluster.version().await.unwrap_err().code().id, "KVN301");
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    }

    async fn elsewhere(chosen: &str, own: &str) -> Option<Place> {
        let (_one, chosen) = file(&ADMIN.replace("https://127.0.0.1:1", chosen));
        let (_two, own) = file(&ADMIN.replace("https://127.0.0.1:1", own));
        let options = ConnectOptions { kubeconfig: Some(chosen), ..Default::default() };
        Cluster::connect(&options).await.unwrap().leads_elsewhere(&own).await.unwrap()
    }

    #[tokio::test]
    async fn a_nodes_own_kubeconfig_that_leads_elsewhere_is_known() {
        let (one, again) = (cluster_of(Some("a")).await, cluster_of(Some("a")).await);
        let (other, silent) = (cluster_of(Some("b")).await, cluster_of(None).await);
        assert_eq!(elsewhere(&one, &one).await, None);
        assert_eq!(elsewhere(&one, &again).await, None, "one cluster with two addresses");
        assert_eq!(elsewhere(&one, &other).await.unwrap().server, other);
        assert_eq!(elsewhere(&one, &silent).await.unwrap().server, silent);
        assert!(elsewhere(&one, "http://127.0.0.1:1").await.is_some());
        let (_directory, path) = file(ADMIN);
        let options = ConnectOptions { kubeconfig: Some(path), ..Default::default() };
        let cluster = Cluster::connect(&options).await.unwrap();
        assert_eq!(cluster.leads_elsewhere("/nonexistent/admin.conf".into()).await.unwrap(), None);
        assert_eq!(cluster.leads_elsewhere("/dev/zero".into()).await.unwrap_err().code().id, "KVN300");
    }

    #[tokio::test]
    async fn a_cluster_that_was_restored_from_anothers_etcd_is_another_one() {
        let one = cluster_with(Some("a"), Some("ca one\n")).await;
        let by_another_way = cluster_with(Some("a"), Some("ca one")).await;
        let restored = cluster_with(Some("a"), Some("ca two")).await;
        let before_that_was_told = cluster_with(Some("a"), None).await;
        assert_eq!(elsewhere(&one, &by_another_way).await, None);
        assert_eq!(elsewhere(&one, &before_that_was_told).await, None);
        assert_eq!(elsewhere(&one, &restored).await.unwrap().server, restored);
    }

    #[tokio::test]
    async fn a_machine_whose_kubeconfig_names_the_server_is_known_without_asking() {
        let (_one, path) = file(ADMIN);
        let (_two, other) = file(&ADMIN.replace(":1'", ":2'"));
        let options = ConnectOptions { kubeconfig: Some(path.clone()), ..Default::default() };
        let cluster = Cluster::connect(&options).await.unwrap();
        assert!(cluster.is_named_by(&path));
        assert!(!cluster.is_named_by(&other) && !cluster.is_named_by("/nonexistent".into()));
    }
}
