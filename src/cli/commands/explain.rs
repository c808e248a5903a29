//! `kvnet explain`: what an error code means.

use crate::error::{CODES, Error, Result, code};
use crate::ui;

/// Runs the command.
pub fn run(wanted: Option<&str>) -> Result<u8> {
    let Some(wanted) = wanted else {
        for code in CODES {
            ui::print(&format!("{}  {}\n", code.id, code.title));
        }
        return Ok(0);
    };
    let Some(found) = CODES.iter().find(|code| code.id.eq_ignore_ascii_case(wanted)) else {
        let message = format!("there is no code `{wanted}`");
        return Err(Error::new(&code::USAGE, message).hint("`kvnet explain` lists the codes"));
    };
    ui::print(&format!("{}: {}\n\nWhat to do: {}\n", found.id, found.title, found.fix));
    Ok(0)
}
