//! The questions and the interview, without a terminal and without a node.

use super::answers::Answers;
use super::given::{Given, Nobody};
use super::id::{Id, Segment};
use super::prompt::{Prompt, Scripted};
use super::question::AnswerKind;
use super::{Composed, Interview, Turn, compose, questions};
use crate::error::Error;
use crate::facts::Facts;
use crate::facts::survey::{Card, ClusterSeen, Presence, Survey};
use crate::formats::net::Link;
use crate::profile::{Emulation, NetworkKind};

/// A node with a cluster, a card that carries it, and a free one.
fn node() -> Survey {
    let card = |name: &str, busy: Option<&str>| Card {
        link: Link { name: name.into(), ..Link::default() },
        busy: busy.map(Into::into),
        bridge: None,
        routed: busy.is_some(),
    };
    Survey {
        facts: Facts { root: true, kvm: true, hostname: "node1".into(), ..Facts::default() },
        cluster: ClusterSeen {
            presence: Presence::Answers(1),
            version: Some("v1.34.4".into()),
            pod_subnet: Some("10.244.0.0/16".into()),
        },
        cards: vec![card("eth0", Some("has the address 10.0.0.10")), card("eth1", None)],
        saw_cards: true,
        subnets: vec!["10.0.0.0/24".parse().unwrap()],
        tools: vec![("kubeadm", true)],
        ..Survey::default()
    }
}

fn given(flags: &[(&str, Option<&str>, &str)], proposals: bool) -> Given {
    let mut given = Given::new(proposals, None);
    for (name, key, answer) in flags {
        given.flag(Id::of(name, *key).unwrap(), answer);
    }
    given
}

/// Answers everything without a file.
fn answered(survey: Survey, flags: &[(&str, Option<&str>, &str)]) -> Result<Interview, Error> {
    let mut interview = Interview::new(survey, given(flags, true), false, false);
    interview.run(&mut Nobody, None)?;
    match interview.unused().into_iter().next() {
        Some(error) => Err(error),
        None => Ok(interview),
    }
}

fn composed(survey: Survey, flags: &[(&str, Option<&str>, &str)]) -> Composed {
    compose(&answered(survey, flags).unwrap().view(), "x.yaml").unwrap()
}

/// The names of the questions that were asked.
fn asked(prompt: &Scripted) -> Vec<&str> {
    prompt.asked.iter().map(|(name, _, _)| name.trim_start_matches("--")).collect()
}

#[test]
fn what_is_proposed_is_the_base_itself() {
    let composed = composed(node(), &[]);
    let settings: Vec<&str> =
        composed.text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    assert_eq!(settings, ["extends: default  # what this profile builds on"]);
}

#[test]
fn own_networks_are_as_they_were_answered() {
    let flags = [
        ("networks", None, "own"),
        ("bridges", None, "red, blue"),
        ("uplink", Some("red"), "eth1"),
        ("vlans", Some("red"), "100,200"),
        ("range", Some("red:200"), "10.50.0.0/24"),
        ("emulation", None, "on"),
        ("vm-network", None, "ovs-blue"),
        ("versions", None, "own"),
        ("multus-version", None, "v4.2.0"),
    ];
    let profile = composed(node(), &flags).profile;
    let bridges: Vec<_> =
        profile.ovs.bridges.iter().map(|bridge| (bridge.name.as_str(), bridge.uplink.as_deref())).collect();
    assert_eq!(bridges, [("red", Some("eth1")), ("blue", None)]);
    let networks: Vec<String> = profile
        .networks
        .iter()
        .map(|network| match &network.kind {
            NetworkKind::Ovs { bridge, vlan, ipam, .. } => {
                let range = ipam.as_ref().map_or("l2", |ipam| &ipam.subnet);
                format!("{} {bridge} {} {range}", network.name, vlan.unwrap_or_default())
            }
            _ => panic!("{network:?}"),
        })
        .collect();
    // Layer 2 on the physical network, a free range on the bridge that ends at the node.
    assert_eq!(
        networks,
        [
            "ovs-red red 0 l2",
            "ovs-red100 red 100 l2",
            "ovs-red200 red 200 10.50.0.0/24",
            "ovs-blue blue 0 10.20.0.0/24"
        ]
    );
    assert_eq!(
        profile.vm.interfaces.iter().map(|nic| nic.network.as_str()).collect::<Vec<_>>(),
        ["pod", "ovs-blue"]
    );
    assert_eq!((profile.kubevirt.emulation, profile.multus.version.as_str()), (Emulation::On, "v4.2.0"));
}

#[test]
fn only_what_differs_is_written() {
    let flags = [("kubevirt", None, "no"), ("uplink", Some("blue"), "eth1")];
    let text = composed(node(), &flags).text;
    for line in [
        "uplink: eth1  #",
        "enabled: false  # false: no virtual machines",
        "enabled: false  # false: none is made",
    ] {
        assert!(text.contains(line), "{text}");
    }
    for absent in ["podSubnet", "networks:", "emulation", "version", "flannel:"] {
        assert!(!text.contains(absent), "{absent}: {text}");
    }
}

#[test]
fn hostile_answers_are_refused_by_their_question() {
    let own = [("networks", None, "own"), ("bridges", None, "red"), ("versions", None, "own")];
    for (name, key, answer) in [
        ("bridges", None, "red: {a: b}"),
        ("bridges", None, "{{red}}"),
        ("bridges", None, "-red"),
        ("bridges", None, "../red"),
        ("bridges", None, "red\u{1b}[2J"),
        ("bridges", None, "eth1"),
        ("bridges", None, ","),
        ("uplink", Some("red"), "eth0"),
        ("uplink", Some("red"), "eth1; reboot"),
        ("vlans", Some("red"), "0"),
        ("vlans", Some("red"), "100,100"),
        ("vlans", Some("red"), "1e3"),
        ("range", Some("red"), "10.20.0.0/24\nname: evil"),
        ("range", Some("red"), "10.96.0.0/24"),
        ("range", Some("red"), "fd00::1/64"),
        ("kubevirt-version", None, "v1.9.0\" #"),
        ("kubevirt-version", None, "latest"),
        ("multus-version", None, "&anchor"),
        ("emulation", None, "auto: on"),
        ("vm-network", None, "default/other"),
        ("base", None, "./other.yaml"),
    ] {
        let mut flags: Vec<_> = own.iter().filter(|(other, ..)| *other != name).copied().collect();
        flags.push((name, key, answer));
        let error = answered(node(), &flags).err().unwrap_or_else(|| panic!("{name} {answer:?} is accepted"));
        assert_eq!(error.code().id, "KVN111", "{name} {answer:?}: {error}");
        assert!(error.message().starts_with(&format!("invalid `{name}`: ")), "{error}");
    }
}

#[test]
fn what_the_node_says_about_itself_cannot_leave_its_comment() {
    let mut survey = node();
    survey.facts.os.pretty = "Evil\nvm: {enabled: false} \u{1b}[31m\u{2028}x".into();
    survey.facts.hostname = "{{ a }}: #\r\nname: evil".into();
    let composed = composed(survey, &[]);
    assert!(composed.profile.vm.enabled && composed.profile.name == "x");
    assert!(!composed.text.contains('\u{1b}') && !composed.text.contains('\r'), "{}", composed.text);
    assert!(
        composed.text.lines().take(6).all(|line| line.is_empty() || line.starts_with("# ")),
        "{}",
        composed.text
    );
}

#[test]
fn back_leads_to_the_question_that_was_really_asked_before() {
    let flags = [("networks", None, "none"), ("kubevirt", None, "no")];
    let mut prompt = Scripted::new(&["", "<", "walkthrough-2018", "<", "", ""]);
    let mut interview = Interview::new(node(), given(&flags, false), false, false);
    assert_eq!(interview.run(&mut prompt, None).unwrap(), Turn::Done);
    assert_eq!(asked(&prompt), ["base", "versions", "base", "versions", "base", "versions"]);
    // What was said before is proposed.
    assert_eq!(prompt.asked[4].1, "walkthrough-2018");
    assert!(interview.answers().is(&Id::Base, "walkthrough-2018"));
}

#[test]
fn at_the_first_question_there_is_no_way_back() {
    let mut prompt = Scripted::new(&["<", "^C"]);
    let mut interview = Interview::new(node(), given(&[], false), false, false);
    assert_eq!(interview.run(&mut prompt, None).unwrap(), Turn::Stopped);
    assert!(prompt.asked[1].2.as_deref().unwrap().contains("first question"));
    assert_eq!(*interview.answers(), Answers::default());
}

#[test]
fn another_answer_withdraws_what_followed_from_the_first() {
    let replies = ["", "own", "red", "eth1", "<", "<", "<", "none", "no", ""];
    let mut prompt = Scripted::new(&replies);
    let mut interview = Interview::new(node(), given(&[], false), false, false);
    assert_eq!(interview.run(&mut prompt, None).unwrap(), Turn::Done);
    assert_eq!(
        asked(&prompt),
        [
            "base",
            "networks",
            "bridges",
            "uplink red=…",
            "vlans red=…",
            "uplink red=…",
            "bridges",
            "networks",
            "kubevirt",
            "versions"
        ]
    );
    assert_eq!((prompt.asked[5].1.as_str(), prompt.asked[6].1.as_str()), ("eth1", "red"));
    assert!(interview.answers().bridges().is_empty());
}

#[test]
fn a_wrong_answer_is_asked_again_with_the_reason() {
    let mut prompt = Scripted::new(&["", "mine", "own", "a/b", "red", "eth0", "none", "9999", "^C"]);
    let mut interview = Interview::new(node(), given(&[], false), false, false);
    interview.run(&mut prompt, None).unwrap();
    let problems: Vec<&str> = prompt.asked.iter().filter_map(|(_, _, problem)| problem.as_deref()).collect();
    for (problem, part) in
        problems.iter().zip(["not one of", "`a/b` is not a name", "cut this node off", "write 1 to 4094"])
    {
        assert!(problem.contains(part), "{problem}");
    }
    assert_eq!(problems.len(), 4, "{problems:?}");
}

#[test]
fn no_terminal_is_an_error_that_names_flag_and_default() {
    let mut interview = Interview::new(node(), given(&[("base", None, "default")], false), false, false);
    let error = interview.run(&mut Nobody, None).unwrap_err();
    assert_eq!((error.code().id, error.place()), ("KVN110", Some("--networks")));
    assert!(error.hints()[0].contains("`base`") && error.hints()[0].contains("--defaults"));
}

#[test]
fn an_answer_that_nothing_asks_for_is_an_error() {
    let flags = [("kubevirt", None, "no"), ("emulation", None, "on")];
    let error = answered(node(), &flags).err().unwrap();
    assert_eq!((error.code().id, error.place()), ("KVN111", Some("--emulation on")));
}

#[test]
fn another_pod_network_stays_alone() {
    let mut survey = node();
    survey.configurations = vec![("10-calico.conflist".into(), vec!["calico".into()])];
    let profile = composed(survey.clone(), &[]).profile;
    assert!(!profile.flannel.enabled && profile.multus.master_cni == "10-calico.conflist");
    assert!(
        profile.networks.iter().all(|network| network.name != "flannel-network")
            && profile.networks.len() == 4
    );
    assert!(composed(survey, &[("flannel", None, "yes")]).profile.flannel.enabled);
}

#[test]
fn a_node_without_a_cluster_can_get_one() {
    let mut survey = node();
    survey.cluster =
        ClusterSeen { presence: Presence::Absent, version: Some("v1.34.4".into()), pod_subnet: None };
    survey.subnets.push("10.244.7.0/24".parse().unwrap());
    let profile = composed(survey.clone(), &[]).profile;
    assert!(profile.cluster.init.enabled);
    // The usual range would hide a network that the node is in.
    assert_eq!(profile.cluster.pod_subnet, "10.200.0.0/16");
    survey.facts.root = false;
    assert!(!composed(survey.clone(), &[]).profile.cluster.init.enabled);
    survey.tools.clear();
    assert!(!composed(survey, &[]).profile.cluster.init.enabled);
}

#[test]
fn versions_fit_the_cluster() {
    for (kubernetes, kubevirt, base) in [
        ("v1.34.4", "v1.9.0", "default"),
        ("v1.32.2", "v1.7.0", "default"),
        ("v1.11.0", "v0.8.0", "walkthrough-2018"),
    ] {
        let mut survey = node();
        survey.cluster.version = Some(kubernetes.into());
        let composed = composed(survey, &[]);
        assert_eq!(composed.profile.kubevirt.version, kubevirt, "{kubernetes}");
        assert!(composed.text.contains(&format!("extends: {base} ")), "{}", composed.text);
    }
}

#[test]
fn proposed_ranges_are_free() {
    let mut survey = node();
    survey.subnets.push("10.20.0.0/15".parse().unwrap());
    survey.cluster.pod_subnet = Some("10.22.0.0/16".into());
    let flags = [("bridges", None, "red,green"), ("vlans", Some("red"), "7,300")];
    // The base's own networks would hide one of the node's.
    let interview = answered(survey, &flags).unwrap();
    let range =
        |segment: &str| interview.answers().range(&Segment::parse(segment).unwrap()).unwrap().to_string();
    assert_eq!([range("red"), range("red:7")], ["10.23.0.0/24", "10.23.7.0/24"]);
    assert_eq!([range("red:300"), range("green")], ["10.23.1.0/24", "10.23.2.0/24"]);
}

#[test]
fn a_nic_that_cannot_be_seen_can_be_given() {
    let mut survey = node();
    (survey.saw_cards, survey.cards) = (false, Vec::new());
    let profile = composed(survey.clone(), &[("uplink", Some("blue"), "enp3s0")]).profile;
    assert_eq!(profile.ovs.bridges[0].uplink.as_deref(), Some("enp3s0"));
    assert!(answered(survey.clone(), &[("uplink", Some("blue"), "a b")]).is_err());
    // Without any card there is nothing to ask.
    survey.saw_cards = true;
    assert!(answered(survey, &[("uplink", Some("blue"), "enp3s0")]).is_err());
}

#[test]
fn every_question_says_what_it_is_about_and_proposes_something_possible() {
    let mut survey = node();
    survey.configurations = vec![("10-calico.conflist".into(), vec!["calico".into()])];
    survey.cluster =
        ClusterSeen { presence: Presence::Absent, version: Some("v1.32.2".into()), pod_subnet: None };
    let flags = [("networks", None, "own"), ("vlans", Some("red"), "5"), ("versions", None, "own")];
    let interview = answered(survey, &flags).unwrap();
    let all = questions::all(&interview.view());
    assert!(all.len() >= 17, "{}", all.len());
    for question in all {
        assert!(!question.title.is_empty() && question.help.ends_with('.'), "{question:?}");
        assert!(question.accept(&question.default).is_ok(), "{question:?}");
        if let AnswerKind::Choice(items) = &question.kind {
            assert!(items.len() > 1 && items.iter().all(|item| !item.label.is_empty()), "{question:?}");
        }
    }
}

/// A prompt that nobody should use.
struct Silent;

impl Prompt for Silent {
    fn ask(
        &mut self,
        question: &super::question::Question,
        _: Option<&str>,
    ) -> crate::error::Result<super::prompt::Reply> {
        panic!("{question:?}")
    }
}

#[test]
fn the_last_question_is_left_for_when_all_is_shown() {
    let flags = [("file", None, "-")];
    let mut interview = Interview::new(node(), given(&flags, true), true, false);
    assert_eq!(interview.run(&mut Silent, Some(&Id::Run)).unwrap(), Turn::Done);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.yaml");
    let flags = [("file", None, path.to_str().unwrap())];
    let mut interview = Interview::new(node(), given(&flags, true), true, false);
    assert_eq!(interview.run(&mut Silent, Some(&Id::Run)).unwrap(), Turn::Before);
    assert_eq!(interview.finish(&mut Silent).unwrap(), Turn::Done);
    assert!(interview.answers().is(&Id::Run, "no"));
    std::fs::write(&path, "mine").unwrap();
    let mut interview = Interview::new(node(), given(&flags, true), true, false);
    assert_eq!(interview.run(&mut Silent, Some(&Id::Run)).unwrap_err().code().id, "KVN112");
}
