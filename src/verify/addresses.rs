//! Compares the addresses of all pods: what one pod says about itself cannot show that another one has its address too.

use ipnet::IpNet;
use serde_json::Value;

use super::{Found, Outcome};
use crate::cluster::{Cluster, addresses};
use crate::error::Result;
use crate::profile::Profile;

const NO_DUPLICATES: &str = "no two pods have one address";

/// One line for each check.
pub fn lines(profile: &Profile) -> Vec<String> {
    let subnet = pod_subnets(profile).map(|_| inside(profile));
    [NO_DUPLICATES.to_owned()].into_iter().chain(subnet).collect()
}

/// Compares the addresses of all pods, in the order of [`lines`].
///
/// # Errors
/// Those of the API server.
pub async fn all(profile: &Profile, cluster: &Cluster) -> Result<Vec<Outcome>> {
    let pods = cluster.list("v1", "Pod", None, None).await?;
    let networks = if profile.multus.enabled {
        cluster.list("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", None, None).await?
    } else {
        Vec::new()
    };
    Ok(judge(profile, &pods, &networks))
}

fn judge(profile: &Profile, pods: &[Value], networks: &[Value]) -> Vec<Outcome> {
    let twice = addresses::duplicates_on(pods, networks);
    let mut outcomes = vec![Outcome::new(NO_DUPLICATES, found(&twice, "none has the address of another"))];
    if let Some(subnets) = pod_subnets(profile) {
        let outside: Vec<String> = addresses::outside(pods, &subnets)
            .into_iter()
            .map(|address| format!("{} has {}", address.pod, address.ip))
            .collect();
        outcomes.push(Outcome::new(inside(profile), found(&outside, "all are")));
    }
    outcomes
}

fn found<T: ToString>(wrong: &[T], fine: &str) -> Found {
    if wrong.is_empty() {
        return Found::of(true, fine);
    }
    let all: Vec<String> = wrong.iter().map(ToString::to_string).collect();
    Found::of(false, all.join("; "))
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
        let outcomes = judge(&profile, pods, &[]);
        let checks: Vec<String> = outcomes.iter().map(|outcome| outcome.check.clone()).collect();
        assert_eq!(checks, lines(&profile));
        outcomes.into_iter().map(|outcome| (outcome.verdict, outcome.detail)).collect()
    }

    #[test]
    fn an_address_that_two_pods_have_is_named_with_both() {
        let found = verdicts(&[], &[pod("a", "10.244.0.2"), pod("b", "10.244.0.2")]);
        assert_eq!((found[0].0, found[1].0), (Verdict::Failed, Verdict::Passed));
        let told = &found[0].1;
        assert!(["10.244.0.2", "default/a", "default/b"].iter().all(|part| told.contains(part)), "{told}");
    }

    #[test]
    fn an_address_of_the_runtimes_own_network_is_outside() {
        let pods = [pod("a", "10.88.0.2"), pod("b", "10.244.0.2")];
        let found = verdicts(&[], &pods);
        assert_eq!(found[1], (Verdict::Failed, "default/a has 10.88.0.2".to_owned()));
        assert_eq!(
            verdicts(&["flannel.enabled=false", "networks=[]", "vm.enabled=false"], &pods).len(),
            1,
            "another pod network is not kvnet's"
        );
    }
}
