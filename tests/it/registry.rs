//! A registry on a port of this machine, in memory: it has every image that is asked for, or none.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use kvnet::redact::digest;
use serde_json::json;

/// What it answers, and what it was asked.
#[derive(Default)]
struct State {
    /// The tags that have moved: name and tag, and how often.
    moved: BTreeMap<String, u32>,
    /// The header that it wants, after a token was fetched with this one.
    wants: Option<(String, String)>,
    /// Whether it has nothing.
    is_empty: bool,
    asked: Vec<String>,
}

/// A registry that lives as long as the test program.
pub struct Fake {
    /// Host and port.
    pub address: String,
    state: Arc<Mutex<State>>,
}

impl Fake {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, own) = (Arc::clone(&state), address.clone());
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (shared, own) = (Arc::clone(&shared), own.clone());
                thread::spawn(move || serve(stream, &shared, &own));
            }
        });
        Self { address, state }
    }

    /// Lets a tag mean something else.
    pub fn moves(&self, image: &str) {
        *self.state.lock().unwrap().moved.entry(image.to_owned()).or_default() += 1;
    }

    /// Wants a token, which it gives for a login.
    pub fn wants(&self, login: &str, token: &str) {
        self.state.lock().unwrap().wants = Some((login.to_owned(), token.to_owned()));
    }

    pub fn forgets_all(&self) {
        self.state.lock().unwrap().is_empty = true;
    }

    /// The requests since the last time.
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }

    /// The digest of an image, by its repository and tag: `a/b:v1`.
    pub fn digest(&self, image: &str) -> String {
        let moved = self.state.lock().unwrap().moved.get(image).copied().unwrap_or_default();
        digest(index(image, moved))
    }
}

/// An index of two platforms and an attestation, different for each image.
fn index(image: &str, moved: u32) -> String {
    let entry = |os: &str, architecture: &str| {
        let own = digest(format!("{image} {moved} {os} {architecture}"));
        json!({"digest": own, "size": 1, "platform": {"os": os, "architecture": architecture}})
    };
    let all = [entry("linux", "amd64"), entry("linux", "arm64"), entry("unknown", "unknown")];
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": all})
        .to_string()
}

fn serve(mut stream: TcpStream, state: &Mutex<State>, own: &str) {
    let mut bytes = Vec::new();
    let mut part = [0; 2048];
    while !bytes.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(count) if count > 0 && (bytes.len() + count < 65_536) => {
                bytes.extend_from_slice(&part[..count]);
            }
            _ => return,
        }
        // The begin of a TLS connection: this one speaks only HTTP.
        if bytes[0] == 0x16 {
            let _ = stream
                .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return;
        }
    }
    let head = String::from_utf8_lossy(&bytes).into_owned();
    let answer = answer(&head, &mut state.lock().unwrap(), own);
    let _ = stream.write_all(answer.as_bytes());
}

fn answer(head: &str, state: &mut State, own: &str) -> String {
    let mut lines = head.lines();
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let authorization = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("authorization").then(|| value.trim().to_owned())
    });
    state.asked.push(format!("{method} {path}"));
    let reply = |status: &str, headers: &str, body: &str| {
        let length = body.len();
        let body = if method == "HEAD" { "" } else { body };
        format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}")
    };
    if let Some((login, token)) = &state.wants {
        if path.starts_with("/token?") {
            let is_it = authorization.as_ref() == Some(login);
            let body = json!({"token": token}).to_string();
            return if is_it { reply("200 OK", "", &body) } else { reply("401 Unauthorized", "", "") };
        }
        if authorization != Some(format!("Bearer {token}")) {
            let challenge =
                format!("WWW-Authenticate: Bearer realm=\"http://{own}/token\",service=\"fake\"\r\n");
            return reply("401 Unauthorized", &challenge, "");
        }
    }
    let found = path.strip_prefix("/v2/").and_then(|rest| rest.split_once("/manifests/"));
    let Some((repository, tag)) = found.filter(|_| !state.is_empty) else {
        return reply(
            "404 Not Found",
            "",
            r#"{"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}"#,
        );
    };
    let image = format!("{repository}:{tag}");
    let moved = state.moved.get(&image).copied().unwrap_or_default();
    let body = index(&image, moved);
    let headers = format!(
        "Content-Type: application/vnd.oci.image.index.v1+json\r\nDocker-Content-Digest: {}\r\n",
        digest(&body)
    );
    reply("200 OK", &headers, &body)
}
