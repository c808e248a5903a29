//! The commands that there are, with what each takes.

use super::{Done, VsctlError};

/// A command: its name, how few and how many arguments it takes, and its options; those with `=` take a value.
struct Known(&'static str, usize, usize, &'static [&'static str]);

const MANY: usize = usize::MAX;
static COMMANDS: [Known; 27] = [
    Known("init", 0, 0, &[]),
    Known("show", 0, 0, &[]),
    Known("list-br", 0, 0, &["--real", "--fake"]),
    Known("add-br", 1, 3, &["--may-exist"]),
    Known("del-br", 1, 1, &["--if-exists"]),
    Known("br-exists", 1, 1, &[]),
    Known("br-to-vlan", 1, 1, &[]),
    Known("br-to-parent", 1, 1, &[]),
    Known("br-set-external-id", 2, 3, &[]),
    Known("br-get-external-id", 1, 2, &[]),
    Known("list-ports", 1, 1, &[]),
    Known("add-port", 2, MANY, &["--may-exist"]),
    Known("del-port", 1, 2, &["--if-exists", "--with-iface"]),
    Known("port-to-br", 1, 1, &[]),
    Known("list-ifaces", 1, 1, &[]),
    Known("iface-to-br", 1, 1, &[]),
    Known("get-fail-mode", 1, 1, &[]),
    Known("del-fail-mode", 1, 1, &[]),
    Known("set-fail-mode", 2, 2, &[]),
    Known("list", 1, MANY, &["--if-exists", "--columns="]),
    Known("find", 1, MANY, &["--columns="]),
    Known("get", 2, MANY, &["--if-exists", "--id="]),
    Known("set", 3, MANY, &["--if-exists"]),
    Known("add", 4, MANY, &["--if-exists"]),
    Known("remove", 4, MANY, &["--if-exists"]),
    Known("clear", 3, MANY, &["--if-exists"]),
    Known("comment", 0, MANY, &[]),
];
/// Commands of the real program that the sandbox does not have.
const OTHERS: &str = "\
    add-aa-mapping add-bond add-bond-iface add-dp-cap add-zone-tp create del-aa-mapping del-bond-iface \
    del-controller del-dp-cap del-manager del-ssl del-zone-tp destroy emer-reset get-aa-mapping \
    get-controller get-manager get-ssl list-dp-cap list-zone-tp set-controller set-manager set-ssl \
    wait-until";

/// Refuses what is no command, or has too many or too few arguments, or options of another.
pub(super) fn check(name: &str, count: usize, options: &[(String, Option<String>)]) -> Done {
    let Some(known) = COMMANDS.iter().find(|known| known.0 == name) else {
        if OTHERS.split(' ').any(|other| other == name) {
            return Err(VsctlError::Unknown);
        }
        return Err(format!("unknown command '{name}'; use --help for help").into());
    };
    check_options(known, options)?;
    check_count(known, count)
}

fn check_options(known: &Known, options: &[(String, Option<String>)]) -> Done {
    let Known(name, _, _, own) = known;
    for (option, value) in options {
        let Some(known) = own.iter().find(|known| known.trim_end_matches('=') == option) else {
            return Err(format!("'{name}' command has no '{option}' option").into());
        };
        match (known.ends_with('='), value) {
            (true, None) => {
                return Err(format!("missing argument to '{option}' option on '{name}' command").into());
            }
            (false, Some(_)) => {
                return Err(format!("'{option}' option on '{name}' does not accept an argument").into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn check_count(&Known(name, least, most, _): &Known, count: usize) -> Done {
    if count < least {
        return Err(format!("'{name}' command requires at least {least} arguments").into());
    }
    if count > most {
        return Err(format!("'{name}' command takes at most {most} arguments").into());
    }
    Ok(())
}
