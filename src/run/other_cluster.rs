//! A node's own kubeconfig tells which cluster it belongs to. A run that would change the node and another cluster stops.

use camino::Utf8Path;
use serde_yaml::Value;

use super::job::ADMIN_KUBECONFIG;
use crate::cluster::{Cluster, ConnectOptions, ObjectKey};
use crate::error::{Error, Result, code};
use crate::host::Host;

/// Refuses a cluster when this machine's admin.conf leads to another one. Two addresses are one cluster when they have the
/// same certificate authority or the same kube-system namespace; what cannot be told apart for certain is refused.
///
/// # Errors
/// `KVN511`.
pub(super) async fn refuse_other_cluster(host: &dyn Host, cluster: &Cluster) -> Result<()> {
    // Others than root cannot read it, and cannot change the node either.
    let Ok(Some(own)) = host.read(Utf8Path::new(ADMIN_KUBECONFIG)).await else { return Ok(()) };
    let place = cluster.place();
    if place.file.as_deref() == Some(Utf8Path::new(ADMIN_KUBECONFIG)) {
        return Ok(());
    }
    let own = current(&String::from_utf8_lossy(&own), None);
    if own.as_ref().is_some_and(|own| own.server.trim_end_matches('/') == place.server) {
        return Ok(());
    }
    let chosen = match &place.file {
        Some(file) => host
            .read(file)
            .await?
            .and_then(|text| current(&String::from_utf8_lossy(&text), place.context.as_deref())),
        None => None,
    };
    let authorities = own
        .as_ref()
        .and_then(|own| own.authority.as_ref())
        .zip(chosen.as_ref().and_then(|it| it.authority.as_ref()));
    if authorities.is_some_and(|(one, other)| one == other) || is_one(cluster).await {
        return Ok(());
    }
    let server = own.map(|own| own.server).unwrap_or_default();
    let message = format!(
        "this node belongs to the cluster at {}, and kvnet would talk to {place}",
        crate::cluster::bare_address(&server)
    );
    Err(Error::new(&code::OTHER_CLUSTER, message).at(ADMIN_KUBECONFIG))
}

/// Whether both answer and have the same kube-system.
async fn is_one(cluster: &Cluster) -> bool {
    let options = ConnectOptions { kubeconfig: Some(ADMIN_KUBECONFIG.into()), ..ConnectOptions::default() };
    let Ok(own) = Cluster::connect(&options).await else { return false };
    if own.reachable().await.is_err() {
        return false;
    }
    let key = ObjectKey::new("v1", "Namespace", None, "kube-system");
    let uid = |answer: Result<Option<serde_json::Value>>| {
        answer.ok().flatten().and_then(|it| it["metadata"]["uid"].as_str().map(str::to_owned))
    };
    let (one, other) = (uid(own.get(&key).await), uid(cluster.get(&key).await));
    one.is_some() && one == other
}

/// The cluster of a context.
struct Entry {
    server: String,
    authority: Option<String>,
}

fn current(text: &str, context: Option<&str>) -> Option<Entry> {
    let config: Value = serde_yaml::from_str(text).ok()?;
    let name = context.or_else(|| config.get("current-context")?.as_str())?;
    let item = |list: &str, name: &str| {
        let items = config.get(list)?.as_sequence()?;
        items.iter().find(|item| item.get("name").and_then(Value::as_str) == Some(name)).cloned()
    };
    let cluster = item("contexts", name)?.get("context")?.get("cluster")?.as_str()?.to_owned();
    let cluster = item("clusters", &cluster)?.get("cluster")?.clone();
    let text = |key: &str| cluster.get(key).and_then(Value::as_str).map(str::to_owned);
    let authority = text("certificate-authority-data").filter(|data| !data.is_empty());
    Some(Entry {
        server: text("server")?,
        authority: authority.map(|data| data.split_whitespace().collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;

    fn kubeconfig(server: &str, authority: &str) -> String {
        format!(
            "current-context: c\ncontexts:\n- {{name: c, context: {{cluster: k, user: u}}}}\nclusters:\n- {{name: k, cluster: \
             {{server: '{server}', certificate-authority-data: {authority}}}}}\nusers:\n- {{name: u, user: {{}}}}\n"
        )
    }

    #[test]
    fn a_context_has_the_server_and_the_authority_of_its_cluster() {
        let entry = current(&kubeconfig("https://a:6443", "QUJD"), None).unwrap();
        assert_eq!((entry.server.as_str(), entry.authority.as_deref()), ("https://a:6443", Some("QUJD")));
        assert!(current(&kubeconfig("https://a:6443", "QUJD"), Some("other")).is_none());
        assert!(current("[", None).is_none());
    }

    #[tokio::test]
    async fn a_node_of_another_cluster_is_refused_and_a_machine_without_a_cluster_is_not() {
        let nobody = tower::service_fn(|_: http::Request<kube::client::Body>| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("nobody answers"))
        });
        let cluster = Cluster::from_client(kube::Client::new(nobody, "default"));
        let own = FakeHost::new().file(ADMIN_KUBECONFIG, &kubeconfig("https://here:6443", "QUJD"));
        let error = refuse_other_cluster(&own, &cluster).await.unwrap_err();
        assert_eq!(error.code().id, "KVN511");
        assert!(error.to_string().contains("https://here:6443"), "{error}");
        let same = FakeHost::new().file(ADMIN_KUBECONFIG, &kubeconfig("https://cluster/", "QUJD"));
        refuse_other_cluster(&same, &cluster).await.unwrap();
        refuse_other_cluster(&FakeHost::new(), &cluster).await.unwrap();
    }
}
