//! `kvnet man`: a manual page, as roff.

use crate::error::{Error, Result, code};
use crate::ui;

/// Runs the command: prints the page of kvnet, or of the command that `words` name.
pub fn run(words: &[String]) -> Result<u8> {
    let mut command = crate::cli::command();
    command.build();
    for word in words {
        command = command.find_subcommand(word).cloned().ok_or_else(|| {
            let message = format!("`{word}` is not a command of {}", command.get_name());
            Error::new(&code::USAGE, message).hint("`kvnet --help` lists the commands")
        })?;
    }
    // Named like git's pages: kvnet-profile-show(1).
    let name = ["kvnet".to_owned()].iter().chain(words).map(String::as_str).collect::<Vec<_>>().join("-");
    let mut page = Vec::new();
    clap_mangen::Man::new(command)
        .title(name)
        .render(&mut page)
        .map_err(|error| Error::new(&code::INTERNAL, "the manual page cannot be written").because(error))?;
    ui::print(&String::from_utf8_lossy(&page));
    Ok(0)
}
