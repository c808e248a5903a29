//! `kvnet completions`: a shell's completion script.

use clap::CommandFactory;

use crate::cli::args::Cli;
use crate::ui;

/// Runs the command.
pub fn run(shell: clap_complete::Shell) -> u8 {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "kvnet", &mut script);
    ui::print(&String::from_utf8_lossy(&script));
    0
}
