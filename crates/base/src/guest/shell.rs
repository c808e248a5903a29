//! A shell on a serial console: waits for its prompt, logs in if needed, and runs commands.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, timeout};

use crate::cluster::Console;
use crate::error::{Error, Result, code};
use crate::profile::Login;

/// The silence after which the last line is taken for a prompt: a booting guest writes all the time.
const SILENCE: Duration = Duration::from_millis(200);
/// The silence after which a new prompt is requested: a kernel message may have followed the last one.
const POKE: Duration = Duration::from_secs(1);
/// How long a shell may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// Requests a new prompt. Ctrl-U first: input that a user left on the line must not be run.
const ENTER: &[u8] = b"\x15\n";
/// How many commands run in parallel: a terminal takes lines of 4096 bytes.
const AT_ONCE: usize = 8;
/// Escape sequences for the cursor or colours are shorter.
const LONGEST_SEQUENCE: usize = 32;
/// How much of the screen is kept.
const SCREEN: usize = 256 << 10;

/// Something to type on and to read from.
#[async_trait]
pub trait Terminal: Send {
    /// Types bytes.
    async fn send(&mut self, bytes: &[u8]) -> Result<()>;
    /// The next bytes; none at the end. Cancel-safe.
    async fn next(&mut self) -> Result<Option<Vec<u8>>>;
}

#[async_trait]
impl Terminal for Console {
    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.input.send(bytes).await
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        self.output.next().await
    }
}

/// A shell that waits for commands.
pub struct Shell<T> {
    terminal: T,
    /// What the guest has written since the last command, as text.
    screen: String,
    /// An incomplete character or escape sequence.
    begun: Vec<u8>,
    /// How many commands were run; makes their markers unique.
    count: u32,
}

/// How a command ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// Its exit status.
    pub status: i32,
    /// What it printed, standard error included.
    pub output: String,
}

/// What the last line of the screen asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    User,
    Password,
    Command,
}

impl<T: Terminal> Shell<T> {
    /// Waits until the guest accepts commands, possibly for its whole boot; `progress` receives its last line.
    /// Fails with `KVN626` when it asks for an unknown login, rejects the login, or is not ready after `patience`.
    pub async fn open(
        terminal: T,
        login: &Login,
        patience: Duration,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Self> {
        let mut shell = Self { terminal, screen: String::new(), begun: Vec::new(), count: 0 };
        let deadline = Instant::now() + patience;
        shell.terminal.send(ENTER).await?;
        let mut asked = false;
        loop {
            let Some(asks) = shell.prompt(deadline, progress).await? else {
                let last = last_words(&shell.screen);
                return Err(closed(format!("no prompt in {} s", patience.as_secs())).because(last));
            };
            shell.screen.clear();
            match asks {
                Asks::Command if shell.answers(deadline).await? => return Ok(shell),
                Asks::Command => {}
                // After a rejected password it asks for the name again.
                Asks::User if asked => return Err(closed("the guest rejects the login".into())),
                Asks::User if login.user.is_empty() => return Err(wants_login()),
                Asks::User => shell.terminal.send(format!("{}\n", login.user).as_bytes()).await?,
                Asks::Password if login.password.is_empty() => return Err(wants_login()),
                Asks::Password => {
                    asked = true;
                    shell.terminal.send(format!("{}\n", login.password).as_bytes()).await?;
                }
            }
        }
    }

    /// Runs one-line commands in parallel; returns how each ended, in order.
    ///
    /// # Errors
    /// As [`Self::run`]; then the outcome of all of them is unknown.
    pub async fn run_all(&mut self, commands: &[String], patience: Duration) -> Result<Vec<Ended>> {
        let mut all = Vec::with_capacity(commands.len());
        for some in commands.chunks(AT_ONCE) {
            let ended = self.run(&side_by_side(some), patience).await?;
            for (number, command) in some.iter().enumerate() {
                let one = one_of(&ended.output, number).ok_or_else(|| {
                    closed(format!("the guest's shell did not report how `{command}` ended"))
                        .because(last_words(&ended.output))
                })?;
                all.push(one);
            }
        }
        Ok(all)
    }

    /// Runs a one-line command.
    /// Fails with `KVN202` after `patience`, `KVN626` when the console ends.
    pub async fn run(&mut self, command: &str, patience: Duration) -> Result<Ended> {
        self.count += 1;
        let number = self.count;
        self.screen.clear();
        // The quotes keep the markers out of the terminal's echo of the line.
        let line = format!("echo kvnet''-begin-{number}; {command} 2>&1; echo kvnet''-end-{number} $?\n");
        self.terminal.send(line.as_bytes()).await?;
        let deadline = Instant::now() + patience;
        loop {
            if let Some(ended) = between(&self.screen, number) {
                return Ok(ended);
            }
            if !self.read(deadline).await? {
                let message = format!("`{command}` in the guest did not finish in {} s", patience.as_secs());
                return Err(Error::new(&code::HOST_TIMEOUT, message).because(last_words(&self.screen)));
            }
        }
    }

    /// Whether an apparent prompt is one.
    async fn answers(&mut self, deadline: Instant) -> Result<bool> {
        let patience = ANSWER.min(deadline.saturating_duration_since(Instant::now()));
        match self.run("true", patience).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == &code::HOST_TIMEOUT => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What the guest asks for, once it is silent; none at the deadline.
    async fn prompt(
        &mut self,
        deadline: Instant,
        progress: &(dyn Fn(String) + Send + Sync),
    ) -> Result<Option<Asks>> {
        let mut told = String::new();
        let mut poked = Instant::now();
        while Instant::now() < deadline {
            if self.read(deadline.min(Instant::now() + SILENCE)).await? {
                poked = Instant::now();
                continue;
            }
            if let Some(asks) = asks(&self.screen) {
                return Ok(Some(asks));
            }
            let now = last_words(&self.screen);
            if now != told {
                progress(format!("the guest is booting: {now}"));
                told = now;
            }
            if poked.elapsed() >= POKE {
                self.terminal.send(ENTER).await?;
                poked = Instant::now();
            }
        }
        Ok(None)
    }

    /// Reads until `deadline`; false when nothing arrived.
    async fn read(&mut self, deadline: Instant) -> Result<bool> {
        let patience = deadline.saturating_duration_since(Instant::now());
        let Ok(bytes) = timeout(patience, self.terminal.next()).await else { return Ok(false) };
        let bytes = bytes?.ok_or_else(|| closed("the console was closed".into()))?;
        self.begun.extend(bytes);
        let whole = whole(&self.begun);
        let rest = self.begun.split_off(whole);
        self.screen.push_str(&plain(&String::from_utf8_lossy(&self.begun)));
        self.begun = rest;
        if self.screen.len() > SCREEN {
            let cut = self.screen.ceil_char_boundary(self.screen.len() - SCREEN / 2);
            self.screen.drain(..cut);
        }
        Ok(true)
    }
}

fn closed(message: String) -> Error {
    Error::new(&code::CONSOLE, message)
}

fn wants_login() -> Error {
    closed("the guest asks for a login".into())
        .hint("set `vm.login.user` and `vm.login.password` in the profile")
}

/// The last non-empty line.
fn last_words(screen: &str) -> String {
    let line = screen.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("no output yet");
    line.chars().take(100).collect()
}

fn asks(screen: &str) -> Option<Asks> {
    let screen = without_kernel(screen);
    let line = screen.rsplit('\n').next()?.trim_end();
    let lower = line.to_lowercase();
    if lower.ends_with("login:") {
        return Some(Asks::User);
    }
    if lower.ends_with("password:") {
        return Some(Asks::Password);
    }
    line.ends_with(['#', '$']).then_some(Asks::Command)
}

/// The output between a command's markers, once both have arrived.
fn between(screen: &str, number: u32) -> Option<Ended> {
    let (begin, end) = (format!("kvnet-begin-{number}\n"), format!("kvnet-end-{number} "));
    if !screen.contains(&end) {
        return None;
    }
    let screen = without_kernel(screen);
    let rest = &screen[screen.find(&begin)? + begin.len()..];
    let (output, after) = rest.split_once(&end)?;
    let (status, _) = after.split_once('\n')?;
    let output: Vec<&str> = output.lines().collect();
    Some(Ended { status: status.trim().parse().ok()?, output: output.join("\n") })
}

/// A command that runs others in the background and prefixes their output with their number. The inner shell is not
/// interactive, so it prints nothing about its jobs.
fn side_by_side(commands: &[String]) -> String {
    let job = |(number, command): (usize, &String)| {
        format!("{{ {command}; echo kvnet-status $?; }} 2>&1 | sed 's/^/{number}:/' & ")
    };
    let jobs: String = commands.iter().enumerate().map(job).collect();
    format!("( {jobs}wait )")
}

/// How one command ended, from the output of all.
fn one_of(output: &str, number: usize) -> Option<Ended> {
    let prefix = format!("{number}:");
    let mut lines: Vec<&str> = output.lines().filter_map(|line| line.strip_prefix(&prefix)).collect();
    let status = lines.pop()?.strip_prefix("kvnet-status ")?.trim().parse().ok()?;
    Some(Ended { status, output: lines.join("\n") })
}

/// The screen without kernel messages, which can appear on the console at any time, also after a prompt, which is still
/// valid then.
fn without_kernel(screen: &str) -> String {
    let own = |line: &'_ str| -> usize {
        let mut starts = line.match_indices('[').map(|(at, _)| at);
        starts.find(|at| is_kernels(&line[*at..])).unwrap_or(line.len())
    };
    screen.split_inclusive('\n').map(|line| &line[..own(line)]).collect()
}

/// `[   12.345678] ...`
fn is_kernels(line: &str) -> bool {
    let inner = line.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    inner.is_some_and(|(time, _)| time.trim().parse::<f64>().is_ok() && time.contains('.'))
}

/// How many of the bytes are complete characters and escape sequences; overlong sequences are taken as they are.
fn whole(bytes: &[u8]) -> usize {
    let text = match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        _ => bytes.len(),
    };
    let escape = bytes[..text].iter().rposition(|byte| *byte == 0x1b);
    let is_begun = |at: &usize| {
        let sequence = &bytes[at + 1..text];
        let ends = |byte: &u8| byte.is_ascii_alphabetic() || *byte == b'~';
        sequence.len() < LONGEST_SEQUENCE
            && match sequence.first() {
                None => true,
                Some(b'[') => !sequence[1..].iter().any(ends),
                Some(_) => false,
            }
    };
    escape.filter(is_begun).unwrap_or(text)
}

/// The text without carriage returns and without escape sequences for the cursor and colours.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().filter(|c| *c != '\r');
    while let Some(character) = characters.next() {
        if character != '\u{1b}' {
            plain.push(character);
            continue;
        }
        // CSI sequences end with a letter or `~`, all others have one more character.
        if characters.next() == Some('[') {
            let _ = characters.find(|c| c.is_ascii_alphabetic() || *c == '~');
        }
    }
    plain
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
