//! What may stand where an API server should be.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// Answers every request with this status and body, and returns the address. Without a body it never answers.
pub fn serve(answer: Option<(&'static str, &'static str, &'static str)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || respond(stream, answer));
        }
    });
    address
}

fn respond(mut stream: TcpStream, answer: Option<(&str, &str, &str)>) {
    let Some((status, content_type, body)) = answer else {
        return thread::sleep(Duration::from_mins(10));
    };
    let mut request = [0; 8192];
    let _ = stream.read(&mut request);
    let length = body.len();
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
}
