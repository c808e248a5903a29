//! kubeadm's configuration, in the version that the installed kubeadm reads. Pure.

use serde_json::{Map, Value, json};

use crate::error::{Error, Result, code};
use crate::profile::Cluster;

/// The documents for `kubeadm init --config`; `kubeadm` is its version: `v1.34.4`.
pub fn render(cluster: &Cluster, kubeadm: &str) -> Result<String> {
    let minor = minor(kubeadm).ok_or_else(|| unknown(kubeadm))?;
    let documents = match api(minor) {
        None => return Err(unknown(kubeadm)),
        Some("v1alpha2") => vec![master(cluster, kubeadm)],
        Some(api) => documents(cluster, kubeadm, api),
    };
    let mut text = String::new();
    for document in documents {
        let yaml = serde_yaml::to_string(&document).map_err(|error| {
            Error::new(&code::INTERNAL, "kubeadm's configuration cannot be written").because(error)
        })?;
        text.push_str("---\n");
        text.push_str(&yaml);
    }
    Ok(text)
}

/// The newest version of kubeadm's API that a release of Kubernetes 1 reads.
fn api(minor: u32) -> Option<&'static str> {
    match minor {
        0..=10 => None,
        11 => Some("v1alpha2"),
        12 => Some("v1alpha3"),
        13..=14 => Some("v1beta1"),
        15..=21 => Some("v1beta2"),
        22..=30 => Some("v1beta3"),
        31.. => Some("v1beta4"),
    }
}

/// The minor version of a release of Kubernetes 1.
pub(super) fn minor(version: &str) -> Option<u32> {
    version.trim().strip_prefix("v1.")?.split(['.', '-', '+']).next()?.parse().ok()
}

fn unknown(kubeadm: &str) -> Error {
    let message = format!("kvnet cannot configure kubeadm `{kubeadm}`");
    Error::new(&code::KUBEADM_FAILED, message).hint("kvnet supports kubeadm v1.11 and newer")
}

fn documents(cluster: &Cluster, kubeadm: &str, api: &str) -> Vec<Value> {
    let init = &cluster.init;
    let address = if api == "v1alpha3" { "apiEndpoint" } else { "localAPIEndpoint" };
    let mut first = document(&format!("kubeadm.k8s.io/{api}"), "InitConfiguration");
    put_advertised(&mut first, address, &init.advertise_address);
    put_registration(&mut first, cluster);
    let mut second = document(&format!("kubeadm.k8s.io/{api}"), "ClusterConfiguration");
    put_cluster(&mut second, cluster, kubeadm);
    let mut all = vec![first, second];
    for (api, kind, fields) in [
        ("kubelet.config.k8s.io/v1beta1", "KubeletConfiguration", &init.kubelet),
        ("kubeproxy.config.k8s.io/v1alpha1", "KubeProxyConfiguration", &init.kube_proxy),
    ] {
        if !fields.is_empty() {
            let mut document = document(api, kind);
            merge(&mut document, fields);
            all.push(document);
        }
    }
    all.into_iter().map(Value::Object).collect()
}

/// Kubernetes 1.11 has one document for everything.
fn master(cluster: &Cluster, kubeadm: &str) -> Value {
    let init = &cluster.init;
    let mut fields = document("kubeadm.k8s.io/v1alpha2", "MasterConfiguration");
    put_advertised(&mut fields, "api", &init.advertise_address);
    put_registration(&mut fields, cluster);
    if !init.kubelet.is_empty() {
        fields.insert("kubeletConfiguration".into(), json!({"baseConfig": init.kubelet}));
    }
    if !init.kube_proxy.is_empty() {
        fields.insert("kubeProxy".into(), json!({"config": init.kube_proxy}));
    }
    put_cluster(&mut fields, cluster, kubeadm);
    Value::Object(fields)
}

fn document(api: &str, kind: &str) -> Map<String, Value> {
    [("apiVersion", api), ("kind", kind)]
        .map(|(key, value)| (key.to_owned(), json!(value)))
        .into_iter()
        .collect()
}

fn put_advertised(fields: &mut Map<String, Value>, key: &str, address: &str) {
    if !address.is_empty() {
        fields.insert(key.to_owned(), json!({"advertiseAddress": address}));
    }
}

fn put_registration(fields: &mut Map<String, Value>, cluster: &Cluster) {
    let settings = [("name", &cluster.init.node_name), ("criSocket", &cluster.init.cri_socket)];
    let settings = settings.into_iter().filter(|(_, value)| !value.is_empty());
    let settings: Map<String, Value> = settings.map(|(key, value)| (key.to_owned(), json!(value))).collect();
    if !settings.is_empty() {
        fields.insert("nodeRegistration".into(), Value::Object(settings));
    }
}

/// Without a version kubeadm would ask the Internet for the newest one.
fn put_cluster(fields: &mut Map<String, Value>, cluster: &Cluster, kubeadm: &str) {
    let version = match cluster.init.kubernetes_version.as_str() {
        "" => kubeadm.trim(),
        version => version,
    };
    fields.insert("kubernetesVersion".into(), json!(version));
    fields.insert("networking".into(), json!({"podSubnet": cluster.pod_subnet}));
    merge(fields, &cluster.init.cluster_configuration);
}

/// Objects are merged field by field; anything else of the profile replaces the existing value.
fn merge(fields: &mut Map<String, Value>, more: &Map<String, Value>) {
    for (key, value) in more {
        match (fields.get_mut(key), value) {
            (Some(Value::Object(fields)), Value::Object(more)) => merge(fields, more),
            _ => {
                fields.insert(key.clone(), value.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_plain_configuration() {
        assert_eq!(
            render(&Cluster::default(), "v1.34.4").unwrap(),
            "---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\n\
             ---\napiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.34.4\n\
             networking:\n  podSubnet: 10.244.0.0/16\n"
        );
    }

    #[test]
    fn fields_of_the_profile_are_added() {
        let mut cluster = Cluster::default();
        cluster.init.node_name = "node1".into();
        cluster.init.cri_socket = "unix:///run/containerd/containerd.sock".into();
        cluster.init.advertise_address = "10.0.0.2".into();
        cluster.init.kubelet = object(&json!({"cgroupDriver": "cgroupfs"}));
        cluster.init.kube_proxy = object(&json!({"conntrack": {"maxPerCore": 0}}));
        cluster.init.cluster_configuration = object(&json!({"networking": {"dnsDomain": "x"}}));
        let text = render(&cluster, "v1.34.4").unwrap();
        for part in [
            "localAPIEndpoint:\n  advertiseAddress: 10.0.0.2\n",
            "nodeRegistration:\n  name: node1\n  criSocket: unix:///run/containerd/containerd.sock\n",
            "networking:\n  podSubnet: 10.244.0.0/16\n  dnsDomain: x\n",
            "kind: KubeletConfiguration\ncgroupDriver: cgroupfs\n",
            "kind: KubeProxyConfiguration\nconntrack:\n  maxPerCore: 0\n",
        ] {
            assert!(text.contains(part), "{part}\nis not in\n{text}");
        }
    }

    #[test]
    fn the_version_decides_the_api() {
        for (version, api) in [
            ("v1.11.3", "kubeadm.k8s.io/v1alpha2\nkind: MasterConfiguration"),
            ("v1.12.0", "kubeadm.k8s.io/v1alpha3\nkind: InitConfiguration"),
            ("v1.20.0", "kubeadm.k8s.io/v1beta2\n"),
            ("v1.30.9", "kubeadm.k8s.io/v1beta3\n"),
            ("v1.31.0-rc.1", "kubeadm.k8s.io/v1beta4\n"),
        ] {
            assert!(render(&Cluster::default(), version).unwrap().contains(api), "{version}");
        }
        for version in ["v1.10.0", "", "v2.0.0"] {
            assert_eq!(render(&Cluster::default(), version).unwrap_err().code(), &code::KUBEADM_FAILED);
        }
    }
}
