//! A line of the log, without secrets and control characters.

use std::io::Write;

use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

use crate::redact::{redact_text, without_known};
use crate::terminal;

/// The line as it may be shown: a single line, whatever a server or tool put into it.
fn shown(line: &[u8]) -> String {
    let line = String::from_utf8_lossy(line);
    let line = terminal::clean(&without_known(&redact_text(line.trim_end(), &[])));
    line.trim_end().replace('\n', "\\n") + "\n"
}

/// Standard error.
pub(super) struct Screen;

impl Write for Screen {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().lock().write_all(shown(line).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

pub(super) struct ToFile;

impl<'a> MakeWriter<'a> for ToFile {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { matters: false }
    }

    fn make_writer_for(&'a self, about: &Metadata<'_>) -> Line {
        Line { matters: *about.level() <= Level::WARN }
    }
}

/// One line for the file.
pub(super) struct Line {
    /// Whether the line is written even if the file is full.
    matters: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        if super::is_kept() {
            super::keep(shown(line).as_bytes(), self.matters);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_one_line_without_secrets() {
        crate::redact::know("canary-of-the-log");
        let line =
            shown(b"ran command=\"x --token abc\" said=canary-of-the-log\nat: \x1b[2J Bearer s3cr3t-4\n");
        assert_eq!(
            line,
            "ran command=\"x --token (hidden)\" said=(hidden)\\nat: \u{fffd}[2J Bearer (hidden)\n"
        );
    }
}
