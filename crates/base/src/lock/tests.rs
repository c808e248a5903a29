use camino::Utf8PathBuf;

use super::*;

fn hex(letter: char) -> String {
    letter.to_string().repeat(64)
}

fn digest(letter: char) -> String {
    format!("sha256:{}", hex(letter))
}

fn image(name: &str, tag: &str, letter: char) -> LockedImage {
    LockedImage {
        name: name.into(),
        tag: Some(tag.into()),
        digest: digest(letter),
        platforms: BTreeMap::from([("linux/amd64".into(), digest('b'))]),
        needed_by: BTreeSet::from(["flannel".into()]),
    }
}

fn lock() -> Lock {
    let mut lock = Lock::new("mine");
    lock.images = vec![image("r.example/b", "1.10", 'a'), image("m:5000/a", "v1", 'c')];
    lock.manifests = vec![LockedManifest {
        component: "kubevirt".into(),
        from: "https://r.example/x".into(),
        sha256: hex('d'),
    }];
    lock.sorted()
}

fn scratch() -> (tempfile::TempDir, Utf8PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = Utf8PathBuf::from_path_buf(directory.path().join("kvnet.lock")).unwrap();
    (directory, path)
}

#[test]
fn the_file_is_sorted_a_line_for_each_digest_and_is_read_again() {
    let text = lock().to_text().unwrap();
    let expected = format!(
        "kvnetLock: 1\nprofile: mine\nimages:\n- name: m:5000/a\n  tag: v1\n  digest: {}\n  platforms:\n    \
         linux/amd64: {}\n  neededBy:\n  - flannel\n- name: r.example/b\n  tag: '1.10'\n",
        digest('c'),
        digest('b')
    );
    assert!(text.contains(&expected), "{text}");
    assert!(text.ends_with("d\n"), "{text}");
    assert_eq!(Lock::parse(&text).unwrap(), lock());
}

#[test]
fn a_file_that_is_no_lock_is_refused_and_stays() {
    let (_scratch, path) = scratch();
    assert_eq!(Lock::read(&path).unwrap(), None);
    lock().write(&path).unwrap();
    lock().write(&path).unwrap();
    assert_eq!(Lock::read(&path).unwrap(), Some(lock()));
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    let other = "name: mine\nextends: default\n";
    std::fs::write(&path, other).unwrap();
    let error = lock().write(&path).unwrap_err();
    assert_eq!((error.code().id, error.place()), ("KVN440", Some(path.as_str())));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), other);
}

#[test]
fn a_tampered_lock_is_refused() {
    let text = lock().to_text().unwrap();
    for (from, to, says) in [
        ("kvnetLock: 1", "kvnetLock: 2", "format 2"),
        ("kvnetLock: 1\n", "", "no lock"),
        ("profile: mine", "profile: mine\nextra: 1", "damaged"),
        ("digest: sha256:aaaa", "digest: sha256:AAAA", "not a digest"),
        ("linux/amd64: sha256:", "linux/amd64: ", "not a digest"),
        ("name: m:5000/a", "name: a", "full name"),
        ("name: m:5000/a\n  tag: v1", "name: r.example/b\n  tag: '1.10'", "twice"),
        ("sha256: dddd", "sha256: dd", "not a SHA-256"),
    ] {
        let tampered = text.replacen(from, to, 1);
        assert_ne!(tampered, text, "{from}");
        let error = Lock::parse(&tampered).unwrap_err();
        assert!(error.code().id == "KVN440" && error.to_string().contains(says), "{says}: {error}");
    }
}

#[test]
fn an_image_gets_its_digest_and_keeps_its_name() {
    let mut lock = lock();
    let hub = crate::manifest::HUB;
    lock.images.push(image(&format!("{hub}/library/busybox"), "latest", 'f'));
    for (written, pinned) in [
        ("r.example/b:1.10", format!("r.example/b:1.10@{}", digest('a'))),
        ("busybox", format!("busybox:latest@{}", digest('f'))),
        ("m:5000/a:v1", format!("m:5000/a:v1@{}", digest('c'))),
    ] {
        assert_eq!(lock.pinned(written).unwrap(), pinned);
        // What has the locked digest already is left alone.
        assert_eq!(lock.pinned(&pinned).unwrap(), pinned);
    }
    assert_eq!(lock.pinned_without_tag("m:5000/a:v1").unwrap(), format!("m:5000/a@{}", digest('c')));
    for other in ["r.example/b:1.11", "r.example/c:1.10", &format!("m:5000/a:v1@{}", digest('0'))] {
        let error = lock.pinned(other).unwrap_err();
        assert!(error.code().id == "KVN442" && error.message().contains(other), "{error}");
    }
}

#[test]
fn a_manifest_that_is_another_is_refused_with_both() {
    let lock = lock();
    lock.check_manifest("kubevirt", &hex('d')).unwrap();
    let error = lock.check_manifest("kubevirt", &hex('0')).unwrap_err();
    assert!(error.message().contains(&hex('0')) && error.message().contains(&hex('d')), "{error}");
    assert_eq!(lock.check_manifest("multus", &hex('d')).unwrap_err().code().id, "KVN442");
}

#[test]
fn changes_name_both_digests() {
    let (old, mut new) = (lock(), lock());
    new.images[0].digest = digest('9');
    new.images.remove(1);
    new.images.push(image("r.example/new", "v1", '8'));
    let lines: Vec<String> = Change::between(&old, &new).iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            format!("~ image m:5000/a:v1: {} is now {}", digest('c'), digest('9')),
            "- image r.example/b:1.10: no longer needed".into(),
            format!("+ image r.example/new:v1: {}", digest('8')),
        ]
    );
    assert!(Change::between(&old, &old).is_empty());
}
