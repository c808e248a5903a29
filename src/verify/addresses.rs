//! Looks at the addresses of all pods, not only of those that the verification starts.

use ipnet::IpNet;
use serde_json::Value;

use super::{Found, Outcome};
use crate::cluster::{Cluster, addresses};
use crate::error::Result;
use crate::profile::Profile;

/// One line for each check.
pub fn lines(profile: &Profile) -> Vec<String> {
    pod_subnets(profile).map(|_| inside(profile)).into_iter().collect()
}

/// Looks at the addresses of all pods, in the order of [`lines`].
///
/// # Errors
/// Those of the API server.
pub async fn all(profile: &Profile, cluster: &Cluster) -> Result<Vec<Outcome>> {
    Ok(judge(profile, &cluster.list("v1", "Pod", None, None).await?))
}

fn judge(profile: &Profile, pods: &[Value]) -> Vec<Outcome> {
    let Some(subnets) = pod_subnets(profile) else { return Vec::new() };
    let outside = addresses::outside(pods, &subnets);
    let outside: Vec<String> =
        outside.into_iter().map(|address| format!("{} has {}", address.pod, address.ip)).collect();
    let detail = if outside.is_empty() { "all are".into() } else { outside.join("; ") };
    vec![Outcome::new(inside(profile), Found::of(outside.is_empty(), detail))]
}

fn inside(profile: &Profile) -> String {
    format!("the addresses of pods are in the pod subnet {}", profile.cluster.pod_subnet)
}

/// The pod network's subnets; none when kvnet has no say in it.
fn pod_subnets(profile: &Profile) -> Option<Vec<IpNet>> {
    let subnets: Vec<IpNet> =
        profile.cluster.pod_subnet.split(',').filter_map(|subnet| subnet.trim().parse().ok()).collect();
    (profile.flannel.enabled && !subnets.is_empty()).then_some(subnets)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::engine::events::Verdict;
    use crate::profile;

    fn pod(name: &str, ip: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
    }

    fn verdicts(settings: &[&str], pods: &[Value]) -> Vec<(Verdict, String)> {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let profile = profile::load("default", &settings).unwrap().profile;
        let outcomes = judge(&profile, pods);
        let checks: Vec<String> = outcomes.iter().map(|outcome| outcome.check.clone()).collect();
        assert_eq!(checks, lines(&profile));
        outcomes.into_iter().map(|outcome| (outcome.verdict, outcome.detail)).collect()
    }

    #[test]
    fn an_address_of_the_runtimes_own_network_is_outside() {
        let pods = [pod("a", "10.88.0.2"), pod("b", "10.244.0.2")];
        let found = verdicts(&[], &pods);
        assert_eq!(verdicts(&[], &pods[1..]), [(Verdict::Passed, "all are".to_owned())]);
        assert_eq!(found[0], (Verdict::Failed, "default/a has 10.88.0.2".to_owned()));
        assert!(
            verdicts(&["flannel.enabled=false", "networks=[]", "vm.enabled=false"], &pods).is_empty(),
            "another pod network is not kvnet's"
        );
    }
}
