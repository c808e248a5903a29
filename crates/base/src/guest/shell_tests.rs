//! A shell on a console that a guest of the test answers.

use std::collections::VecDeque;

use super::*;

/// A guest in memory: prints its boot messages, then answers each typed line.
struct Guest {
    says: VecDeque<String>,
    state: State,
    typed: String,
    seen: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    Boot,
    User,
    Password,
    Shell,
}

impl Guest {
    fn new(state: State, boot: &[&str]) -> Self {
        let says = boot.iter().map(ToString::to_string).collect();
        Self { says, state, typed: String::new(), seen: Vec::new() }
    }

    fn line(&mut self, line: &str) {
        self.seen.push(line.to_owned());
        let answer = match (self.state, line) {
            (State::Boot, _) => return,
            (State::User, "") => "\r\nhost login: ".into(),
            (State::User, "me") => {
                self.state = State::Password;
                "\r\nPassword: ".into()
            }
            (State::Password, "right") => {
                self.state = State::Shell;
                "\r\n\u{1b}[32mme@host\u{1b}[0m:~$ ".into()
            }
            (State::User | State::Password, _) => {
                self.state = State::User;
                "\r\nLogin incorrect\r\nhost login: ".into()
            }
            (State::Shell, "") => "\r\n~ # ".into(),
            (State::Shell, line) => shell(line),
        };
        self.says.push_back(answer);
    }
}

/// The echo of the line, the output of `echo`, and kernel messages in between.
fn shell(line: &str) -> String {
    let number = line.split("begin-").nth(1).and_then(|rest| rest.split(';').next()).unwrap_or_default();
    let command = line.split("; ").nth(1).unwrap_or_default().trim_end_matches(" 2>&1");
    let (status, output) = match command {
        "true" => (0, ""),
        "date" => {
            (0, "today\r\n[   12.345678] eth1: link is up\r\ntom[   12.4] eth2: link is up\r\norrow\r\n")
        }
        _ => (127, "not found\r\n"),
    };
    format!("{line}\r\nkvnet-begin-{number}\r\n{output}kvnet-end-{number} {status}\r\n~ # ")
}

#[async_trait]
impl Terminal for Guest {
    async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        for character in std::str::from_utf8(bytes).unwrap().chars() {
            if character == '\u{15}' { self.typed.clear() } else { self.typed.push(character) }
        }
        while let Some((line, rest)) = self.typed.split_once('\n') {
            let (line, rest) = (line.to_owned(), rest.to_owned());
            self.typed = rest;
            self.line(&line);
        }
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>> {
        let Some(text) = self.says.pop_front() else { return std::future::pending().await };
        if text == "ready" {
            self.state = State::Shell;
        }
        Ok(Some(text.into_bytes()))
    }
}

async fn open(guest: Guest, user: &str, password: &str) -> Result<Shell<Guest>> {
    let login = Login { user: user.into(), password: password.into(), ..Login::default() };
    Shell::open(guest, &login, Duration::from_secs(30), &|_| ()).await
}

#[tokio::test(start_paused = true)]
async fn a_shell_on_the_console_runs_commands_and_ignores_kernel_messages() {
    let mut shell = open(Guest::new(State::Shell, &[]), "", "").await.unwrap();
    let ended = shell.run("date", Duration::from_secs(5)).await.unwrap();
    assert_eq!(ended, Ended { status: 0, output: "today\ntomorrow".into() });
    assert_eq!(shell.run("nonsense", Duration::from_secs(5)).await.unwrap().status, 127);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_left_on_the_line_is_not_run() {
    let mut guest = Guest::new(State::Shell, &[]);
    guest.typed = "rm -rf /tmp/x".into();
    let shell = open(guest, "", "").await.unwrap();
    assert!(shell.terminal.seen.iter().all(|line| !line.contains("rm ")), "{:?}", shell.terminal.seen);
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_starts_is_waited_for_and_poked() {
    let boot = ["BIOS\r\n", "[    0.000000] Linux #", "1 SMP\r\n", "ready"];
    let shell = open(Guest::new(State::Boot, &boot), "", "").await.unwrap();
    assert_eq!(
        shell.terminal.seen.iter().filter(|line| line.is_empty()).count(),
        2,
        "{:?}",
        shell.terminal.seen
    );
}

#[tokio::test(start_paused = true)]
async fn a_login_is_used_and_a_missing_or_wrong_one_is_told_without_it() {
    open(Guest::new(State::User, &[]), "me", "right").await.unwrap();
    let error = open(Guest::new(State::User, &[]), "", "").await.err().unwrap();
    assert!(error.hints()[0].contains("vm.login"), "{error}");
    let error = open(Guest::new(State::User, &[]), "me", "s3cret").await.err().unwrap();
    assert_eq!((error.code().id, error.message()), ("KVN626", "the guest rejects the login"));
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_never_gets_ready_is_given_up_with_its_last_words() {
    let error =
        open(Guest::new(State::Boot, &["Kernel panic - not syncing\r\n"]), "", "").await.err().unwrap();
    assert_eq!((error.message(), error.cause()), ("no prompt in 30 s", Some("Kernel panic - not syncing")));
}

#[test]
fn only_the_last_line_asks() {
    for (screen, expected) in [
        ("login: x\nstarting", None),
        ("fedora login: ", Some(Asks::User)),
        ("Password: ", Some(Asks::Password)),
        ("[root@vm ~]# ", Some(Asks::Command)),
        ("/ # ", Some(Asks::Command)),
        ("me@vm:~$ ", Some(Asks::Command)),
        ("/ # [    4.008234] eth0: link is up\n[    4.028379] eth1: link is up\n", Some(Asks::Command)),
        ("login: x\n[    4.008234] eth0: link is up\n", None),
        ("", None),
    ] {
        assert_eq!(asks(screen), expected, "{screen}");
    }
}

#[test]
fn commands_side_by_side_are_told_apart_by_a_real_shell() {
    let commands: Vec<String> = ["echo a; echo b >&2", "no-such-program || false", "exit 7", "echo '1:x'"]
        .map(ToOwned::to_owned)
        .to_vec();
    let output = std::process::Command::new("sh").args(["-c", &side_by_side(&commands)]).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    let ended: Vec<_> = (0..4).map(|number| one_of(&printed, number)).collect();
    assert_eq!(ended[0], Some(Ended { status: 0, output: "a\nb".into() }), "{printed}");
    assert_eq!(ended[1].as_ref().map(|ended| ended.status), Some(1));
    // A command that exits its shell prints no status, and that must not count as success.
    assert_eq!(ended[2], None);
    assert_eq!(ended[3], Some(Ended { status: 0, output: "1:x".into() }));
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_does_not_tell_how_a_command_ended_is_an_error() {
    let mut shell = open(Guest::new(State::Shell, &[]), "", "").await.unwrap();
    let error = shell.run_all(&["date".into()], Duration::from_secs(5)).await.err().unwrap();
    assert_eq!(error.message(), "the guest's shell did not report how `date` ended");
}

#[test]
fn a_sequence_that_comes_in_two_parts_is_one() {
    for (bytes, expected) in [
        (&b"/ # \x1b"[..], 4),
        (b"/ # \x1b[6", 4),
        (b"/ # \x1b[6n", 8),
        (b"\x1b[31mred\x1b[0", 8),
        (b"\x1bc", 2),
        (b"gr\xc3", 2),
        (b"gr\xc3\xbc", 4),
        (b"gr\xff", 3),
    ] {
        assert_eq!(whole(bytes), expected, "{bytes:?}");
    }
    let endless = [&b"\x1b["[..], &[b'1'; 64]].concat();
    assert_eq!(whole(&endless), endless.len());
}
