//! `kvnet completions`: the completion script of a shell.

use crate::cli::args::Shell;
use crate::cli::complete;
use crate::error::{Error, Result, code};
use crate::ui;

/// Runs the command.
pub fn run(shell: Shell) -> Result<u8> {
    let script = complete::script(shell).map_err(|error| {
        Error::new(&code::INTERNAL, format!("no completion script for {shell:?}")).because(error)
    })?;
    ui::print(&script);
    Ok(0)
}
