//! `kvnet profile`: lists, shows and validates profiles.

mod validate;

use serde_json::json;

use crate::cli::args::{Global, Profile};
use crate::cli::session::LOCK_FILE;
use crate::error::{Error, Result, code};
use crate::source::Pins;
use crate::state::StateDir;
use crate::ui::Format;
use crate::{profile, terminal, ui};

/// Runs the command.
pub fn run(global: &Global, action: &Profile) -> Result<u8> {
    match action {
        Profile::List => list(global.output)?,
        Profile::Show(named) => {
            let loaded = profile::load(reference(global, named.name.as_deref())?, &global.set)?;
            let shown = profile::redacted(&loaded.profile);
            match global.output {
                Format::Json => ui::structured(&shown, Format::Json)?,
                _ => ui::print(&profile::to_yaml(&shown)),
            }
        }
        Profile::Validate { names } => return validate::run(global, names),
        Profile::Schema if global.output == Format::Yaml => ui::structured(&profile::schema(), Format::Yaml)?,
        Profile::Schema => ui::json(&profile::schema())?,
        Profile::Pins { forget, forget_all } => pins(global, forget.as_deref(), *forget_all)?,
    }
    Ok(0)
}

/// The one profile that was named, whichever way.
fn reference<'a>(global: &'a Global, name: Option<&'a str>) -> Result<&'a str> {
    let Some(name) = name else { return Ok(&global.profile) };
    if global.profile_typed && global.profile != name {
        let message = format!(
            "`{}` and `--profile {}` are two different profiles",
            terminal::clean(name),
            terminal::clean(&global.profile)
        );
        return Err(Error::new(&code::USAGE, message).hint("name one of them"));
    }
    Ok(name)
}

fn pins(global: &Global, forget: Option<&str>, all: bool) -> Result<()> {
    let root = rustix::process::geteuid().is_root();
    let state = StateDir::locate(global.state_dir.as_deref(), root);
    state.refuse_unsafe()?;
    let pins = Pins::of(&state.path(LOCK_FILE));
    if all || forget.is_some() {
        let _lock = state.lock("profile pins")?;
        // A damaged file can be deleted, but not read.
        let forgotten = forget.map_or_else(
            || pins.all().unwrap_or_default().into_keys().collect(),
            |address| vec![address.to_owned()],
        );
        forget.map_or_else(|| pins.forget_all(), |address| pins.forget(address))?;
        return match global.output {
            Format::Text => Ok(()),
            format => ui::structured(&json!({"forgotten": forgotten}), format),
        };
    }
    let pins = pins.all()?;
    if global.output != Format::Text {
        return ui::structured(&pins, global.output);
    }
    for (address, sha256) in pins {
        ui::print(&terminal::clean(&format!("{sha256}  {address}\n")));
    }
    Ok(())
}

fn list(format: Format) -> Result<()> {
    let shipped = profile::shipped();
    if format != Format::Text {
        let list: Vec<_> = shipped
            .iter()
            .map(|profile| serde_json::json!({"name": profile.name, "description": profile.description}))
            .collect();
        return ui::structured(&list, format);
    }
    let width = shipped.iter().map(|profile| profile.name.len()).max().unwrap_or(0);
    for profile in shipped {
        ui::page(&format!("{:width$}  {}\n", profile.name, profile.description));
    }
    Ok(())
}
