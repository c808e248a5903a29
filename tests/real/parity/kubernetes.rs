//! A real API server with its database and two controllers, as processes on loopback, until it is dropped.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kvnet::sandbox::api::KubernetesVersion;
use serde_json::Value;

use kvnet_test_kit::parity::api::Chapter;
use kvnet_test_kit::parity::send::{Server, chapter};

/// For everything to come up.
const PATIENCE: Duration = Duration::from_mins(1);
/// How many changes there were before the server came.
const HISTORY: usize = 10;
/// The administrator's token: nobody else can reach loopback, and it ends with the server.
const TOKEN: &str = "parity";

/// Where the rig has what a node is made of.
pub struct Parts {
    pub kubernetes: PathBuf,
    pub etcd: PathBuf,
    pub debian: PathBuf,
}

impl Parts {
    /// Builds what is missing.
    pub fn of_the_rig(release: KubernetesVersion) -> Self {
        let rig = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/rig/rig");
        let arguments = ["parts", "--kubernetes", release.git()];
        let output = Command::new(rig).args(arguments).stdin(Stdio::null()).output().expect("the rig runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let part = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            PathBuf::from(line.unwrap_or_else(|| panic!("no {name}: {text}")))
        };
        Self { kubernetes: part("kubernetes"), etcd: part("etcd"), debian: part("debian") }
    }
}

/// Processes that end with this.
struct Running {
    folder: tempfile::TempDir,
    children: Vec<Child>,
}

impl Drop for Running {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

impl Running {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("written");
    }

    fn start(&mut self, program: &Path, arguments: &[String]) {
        let name = program.file_name().expect("a name").to_string_lossy().into_owned();
        let log = std::fs::File::create(self.path(&format!("{name}.log"))).expect("a log");
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        self.children.push(child);
    }

    fn log(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.path(&format!("{name}.log"))).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

/// The answers of a real API server to all chapters.
pub fn answers(parts: &Parts, release: KubernetesVersion, chapters: &[Chapter]) -> Vec<Vec<(String, Value)>> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let folder = tempfile::Builder::new().prefix("kvnet-parity-").tempdir().expect("a folder");
    let mut running = Running { folder, children: Vec::new() };
    let [database, peers, port, controllers] = free_ports();
    start_database(&mut running, parts, database, peers);
    runtime.block_on(async {
        begin_history(database, &running).await;
        start_server(&mut running, parts, release, database, port);
        let client = client(&running.path("kubeconfig")).await;
        ready(&client, &running).await;
        start_controllers(&mut running, parts, release, controllers);
        let forget = || -> BoxFuture<'_, ()> { Box::pin(compact(database)) };
        let server = Server { client, forget: &forget };
        let mut all = Vec::new();
        for one in chapters {
            all.push(chapter(&server, &one.steps).await);
        }
        all
    })
}

/// Ports that nobody has: all are taken before the first is given back.
fn free_ports<const N: usize>() -> [u16; N] {
    let taken = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").expect("a port"));
    taken.map(|listener| listener.local_addr().expect("an address").port())
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

fn start_database(running: &mut Running, parts: &Parts, port: u16, peers: u16) {
    let data = running.path("etcd");
    let (own, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peers}"));
    let arguments = format!(
        "--data-dir {} --listen-client-urls {own} --advertise-client-urls {own} --listen-peer-urls {peer} \
         --initial-advertise-peer-urls {peer} --initial-cluster default={peer} --unsafe-no-fsync --log-level error",
        data.display()
    );
    running.start(&parts.etcd.join("etcd"), &words(&arguments));
}

/// As kubeadm configures it, as far as that is seen from outside.
fn start_server(running: &mut Running, parts: &Parts, release: KubernetesVersion, database: u16, port: u16) {
    let (key, public) = (running.path("sa.key"), running.path("sa.pub"));
    openssl(&["genrsa", "-out", &key.to_string_lossy(), "2048"]);
    openssl(&["rsa", "-in", &key.to_string_lossy(), "-pubout", "-out", &public.to_string_lossy()]);
    running.write("tokens", &format!("{TOKEN},admin,admin,system:masters\n"));
    let kubeconfig = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\n\
         clusters: [{{name: c, cluster: {{server: 'https://127.0.0.1:{port}', insecure-skip-tls-verify: true}}}}]\n\
         users: [{{name: c, user: {{token: {TOKEN}}}}}]\ncontexts: [{{name: c, context: {{cluster: c, user: c}}}}]\n"
    );
    running.write("kubeconfig", &kubeconfig);
    let mut arguments = format!(
        "--etcd-servers=http://127.0.0.1:{database} --bind-address=127.0.0.1 --secure-port={port} --cert-dir={} \
         --service-cluster-ip-range=10.96.0.0/12 --service-account-key-file={} --authorization-mode=Node,RBAC \
         --enable-admission-plugins=NodeRestriction --allow-privileged=true --token-auth-file={} \
         --endpoint-reconciler-type=none",
        running.path("certificates").display(),
        public.display(),
        running.path("tokens").display(),
    );
    // Neither was there, and needed, in the other; in 2018 a pod needed an account with a token, which a controller makes.
    arguments += &match release {
        KubernetesVersion::V1_11 => {
            " --insecure-port=0 --storage-backend=etcd3 --disable-admission-plugins=ServiceAccount".to_owned()
        }
        KubernetesVersion::V1_34 => format!(
            " --service-account-issuer=https://kubernetes.default.svc.cluster.local \
             --service-account-signing-key-file={}",
            key.display()
        ),
    };
    running.start(&parts.kubernetes.join("kube-apiserver"), &words(&arguments));
}

/// Those whose work the sandbox's API server does itself.
fn start_controllers(running: &mut Running, parts: &Parts, release: KubernetesVersion, port: u16) {
    let names = match release {
        KubernetesVersion::V1_11 => "garbagecollector,namespace --port=0",
        KubernetesVersion::V1_34 => "garbage-collector-controller,namespace-controller",
    };
    let arguments = format!(
        "--kubeconfig={} --controllers={names} --leader-elect=false \
         --bind-address=127.0.0.1 --secure-port={port} --cert-dir={}",
        running.path("kubeconfig").display(),
        running.path("controllers").display(),
    );
    running.start(&parts.kubernetes.join("kube-controller-manager"), &words(&arguments));
}

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl runs");
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}

async fn client(kubeconfig: &Path) -> kube::Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).expect("a kubeconfig");
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await;
    let mut config = config.expect("a configuration");
    config.proxy_url = None;
    config.read_timeout = None;
    config.default_retry = false;
    kube::Client::try_from(config).expect("a client")
}

async fn ready(client: &kube::Client, running: &Running) {
    let begin = Instant::now();
    loop {
        let request = http::Request::get("/healthz").body(kube::client::Body::empty()).expect("a request");
        if client.send(request).await.is_ok_and(|response| response.status() == 200) {
            return;
        }
        let late = begin.elapsed() >= PATIENCE;
        assert!(!late, "not ready\n{}\n{}", running.log("etcd"), running.log("kube-apiserver"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Something happens before the server comes, as in any cluster: its caches do not begin with the first version.
async fn begin_history(port: u16, running: &Running) {
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let address = format!("http://127.0.0.1:{port}/v3/kv/put");
    let begin = Instant::now();
    let mut written = 0;
    while written < HISTORY {
        let put = client.post(&address).body(r#"{"key": "YQ==", "value": "YQ=="}"#).send().await;
        if put.is_ok_and(|answer| answer.status().is_success()) {
            written += 1;
            continue;
        }
        assert!(begin.elapsed() < PATIENCE, "no database\n{}", running.log("etcd"));
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The database forgets what was before, as it does every few minutes by itself.
async fn compact(port: u16) {
    let address = |what: &str| format!("http://127.0.0.1:{port}/v3/kv/{what}");
    let client = reqwest::Client::builder().no_proxy().build().expect("a client");
    let range = client.post(address("range")).body(r#"{"key": "AA=="}"#).send().await.expect("an answer");
    let range: Value = serde_json::from_str(&range.text().await.expect("a text")).expect("JSON");
    let revision = range.pointer("/header/revision").and_then(Value::as_str).expect("a revision");
    let body = format!(r#"{{"revision": "{revision}", "physical": true}}"#);
    let done = client.post(address("compaction")).body(body).send().await.expect("an answer");
    assert!(done.status().is_success(), "{}", done.text().await.unwrap_or_default());
}
