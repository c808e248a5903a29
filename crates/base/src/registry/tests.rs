use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use wiremock::matchers::{basic_auth, header, header_exists, method, path, query_param};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use super::*;
use crate::error::Error;
use crate::source::download::Backoff;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const PLACE: &str = "/v2/a/b/manifests/v1";

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(bytes))
}

fn of(letter: &str) -> String {
    format!("sha256:{}", letter.repeat(64))
}

/// An index of two platforms, with the attestations of both.
fn index() -> Vec<u8> {
    let entry = |digest: String, os: &str, architecture: &str, variant: Option<&str>| {
        let mut platform = json!({"os": os, "architecture": architecture});
        if let Some(variant) = variant {
            platform["variant"] = variant.into();
        }
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest, "size": 1, "platform": platform})
    };
    let all = [
        entry(of("a"), "linux", "amd64", None),
        entry(of("b"), "linux", "arm", Some("v7")),
        entry(of("c"), "unknown", "unknown", None),
        entry(of("d"), "unknown", "unknown", None),
    ];
    json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": all}).to_string().into_bytes()
}

fn sent(bytes: &[u8], kind: &str) -> ResponseTemplate {
    ResponseTemplate::new(200)
        .set_body_raw(bytes.to_vec(), kind)
        .insert_header("docker-content-digest", digest(bytes))
}

fn image(server: &MockServer) -> Reference {
    format!("{}/a/b:v1", server.address()).parse().unwrap()
}

/// A client that does not wait long, with the login `me` at that server.
fn registry(server: &MockServer, password: Option<&str>) -> Registry {
    let directory = tempfile::tempdir().unwrap();
    let file = camino::Utf8PathBuf::from_path_buf(directory.path().join("config.json")).unwrap();
    let auths: Value = match password {
        Some(password) => {
            json!({server.address().to_string(): {"auth": STANDARD.encode(format!("me:{password}"))}})
        }
        None => json!({}),
    };
    std::fs::write(&file, json!({"auths": auths}).to_string()).unwrap();
    let credentials = Credentials::read(&file).unwrap();
    let mut registry = Registry::new(RegistryOptions { credentials, timeout: Duration::from_secs(5) });
    registry.0.backoff = Backoff { attempts: 3, first: Duration::from_millis(2) };
    registry
}

/// The first answers at a place, and then the next.
async fn answers(server: &MockServer, place: &str, answers: impl IntoIterator<Item = ResponseTemplate>) {
    for answer in answers {
        Mock::given(method("GET"))
            .and(path(place))
            .respond_with(answer)
            .up_to_n_times(1)
            .expect(1)
            .mount(server)
            .await;
    }
}

async fn refused(answer: ResponseTemplate, times: u64) -> Error {
    let server = MockServer::start().await;
    Mock::given(method("GET")).and(path(PLACE)).respond_with(answer).expect(times).mount(&server).await;
    registry(&server, None).resolve(&image(&server)).await.unwrap_err()
}

fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

#[tokio::test]
async fn a_tag_is_an_index_and_its_platforms_without_attestations() {
    let server = MockServer::start().await;
    answers(&server, PLACE, [sent(&index(), INDEX)]).await;
    let found = registry(&server, None).resolve(&image(&server)).await.unwrap();
    let platforms = BTreeMap::from([("linux/amd64".into(), of("a")), ("linux/arm/v7".into(), of("b"))]);
    assert_eq!(found, Resolved { digest: digest(&index()), platforms });
}

#[tokio::test]
async fn the_only_manifest_has_the_platform_of_its_configuration() {
    let server = MockServer::start().await;
    let config = json!({"os": "linux", "architecture": "amd64"}).to_string();
    let manifest = json!({"schemaVersion": 2, "config": {"digest": digest(config.as_bytes())}, "layers": []})
        .to_string();
    answers(&server, PLACE, [sent(manifest.as_bytes(), MANIFEST)]).await;
    let place = format!("/v2/a/b/blobs/{}", digest(config.as_bytes()));
    answers(&server, &place, [sent(config.as_bytes(), "application/octet-stream")]).await;
    let found = registry(&server, None).resolve(&image(&server)).await.unwrap();
    assert_eq!(found.platforms, BTreeMap::from([("linux/amd64".to_owned(), digest(manifest.as_bytes()))]));
}

/// A registry that gives a token for a repository, and answers only with it.
async fn with_tokens(server: &MockServer, login: Option<(&str, &str)>, token: &str) {
    let challenge =
        format!(r#"Bearer realm="http://{}/token",service="the registry",scope="x""#, server.address());
    Mock::given(path(PLACE))
        .and(header("authorization", format!("Bearer {token}")))
        .respond_with(sent(&index(), INDEX))
        .with_priority(1)
        .mount(server)
        .await;
    Mock::given(path(PLACE))
        .respond_with(status(401).insert_header("www-authenticate", challenge))
        .with_priority(9)
        .mount(server)
        .await;
    let asked = Mock::given(path("/token"))
        .and(query_param("service", "the registry"))
        .and(query_param("scope", "repository:a/b:pull"));
    let asked = match login {
        Some((user, password)) => asked.and(basic_auth(user, password)),
        None => asked,
    };
    asked.respond_with(status(200).set_body_json(json!({"token": token}))).expect(1).mount(server).await;
}

#[tokio::test]
async fn a_token_is_fetched_once_for_a_repository_with_and_without_a_login() {
    for password in [None, Some("canary-password")] {
        let server = MockServer::start().await;
        with_tokens(&server, password.map(|password| ("me", password)), "canary-token").await;
        let registry = registry(&server, password);
        for _ in 0..2 {
            assert_eq!(registry.resolve(&image(&server)).await.unwrap().digest, digest(&index()));
        }
    }
}

#[tokio::test]
async fn a_password_is_sent_only_to_who_asks_for_it() {
    let server = MockServer::start().await;
    Mock::given(path(PLACE))
        .and(basic_auth("me", "canary-password"))
        .respond_with(sent(&index(), INDEX))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path(PLACE))
        .respond_with(status(401).insert_header("www-authenticate", "Basic realm=\"r\""))
        .mount(&server)
        .await;
    registry(&server, Some("canary-password")).resolve(&image(&server)).await.unwrap();
    let with_header = |request: &&Request| request.headers.contains_key("authorization");
    assert_eq!(server.received_requests().await.unwrap().iter().filter(with_header).count(), 1);
    let error = registry(&server, None).resolve(&image(&server)).await.unwrap_err();
    assert_eq!(error.code().id, "KVN431");
    assert!(error.hints()[0].contains("docker login"), "{error:?}");
}

#[tokio::test]
async fn a_registry_that_always_denies_is_asked_twice_and_no_secret_is_told() {
    let server = MockServer::start().await;
    let challenge = format!(r#"Bearer realm="http://{}/token""#, server.address());
    let answer = status(401)
        .insert_header("www-authenticate", challenge)
        .set_body_json(json!({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]}));
    Mock::given(path(PLACE)).respond_with(answer).expect(2).mount(&server).await;
    let token = status(200).set_body_json(json!({"access_token": "canary-token"}));
    Mock::given(path("/token")).respond_with(token).expect(1).mount(&server).await;
    let error = registry(&server, Some("canary-password")).resolve(&image(&server)).await.unwrap_err();
    assert_eq!(error.code().id, "KVN431");
    let told = format!("{error} {:?}", error.hints());
    assert!(told.contains("authentication required") && told.contains("config.json"), "{told}");
    assert!(!told.contains("canary"), "{told}");
}

#[tokio::test]
async fn a_login_is_not_sent_in_the_clear_to_another_machine() {
    let challenge = r#"Bearer realm="http://tokens.example/token""#;
    let error = refused(status(401).insert_header("www-authenticate", challenge), 1).await;
    assert_eq!(error.code().id, "KVN431");
    assert!(error.message().contains("not safe"), "{error}");
}

#[tokio::test]
async fn a_redirect_to_another_host_carries_no_login() {
    let (server, store) = (MockServer::start().await, MockServer::start().await);
    let location = format!("{}/store", store.uri());
    Mock::given(path(PLACE))
        .and(header_exists("authorization"))
        .respond_with(status(307).insert_header("location", location))
        .with_priority(1)
        .mount(&server)
        .await;
    Mock::given(path(PLACE))
        .respond_with(status(401).insert_header("www-authenticate", "Basic"))
        .mount(&server)
        .await;
    Mock::given(path("/store")).respond_with(sent(&index(), INDEX)).expect(1).mount(&store).await;
    let found = registry(&server, Some("canary-password")).resolve(&image(&server)).await.unwrap();
    assert_eq!(found.digest, digest(&index()));
    let requests = store.received_requests().await.unwrap();
    assert!(requests.iter().all(|request| !request.headers.contains_key("authorization")), "{requests:?}");
}

#[tokio::test]
async fn a_rate_limit_is_waited_for_and_no_longer_than_half_a_minute() {
    let server = MockServer::start().await;
    let busy = || status(429).insert_header("retry-after", "0");
    answers(&server, PLACE, [busy(), status(503), sent(&index(), INDEX)]).await;
    registry(&server, None).resolve(&image(&server)).await.unwrap();
    let error = refused(busy(), 3).await;
    assert_eq!(error.code().id, "KVN433");
    assert!(error.hints()[0].contains("docker login"), "{error:?}");
    // Who wants an hour is not asked again.
    assert_eq!(refused(status(429).insert_header("retry-after", "3600"), 1).await.code().id, "KVN433");
}

#[tokio::test]
async fn each_failure_has_its_own_code() {
    for (code, times, id) in [(404, 1, "KVN432"), (403, 1, "KVN431"), (500, 3, "KVN430"), (418, 1, "KVN434")]
    {
        let error = refused(status(code), times).await;
        assert_eq!(
            (error.code().id, error.place().unwrap().ends_with("/a/b:v1")),
            (id, true),
            "{code}: {error}"
        );
    }
    // A port on which nobody listens any more.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let registry = registry(&MockServer::start().await, None);
    let error = registry.resolve(&format!("{port}/a/b:v1").parse().unwrap()).await.unwrap_err();
    assert_eq!(error.code().id, "KVN430");
}

#[tokio::test]
async fn bytes_that_are_not_what_was_asked_for_are_refused() {
    let wrong = sent(b"{}", INDEX);
    let lie = ResponseTemplate::new(200)
        .set_body_raw(index(), INDEX)
        .insert_header("docker-content-digest", of("e"));
    let old = sent(br#"{"schemaVersion": 1}"#, "application/vnd.docker.distribution.manifest.v1+prettyjws");
    let empty = sent(br#"{"schemaVersion": 2, "manifests": []}"#, INDEX);
    for (answer, says) in [
        (wrong, "no platforms"),
        (lie, "for sha256:eeee"),
        (old, "schema 1"),
        (empty, "no platforms"),
        (sent(b"<html>", "text/html"), "no JSON"),
    ] {
        let error = refused(answer, 1).await;
        assert!(error.code().id == "KVN434" && error.message().contains(says), "{says}: {error}");
    }
    let server = MockServer::start().await;
    let pinned = image(&server).with_digest(&of("e"));
    Mock::given(path(format!("/v2/a/b/manifests/{}", of("e"))))
        .respond_with(sent(&index(), INDEX))
        .mount(&server)
        .await;
    let error = registry(&server, None).resolve(&pinned).await.unwrap_err();
    assert!(error.message().contains(&digest(&index())) && error.message().contains(&of("e")), "{error}");
}

/// One answer after another on a port of this machine, byte by byte as given; then the connection ends.
fn raw(answer: String) -> std::net::SocketAddr {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 8192]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

#[tokio::test]
async fn an_answer_that_ends_early_is_damaged() {
    let body = String::from_utf8(index()).unwrap();
    let (length, half) = (body.len(), &body[..body.len() / 2]);
    let address =
        raw(format!("HTTP/1.1 200 OK\r\nContent-Type: {INDEX}\r\nContent-Length: {length}\r\n\r\n{half}"));
    let mut registry =
        Registry::new(RegistryOptions { timeout: Duration::from_secs(5), ..RegistryOptions::default() });
    registry.0.backoff = Backoff { attempts: 2, first: Duration::from_millis(2) };
    let error = registry.resolve(&format!("{address}/a/b:v1").parse().unwrap()).await.unwrap_err();
    assert!(error.code().id == "KVN434" && error.message().contains("ended early"), "{error}");
}

#[tokio::test]
async fn a_comparison_asks_for_the_head_and_only_without_a_digest_for_more() {
    let server = MockServer::start().await;
    let head = |answer: ResponseTemplate| {
        Mock::given(method("HEAD")).and(path(PLACE)).respond_with(answer).up_to_n_times(1)
    };
    head(status(200).insert_header("docker-content-digest", of("f"))).mount(&server).await;
    let registry = registry(&server, None);
    assert_eq!(registry.digest(&image(&server)).await.unwrap(), of("f"));
    head(status(405)).mount(&server).await;
    answers(&server, PLACE, [sent(&index(), INDEX)]).await;
    assert_eq!(registry.digest(&image(&server)).await.unwrap(), digest(&index()));
    head(status(404)).mount(&server).await;
    assert_eq!(registry.digest(&image(&server)).await.unwrap_err().code().id, "KVN432");
}
