//! What [`Host`] promises, of this machine and of the same machine through an agent.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use camino::{Utf8Path, Utf8PathBuf};

use super::{AgentHost, serve};
use crate::host::local::LocalHost;
use crate::host::{Command, FileKind, Host};

type Test<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Runs a test on both.
async fn both(test: impl for<'a> Fn(&'a dyn Host, &'a Utf8Path) -> Test<'a>) {
    let agent = agent_of(Arc::new(LocalHost)).await;
    for host in [&LocalHost as &dyn Host, &agent] {
        let directory = tempfile::tempdir().unwrap();
        test(host, Utf8Path::from_path(directory.path()).unwrap()).await;
    }
}

/// An agent for a host, in this process.
pub async fn agent_of(host: Arc<dyn Host>) -> AgentHost {
    let (input, requests) = tokio::io::duplex(1 << 16);
    let (answers, output) = tokio::io::duplex(1 << 16);
    tokio::spawn(serve(host, requests, answers));
    AgentHost::of_streams(output, input).await.unwrap()
}

fn shell(script: &str) -> Command {
    Command::new(["sh", "-c", script])
}

#[tokio::test]
async fn files_are_written_read_moved_and_removed() {
    both(|host, directory| {
        Box::pin(async move {
            let (path, other) = (directory.join("a/b/file"), directory.join("a/b/other"));
            let content: Vec<u8> = (0..=u8::MAX).cycle().take(300_000).collect();
            host.write(&path, &content, 0o640).await.unwrap();
            assert_eq!(host.read(&path).await.unwrap().as_deref(), Some(&content[..]));
            let stat = host.stat(&path).await.unwrap().unwrap();
            assert_eq!((stat.kind, stat.mode, stat.size), (FileKind::File, 0o640, 300_000));
            host.rename(&path, &other).await.unwrap();
            assert_eq!(host.read(&path).await.unwrap(), None);
            host.write(&path, b"", 0o600).await.unwrap();
            assert_eq!(host.read(&path).await.unwrap().as_deref(), Some(&b""[..]), "empty is not absent");
            let error = host.rename(&path, &other).await.unwrap_err();
            assert!(error.to_string().contains("other"), "{error}");
            assert_eq!(host.list(&directory.join("a/b")).await.unwrap().unwrap(), ["file", "other"]);
            host.remove(&path).await.unwrap();
            host.remove(&path).await.unwrap();
            assert_eq!(host.list(&directory.join("nothing")).await.unwrap(), None);
            assert_eq!(host.stat(&path).await.unwrap(), None);
        })
    })
    .await;
}

#[tokio::test]
async fn a_link_is_not_written_through_and_says_so_alike() {
    both(|host, directory| {
        Box::pin(async move {
            let (link, target) = (directory.join("link"), directory.join("target"));
            std::fs::write(&target, "x").unwrap();
            std::os::unix::fs::symlink(&target, &link).unwrap();
            let error = host.write(&link, b"y", 0o600).await.unwrap_err();
            assert_eq!((error.code().id, error.place()), ("KVN207", Some(link.as_str())));
            assert_eq!(std::fs::read_to_string(&target).unwrap(), "x");
            let same = LocalHost.write(&link, b"y", 0o600).await.unwrap_err();
            assert_eq!(
                (error.message(), error.cause(), error.hints()),
                (same.message(), same.cause(), same.hints())
            );
        })
    })
    .await;
}

#[tokio::test]
async fn commands_have_input_environment_streams_and_exit_code() {
    both(|host, _| {
        Box::pin(async move {
            let command = shell("cat; echo $X >&2; exit 3").env("X", "two words").stdin("in\n");
            let output = host.run(&command).await.unwrap();
            assert_eq!(
                (output.status, output.stdout.as_str(), output.stderr.as_str()),
                (3, "in\n", "two words\n")
            );
            assert_eq!(host.run(&shell("kill -9 $$")).await.unwrap().status, 137);
            let error = host.run(&Command::new(["kvnet-no-such-program"])).await.unwrap_err();
            assert_eq!(error.code().id, "KVN201");
            assert!(host.find("sh").await.unwrap().is_some());
            assert_eq!(host.find("kvnet-no-such-program").await.unwrap(), None);
            assert_eq!(host.user_id().await.unwrap(), rustix::process::geteuid().as_raw());
        })
    })
    .await;
}

/// A file whose lock a process holds as long as it lives: what can be locked has no living holder.
async fn is_released(lock: &Utf8Path) -> bool {
    let end = Instant::now() + Duration::from_secs(10);
    while Instant::now() < end {
        let tried = Command::new(["flock", "--nonblock", lock.as_str(), "true"]);
        if LocalHost.run(&tried).await.unwrap().success() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// Holds a lock for long with a child of its own, and says when it does.
fn holder(directory: &Utf8Path) -> (Command, Utf8PathBuf, Utf8PathBuf) {
    let (lock, ready) = (directory.join("lock"), directory.join("ready"));
    (shell(&format!("flock {lock} sh -c 'echo x > {ready}; sleep 600' & wait")), lock, ready)
}

#[tokio::test]
async fn a_deadline_ends_the_whole_process_group() {
    both(|host, directory| {
        Box::pin(async move {
            let (command, lock, _) = holder(directory);
            let error = host.run(&command.timeout(Duration::from_millis(500))).await.unwrap_err();
            assert_eq!(error.code().id, "KVN202");
            assert!(is_released(&lock).await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_command_that_is_given_up_leaves_nothing_behind() {
    both(|host, directory| {
        Box::pin(async move {
            let (command, lock, ready) = holder(directory);
            tokio::select! {
                output = host.run(&command) => panic!("it has ended: {output:?}"),
                there = LocalHost.wait_for(&ready, Duration::from_secs(20)) => assert!(there.unwrap()),
            }
            assert!(is_released(&lock).await);
        })
    })
    .await;
}

#[tokio::test]
async fn a_file_is_waited_for() {
    both(|host, directory| {
        Box::pin(async move {
            let path = directory.join("later/file");
            let (there, ()) = tokio::join!(host.wait_for(&path, Duration::from_secs(20)), async {
                LocalHost.write(&path, b"x", 0o600).await.unwrap();
            });
            assert!(there.unwrap());
            assert!(!host.wait_for(&directory.join("never"), Duration::from_millis(20)).await.unwrap());
        })
    })
    .await;
}
