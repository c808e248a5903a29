//! The pipe between controller and agent, when it is not as it should be.

use std::sync::Arc;
use std::time::Duration;

use camino::Utf8Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

use super::contract_tests::agent_of;
use super::wire::{Ask, GREETING, Request, send};
use super::{AgentHost, serve};
use crate::error::{Error, Result};
use crate::host::fake::FakeHost;
use crate::host::local::LocalHost;
use crate::host::{Command, Host};

/// A client of something that says `text`, and then nothing until it is dropped.
async fn client_of(text: &[u8]) -> (Result<AgentHost>, DuplexStream) {
    let (input, other) = duplex(1 << 20);
    let (mut answers, output) = duplex(1 << 20);
    answers.write_all(text).await.unwrap();
    drop(other);
    (AgentHost::of_streams(output, input).await, answers)
}

/// An agent of this machine, and the raw ends of its pipe, past the greeting.
async fn raw_agent() -> (DuplexStream, DuplexStream, tokio::task::JoinHandle<Result<()>>) {
    let (input, requests) = duplex(1 << 16);
    let (answers, mut output) = duplex(1 << 16);
    let agent = tokio::spawn(serve(Arc::new(LocalHost), requests, answers));
    output.read_exact(&mut [0; GREETING.len()]).await.unwrap();
    (input, output, agent)
}

fn refusal(result: Result<AgentHost>) -> Error {
    result.err().expect("no agent was there")
}

#[tokio::test]
async fn what_a_login_shell_prints_first_is_skipped() {
    let (host, answers) = client_of(format!("Welcome!\nkvnet-agents are nice\n{GREETING}").as_bytes()).await;
    let host = host.unwrap();
    drop(answers);
    assert_eq!(host.user_id().await.unwrap_err().code().id, "KVN230");
}

#[tokio::test]
async fn what_is_no_agent_is_shown() {
    let (other, _answers) = client_of(b"kvnet-agent 99 0.0.0\n").await;
    let other = refusal(other);
    assert_eq!(other.code().id, "KVN231");
    assert!(other.cause().is_some_and(|cause| cause.contains("kvnet-agent 99 0.0.0")), "{other}");
    let (noise, _answers) = client_of(&b"la la la\n".repeat(10_000)).await;
    let noise = refusal(noise);
    assert_eq!(noise.code().id, "KVN231");
    assert!(noise.cause().is_some_and(|cause| cause.contains("la la") && cause.len() < 1000), "{noise}");
}

#[tokio::test]
async fn a_transport_that_ends_at_once_says_why() {
    let script = "echo 'kvnet: Host key verification failed.' >&2; exit 255";
    let argv = ["sh", "-c", script].map(str::to_owned);
    let error = refusal(AgentHost::start("n1", &argv).await);
    assert_eq!(error.code().id, "KVN230");
    assert!(error.to_string().contains("n1") && error.to_string().contains("Host key"), "{error}");
    let error = refusal(AgentHost::start("n1", &["/nonexistent/ssh".to_owned()]).await);
    assert_eq!(error.code().id, "KVN201");
}

#[tokio::test]
async fn callers_are_told_when_the_connection_is_lost() {
    let (host, answers) = client_of(GREETING.as_bytes()).await;
    let host = host.unwrap();
    let lost = async {
        tokio::task::yield_now().await;
        drop(answers);
    };
    let (path, command) = (Utf8Path::new("/x"), Command::new(["true"]));
    let (read, ran, ()) = tokio::join!(host.read(path), host.run(&command), lost);
    assert_eq!(read.unwrap_err().code().id, "KVN230");
    assert_eq!(ran.unwrap_err().code().id, "KVN230");
    assert_eq!(host.stat(path).await.unwrap_err().code().id, "KVN230", "and later ones at once");
}

#[tokio::test]
async fn a_damaged_answer_is_no_answer() {
    for damage in [&b"\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\0\0\0\x02\0\0\0\0{}", b"\0\0\0\x02"] {
        let (host, mut answers) = client_of(GREETING.as_bytes()).await;
        let host = host.unwrap();
        answers.write_all(damage).await.unwrap();
        drop(answers);
        assert_eq!(host.user_id().await.unwrap_err().code().id, "KVN230", "{damage:?}");
    }
}

#[tokio::test]
async fn a_damaged_request_ends_the_agent() {
    for damage in [&b"\xff\xff\xff\xff\xff\xff\xff\xff"[..], b"\0\0\0\x02\0\0\0\0{}", b"\0\0\0\x02"] {
        let (mut input, _output, agent) = raw_agent().await;
        input.write_all(damage).await.unwrap();
        drop(input);
        assert_eq!(agent.await.unwrap().unwrap_err().code().id, "KVN231", "{damage:?}");
    }
}

/// What is being done to the node is completed: half an installation is worse than one that nobody waits for.
#[tokio::test]
async fn without_a_controller_the_agent_completes_what_it_does_and_ends() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| Utf8Path::from_path(directory.path()).unwrap().join(name);
    let (mut input, output, agent) = raw_agent().await;
    let script = format!("echo x > {}; read line < {}; echo x > {}", path("began"), path("go"), path("done"));
    let made = LocalHost.run(&Command::new(["mkfifo", path("go").as_str()])).await.unwrap();
    assert!(made.success());
    let run = Ask::Run(Command::new(["sh", "-c", &script]));
    let wait = Ask::WaitFor { path: "/nonexistent/kvnet".into(), timeout: Duration::from_hours(1) };
    for (id, ask) in [(1, run), (2, wait)] {
        send(&mut input, &Request { id, ask }, &[]).await.unwrap();
    }
    assert!(LocalHost.wait_for(&path("began"), Duration::from_secs(20)).await.unwrap());
    drop((input, output));
    std::fs::write(path("go"), "on\n").unwrap();
    agent.await.unwrap().unwrap();
    assert!(path("done").exists());
}

#[tokio::test]
async fn many_answers_find_their_callers() {
    let host =
        (0..200).fold(FakeHost::new(), |host, n| host.file(&format!("/f/{n}"), &format!("content {n}")));
    let agent = agent_of(Arc::new(host)).await;
    let reads = (0..200).map(|n| {
        let agent = &agent;
        async move { (n, agent.read(&camino::Utf8PathBuf::from(format!("/f/{n}"))).await.unwrap().unwrap()) }
    });
    for (n, content) in futures::future::join_all(reads).await {
        assert_eq!(content, format!("content {n}").as_bytes());
    }
}
