//! Splits a scenario into batches: no more pods at once than fit on the node.

use std::collections::{BTreeMap, BTreeSet};

use super::scenario::Scenario;

/// Pods that run at the same time, and the checks on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Batch {
    /// The pods and the checks between them.
    pub scenario: Scenario,
    /// The indexes of the sample VM's NICs to check.
    pub nics: Vec<usize>,
}

/// A check, with the pods that it needs.
struct Unit {
    needs: Vec<usize>,
    what: What,
}

#[derive(Clone, Copy)]
enum What {
    Pod,
    Reach(usize),
    Isolated(usize),
    Nic(usize),
}

/// The batches of a scenario, with each check once. A pod that several batches need is started for each of them;
/// neighbours on a bridge share a batch as far as possible. `nics` names the pods that each NIC of the VM needs.
pub fn batches(scenario: &Scenario, nics: &[Vec<&str>], room: usize) -> Vec<Batch> {
    let mut units = units(scenario, nics);
    let ranks = ranks(scenario);
    units.sort_by_key(|unit| unit.needs.iter().map(|pod| ranks[*pod]).max().unwrap_or_default());
    let mut cuts: Vec<(BTreeSet<usize>, Vec<What>)> = vec![Default::default()];
    for unit in units {
        let (pods, _) = &cuts[cuts.len() - 1];
        let more = unit.needs.iter().filter(|pod| !pods.contains(pod)).count();
        if !pods.is_empty() && pods.len() + more > room {
            cuts.push(Default::default());
        }
        if let Some((pods, checks)) = cuts.last_mut() {
            pods.extend(unit.needs);
            checks.push(unit.what);
        }
    }
    let mut seen = BTreeSet::new();
    cuts.iter().map(|(pods, checks)| batch(scenario, pods, checks, &mut seen)).collect()
}

/// How many pods the largest check needs.
pub fn smallest_room(scenario: &Scenario, nics: &[Vec<&str>]) -> usize {
    units(scenario, nics).iter().map(|unit| unit.needs.len()).max().unwrap_or_default()
}

fn units(scenario: &Scenario, nics: &[Vec<&str>]) -> Vec<Unit> {
    let names = scenario.pods.iter().enumerate().map(|(place, probe)| (probe.name.as_str(), place));
    let places: BTreeMap<&str, usize> = names.collect();
    let find = |names: &[&str]| -> Vec<usize> {
        let found: BTreeSet<usize> = names.iter().filter_map(|name| places.get(name).copied()).collect();
        found.into_iter().collect()
    };
    let pair = |(one, other): &(String, String)| find(&[one, other]);
    let pods = (0..scenario.pods.len()).map(|pod| Unit { needs: vec![pod], what: What::Pod });
    let reach = scenario.reach.iter().enumerate();
    let reach = reach.map(|(place, it)| Unit { needs: pair(it), what: What::Reach(place) });
    let apart = scenario.isolated.iter().enumerate();
    let apart = apart.map(|(place, it)| Unit { needs: pair(it), what: What::Isolated(place) });
    let nics = nics.iter().enumerate();
    let nics = nics.map(|(place, names)| Unit { needs: find(names), what: What::Nic(place) });
    pods.chain(reach).chain(apart).chain(nics).collect()
}

/// The rank of each pod when sorted by bridge and VLAN.
fn ranks(scenario: &Scenario) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scenario.pods.len()).collect();
    order.sort_by_key(|pod| {
        let port = scenario.pods[*pod].port.as_ref();
        (port.is_none(), port, *pod)
    });
    let mut ranks = vec![0; order.len()];
    for (rank, pod) in order.into_iter().enumerate() {
        ranks[pod] = rank;
    }
    ranks
}

fn batch(scenario: &Scenario, pods: &BTreeSet<usize>, checks: &[What], seen: &mut BTreeSet<usize>) -> Batch {
    let name = |pod: &usize| scenario.pods[*pod].name.clone();
    let again = pods.iter().filter(|pod| !seen.insert(**pod)).map(name).collect();
    let (mut reach, mut isolated, mut nics) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
    for check in checks {
        match check {
            What::Pod => {}
            What::Reach(place) => _ = reach.insert(*place),
            What::Isolated(place) => _ = isolated.insert(*place),
            What::Nic(place) => nics.push(*place),
        }
    }
    nics.sort_unstable();
    let scenario = Scenario {
        pods: pods.iter().map(|pod| scenario.pods[*pod].clone()).collect(),
        reach: reach.iter().map(|place| scenario.reach[*place].clone()).collect(),
        isolated: isolated.iter().map(|place| scenario.isolated[*place].clone()).collect(),
        again,
    };
    Batch { scenario, nics }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    /// `count` networks, alternating between three bridges.
    fn scenario(count: usize) -> Scenario {
        let network = |place: usize| {
            let (bridge, vlan, subnet) = (place % 3, place / 3 + 1, format!("172.20.{place}.0/24"));
            format!(
                "  - {{name: n{place}, kind: ovs, bridge: br{bridge}, vlan: {vlan}, ipam: {{subnet: {subnet}}}}}\n"
            )
        };
        let networks: String = (0..count).map(network).collect();
        let bridges = "[{name: br0, vlans: []}, {name: br1, vlans: []}, {name: br2, vlans: []}]";
        let text = format!(
            "extends: default\novs: {{bridges: {bridges}}}\nvm: {{enabled: false}}\nnetworks:\n{networks}"
        );
        Scenario::of(&profile::load_text(&text, "t.yaml", &[]).unwrap().profile)
    }

    #[test]
    fn what_fits_is_one_batch_in_the_order_of_the_profile() {
        let whole = scenario(5);
        let cut = batches(&whole, &[vec!["n1-1", "n0-1"], vec![]], 10);
        assert_eq!(cut, [Batch { scenario: whole, nics: vec![0, 1] }]);
        let nothing = batches(&Scenario::default(), &[vec![]], 10);
        assert_eq!(nothing, [Batch { scenario: Scenario::default(), nics: vec![0] }]);
    }

    #[test]
    fn every_check_is_made_once_with_its_pods_and_no_batch_is_too_large() {
        let whole = scenario(100);
        let nics = [vec!["n1-1", "n99-1"], vec!["n0-1"], vec![]];
        assert_eq!(smallest_room(&whole, &nics), 2);
        for room in [2, 3, 7, 48] {
            let cut = batches(&whole, &nics, room);
            let mut told: Vec<String> = cut.iter().flat_map(|batch| batch.scenario.checks()).collect();
            let mut expected = whole.checks();
            told.sort();
            expected.sort();
            assert_eq!(told, expected, "room for {room}");
            let mut places: Vec<usize> = cut.iter().flat_map(|batch| batch.nics.clone()).collect();
            places.sort_unstable();
            assert_eq!(places, [0, 1, 2]);
            for Batch { scenario, nics: of_batch } in &cut {
                let there: BTreeSet<&str> = scenario.pods.iter().map(|probe| probe.name.as_str()).collect();
                let pairs = scenario.reach.iter().chain(&scenario.isolated);
                let mut needed = pairs.flat_map(|(one, other)| [one.as_str(), other.as_str()]);
                assert!(needed.all(|name| there.contains(name)), "room for {room}");
                assert!(of_batch.iter().flat_map(|nic| &nics[*nic]).all(|name| there.contains(name)));
                assert!(there.len() <= room, "room for {room}: {}", there.len());
            }
        }
    }

    #[test]
    fn batches_start_pods_a_few_times_at_most() {
        let started = |count: usize| -> usize {
            batches(&scenario(count), &[], 40).iter().map(|batch| batch.scenario.pods.len()).sum()
        };
        assert!(started(100) <= 100 * 6, "{}", started(100));
        assert!(started(200) <= started(100) * 3, "{}", started(200));
    }
}
