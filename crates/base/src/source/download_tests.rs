use std::time::Instant;

use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;

const QUICK: Backoff = Backoff { attempts: 3, first: Duration::from_millis(2) };

async fn get(server: &MockServer, place: &str) -> Result<Vec<u8>> {
    let url = Url::parse(&format!("{}{place}", server.uri())).unwrap();
    fetch(&client(&url, Duration::from_secs(5), true).unwrap(), &url, QUICK, Duration::from_secs(5)).await
}

async fn answer(server: &MockServer, place: &str, template: ResponseTemplate, times: u64) {
    Mock::given(method("GET"))
        .and(path(place))
        .respond_with(template)
        .up_to_n_times(times)
        .expect(times)
        .mount(server)
        .await;
}

fn status(code: u16) -> ResponseTemplate {
    ResponseTemplate::new(code)
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let server = MockServer::start().await;
    answer(&server, "/a", status(503), 1).await;
    answer(&server, "/a", status(429).insert_header("retry-after", "0"), 1).await;
    answer(&server, "/a", status(200).set_body_string("kind: A"), 1).await;
    assert_eq!(get(&server, "/a").await.unwrap(), b"kind: A");
}

#[tokio::test]
async fn retries_end() {
    let server = MockServer::start().await;
    answer(&server, "/a", status(500), 3).await;
    let error = get(&server, "/a").await.unwrap_err();
    assert_eq!(error.code().id, "KVN401");
    assert!(error.message().contains("500"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_or_forbidden_is_asked_for_once() {
    let server = MockServer::start().await;
    for code in [401, 403, 404, 410] {
        let place = format!("/{code}");
        answer(&server, &place, status(code), 1).await;
        let error = get(&server, &place).await.unwrap_err();
        assert_eq!(error.code().id, "KVN404");
        assert!(error.place().unwrap().ends_with(&place), "{error}");
    }
}

#[tokio::test]
async fn a_refused_connection_is_transient() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = Url::parse(&format!("http://{}/a", listener.local_addr().unwrap())).unwrap();
    drop(listener);
    let error =
        fetch(&client(&url, Duration::from_secs(5), true).unwrap(), &url, QUICK, Duration::from_secs(5))
            .await
            .unwrap_err();
    assert_eq!(error.code().id, "KVN401");
    assert!(error.cause().unwrap().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_slow_answer_is_given_up() {
    let server = MockServer::start().await;
    Mock::given(method("GET"))
        .respond_with(status(200).set_delay(Duration::from_secs(30)))
        .expect(2)
        .mount(&server)
        .await;
    let url = Url::parse(&server.uri()).unwrap();
    let started = Instant::now();
    let twice = Backoff { attempts: 2, ..QUICK };
    let error = fetch(
        &client(&url, Duration::from_millis(100), true).unwrap(),
        &url,
        twice,
        Duration::from_millis(100),
    )
    .await
    .unwrap_err();
    assert_eq!((error.code().id, error.message()), ("KVN401", "the download took too long"));
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_web_page_is_no_manifest() {
    let server = MockServer::start().await;
    answer(&server, "/a", status(200).set_body_raw("x", "text/html; charset=utf-8"), 1).await;
    answer(&server, "/b", status(200).set_body_string("\n<!DOCTYPE HTML><p>Sign in"), 1).await;
    for place in ["/a", "/b"] {
        let error = get(&server, place).await.unwrap_err();
        assert_eq!(error.code().id, "KVN404");
        assert!(error.message().contains("web page"), "{error}");
    }
}

#[tokio::test]
async fn a_big_answer_is_cut_off() {
    let server = MockServer::start().await;
    answer(&server, "/a", status(200).set_body_bytes(vec![b'#'; MAX_BYTES + 1]), 1).await;
    assert_eq!(get(&server, "/a").await.unwrap_err().code().id, "KVN402");
}

#[tokio::test]
async fn redirects_are_few() {
    let server = MockServer::start().await;
    for number in 0..7 {
        let target = format!("/{}", number + 1);
        Mock::given(path(format!("/{number}")))
            .respond_with(status(302).insert_header("location", target.as_str()))
            .mount(&server)
            .await;
    }
    Mock::given(path("/7")).respond_with(status(200).set_body_string("end")).mount(&server).await;
    assert_eq!(get(&server, "/2").await.unwrap(), b"end");
    let error = get(&server, "/1").await.unwrap_err();
    assert_eq!(error.code().id, "KVN404");
    assert!(error.cause().unwrap().contains("more than 5 redirects"), "{error}");
}

#[test]
fn a_redirect_never_leaves_https() {
    let url = |text: &str| Url::parse(text).unwrap();
    for (from, to, safe) in [
        ("https://a/", "https://b/", true),
        ("https://a/", "http://a/", false),
        ("http://a/", "https://a/", true),
        ("http://a/", "http://b/", true),
        ("http://a/", "ftp://b/", false),
        ("https://a/", "file:///etc/passwd", false),
    ] {
        assert_eq!(redirect_problem(&[url(from)], &url(to), true).is_none(), safe, "{from} to {to}");
    }
}

#[test]
fn pauses_double_with_jitter_and_have_an_end() {
    let backoff = Backoff { attempts: 9, first: Duration::from_millis(100) };
    for (attempt, longest) in [(0, 100), (1, 200), (3, 800), (30, 30_000)] {
        let (low, high) = (Duration::from_millis(longest / 2), Duration::from_millis(longest));
        let pause = backoff.pause(attempt);
        assert!((low..=high).contains(&pause), "{attempt}: {pause:?}");
    }
}

#[test]
fn credentials_are_not_shown_and_this_machine_needs_no_proxy() {
    let url = |text: &str| Url::parse(text).unwrap();
    assert_eq!(shown(&url("https://user:secret@a/b?token=secret")), "https://a/b?...");
    for (text, expected) in [
        ("http://127.0.0.1:1/", true),
        ("http://[::1]/", true),
        ("http://localhost/", true),
        ("http://a/", false),
    ] {
        assert_eq!(is_loopback(&url(text)), expected, "{text}");
    }
}

#[tokio::test]
async fn a_server_does_not_make_us_wait_longer_than_a_download_may_take() {
    let server = MockServer::start().await;
    let busy = ResponseTemplate::new(503).insert_header("retry-after", "100000");
    Mock::given(wiremock::matchers::any()).respond_with(busy).expect(2).mount(&server).await;
    let url = Url::parse(&server.uri()).unwrap();
    let started = std::time::Instant::now();
    let twice = Backoff { attempts: 2, first: Duration::from_millis(1) };
    let most = Duration::from_millis(50);
    fetch(&client(&url, Duration::from_secs(5), true).unwrap(), &url, twice, most).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[test]
fn unknown_bytes_come_over_plain_http_only_from_this_machine() {
    for (to, safe) in [
        ("http://127.0.0.1/x", true),
        ("http://[::1]/x", true),
        ("http://mirror.example/x", false),
        ("https://mirror.example/x", true),
    ] {
        assert_eq!(
            redirect_problem(&["http://localhost/".parse().unwrap()], &to.parse().unwrap(), false).is_none(),
            safe,
            "{to}"
        );
    }
}
