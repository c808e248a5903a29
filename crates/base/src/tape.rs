//! The answers of a node and its cluster on a tape: `sysdump` records them, and `--from` asks the tape instead.
//!
//! A question is a line of text, for example `run ip -json link` or `GET /api/v1/nodes?limit=500`. Answers are without secrets
//! from the moment they are recorded.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{CODES, Error, Result, code};
use crate::redact::{redact_object, redact_value};

/// The question whose answer is why there is no cluster.
const CONNECT: &str = "connect";

/// Answers by question. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Tape {
    answers: Arc<Mutex<BTreeMap<String, Answer>>>,
    replays: bool,
}

/// An answer, or the error that came instead.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Answer {
    Answer(Value),
    Error { code: String, message: String },
}

/// A line of the file.
#[derive(Serialize, Deserialize)]
struct Line {
    question: String,
    #[serde(flatten)]
    answer: Answer,
}

impl Tape {
    /// A tape to record on.
    pub fn blank() -> Self {
        Self::default()
    }

    /// A recorded tape, from its text.
    ///
    /// # Errors
    /// `KVN830` with the line that is none of a tape.
    pub fn parse(text: &str) -> Result<Self> {
        let line = |(number, line): (usize, &str)| {
            serde_json::from_str::<Line>(line).map_err(|error| {
                Error::new(&code::DUMP, format!("line {} of the recording is invalid", number + 1))
                    .because(error)
            })
        };
        let lines = text.lines().enumerate().map(line);
        let answers: Result<BTreeMap<_, _>> =
            lines.map(|line| line.map(|it| (it.question, it.answer))).collect();
        Ok(Self { answers: Arc::new(Mutex::new(answers?)), replays: true })
    }

    /// The tape as text: a JSON object for each question, sorted.
    pub fn text(&self) -> String {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let line = |(question, answer): (&String, &Answer)| {
            let line = Line { question: question.clone(), answer: answer.clone() };
            // A value that was parsed from JSON can be written as JSON.
            serde_json::to_string(&line).unwrap_or_default() + "\n"
        };
        answers.iter().map(line).collect()
    }

    /// Whether it answers, instead of recording.
    pub fn replays(&self) -> bool {
        self.replays
    }

    /// Records what came of a question. The first answer stays: what was concluded from it is in the same archive, and a
    /// later one is of another moment.
    pub fn keep<T: Serialize>(&self, question: String, result: &Result<T>) {
        let answer = match result.as_ref().map(serde_json::to_value) {
            Ok(Ok(mut value)) => {
                redact(&mut value);
                Answer::Answer(value)
            }
            Ok(Err(error)) => Answer::Error { code: code::INTERNAL.id.into(), message: error.to_string() },
            Err(error) => Answer::Error { code: error.code().id.into(), message: error.to_string() },
        };
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).entry(question).or_insert(answer);
    }

    /// Records why there is no cluster.
    pub fn keep_refusal(&self, error: &Error) {
        self.keep::<()>(CONNECT.into(), &Err(error.clone()));
    }

    /// The recorded answer to a question.
    ///
    /// # Errors
    /// The recorded error; `KVN831` when nothing was recorded, `KVN830` when the answer is of another kind.
    pub fn answer<T: DeserializeOwned>(&self, question: &str) -> Result<T> {
        let answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        let about_cluster = question.starts_with("GET ") || question.starts_with("exec ");
        let refusal = answers.get(CONNECT).filter(|_| about_cluster);
        match answers.get(question).or(refusal) {
            Some(Answer::Answer(value)) => serde_json::from_value(value.clone()).map_err(|error| {
                Error::new(&code::DUMP, format!("the answer to `{question}` is invalid")).because(error)
            }),
            Some(Answer::Error { code, message }) => Err(recorded(code, message)),
            None => Err(Error::new(&code::DUMP_LACKS, format!("not in the dump: `{question}`"))),
        }
    }
}

/// Secrets go, in objects and in the texts inside of them.
fn redact(value: &mut Value) {
    // The answer of a server is within the word for its success.
    redact_object(value.get_mut("done").unwrap_or(&mut Value::Null));
    redact_value(value);
}

fn recorded(id: &str, message: &str) -> Error {
    let code = CODES.iter().find(|code| code.id == id).copied().unwrap_or(&code::DUMP_LACKS);
    Error::new(code, message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn recorded_tape() -> Tape {
        let tape = Tape::blank();
        tape.keep("read /etc/hostname".into(), &Ok(Some("node1\n")));
        tape.keep("read /x".into(), &Ok(None::<String>));
        tape.keep::<()>("read /y".into(), &Err(Error::new(&code::HOST_PERMISSION, "/y: permission denied")));
        Tape::parse(&tape.text()).unwrap()
    }

    #[test]
    fn a_tape_answers_what_was_recorded() {
        let tape = recorded_tape();
        assert_eq!(tape.answer::<Option<String>>("read /etc/hostname").unwrap().as_deref(), Some("node1\n"));
        assert_eq!(tape.answer::<Option<String>>("read /x").unwrap(), None);
        let error = tape.answer::<Option<String>>("read /y").unwrap_err();
        assert_eq!((error.code().id, error.to_string().as_str()), ("KVN203", "/y: permission denied"));
    }

    #[test]
    fn what_was_not_recorded_is_said_and_never_taken_for_absent() {
        let error = recorded_tape().answer::<Option<String>>("read /z").unwrap_err();
        assert_eq!(error.code().id, "KVN831");
        assert!(error.to_string().contains("`read /z`"), "{error}");
    }

    #[test]
    fn the_answer_that_was_first_heard_stays() {
        let tape = Tape::blank();
        tape.keep("GET /pods".into(), &Ok(vec!["a"]));
        tape.keep("GET /pods".into(), &Ok(Vec::<String>::new()));
        let tape = Tape::parse(&tape.text()).unwrap();
        assert_eq!(tape.answer::<Vec<String>>("GET /pods").unwrap(), ["a"]);
    }

    #[test]
    fn without_a_cluster_its_questions_have_the_reason() {
        let tape = Tape::blank();
        tape.keep_refusal(&Error::new(&code::CLUSTER_UNREACHABLE, "no answer"));
        let tape = Tape::parse(&tape.text()).unwrap();
        assert_eq!(tape.answer::<Value>("GET /api/v1/nodes").unwrap_err().code().id, "KVN301");
        assert_eq!(tape.answer::<Value>("read /z").unwrap_err().code().id, "KVN831");
    }

    #[test]
    fn secrets_are_not_recorded() {
        let tape = Tape::blank();
        let secret = json!({"kind": "Secret", "data": {"password": "Y2FuYXJ5"}});
        tape.keep("GET /list".into(), &Ok(json!({"done": {"items": [secret]}})));
        let bare = json!({"metadata": {"name": "s"}, "data": {"password": "Y2FuYXJ5"}});
        tape.keep("GET /secrets".into(), &Ok(json!({"done": {"kind": "SecretList", "items": [bare]}})));
        tape.keep("read /root/.kube/config".into(), &Ok("users: [{user: {token: canary}}]"));
        let text = tape.text();
        assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
    }

    #[test]
    fn a_damaged_line_is_named() {
        let error = Tape::parse("{\"question\":\"a\",\"answer\":1}\nno\n").unwrap_err();
        assert!(error.to_string().contains("line 2"), "{error}");
    }
}
