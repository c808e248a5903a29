//! Frames: two lengths, a head in JSON, and a body of bytes. The agent's first line is its greeting; text before it, such as a
//! login shell's banner, is skipped.

use std::io;
use std::time::Duration;

use camino::Utf8PathBuf;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::error::{CODES, Error, code};
use crate::host::{Command, Shot};

/// What the agent says first; controller and agent must be of the same release.
pub const GREETING: &str = concat!("kvnet-agent 1 ", env!("CARGO_PKG_VERSION"), "\n");
/// The part of the greeting that is the same in all releases.
pub const AGENT: &str = "kvnet-agent ";
/// The most bytes of a head or a body. A command's output ends at 16 MiB a stream, which JSON may make six times as long.
const LARGEST: usize = 256 << 20;

/// An operation of the host boundary.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    Run(Command),
    Read(Utf8PathBuf),
    /// The content is the body.
    Write {
        path: Utf8PathBuf,
        mode: u32,
    },
    Stat(Utf8PathBuf),
    List(Utf8PathBuf),
    Rename {
        from: Utf8PathBuf,
        to: Utf8PathBuf,
    },
    Remove(Utf8PathBuf),
    Find(String),
    UserId,
    WaitFor {
        path: Utf8PathBuf,
        timeout: Duration,
    },
    SendFrame(Shot),
    /// Ends the operation with this id, if it is in progress.
    Cancel,
}

/// The head of a request.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    pub id: u64,
    pub ask: Ask,
}

/// The head of an answer; a file's content is the body.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer {
    pub id: u64,
    pub result: Result<Value, Failure>,
}

/// An error on its way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Failure {
    code: String,
    message: String,
    place: Option<String>,
    cause: Option<String>,
    hints: Vec<String>,
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        // Without hints of its own, an error has its code's.
        let own = |hint: &&str| *hint != error.code().fix;
        Self {
            code: error.code().id.into(),
            message: error.message().into(),
            place: error.place().map(str::to_owned),
            cause: error.cause().map(str::to_owned),
            hints: error.hints().into_iter().filter(own).map(str::to_owned).collect(),
        }
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        let code = CODES.iter().find(|code| code.id == failure.code).copied().unwrap_or(&code::INTERNAL);
        let mut error = failure.hints.into_iter().fold(Error::new(code, failure.message), Error::hint);
        if let Some(place) = failure.place {
            error = error.at(place);
        }
        if let Some(cause) = failure.cause {
            error = error.because(cause);
        }
        error
    }
}

/// Writes a frame.
pub async fn send(
    output: &mut (impl AsyncWrite + Unpin),
    head: &impl Serialize,
    body: &[u8],
) -> io::Result<()> {
    let head = serde_json::to_vec(head)?;
    let length = |bytes: &[u8]| match u32::try_from(bytes.len()) {
        Ok(length) if bytes.len() <= LARGEST => Ok(length.to_be_bytes()),
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the frame is too large")),
    };
    output.write_all(&[length(&head)?, length(body)?].concat()).await?;
    output.write_all(&head).await?;
    output.write_all(body).await?;
    output.flush().await
}

/// Reads a frame; none at the end of the stream.
///
/// # Errors
/// `InvalidData` for what is no frame, `UnexpectedEof` for half of one.
pub async fn receive<T: DeserializeOwned>(
    input: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<(T, Vec<u8>)>> {
    let mut prefix = [0; 8];
    if input.read(&mut prefix[..1]).await? == 0 {
        return Ok(None);
    }
    input.read_exact(&mut prefix[1..]).await?;
    let lengths =
        [0, 4].map(|at| prefix[at..at + 4].iter().fold(0, |length, byte| length << 8 | u32::from(*byte)));
    if lengths.iter().any(|length| usize::try_from(*length).map_or(true, |length| length > LARGEST)) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the frame is too large"));
    }
    let head = exactly(input, lengths[0]).await?;
    let head =
        serde_json::from_slice(&head).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
    Ok(Some((head, exactly(input, lengths[1]).await?)))
}

/// As many bytes as there have to be. Memory is taken as they come, not as the sender claims.
async fn exactly(input: &mut (impl AsyncRead + Unpin), length: u32) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let read = input.take(length.into()).read_to_end(&mut bytes).await?;
    if u32::try_from(read) == Ok(length) { Ok(bytes) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}
