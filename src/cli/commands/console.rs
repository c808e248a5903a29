//! `kvnet console`: the serial console of a VM, on the terminal or in a pipe.

use std::io::{ErrorKind, IsTerminal, Read, Write};
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use crate::cli::args::{Console as Options, Global};
use crate::cli::session::Session;
use crate::cluster::{Console, ConsoleInput, ConsoleOutput};
use crate::error::{Error, Result, code};
use crate::terminal;

/// Ctrl-], as in telnet and virsh.
const ESCAPE: u8 = 0x1d;
/// In a pipe, the console closes once the input has ended and the guest has been silent for this long.
const SILENCE: Duration = Duration::from_secs(2);

/// Runs the command.
pub async fn run(global: &Global, options: &Options) -> Result<u8> {
    let session = Session::start(global).await?;
    session.connect().await?;
    let cluster = session.cx.need_cluster().await?;
    let namespace = options.namespace.as_deref().unwrap_or(&session.cx.profile.vm.namespace);
    let console = cluster.console(namespace, &options.vm).await?;
    let interactive = std::io::stdin().is_terminal();
    if interactive {
        terminal::say(&format!(
            "connected to {namespace}/{}; press Enter for a prompt, Ctrl-] to exit",
            options.vm
        ));
    }
    let raw = if interactive { Some(RawTerminal::enter()?) } else { None };
    let result = relay(console, typed(interactive)).await;
    // Before anything else is printed: a raw terminal does not return to the start of the line.
    drop(raw);
    result.map(|()| 0)
}

/// Copies in both directions until one side closes.
async fn relay(console: Console, typed: mpsc::Receiver<Vec<u8>>) -> Result<()> {
    let Console { mut input, output } = console;
    let (mut terminate, mut hang_up) = (listen(SignalKind::terminate())?, listen(SignalKind::hangup())?);
    let result = tokio::select! {
        result = copy(&mut input, output, typed) => result,
        _ = terminate.recv() => Ok(()),
        _ = hang_up.recv() => Ok(()),
    };
    input.close().await;
    result
}

async fn copy(
    input: &mut ConsoleInput,
    mut output: ConsoleOutput,
    mut typed: mpsc::Receiver<Vec<u8>>,
) -> Result<()> {
    let mut open = true;
    loop {
        tokio::select! {
            keys = typed.recv(), if open => match keys {
                Some(keys) => {
                    let (before, ends) = until_escape(&keys);
                    input.send(before).await?;
                    if ends {
                        return Ok(());
                    }
                }
                None => open = false,
            },
            bytes = output.next() => match bytes? {
                Some(bytes) if show(&bytes)? => {}
                // The guest, or the reader of the output, is gone.
                _ => return Ok(()),
            },
            () = tokio::time::sleep(SILENCE), if !open => return Ok(()),
        }
    }
}

/// The keys before Ctrl-], and whether there was one.
fn until_escape(keys: &[u8]) -> (&[u8], bool) {
    match keys.iter().position(|key| *key == ESCAPE) {
        Some(at) => (&keys[..at], true),
        None => (keys, false),
    }
}

/// Prints the guest's bytes as they are: a console needs colours and the cursor. Returns whether the output still has a reader.
fn show(bytes: &[u8]) -> Result<bool> {
    let mut out = std::io::stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(false),
        Err(error) => Err(Error::new(&code::CONSOLE, "the output cannot be written").because(error)),
    }
}

/// Standard input in chunks, read on a thread of its own: a pending read cannot be cancelled, and must not delay the exit.
fn typed(interactive: bool) -> mpsc::Receiver<Vec<u8>> {
    let (sender, receiver) = mpsc::channel(16);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        // Serial ports have small buffers; a pipe would fill them at once.
        let most = if interactive { buffer.len() } else { 256 };
        while let Ok(count @ 1..) = std::io::stdin().lock().read(&mut buffer[..most]) {
            if sender.blocking_send(buffer[..count].to_vec()).is_err() {
                return;
            }
        }
    });
    receiver
}

fn listen(kind: SignalKind) -> Result<Signal> {
    signal(kind)
        .map_err(|error| Error::new(&code::INTERNAL, "cannot install a signal handler").because(error))
}

/// A terminal in raw mode; restored on drop.
struct RawTerminal(Termios);

impl RawTerminal {
    fn enter() -> Result<Self> {
        let failed = |error: rustix::io::Errno| {
            Error::new(&code::CONSOLE, "cannot put the terminal into raw mode").because(error)
        };
        let before = tcgetattr(std::io::stdin()).map_err(failed)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw).map_err(failed)?;
        Ok(Self(before))
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // There is nothing left to try, and no readable way to report it.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_escape_ends_and_is_not_sent() {
        assert_eq!(until_escape(b"ls\n\x1dx"), (&b"ls\n"[..], true));
        assert_eq!(until_escape(b"\x03"), (&b"\x03"[..], false));
    }
}
