//! Compares the addresses of all pods: one pod alone cannot show that another one has its address too.

use ipnet::IpNet;
use serde_json::Value;

use super::{Checked, Found};
use crate::cluster::Cluster;
use crate::cluster::addresses::{Compared, GuestAddresses, outside};
use crate::error::Result;
use crate::profile::Profile;

/// The check for duplicate addresses, also of the smoke tests.
pub const NO_DUPLICATES: &str = "no two pods share an address";

/// One line for each check.
pub fn lines(profile: &Profile) -> Vec<String> {
    let subnet = pod_subnets(profile).map(|_| inside(profile));
    [NO_DUPLICATES.to_owned()].into_iter().chain(subnet).collect()
}

/// Compares the addresses of all pods and of guests, in the order of [`lines`].
pub async fn all(profile: &Profile, cluster: &Cluster, guests: &[GuestAddresses]) -> Result<Vec<Checked>> {
    let (compared, pods) = Compared::in_cluster(cluster, guests).await?;
    Ok(judge(profile, &compared, &pods))
}

fn judge(profile: &Profile, compared: &Compared, pods: &[Value]) -> Vec<Checked> {
    let mut outcomes = vec![Checked::new(NO_DUPLICATES, compared.into())];
    if let Some(subnets) = pod_subnets(profile) {
        let outside = outside(pods, &subnets);
        let told: Vec<String> =
            outside.iter().map(|address| format!("{} has {}", address.pod, address.ip)).collect();
        let told = if told.is_empty() { "all of them".into() } else { told.join("; ") };
        outcomes.push(Checked::new(inside(profile), Found::of(outside.is_empty(), told)));
    }
    outcomes
}

impl From<&Compared> for Found {
    fn from(compared: &Compared) -> Self {
        Self::of(compared.twice.is_empty(), compared.told())
    }
}

fn inside(profile: &Profile) -> String {
    format!("pods have addresses in the pod subnet {}", profile.cluster.pod_subnet)
}

/// The pod network's subnets; none when kvnet does not manage it.
fn pod_subnets(profile: &Profile) -> Option<Vec<IpNet>> {
    let subnets: Vec<IpNet> =
        profile.cluster.pod_subnet.split(',').filter_map(|subnet| subnet.trim().parse().ok()).collect();
    (profile.flannel.enabled && !subnets.is_empty()).then_some(subnets)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::context::events::Verdict;
    use crate::profile;

    fn pod(name: &str, ip: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "default"}, "spec": {"nodeName": "n1"},
            "status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}]}})
    }

    fn verdicts(settings: &[&str], pods: &[Value]) -> Vec<(Verdict, String)> {
        let settings: Vec<String> = settings.iter().map(ToString::to_string).collect();
        let profile = profile::load("default", &settings).unwrap().profile;
        let outcomes = judge(&profile, &Compared::of(pods, &[], &[]), pods);
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
