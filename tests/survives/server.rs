//! A server that lies.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

/// What it answers to every request.
#[derive(Clone, Debug)]
pub enum Answer {
    /// A whole response.
    Whole { status: u16, head: String, body: Vec<u8> },
    /// A body that never ends, as fast as it is read.
    Endless,
    /// A body that never ends, a byte at a time.
    Slow,
    /// A body that is shorter than its length says.
    Cut,
}

impl Answer {
    pub fn json(status: u16, body: &str) -> Self {
        Self::whole(status, "Content-Type: application/json", body.as_bytes())
    }

    pub fn html(body: &str) -> Self {
        Self::whole(200, "Content-Type: text/html", body.as_bytes())
    }

    pub fn text(body: &str) -> Self {
        Self::bytes(body.as_bytes())
    }

    pub fn bytes(body: &[u8]) -> Self {
        Self::whole(200, "Content-Type: text/yaml", body)
    }

    pub fn redirect(to: &str) -> Self {
        Self::whole(302, &format!("Location: {to}"), b"")
    }

    fn whole(status: u16, head: &str, body: &[u8]) -> Self {
        Self::Whole { status, head: head.into(), body: body.into() }
    }
}

/// Starts the server; returns its address.
pub fn serve(answer: Answer) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A client that goes away ends the thread.
            thread::spawn(move || _ = respond(stream, &answer));
        }
    });
    address
}

fn respond(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let begin = "HTTP/1.1 200 OK\r\nContent-Type: text/yaml\r\nContent-Length: 1000000000\r\n\r\n";
    match answer {
        Answer::Whole { status, head, body } => {
            let length = body.len();
            write!(
                stream,
                "HTTP/1.1 {status} Said\r\n{head}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            )?;
            stream.write_all(body)
        }
        Answer::Endless => {
            stream.write_all(begin.as_bytes())?;
            loop {
                stream.write_all(&b"#".repeat(1 << 16))?;
            }
        }
        Answer::Slow => {
            stream.write_all(begin.as_bytes())?;
            loop {
                stream.write_all(b"#")?;
                thread::sleep(Duration::from_millis(100));
            }
        }
        Answer::Cut => {
            stream.write_all(begin.as_bytes())?;
            stream.write_all(b"kind: Config")
        }
    }
}
