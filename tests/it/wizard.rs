//! `kvnet init`: the wizard, on a terminal and without one.

use std::fs;

use serde_json::Value;

use crate::it::wizard_terminal::{CTRL_C, DOWN, ENTER, ESCAPE, Ended, Terminal};
use kvnet_test_kit::run::{As, Place, text};

const SANDBOX: &str = "init --sandbox";

/// The way through own networks, one answer for each question but the last.
const OWN: [(&str, &str); 13] = [
    ("Base profile", ENTER),
    ("Networks", "\u{1b}[B\r"),
    ("Bridges", "red, green\r"),
    ("Uplink of red", "\u{1b}[B\u{1b}[B\r"),
    ("VLANs of red", "100\r"),
    ("Uplink of green", ENTER),
    ("VLANs of green", ENTER),
    ("Addresses of red, untagged", "l2\r"),
    ("Addresses of VLAN 100 of red", "10.30.0.0/24\r"),
    ("Addresses of green, untagged", ENTER),
    ("KubeVirt", ENTER),
    ("Emulation", ENTER),
    ("Sample VM", ENTER),
];
/// The questions after those.
const REST: [(&str, &str); 3] = [("Second NIC of the VM", ENTER), ("Versions", ENTER), ("File", ENTER)];

/// Runs kvnet without a terminal, in a directory of its own.
fn without_terminal(place: &Place, code: i32, arguments: &[&str]) -> (String, String) {
    let output = place.kvnet(As::Nobody, arguments, &[]);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "kvnet {arguments:?}\n{out}\n{err}");
    (out, err)
}

fn place() -> Place {
    let place = Place::new();
    place.give("mine");
    place
}

fn all_answers(terminal: &mut Terminal) {
    terminal.answer(&OWN);
    terminal.answer(&REST);
}

#[test]
fn the_whole_way_through_ends_in_a_cluster() {
    let mut terminal = Terminal::start(80, SANDBOX, &[]);
    all_answers(&mut terminal);
    terminal.answer(&[("Ready", "\u{1b}[A\r")]);
    let ended = terminal.ends(0);
    assert_eq!(ended.files(), ["kvnet.yaml"]);
    assert!(ended.screen.contains("wrote kvnet.yaml"), "{}", ended.screen);
    let written = fs::read_to_string(ended.profile()).unwrap();
    for line in [
        "extends: default  #",
        "uplink: eth1  #",
        "vlan: 100  #",
        "subnet: 10.30.0.0/24  #",
        "network: ovs-red  #",
    ] {
        assert!(written.contains(line), "{line}: {written}");
    }
}

#[test]
fn sixty_columns_without_colour_are_enough() {
    for (option, variables) in [("--no-color", &[][..]), ("", &[("NO_COLOR", "1")])] {
        let mut terminal = Terminal::start(60, &format!("{SANDBOX} {option}"), variables);
        all_answers(&mut terminal);
        terminal.answer(&[("Ready", ENTER)]);
        let ended = terminal.ends(0);
        ended.lines_fit(60);
        assert!(!has_colours(&ended), "{:?}", ended.raw);
        assert_eq!(ended.files(), ["kvnet.yaml"]);
    }
}

/// Whether anything but the cursor was moved: `ESC [ ... m`.
fn has_colours(ended: &Ended) -> bool {
    let sequences = ended.raw.split("\u{1b}[").skip(1);
    sequences
        .into_iter()
        .any(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';').starts_with('m'))
}

#[test]
fn a_terminal_with_colours_gets_them() {
    let mut terminal = Terminal::start(80, SANDBOX, &[]);
    terminal.answer(&[("Base profile", CTRL_C)]);
    assert!(has_colours(&terminal.ends(130)));
}

#[test]
fn a_dumb_terminal_gets_lines_and_numbers() {
    let mut terminal = Terminal::start(60, SANDBOX, &[("TERM", "dumb")]);
    let answers = [
        ("Base profile", "\n"),
        ("Networks", "7\n"),
        ("is not one of", "3\n"),
        ("KubeVirt", "<\n"),
        ("Networks", "1\n"),
    ];
    terminal.answer(&answers);
    let uplink =
        [("Uplink of blue", "\n"), ("KubeVirt", "2\n"), ("Versions", "\n"), ("File", "\n"), ("Ready", "\n")];
    terminal.answer(&uplink);
    let ended = terminal.ends(0);
    ended.lines_fit(60);
    assert!(!ended.raw.contains('\u{1b}'), "{:?}", ended.raw);
    assert_eq!(ended.files(), ["kvnet.yaml"]);
    let mut terminal = Terminal::start(60, SANDBOX, &[("TERM", "dumb")]);
    terminal.answer(&[("Base profile", CTRL_C)]);
    assert!(terminal.ends(130).files().is_empty());
}

#[test]
fn ctrl_c_at_every_question_leaves_nothing() {
    let questions: Vec<(&str, &str)> = OWN.iter().chain(&REST).copied().collect();
    for (number, (title, _)) in questions.iter().chain(&[("Ready", "")]).enumerate() {
        let mut terminal = Terminal::start(80, SANDBOX, &[]);
        terminal.answer(&questions[..number]);
        terminal.answer(&[(title, CTRL_C)]);
        let ended = terminal.ends(130);
        assert!(ended.files().is_empty(), "{title}: {:?}", ended.files());
        assert!(ended.screen.contains("error[KVN503]: interrupted; nothing was written"), "{}", ended.screen);
    }
}

#[test]
fn a_wrong_answer_is_explained_and_asked_again() {
    let mut terminal = Terminal::start(60, SANDBOX, &[]);
    terminal.answer(&OWN[..2]);
    terminal.answer(&[
        ("Bridges", "sixteen--letters\r"),
        ("1 to 15 letters", "eth1\r"),
        ("eth1 is a NIC", "red,red\r"),
        ("red is given twice", "{{x}}: &a\r"),
        ("1 to 15 letters", "red\r"),
        // The card that carries the node is shown, and refused.
        ("10.0.0.10", &format!("{DOWN}{ENTER}")),
        ("cut this node off", ENTER),
        ("VLANs of red", "5000\r"),
        ("write 1 to 4094", "100\r"),
        ("Addresses of red, untagged", "10.244.0.0/24\r"),
        ("overlaps 10.244.0.0/16", "10.20.0.7/24\r"),
        ("has host bits", "everything\r"),
        ("not an address range", "10.20.0.0/24\r"),
        ("Addresses of VLAN 100", "10.20.0.0/16\r"),
        ("overlaps 10.20.0.0/24", CTRL_C),
    ]);
    let ended = terminal.ends(130);
    ended.lines_fit(60);
}

#[test]
fn back_leads_to_the_question_before_and_proposes_what_was_said() {
    let mut terminal = Terminal::start(80, SANDBOX, &[]);
    terminal.answer(&[("Base profile", ESCAPE), ("this is the first question", ENTER)]);
    terminal.answer(&[("Networks", "\u{1b}[B\r"), ("Bridges", "green\r"), ("Uplink of green", ESCAPE)]);
    terminal.answer(&[("[green] >", "<\r"), ("Networks", ENTER), ("[green] >", "violet\r")]);
    terminal.answer(&[
        ("Uplink of violet", ENTER),
        ("VLANs of violet", ESCAPE),
        ("Uplink of violet", CTRL_C),
    ]);
    let ended = terminal.ends(130);
    assert_eq!(ended.screen.matches("< back").count(), 4, "{}", ended.screen);
    assert!(ended.files().is_empty());
}

#[test]
fn back_from_the_end_shows_the_new_profile() {
    let mut terminal = Terminal::start(80, &format!("{SANDBOX} --networks none --kubevirt no"), &[]);
    terminal.answer(&[("Base profile", ENTER), ("Versions", ENTER), ("File", "a.yaml\r"), ("Ready", ESCAPE)]);
    terminal.answer(&[("[a.yaml] >", "b.yaml\r"), ("Ready", ENTER)]);
    let ended = terminal.ends(0);
    assert_eq!(ended.files(), ["b.yaml"]);
    assert!(ended.screen.contains("Profile a.yaml") && ended.screen.contains("Profile b.yaml"));
}

#[test]
fn a_file_that_is_there_is_kept_unless_its_end_is_agreed_to() {
    for (answer, content_stays) in [(ENTER, true), ("\u{1b}[A\r", false)] {
        let place = Place::new();
        place.write("kvnet.yaml", "mine\n");
        let options = format!("{SANDBOX} --networks none --kubevirt no --base default --versions base");
        let mut terminal = Terminal::start_in(place, 80, &options, &[]);
        terminal.answer(&[("File", ENTER), ("kvnet.yaml already exists", answer)]);
        if content_stays {
            terminal.answer(&[("[kvnet.yaml] >", "other.yaml\r")]);
        }
        terminal.answer(&[("Ready", ENTER)]);
        let ended = terminal.ends(0);
        let kept = fs::read_to_string(ended.profile()).unwrap() == "mine\n";
        assert_eq!((kept, ended.files().len()), (content_stays, if content_stays { 2 } else { 1 }));
    }
}

#[test]
fn what_is_proposed_becomes_a_cluster_and_is_read_as_a_profile() {
    let place = place();
    let (out, err) =
        without_terminal(&place, 0, &["init", "--defaults", "--file", "DIR/mine/a.yaml", "--sandbox"]);
    assert!(out.is_empty() && err.contains("wrote ") && err.contains("a.yaml"), "{out}{err}");
    let written = fs::read_to_string(place.path("mine/a.yaml")).unwrap();
    assert!(written.contains("\nextends: default  #"), "{written}");
    without_terminal(&place, 0, &["profile", "validate", "--profile", "DIR/mine/a.yaml"]);
    let (_, err) = without_terminal(&place, 0, &["up", "--sandbox", "--profile", "DIR/mine/a.yaml"]);
    assert!(err.contains("done: "), "{err}");
}

#[test]
fn every_kind_of_network_becomes_a_cluster() {
    for (number, answers) in [
        &["--networks", "none"][..],
        &["--networks", "none", "--kubevirt", "no"],
        &["--networks", "own", "--bridges", "red,green", "--vlans", "red=100,200", "--range", "red:200=l2"],
        &["--networks", "own", "--bridges", "red", "--uplink", "red=eth1", "--vm", "no"],
        &["--uplink", "blue=eth1", "--emulation", "on"],
        &["--base", "walkthrough-2018"],
        &["--base", "walkthrough-2018", "--networks", "own", "--bridges", "red"],
    ]
    .iter()
    .enumerate()
    {
        let place = place();
        let file = format!("DIR/mine/{number}.yaml");
        let common = ["init", "--defaults", "--sandbox", "--run", "yes", "--file", file.as_str()];
        let (_, err) = without_terminal(&place, 0, &[&common[..], answers].concat());
        assert!(err.contains("\nwrote ") && err.contains("\ndone"), "{answers:?}: {err}");
    }
}

#[test]
fn answers_that_are_printed_lead_to_the_same_profile() {
    let place = place();
    let own = ["--networks", "own", "--bridges", "red", "--vlans", "red=7", "--uplink", "red=eth1"];
    let print = |more: &[&str]| -> Value {
        let (out, err) =
            without_terminal(&place, 0, &[&["init", "--sandbox", "-o", "json"][..], more].concat());
        assert!(err.is_empty(), "{err}");
        serde_json::from_str(&out).unwrap()
    };
    let first = print(&[&["--defaults"][..], &own].concat());
    assert_eq!(first["profile"]["ovs"]["bridges"][0]["uplink"], "eth1");
    assert_eq!(fs::read_dir(place.path("mine")).unwrap().count(), 0, "something was written");
    place.write("all.json", &first.to_string());
    assert_eq!(print(&["--answers", "DIR/all.json"]), first);
    place.write("answers.yaml", &serde_json::to_string(&first["answers"]).unwrap());
    assert_eq!(print(&["--answers", "DIR/answers.yaml"]), first);
    let other = print(&["--answers", "DIR/answers.yaml", "--uplink", "red=none"]);
    assert_eq!(other["profile"]["ovs"]["bridges"][0]["uplink"], Value::Null);
}

#[test]
fn a_profile_can_be_printed() {
    let arguments = ["init", "--sandbox", "--defaults", "--file", "-", "--kubevirt", "no"];
    let (out, _) = without_terminal(&place(), 0, &arguments);
    let loaded = kvnet::profile::load_text(&out, "x.yaml", &[]).unwrap();
    assert!(!loaded.profile.kubevirt.enabled && !loaded.profile.vm.enabled);
}

/// Without root and without a cluster.
#[test]
fn what_cannot_be_seen_is_said() {
    let place = place();
    let kubeconfig = ["--kubeconfig", "DIR/refused.yaml", "--pod-subnet", "10.50.0.0/16"];
    let file = ["init", "--defaults", "--file", "DIR/mine/a.yaml"];
    let output = place.kvnet(As::Nobody, &[&file[..], &kubeconfig].concat(), &[]);
    let err = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(err.contains("not root") && err.contains("KVN301"), "{err}");
    let written = fs::read_to_string(place.path("mine/a.yaml")).unwrap();
    assert!(written.contains("podSubnet: 10.50.0.0/16"), "{written}");
}

#[test]
fn a_file_is_not_replaced_without_being_asked() {
    let place = place();
    place.write("mine/a.yaml", "mine\n");
    let arguments = ["init", "--sandbox", "--defaults", "--file", "DIR/mine/a.yaml"];
    let (_, err) = without_terminal(&place, 2, &arguments);
    assert!(err.contains("error[KVN112]") && err.contains("--overwrite yes"), "{err}");
    assert_eq!(fs::read_to_string(place.path("mine/a.yaml")).unwrap(), "mine\n");
    without_terminal(&place, 0, &[&arguments[..], &["--overwrite", "yes"]].concat());
    assert_ne!(fs::read_to_string(place.path("mine/a.yaml")).unwrap(), "mine\n");
    assert_eq!(fs::read_dir(place.path("mine")).unwrap().count(), 1, "something else is left");
}

#[test]
fn a_terminal_of_two_lines_is_asked_line_by_line() {
    for rows in [1, 2] {
        let arguments = format!("version >/dev/null; stty rows {rows}; \"$PROGRAM\" init --sandbox");
        let mut terminal = Terminal::start(80, &arguments, &[]);
        terminal.answer(&[("Base profile", "\n")]);
        terminal.sees("] >");
        terminal.press(CTRL_C);
        let ended = terminal.ends(130);
        assert!(!ended.screen.contains("panicked"), "{}", ended.screen);
        assert!(ended.files().is_empty());
    }
}
