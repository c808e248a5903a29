//! An API server that does not answer: one answer about it serves the whole command, within the time that is given, and
//! nothing of the machine is inspected, because nobody knows which node it is.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use kvnet_test_kit::run::{As, Place, text};

/// What is promised to the user.
const TIMEOUT: &str = "3";
/// That, a second or two of grace, and what a busy machine takes to start a program.
const SOON: Duration = Duration::from_millis(7500);
/// How often a server may be asked before it is given up: one request with its retries, and a sign of life.
const FEW: usize = 16;

/// How `-v` tells a command on the machine.
const RAN: &str = "ran command=";

const COMMANDS: [&[&str]; 10] = [
    &["plan"],
    &["status"],
    &["doctor"],
    &["trace", "vmi/vm-two-nics"],
    &["topology"],
    &["up", "--yes"],
    &["down", "--yes"],
    &["smoke"],
    &["render", "--only", "vm"],
    &["console", "vm-two-nics"],
];

/// The scheme, what happens to a connection, and what is said of it.
type Server = (&'static str, fn(TcpStream), &'static str, &'static str);

/// Accepts, counts, and leaves the rest to `serve`.
fn listen(serve: fn(TcpStream)) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            counted.fetch_add(1, Ordering::Relaxed);
            thread::spawn(move || serve(stream));
        }
    });
    (address, count)
}

fn never(stream: TcpStream) {
    thread::sleep(Duration::from_mins(10));
    drop(stream);
}

fn garbage(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 512]);
    let _ = stream.write_all(b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n");
}

fn busy(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 8192]);
    let body = r#"{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"ServiceUnavailable","message":"etcd is away","code":503}"#;
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

/// What answers everything in the same way is no API server.
fn agrees(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 8192]);
    let body = r#"{"kind":"List","apiVersion":"v1","metadata":{},"items":[]}"#;
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}

const ENDLESS: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000\r\n\r\n{\"a\":";

/// Says a byte now and then.
fn drip(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 8192]).and_then(|_| stream.write_all(ENDLESS));
    while stream.write_all(b" ").is_ok() {
        thread::sleep(Duration::from_millis(500));
    }
}

/// Says less than it has promised.
fn short(mut stream: TcpStream) {
    let _ = stream.read(&mut [0; 8192]).and_then(|_| stream.write_all(ENDLESS));
    never(stream);
}

/// Closes the connection without a word.
fn hang_up(stream: TcpStream) {
    drop(stream);
}

#[test]
fn one_answer_about_the_server_serves_the_whole_command() {
    let servers: [Server; 9] = [
        ("http", never, "KVN301", "did not answer within "),
        ("https", never, "KVN301", "did not answer within "),
        ("https", garbage, "KVN307", "does not speak the protocol"),
        ("http", agrees, "KVN307", "does not "),
        ("http", drip, "KVN301", "did not answer within "),
        ("http", short, "KVN301", "did not answer within "),
        ("http", busy, "KVN301", "etcd is away"),
        ("http", hang_up, "KVN301", ""),
        ("https", hang_up, "KVN301", ""),
    ];
    let seen = Place::new().kvnet(As::Tester, &["plan", "-v", "--sandbox"], &[]);
    assert!(text(&seen.stderr).contains(RAN), "{}", text(&seen.stderr));
    thread::scope(|scope| {
        for ((scheme, serve, code, says), commands) in
            servers.into_iter().flat_map(|server| COMMANDS.chunks(3).map(move |commands| (server, commands)))
        {
            scope.spawn(move || {
                let place = Place::new();
                for command in commands {
                    let (address, count) = listen(serve);
                    place.kubeconfig("k", &format!("{scheme}://{address}"));
                    let what = format!("{command:?} on {scheme} {code} {says}");
                    let said = soon(&place, command, &what);
                    assert!(said.contains(code) && said.contains(says), "{what}: {said}");
                    let asked = count.load(Ordering::Relaxed);
                    assert!((1..=FEW).contains(&asked), "{what}: asked {asked} times");
                }
            });
        }
        scope.spawn(|| {
            let place = Place::new();
            for command in COMMANDS {
                place.kubeconfig("k", "https://127.0.0.1:1");
                let said = soon(&place, command, "refused");
                assert!(said.contains("KVN301") && said.contains("refused"), "{command:?}: {said}");
            }
        });
    });
}

/// What a command says, within its time and without a command on the machine.
fn soon(place: &Place, command: &[&str], what: &str) -> String {
    let arguments = [command, &["-v", "--timeout", TIMEOUT, "--kubeconfig", "DIR/k"]].concat();
    let begin = Instant::now();
    let output = place.kvnet(As::Tester, &arguments, &[]);
    let took = begin.elapsed();
    let said = format!("{}\n{}", text(&output.stdout), text(&output.stderr));
    assert!(took < SOON, "{what}: took {took:?}\n{said}");
    assert_eq!(output.status.code(), Some(1), "{what}: {said}");
    assert!(!said.contains(RAN), "{what}: {said}");
    said
}
