//! `kvnet profile`: lists, shows and checks profiles.

use crate::cli::args::{Format, Global, Profile};
use crate::error::Result;
use crate::profile;
use crate::ui;

/// Runs the command.
pub fn run(global: &Global, action: &Profile) -> Result<u8> {
    match action {
        Profile::List => list(global.output)?,
        Profile::Show => {
            let loaded = profile::load(&global.profile, &global.set)?;
            let shown = profile::redacted(&loaded.profile);
            match global.output {
                Format::Json => ui::json(&shown)?,
                _ => ui::print(&profile::to_yaml(&shown)),
            }
        }
        Profile::Validate => {
            let loaded = profile::load(&global.profile, &global.set)?;
            ui::print(&format!("{} is valid\n", loaded.origin));
        }
        Profile::Schema => ui::json(&profile::schema())?,
    }
    Ok(0)
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
        ui::print(&format!("{:width$}  {}\n", profile.name, profile.description));
    }
    Ok(())
}
