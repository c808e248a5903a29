//! `kvnet explain`: what an error code means.

use serde_json::{Value, json};

use crate::cli::args::Global;
use crate::error::{CODES, Code, Error, Result, code};
use crate::ui;
use crate::ui::Format;

/// Runs the command.
pub fn run(global: &Global, wanted: Option<&str>) -> Result<u8> {
    let Some(wanted) = wanted else {
        if global.output != Format::Text {
            let all: Vec<Value> = CODES.iter().map(|code| data(code)).collect();
            return ui::structured(&all, global.output).map(|()| 0);
        }
        for code in CODES {
            ui::page(&format!("{}  {}\n", code.id, code.title));
        }
        return Ok(0);
    };
    let Some(found) = CODES.iter().find(|code| is_meant(code, wanted)) else {
        let message = format!("unknown error code `{wanted}`");
        return Err(Error::new(&code::USAGE, message).hint("`kvnet explain` lists the codes"));
    };
    if global.output != Format::Text {
        return ui::structured(&data(found), global.output).map(|()| 0);
    }
    ui::page(&format!("{}: {}\n\nWhat to do: {}\n", found.id, found.title, found.fix));
    Ok(0)
}

/// Whether `wanted` names the code: as `KVN104`, `kvn104` or `104`.
fn is_meant(code: &Code, wanted: &str) -> bool {
    code.id.eq_ignore_ascii_case(wanted) || code.id.strip_prefix("KVN") == Some(wanted)
}

fn data(code: &'static Code) -> Value {
    json!({"code": code.id, "title": code.title, "fix": code.fix})
}
