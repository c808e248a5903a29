//! `kvnet profile`, and profiles from standard input.

use std::fs::File;
use std::process::Output;

use kvnet_test_kit::run::{As, Place, text};

const MINE: &str = "extends: default\nname: mine\n";

/// Runs with the file `p.yaml` as standard input.
fn fed(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = place.command(As::Tester, arguments, variables);
    command.stdin(File::open(place.path("p.yaml")).unwrap()).output().unwrap()
}

#[test]
fn a_profile_is_shown_and_checked_however_it_is_named() {
    let place = Place::new();
    place.write("p.yaml", MINE);
    let expected = text(&fed(&place, &["profile", "show", "-p", "DIR/p.yaml"], &[]).stdout);
    assert!(expected.contains("name: mine"), "{expected}");
    let ways: &[&[&str]] = &[&["DIR/p.yaml"], &["DIR/p.yaml", "-p", "DIR/p.yaml"], &["-"], &["-p", "-"]];
    for way in ways {
        // What the environment says is for commands that name none.
        let variables = &[("KVNET_PROFILE", "walkthrough-2018")];
        let shown = fed(&place, &[&["profile", "show"], *way].concat(), variables);
        assert_eq!(text(&shown.stdout), expected, "{way:?}: {}", text(&shown.stderr));
        let checked = fed(&place, &[&["profile", "validate"], *way].concat(), variables);
        assert!(text(&checked.stdout).ends_with(" is valid\n"), "{way:?}: {}", text(&checked.stderr));
    }
}

#[test]
fn standard_input_has_lines_and_an_end() {
    let place = Place::new();
    place.write("p.yaml", "extends: default\nbrigdes: []\n");
    let error = text(&fed(&place, &["profile", "validate", "-"], &[]).stderr);
    assert!(error.contains("standard input:2:1") && error.contains("KVN103"), "{error}");
    let mut command = place.command(As::Tester, &["profile", "validate", "-"], &[]);
    let endless = command.stdin(File::open("/dev/zero").unwrap()).output().unwrap();
    assert_eq!(endless.status.code(), Some(2));
    assert!(text(&endless.stderr).contains("more than 1024 KiB"), "{}", text(&endless.stderr));
}
