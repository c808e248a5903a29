//! Sends a chapter through kube's client and takes down what comes back.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use http::Request;
use http_body_util::BodyExt;
use serde_json::{Value, json};

use super::plain::Plain;
use super::step::{Step, Until};

/// Who sends: the server takes the field manager from it.
const USER_AGENT: &str = "parity/1 (suite)";
/// How long a controller of the real server may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the server is left alone before it is asked again.
const PAUSE: Duration = Duration::from_millis(50);

/// A server and the way to make it forget.
pub struct Server<'a> {
    pub client: kube::Client,
    pub forget: &'a (dyn Fn() -> BoxFuture<'a, ()> + 'a),
}

/// Sends all requests of a chapter in order; the answers without what differs each time, by the names of the steps.
pub async fn chapter(server: &Server<'_>, steps: &[Step]) -> Vec<(String, Value)> {
    let mut kept = BTreeMap::new();
    let mut plain = Plain::default();
    let mut answers = Vec::new();
    for step in steps {
        if step.method == "COMPACT" {
            (server.forget)().await;
            continue;
        }
        let answer = insist(server, step, &kept).await;
        for (name, pointer) in &step.keeps {
            let value = answer["body"].pointer(pointer).and_then(Value::as_str);
            let value = value.unwrap_or_else(|| panic!("`{}`: nothing at {pointer}: {answer}", step.name));
            kept.insert(*name, value.to_owned());
        }
        answers.push((step.name.to_owned(), plain.answer(&answer)));
    }
    answers
}

async fn insist(server: &Server<'_>, step: &Step, kept: &BTreeMap<&str, String>) -> Value {
    let begin = Instant::now();
    loop {
        let answer = once(server, step, kept).await;
        let settled = match &step.until {
            None => true,
            Some(Until::Status(wanted)) => answer["status"] == *wanted,
            Some(Until::Is(pointer, wanted)) => {
                answer["body"].pointer(pointer).is_some_and(|value| value == wanted)
            }
        };
        if settled {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "`{}`: timed out: {answer}", step.name);
        tokio::time::sleep(PAUSE).await;
    }
}

async fn once(server: &Server<'_>, step: &Step, kept: &BTreeMap<&str, String>) -> Value {
    let fill = |text: &str| {
        kept.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("${name}$"), value))
    };
    let mut request = Request::builder().method(step.method).uri(fill(&step.path));
    request = request.header(http::header::USER_AGENT, USER_AGENT);
    request = request.header(http::header::ACCEPT, "application/json");
    if !step.content_type.is_empty() {
        request = request.header(http::header::CONTENT_TYPE, step.content_type);
    }
    let body = kube::client::Body::from(fill(&step.body).into_bytes());
    let request = request.body(body).unwrap_or_else(|error| panic!("`{}`: {error}", step.name));
    let response =
        server.client.send(request).await.unwrap_or_else(|error| panic!("`{}`: {error}", step.name));
    let (parts, body) = response.into_parts();
    let bytes = body.collect().await.unwrap_or_else(|error| panic!("`{}`: {error}", step.name)).to_bytes();
    let header = |name: &str| {
        let values = parts.headers.get_all(name).iter();
        values.filter_map(|value| value.to_str().ok()).map(str::to_owned).collect::<Vec<_>>()
    };
    let text = String::from_utf8_lossy(&bytes);
    let mut answer =
        json!({"status": parts.status.as_u16(), "type": header("content-type"), "body": body_of(&text)});
    let warnings = header("warning");
    if !warnings.is_empty() {
        answer["warnings"] = warnings.into();
    }
    answer
}

/// JSON; a list of JSON values where it is one a line; else text.
fn body_of(text: &str) -> Value {
    if let Ok(value) = serde_json::from_str(text) {
        return value;
    }
    let lines: Result<Vec<Value>, _> = text.lines().map(serde_json::from_str).collect();
    lines.map_or_else(|_| text.into(), Value::from)
}
