//! The addresses of all pods in the cluster, and of guests.

use futures::future::try_join_all;

use crate::cluster::addresses::Compared;
use crate::cluster::is_ready;
use crate::error::{Result, code};
use crate::smoke::case::gives_addresses;
use crate::smoke::room::CaseContext;
use crate::verify::{Found, NO_DUPLICATES, guests};

/// How many pods start at the same moment, each on networks next to those of the previous one.
const PODS: usize = 6;

/// Compares all addresses right after new pods got theirs.
pub async fn run(ctx: &CaseContext) -> Result<()> {
    let profile = &ctx.cx.profile;
    let networks = profile.networks.iter().filter(|network| gives_addresses(&network.kind));
    let networks: Vec<String> =
        networks.map(|network| format!("{}/{}", network.namespace, network.name)).collect();
    let pods: Vec<(String, Vec<String>)> = (0..ctx.fitting(PODS))
        .map(|number| (format!("addresses-{}", number + 1), some_of(&networks, number)))
        .collect();
    let without = without_pod(&networks, &pods);
    if !without.is_empty() {
        ctx.note(format!("no pod was started on {}", without.join(", ")));
    }
    try_join_all(pods.iter().map(|(name, networks)| ctx.start(name, networks))).await?;
    for (name, _) in &pods {
        ctx.wait_for(name, &is_ready).await?;
    }
    let version = profile.kubevirt.api_version();
    let machines = ctx.cluster.list(version, "VirtualMachineInstance", None, None).await?;
    let (compared, _) = Compared::in_cluster(&ctx.cluster, &guests(profile, &machines)).await?;
    ctx.check(NO_DUPLICATES, Found::from(&compared), &code::DUPLICATE_ADDRESS);
    Ok(())
}

/// Up to three networks, different ones for each pod.
fn some_of(networks: &[String], number: usize) -> Vec<String> {
    let from = networks.iter().cycle().skip(number);
    from.take(networks.len().min(3)).cloned().collect()
}

fn without_pod<'a>(networks: &'a [String], pods: &[(String, Vec<String>)]) -> Vec<&'a str> {
    let has = |network: &&String| pods.iter().any(|(_, names)| names.contains(network));
    networks.iter().filter(|network| !has(network)).map(String::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pod_has_different_networks_and_none_twice() {
        let networks: Vec<String> = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        assert_eq!(some_of(&networks, 3), ["d", "a", "b"]);
        assert_eq!(some_of(&networks[..1], 3), ["a"]);
        assert_eq!(some_of(&[], 3), Vec::<String>::new());
        let pods = |count: usize| {
            (0..count).map(|number| (String::new(), some_of(&networks, number))).collect::<Vec<_>>()
        };
        assert_eq!(without_pod(&networks, &pods(1)), ["d"]);
        assert!(without_pod(&networks, &pods(2)).is_empty());
        assert!(networks.iter().all(|one| (0..PODS).any(|number| some_of(&networks, number).contains(one))));
    }
}
