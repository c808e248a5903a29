#![allow(clippy::disallowed_methods, reason = "tests look at the cache")]

use std::time::Duration;

use camino::Utf8PathBuf;
use serde_json::json;
use wiremock::matchers::path;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::components::flannel::FLANNEL;
use crate::components::kubevirt::KUBEVIRT;
use crate::components::multus::MULTUS;
use crate::components::ovs_cni::OVS_CNI;
use crate::components::{Component, RenderFacts};
use crate::facts::Facts;
use crate::profile::{MultusFlavour, Profile, SourceKind};
use crate::source::Sources;

const ADDRESS: &str = "https://raw.example/flannel/v1/kube-flannel.yml";
const MANIFEST: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{image: x/y}]}\n";

/// A mirror, and sources that know it, with files that go away at the end.
struct Bench {
    server: MockServer,
    dir: Utf8PathBuf,
    _scratch: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = Utf8PathBuf::from_path_buf(scratch.path().to_owned()).unwrap();
        Self { server: MockServer::start().await, dir, _scratch: scratch }
    }

    /// A new run of the program: nothing is remembered but files.
    fn remote(&self) -> Remote {
        let options = SourceOptions {
            stand_ins: false,
            mirror: Some(format!("{}/mirror/", self.server.uri())),
            cache_dir: self.dir.join("cache"),
            lock_file: Some(self.dir.join("lock.json")),
            timeout: Duration::from_secs(5),
        };
        Remote::new(options, Backoff { attempts: 2, first: Duration::from_millis(1) })
    }

    async fn serve(&self, body: &str, times: u64) {
        Mock::given(path("/mirror/raw.example/flannel/v1/kube-flannel.yml"))
            .respond_with(ResponseTemplate::new(200).set_body_string(body))
            .up_to_n_times(times)
            .expect(times)
            .mount(&self.server)
            .await;
    }
}

/// Loads as `up` does: a manifest is what has a `kind`.
async fn up(bench: &Bench, address: &str, sha256: &str) -> Result<Fetched> {
    let remote = bench.remote();
    let fetched = remote.load(address, sha256, &is_manifest).await?;
    remote.keep().await?;
    Ok(fetched)
}

fn is_manifest(bytes: &[u8], place: &str) -> Result<()> {
    crate::source::objects_in(bytes, place).map(|_| ())
}

#[tokio::test]
async fn only_up_leaves_files_and_sees_what_the_plan_saw() {
    let bench = Bench::new().await;
    bench.serve(MANIFEST, 1).await;
    let remote = bench.remote();
    for _ in 0..2 {
        remote.load(ADDRESS, "", &is_manifest).await.unwrap();
    }
    assert_eq!(std::fs::read_dir(&bench.dir).unwrap().count(), 0);
    remote.keep().await.unwrap();
    assert!(bench.dir.join("lock.json").exists() && bench.dir.join("cache").exists());
}

#[tokio::test]
async fn an_answer_that_is_no_manifest_is_neither_pinned_nor_kept() {
    for wrong in ["", "kind: [", "just text", "\u{1f}\u{8b}gzip", "---\n---\n", "kind: Pod\n"] {
        let bench = Bench::new().await;
        bench.serve(wrong, 1).await;
        up(&bench, ADDRESS, "").await.map(|_| ()).unwrap_err();
        assert_eq!(std::fs::read_dir(&bench.dir).unwrap().count(), 0, "{wrong:?}");
        bench.serve(MANIFEST, 1).await;
        up(&bench, ADDRESS, "").await.unwrap();
    }
}

#[tokio::test]
async fn a_cached_answer_that_is_no_manifest_is_downloaded_again_and_its_pin_forgotten() {
    let bench = Bench::new().await;
    let bad = digest(b"");
    Cache::new(&bench.dir.join("cache")).store(&bad, b"");
    LockFile::new(&bench.dir.join("lock.json")).pin(ADDRESS, &bad).unwrap();
    bench.serve(MANIFEST, 1).await;
    assert_eq!(up(&bench, ADDRESS, "").await.unwrap().bytes, MANIFEST.as_bytes());
    let pinned = LockFile::new(&bench.dir.join("lock.json")).digest_of(ADDRESS).unwrap();
    assert_eq!(pinned, Some(digest(MANIFEST.as_bytes())));
}

#[test]
fn the_whole_address_is_the_key_and_no_secret_is_in_it() {
    let key = |address: &str| key(&Url::parse(address).unwrap());
    assert_eq!(key(ADDRESS), ADDRESS);
    let all =
        ["https://h/x?v=1", "https://h/x?v=canary", "https://u:canary@h/x", "https://h/x", "https://h/y"]
            .map(key);
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    assert!(!all.concat().contains("canary"), "{all:?}");
}

#[tokio::test]
async fn a_pinned_download_comes_from_the_mirror_once_and_then_from_the_cache() {
    let bench = Bench::new().await;
    bench.serve(MANIFEST, 1).await;
    let pin = digest(MANIFEST.as_bytes());
    let first = up(&bench, ADDRESS, &pin.to_uppercase()).await.unwrap();
    assert_eq!((first.bytes.as_slice(), &first.sha256), (MANIFEST.as_bytes(), &pin));
    let second = up(&bench, ADDRESS, &pin).await.unwrap();
    assert_eq!(second.bytes, first.bytes);
    assert_eq!(second.origin, format!("{ADDRESS} (cached)"));
}

#[tokio::test]
async fn a_damaged_cache_entry_is_downloaded_again() {
    let bench = Bench::new().await;
    bench.serve(MANIFEST, 2).await;
    let pin = digest(MANIFEST.as_bytes());
    up(&bench, ADDRESS, &pin).await.unwrap();
    let entry = bench.dir.join("cache/sha256").join(&pin);
    std::fs::write(&entry, "kind: Evil").unwrap();
    assert_eq!(up(&bench, ADDRESS, &pin).await.unwrap().bytes, MANIFEST.as_bytes());
    assert_eq!(std::fs::read(entry).unwrap(), MANIFEST.as_bytes());
}

#[tokio::test]
async fn another_digest_is_refused_and_not_kept() {
    let bench = Bench::new().await;
    bench.serve("not: even: yaml", 1).await;
    let (wanted, found) = (digest(b"wanted"), digest(b"not: even: yaml"));
    let error = up(&bench, ADDRESS, &wanted).await.map(|_| ()).unwrap_err();
    assert_eq!(error.code().id, "KVN400");
    let text = error.to_string();
    assert!(
        text.contains(&wanted) && text.contains(&found) && text.contains("/mirror/raw.example/"),
        "{text}"
    );
    assert!(!bench.dir.join("cache").exists());
}

#[tokio::test]
async fn without_a_pin_the_first_download_is_the_pin() {
    let bench = Bench::new().await;
    bench.serve(MANIFEST, 1).await;
    up(&bench, ADDRESS, "").await.unwrap();
    let lock: serde_json::Value =
        serde_json::from_slice(&std::fs::read(bench.dir.join("lock.json")).unwrap()).unwrap();
    assert_eq!(lock, json!({ADDRESS: digest(MANIFEST.as_bytes())}));

    assert_eq!(up(&bench, ADDRESS, "").await.unwrap().bytes, MANIFEST.as_bytes(), "from the cache");
    std::fs::remove_dir_all(bench.dir.join("cache")).unwrap();
    bench.serve("kind: Other", 1).await;
    let error = up(&bench, ADDRESS, "").await.map(|_| ()).unwrap_err();
    assert_eq!(error.code().id, "KVN400");
    assert!(error.message().contains("lock.json"), "{error}");
}

#[tokio::test]
async fn invalid_urls_and_pins_are_user_errors() {
    let bench = Bench::new().await;
    for (address, pin) in [
        ("ftp://a/b", ""),
        ("/etc/passwd", ""),
        ("file:///etc/passwd", ""),
        (ADDRESS, "abc"),
        (ADDRESS, "../../x"),
    ] {
        let error = up(&bench, address, pin).await.map(|_| ()).unwrap_err();
        assert_eq!(error.code().id, "KVN104", "{address} {pin}");
    }
}

#[tokio::test]
async fn sources_load_downloads_and_files_and_rewrite_their_images() {
    let bench = Bench::new().await;
    bench.serve(MANIFEST, 1).await;
    let sources = Sources { remote: bench.remote(), stand_ins: false };
    let mut profile = Profile::default();
    profile.images.rewrite.insert("docker.io".into(), "mirror:5000".into());
    profile.flannel.source.kind = SourceKind::Upstream;
    profile.flannel.source.url = ADDRESS.into();
    let (facts, extra) = (Facts::default(), RenderFacts::default());
    let found = sources.load(&FLANNEL, &profile, &facts, &extra).await.unwrap();
    assert_eq!(found.objects[0]["spec"]["containers"][0]["image"], "mirror:5000/x/y");
    assert_eq!(found.sha256, Some(digest(MANIFEST.as_bytes())));

    let file = bench.dir.join("flannel.yaml");
    std::fs::write(&file, MANIFEST).unwrap();
    profile.flannel.source.kind = SourceKind::File;
    profile.flannel.source.path = file.to_string();
    assert_eq!(sources.load(&FLANNEL, &profile, &facts, &extra).await.unwrap().objects, found.objects);
    profile.flannel.source.sha256 = digest(b"other");
    let error = sources.load(&FLANNEL, &profile, &facts, &extra).await.unwrap_err();
    assert_eq!((error.code().id, error.place()), ("KVN400", Some(file.as_str())));
    profile.flannel.source.path = "/absent".into();
    let error = sources.load(&FLANNEL, &profile, &facts, &extra).await.unwrap_err();
    assert_eq!((error.code().id, error.place()), ("KVN104", Some("flannel.source.path")));
}

#[test]
fn a_release_without_an_address_has_the_one_of_its_project() {
    let mut profile = Profile::default();
    let address = |component: &Component, profile: &Profile| (component.custom().unwrap().address)(profile);
    assert_eq!(
        address(&FLANNEL, &profile),
        "https://raw.githubusercontent.com/flannel-io/flannel/v0.28.10/Documentation/kube-flannel.yml"
    );
    assert!(address(&MULTUS, &profile).ends_with("/v4.3.0/deployments/multus-daemonset-thick.yml"));
    profile.multus.flavour = MultusFlavour::Thin;
    assert!(address(&MULTUS, &profile).ends_with("/multus-daemonset.yml"));
    assert!(address(&OVS_CNI, &profile).ends_with("/ovs-cni/v0.39.0/examples/ovs-cni.yml"));
    assert_eq!(address(&KUBEVIRT, &profile), profile.kubevirt.source.url);
}

#[test]
fn a_wrong_address_is_named_without_its_password() {
    for (address, named) in [
        ("user:canary@host/x", "`host/x`"),
        ("http://user:canary@host:99999/x", "`http://host:99999/x`"),
        ("ftp://u:p@canary@h/?token=canary", "`ftp://h/?...`"),
        ("https//example.org", "`https//example.org`"),
    ] {
        let error = parse(address).unwrap_err();
        assert!(error.message().starts_with(named) && !error.to_string().contains("canary"), "{error}");
    }
}

#[tokio::test]
async fn a_release_that_kvnet_knows_has_its_digest_whatever_a_mirror_says() {
    let bench = Bench::new().await;
    let path_of = "/mirror/raw.githubusercontent.com/coreos/flannel/v0.28.10/Documentation/kube-flannel.yml";
    Mock::given(path(path_of))
        .respond_with(ResponseTemplate::new(200).set_body_string(MANIFEST))
        .mount(&bench.server)
        .await;
    let address = components::raw("coreos/flannel", "v0.28.10", "Documentation/kube-flannel.yml");
    let error = up(&bench, &address, "").await.err().unwrap();
    assert_eq!(error.code().id, "KVN400");
    assert!(error.message().contains("but kvnet expects 944a3c1f"), "{error}");
    assert!(!bench.dir.join("lock.json").exists());
    // Whoever pins something else means it.
    let fetched = up(&bench, &address, &digest(MANIFEST.as_bytes())).await.unwrap();
    assert_eq!(fetched.voucher, Voucher::Profile);
}

#[tokio::test]
async fn who_vouches_for_a_manifest_is_told() {
    let bench = Bench::new().await;
    bench.serve(MANIFEST, 1).await;
    assert_eq!(up(&bench, ADDRESS, "").await.unwrap().voucher, Voucher::Nobody);
    assert_eq!(up(&bench, ADDRESS, "").await.unwrap().voucher, Voucher::LockFile);
}

#[test]
fn plain_http_without_a_digest_is_refused_outside_of_this_machine() {
    for place in ["http://mirror.example/x", "http://10.0.0.1/x", "http://127.0.0.1.example/x"] {
        let error = refuse_plain(&parse(place).unwrap()).unwrap_err();
        assert_eq!((error.code().id, error.place()), ("KVN420", Some(place)));
    }
    for place in
        ["https://mirror.example/x", "http://127.0.0.1:8099/x", "http://[::1]/x", "http://localhost/x"]
    {
        refuse_plain(&parse(place).unwrap()).unwrap();
    }
}
