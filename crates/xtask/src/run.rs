//! Other programs.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};

/// What to install for a program.
const SOURCES: [(&str, &str); 6] = [
    ("cargo-auditable", "cargo install --locked cargo-auditable"),
    ("nfpm", "go install github.com/goreleaser/nfpm/v2/cmd/nfpm@v2.45.2"),
    ("git", "the package `git`"),
    ("ssh-keygen", "the package `openssh-client`"),
    ("gcc", "the package `gcc`"),
    ("aarch64-linux-gnu-gcc", "the packages `gcc-aarch64-linux-gnu` and `libc6-dev-arm64-cross`"),
];

/// Fails, and says what to install, unless all these programs are there.
pub fn require(programs: &[&str]) -> Result<()> {
    let missing: Vec<String> = programs.iter().filter(|it| !is_there(it)).map(|it| hint(it)).collect();
    if missing.is_empty() { Ok(()) } else { Err(anyhow!("{}", missing.join("; "))) }
}

fn is_there(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn hint(program: &str) -> String {
    let source = SOURCES.iter().find(|(name, _)| *name == program);
    let source = source.map_or_else(String::new, |(_, source)| format!(" ({source})"));
    format!("`{program}` is not installed{source}")
}

/// Runs a command, whose output is shown.
pub fn show(command: &mut Command) -> Result<()> {
    // Standard output is for data.
    let status = command.stdin(Stdio::null()).stdout(std::io::stderr()).status();
    let status = status.map_err(|error| failed_to_start(command, error))?;
    if status.success() { Ok(()) } else { bail!("{} failed: {status}", line(command)) }
}

/// Runs a command, and returns what it prints.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| failed_to_start(command, error))?;
    if !output.status.success() {
        // Some say on standard output what is wrong.
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        bail!("{} failed: {}\n{}", line(command), output.status, said.trim_end());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{} does not print text", line(command)))
}

fn failed_to_start(command: &Command, error: std::io::Error) -> anyhow::Error {
    if error.kind() == ErrorKind::NotFound {
        return anyhow!(hint(&command.get_program().to_string_lossy()));
    }
    anyhow::Error::new(error).context(line(command))
}

fn line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    format!("`{}`", words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_source() {
        assert_eq!(hint("git"), "`git` is not installed (the package `git`)");
        let error = output(&mut Command::new("no-such-program")).unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` is not installed");
        let error = require(&["cargo", "no-such-program", "nor-this"]).unwrap_err();
        assert_eq!(error.to_string(), "`no-such-program` is not installed; `nor-this` is not installed");
    }

    #[test]
    fn a_failed_program_is_shown_with_what_it_said() {
        let error = output(Command::new("ls").arg("/no/such/file")).unwrap_err().to_string();
        assert!(error.starts_with("`ls /no/such/file` failed: exit status: 2\n"), "{error}");
        assert!(error.contains("No such file"), "{error}");
    }
}
