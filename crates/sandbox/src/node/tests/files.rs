//! The file system: links, moves, permissions.

use std::time::Duration;

use camino::Utf8Path;

use super::{node, seeded};
use crate::error::code;
use crate::host::{FileKind, Host};
use crate::node::{Distribution, SandboxHost};
use crate::store::Store;

fn path(text: &str) -> &Utf8Path {
    Utf8Path::new(text)
}

fn as_user() -> SandboxHost {
    SandboxHost::new(Store::in_memory(), Distribution::Debian, 1000).unwrap()
}

#[tokio::test]
async fn a_file_is_made_with_its_directories_and_replaced() {
    let node = node(Distribution::Debian);
    let file = path("/etc/a/b/file");
    node.write(file, b"one", 0o600).await.unwrap();
    node.write(file, b"\xfftwo", 0o640).await.unwrap();
    assert_eq!(node.read(file).await.unwrap().unwrap(), b"\xfftwo");
    let stat = node.stat(file).await.unwrap().unwrap();
    assert_eq!((stat.kind, stat.mode, stat.uid, stat.size), (FileKind::File, 0o640, 0, 4));
    let above = node.stat(path("/etc/a")).await.unwrap().unwrap();
    assert_eq!((above.kind, above.mode), (FileKind::Directory, 0o755));
    assert_eq!(node.list(path("/etc/a")).await.unwrap().unwrap(), ["b"]);
    assert_eq!(node.writes(), [file, file]);
}

#[tokio::test]
async fn links_on_the_way_are_followed_and_a_link_is_not_written_through() {
    let node = node(Distribution::Debian);
    node.put_file("/run/x/y", b"text", 0o644).unwrap();
    assert_eq!(node.read(path("/var/run/x/y")).await.unwrap().unwrap(), b"text");
    assert_eq!(node.stat(path("/lib")).await.unwrap().unwrap().kind, FileKind::Link);
    let error = node.write(path("/etc/os-release"), b"", 0o644).await.unwrap_err();
    assert_eq!(error.code(), &code::HOST_UNSAFE);
    node.put_link("/etc/circle", "circle").unwrap();
    assert_eq!(node.read(path("/etc/circle")).await.unwrap_err().code(), &code::HOST_FILE);
}

#[tokio::test]
async fn absent_things_are_none_and_a_directory_is_no_file() {
    let node = node(Distribution::Debian);
    for absent in ["/nonexistent/x", "/etc/passwd/x"] {
        assert_eq!(node.read(path(absent)).await.unwrap(), None);
        assert_eq!(node.stat(path(absent)).await.unwrap(), None);
        assert_eq!(node.list(path(absent)).await.unwrap(), None);
        node.remove(path(absent)).await.unwrap();
    }
    assert_eq!(node.read(path("/etc")).await.unwrap_err().code(), &code::HOST_FILE);
    assert_eq!(node.remove(path("/etc")).await.unwrap_err().code(), &code::HOST_FILE);
    assert_eq!(node.write(path("/etc"), b"", 0o644).await.unwrap_err().code(), &code::HOST_FILE);
    assert!(node.writes().is_empty());
}

#[tokio::test]
async fn a_move_takes_all_along_and_never_replaces() {
    let node = node(Distribution::Debian);
    node.put_file("/etc/cni/net.d/a/x", b"x", 0o600).unwrap();
    node.put_file("/etc/cni/net.d/b", b"b", 0o600).unwrap();
    let error = node.rename(path("/etc/cni/net.d/a"), path("/etc/cni/net.d/b")).await.unwrap_err();
    assert!(error.message().contains("that exists"), "{error}");
    node.rename(path("/etc/cni/net.d/a"), path("/etc/cni/net.d/c")).await.unwrap();
    assert_eq!(node.list(path("/etc/cni/net.d")).await.unwrap().unwrap(), ["b", "c"]);
    assert_eq!(node.text("/etc/cni/net.d/c/x").unwrap().unwrap(), "x");
    assert!(node.rename(path("/etc/absent"), path("/etc/x")).await.is_err());
}

#[tokio::test]
async fn an_open_directory_is_refused_unless_sticky() {
    let node = node(Distribution::Debian);
    node.write(path("/tmp/x"), b"", 0o600).await.unwrap();
    let open = seeded(|_| ());
    open.put_file("/srv/open/x", b"", 0o644).unwrap();
    open.set_mode("/srv/open", 0o777).unwrap();
    let error = open.write(path("/srv/open/y"), b"", 0o600).await.unwrap_err();
    assert_eq!(error.code(), &code::HOST_UNSAFE);
}

#[tokio::test]
async fn who_is_not_root_is_stopped_by_permissions() {
    let node = as_user();
    assert_eq!(node.user_id().await.unwrap(), 1000);
    for (result, what) in [
        (node.read(path("/etc/kubernetes/admin.conf")).await.map(|_| ()), "read"),
        (node.write(path("/etc/x"), b"", 0o600).await, "write"),
        (node.write(path("/etc/x/y"), b"", 0o600).await, "make"),
        (node.rename(path("/etc/passwd"), path("/etc/p")).await, "move"),
        (node.remove(path("/etc/passwd")).await, "remove"),
        (node.list(path("/root")).await.map(|_| ()), "list"),
    ] {
        assert_eq!(result.unwrap_err().code(), &code::HOST_PERMISSION, "{what}");
    }
    node.write(path("/home/admin/.kube/config"), b"", 0o600).await.unwrap();
    assert_eq!(node.stat(path("/home/admin/.kube")).await.unwrap().unwrap().uid, 1000);
}

#[tokio::test(start_paused = true)]
async fn a_file_that_is_waited_for_is_seen_when_it_has_content() {
    let node = node(Distribution::Debian);
    let waiting = {
        let node = node.clone();
        tokio::spawn(async move { node.wait_for(path("/etc/new/x"), Duration::from_hours(1)).await })
    };
    for content in ["", "{}"] {
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        node.put_file("/etc/new/x", content.as_bytes(), 0o644).unwrap();
    }
    assert!(waiting.await.unwrap().unwrap());
    assert!(node.wait_for(path("/var/run/containerd/containerd.sock"), Duration::ZERO).await.unwrap());
    assert!(!node.wait_for(path("/etc/never"), Duration::from_secs(9)).await.unwrap());
}

#[tokio::test]
async fn what_is_so_already_is_no_change() {
    let store = Store::in_memory();
    let node = SandboxHost::new(store.clone(), Distribution::Debian, 0).unwrap();
    let before = *store.revisions().borrow();
    node.put_file("/etc/hostname", b"sandbox\n", 0o644).unwrap();
    assert_eq!(*store.revisions().borrow(), before);
}

#[test]
fn a_kept_node_is_the_same_one() {
    let directory = tempfile::tempdir().unwrap();
    let kept = Utf8Path::from_path(directory.path()).unwrap();
    let made = SandboxHost::new(Store::on_disk(kept).unwrap(), Distribution::Alpine, 0).unwrap();
    made.put_file("/etc/x", b"x", 0o600).unwrap();
    drop(made);
    let again = SandboxHost::new(Store::on_disk(kept).unwrap(), Distribution::Debian, 0).unwrap();
    assert_eq!(again.seed().distribution, Distribution::Alpine);
    assert_eq!(again.text("/etc/x").unwrap().unwrap(), "x");
}
