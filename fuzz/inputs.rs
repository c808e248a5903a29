//! What kvnet reads from elsewhere, one function a kind: none of them may panic, whatever the bytes are.
//!
//! The fuzz targets call them with what the fuzzer makes up, `tests/survives` with the corpora that are kept. A zero byte
//! separates the parts of an input that has several.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use camino::Utf8PathBuf;
use http::{Request, Response};
use kube::client::Body;
use kvnet::cluster::{Cluster, Condition, ObjectKey, differences, kubeconfig};
use kvnet::components::RenderFacts;
use kvnet::components::flannel::FLANNEL;
use kvnet::engine::journal::{FILE, History};
use kvnet::error::Error;
use kvnet::facts::{Facts, os, ovs::OvsState, packages::PackageManager, runtime};
use kvnet::formats::{cni, net};
use kvnet::profile::{self, Profile, SourceKind};
use kvnet::source::{SourceOptions, Sources};
use kvnet::state::StateDir;
use kvnet::steps::objects::{self, Live};
use kvnet::terminal;
use serde_json::json;

/// A name and the function that takes its inputs.
pub type Kind = (&'static str, fn(&[u8]));

/// Every kind of input; the names are those of the fuzz targets and of the folders of the corpora.
pub const KINDS: &[Kind] = &[
    ("profile", profile),
    ("manifest", manifest),
    ("journal", journal),
    ("ovs", ovs),
    ("packages", packages),
    ("node_files", node_files),
    ("api", api),
];

/// A profile, and what `--set` gets.
pub fn profile(bytes: &[u8]) {
    let mut parts = texts(bytes);
    let text = parts.remove(0);
    match profile::load_text(&text, "/nonexistent/profile.yaml", &parts) {
        Ok(loaded) => {
            let yaml = profile::to_yaml(&profile::redacted(&loaded.profile));
            assert!(profile::load_text(&yaml, "/nonexistent/again.yaml", &[]).is_ok(), "{yaml}");
        }
        Err(error) => shown(&error),
    }
}

/// Somebody else's manifest, up to the plan of its objects.
pub fn manifest(bytes: &[u8]) {
    let directory = scratch();
    let path = directory.join("manifest.yaml");
    std::fs::write(&path, bytes).expect("a file in memory");
    let mut profile = Profile::default();
    profile.flannel.source.kind = SourceKind::File;
    profile.flannel.source.path = path.into();
    profile.images.rewrite.insert("docker.io".into(), "mirror:5000/hub".into());
    let sources = sources(&directory);
    let (facts, extra) = (Facts::default(), RenderFacts::default());
    match wait(sources.load(&FLANNEL, &profile, &facts, &extra)) {
        Ok(manifest) => {
            let live = manifest.objects.iter().map(|object| (ObjectKey::of(object), object.clone()));
            for live in [Live::new(), live.collect()] {
                match objects::diff("flannel", &manifest.objects, &live, 1) {
                    Ok(findings) => findings.changes.iter().for_each(|change| {
                        assert!(serde_json::to_string(&change.redacted()).is_ok());
                        printable(&terminal::clean(&change.to_string()));
                    }),
                    Err(error) => shown(&error),
                }
            }
        }
        Err(error) => shown(&error),
    }
}

/// The journal of an earlier run.
pub fn journal(bytes: &[u8]) {
    let directory = scratch();
    std::fs::write(directory.join(FILE), bytes).expect("a file in memory");
    match History::read(&StateDir::locate(Some(&directory), true)) {
        Ok(history) => {
            for entry in history.made() {
                printable(&terminal::clean(&entry.change.to_string()));
                assert_eq!(entry.change.redacted(), entry.change.redacted().redacted());
            }
        }
        Err(error) => shown(&error),
    }
}

/// What `ovs-vsctl` prints.
pub fn ovs(bytes: &[u8]) {
    match OvsState::parse(&String::from_utf8_lossy(bytes)) {
        Ok(state) => {
            for bridge in &state.bridges {
                let _ = (bridge.datapath(), bridge.error(), bridge.guest_ports().count());
                let _ = (state.bridge(&bridge.name), state.vlan_bridge(&bridge.name));
            }
            let _ = state.port_of_pod("uid", "net1");
        }
        Err(error) => shown(&error),
    }
}

/// What package managers print.
pub fn packages(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for manager in PackageManager::ALL {
        let _ = (manager.announced(&text), manager.is_busy(&text));
        let packages: Vec<String> = manager.installed(&text).into_iter().collect();
        let _ = manager.wants_refresh(&text);
        let _ = manager.remove(&packages, 1).display();
    }
}

/// What `ip` prints, and files of the node: CNI, container runtimes, os-release, mounts, kubeconfigs.
pub fn node_files(bytes: &[u8]) {
    let parts = texts(bytes);
    let text = parts[0].as_str();
    let _ = net::links(text);
    let _ = net::default_route_nics(text);
    let _ = cni::order(&parts);
    if let Some(configuration) = cni::CniConf::parse(text) {
        let _ = configuration.calls_itself();
    }
    if let Ok(value) = serde_json::from_str(text) {
        let _ = cni::all_types(&value);
    }
    let mut dirs = runtime::CniDirs::default();
    runtime::containerd(text, &mut dirs);
    let _ = runtime::containerd_imports(text);
    runtime::crio(text, &mut dirs);
    let _ = os::os_release(text);
    let _ = os::module_loaded(text, "br_netfilter");
    let _ = os::can_virtualise(text, "x86_64");
    let added = parts.get(1).map_or(text, String::as_str);
    match kubeconfig::merge(text, added) {
        Ok(merged) => {
            let again = kubeconfig::merge(&merged.text, added).expect("what was merged can be read");
            assert!(!again.changed, "merging twice is merging once:\n{}", again.text);
        }
        Err(error) => shown(&error),
    }
}

/// What stands where an API server should be: each part is an answer, in the order of the requests.
pub fn api(bytes: &[u8]) {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m", "namespace": "n"},
        "data": {"a": "1"}, "list": [{"name": "x", "value": 1}], "quantity": "100m"});
    let key = ObjectKey::of(&object);
    let daemon = ObjectKey::new("apps/v1", "DaemonSet", Some("n"), "d");
    let second = Duration::from_secs(1);
    let outcomes = wait(async {
        let cluster = cluster_that_says(bytes);
        let live = cluster.get(&key).await;
        if let Ok(Some(live)) = &live {
            differences(&object, live);
            differences(live, &object);
            let found = Live::from([(key.clone(), live.clone())]);
            if let Err(error) = objects::diff("x", std::slice::from_ref(&object), &found, 1) {
                shown(&error);
            }
        }
        [
            live.map(|_| ()),
            cluster.version().await.map(|_| ()),
            cluster.reachable().await.map(|_| ()),
            cluster.list("v1", "Pod", None, None).await.map(|_| ()),
            cluster.apply(&object, false).await.map(|_| ()),
            cluster.delete(&key, None).await.map(|_| ()),
            cluster.wait(&Condition::RolledOut { object: daemon }, second, &|_| ()).await,
            cluster.wait(&Condition::NodesReady, second, &|_| ()).await,
            cluster.wait(&Condition::Gone { object: key }, second, &|_| ()).await,
            cluster.logs("n", "p", None, 5).await.map(|_| ()),
            cluster.exec("n", "p", None, &["true"], second).await.map(|_| ()),
        ]
    });
    outcomes.iter().filter_map(|outcome| outcome.as_ref().err()).for_each(shown);
}

/// The last answer is repeated. The first byte of each chooses its status.
fn cluster_that_says(bytes: &[u8]) -> Cluster {
    const STATUS: [u16; 8] = [200, 201, 404, 409, 410, 422, 429, 500];
    let answers: Vec<Vec<u8>> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let answers = Arc::new(Mutex::new(answers));
    let service = tower::service_fn(move |_: Request<Body>| {
        let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = if answers.len() > 1 { answers.remove(0) } else { answers[0].clone() };
        let (choice, body) = answer.split_first().unwrap_or((&b'0', &[]));
        let status = STATUS[usize::from(choice.wrapping_sub(b'0')) % STATUS.len()];
        // A retry-after from the body: it is the server's text as well.
        let pause =
            String::from_utf8_lossy(body).chars().filter(char::is_ascii_digit).take(20).collect::<String>();
        let response = Response::builder().status(status).header("retry-after", pause);
        let response = response.body(Body::from(body.to_vec()));
        async move { response.map_err(std::io::Error::other) }
    });
    Cluster::from_client(kube::Client::new(service, "default"))
}

/// An error must be printable, with a code and something to do.
fn shown(error: &Error) {
    assert!(!error.hints().is_empty() && error.code().id.starts_with("KVN"));
    assert_ne!(error.code().id, "KVN505", "a bug of kvnet's: {error}");
    for text in error.hints().into_iter().chain([error.to_string().as_str()]) {
        printable(&terminal::clean(text));
    }
}

fn printable(text: &str) {
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
}

fn texts(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

fn sources(directory: &camino::Utf8Path) -> Sources {
    let timeout = Duration::from_secs(1);
    Sources::new(SourceOptions {
        mirror: None,
        cache_dir: directory.join("cache"),
        lock_file: None,
        timeout,
        stand_ins: false,
    })
}

/// Runs a future with a clock that jumps over every pause.
fn wait<T>(future: impl Future<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime").block_on(future)
}

/// A directory in memory for this thread; kept between inputs.
fn scratch() -> Utf8PathBuf {
    thread_local! {
        static DIRECTORY: tempfile::TempDir = {
            let memory = std::path::Path::new("/dev/shm");
            let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
            tempfile::tempdir_in(parent).expect("a directory")
        };
    }
    DIRECTORY.with(|directory| Utf8PathBuf::from_path_buf(directory.path().to_owned()).expect("UTF-8"))
}
