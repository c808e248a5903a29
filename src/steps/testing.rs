//! What the tests of steps share.

use std::collections::HashMap;
use std::sync::Arc;

use kube::client::Body;
use serde_json::json;

use crate::cluster::Cluster;
use crate::context::Context;
use crate::engine::step::{Findings, Step};
use crate::error::Result;
use crate::facts::Facts;
use crate::facts::packages::PackageManager;
use crate::host::fake::FakeHost;
use crate::profile::Profile;
use crate::source::{SourceOptions, Sources};
use crate::state::StateDir;

/// A Debian node with the usual directories.
pub fn debian() -> Facts {
    Facts {
        packages: Some(PackageManager::Apt),
        root: true,
        hostname: "node1".into(),
        architecture: "x86_64".into(),
        cni_conf_dir: "/etc/cni/net.d".into(),
        cni_bin_dirs: vec!["/opt/cni/bin".into()],
        home: "/root".into(),
        ..Facts::default()
    }
}

/// A context without a cluster.
pub fn context(host: &Arc<FakeHost>, profile: Profile, facts: Facts) -> Context {
    let host: Arc<FakeHost> = Arc::clone(host);
    let options = SourceOptions {
        stand_ins: false,
        mirror: None,
        cache_dir: "/nonexistent".into(),
        lock_file: None,
        timeout: std::time::Duration::from_secs(1),
    };
    let state = StateDir::locate(Some("/nonexistent/kvnet".into()), true);
    Context::new(host, profile, facts, Sources::new(options), state)
}

/// A cluster that answers each path with an object or a list; everything else is not found.
pub fn cluster(answers: &[(&str, serde_json::Value)]) -> Cluster {
    let answers: HashMap<String, serde_json::Value> =
        answers.iter().map(|(path, answer)| ((*path).to_owned(), answer.clone())).collect();
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let answer = answers.get(request.uri().path());
        let status = if answer.is_some() { 200 } else { 404 };
        let missing = || json!({"kind": "Status", "code": 404, "reason": "NotFound", "message": "not found"});
        let body = answer.cloned().unwrap_or_else(missing).to_string().into_bytes();
        async move {
            http::Response::builder().status(status).body(Body::from(body)).map_err(std::io::Error::other)
        }
    });
    Cluster::from_client(kube::Client::new(service, "default"))
}

/// A list as the API server answers it.
pub fn list(items: &[serde_json::Value]) -> serde_json::Value {
    json!({"metadata": {"resourceVersion": "1"}, "items": items})
}

/// What a step finds on a Debian node.
pub async fn find(step: impl Step, host: FakeHost, profile: Profile) -> Result<Findings> {
    step.find(&context(&Arc::new(host), profile, debian())).await
}

/// The changes, one line each; a command is shown as such.
pub fn lines(findings: &Findings) -> Vec<String> {
    use crate::engine::change::Change;
    let line = |change: &Change| match change {
        Change::Run { command, .. } => command.display(),
        other => other.to_string(),
    };
    findings.changes.iter().map(line).collect()
}
