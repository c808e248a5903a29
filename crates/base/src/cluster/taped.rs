//! A cluster whose answers are recorded, and one that is only a recording.

use std::future::Future;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::service_fn;

use super::gate::client_of;
use super::{Cluster, Place};
use crate::error::Result;
use crate::tape::Tape;

/// The question whose answer is the address of the API server.
const SERVER: &str = "server";

impl Cluster {
    /// The cluster; what it answers to reads is recorded.
    #[must_use]
    pub fn recorded_on(mut self, tape: Tape) -> Self {
        tape.keep(SERVER.into(), &Ok(self.server()));
        self.tape = Some(tape);
        self
    }

    /// The cluster of a recording. It cannot be changed, watched or reached.
    pub fn replayed(tape: Tape) -> Self {
        let nowhere = service_fn(|_| async {
            Err::<http::Response<kube::client::Body>, _>(std::io::Error::other("a dump has no API server"))
        });
        let mut cluster = Self::from_client(client_of(nowhere));
        let server = tape.answer::<String>(SERVER).unwrap_or_else(|_| "the cluster of the dump".into());
        cluster.server = server.as_str().into();
        cluster.route = cluster.server.clone();
        cluster.place = Place { server, ..Place::default() }.into();
        cluster.tape = Some(tape);
        cluster
    }

    /// The result of a read, which is recorded; of a recording, the recorded one.
    pub(super) async fn taped<T: Serialize + DeserializeOwned>(
        &self,
        question: impl FnOnce() -> String,
        read: impl Future<Output = Result<T>>,
    ) -> Result<T> {
        let Some(tape) = &self.tape else { return read.await };
        let question = question();
        if tape.replays() {
            return tape.answer(&question);
        }
        let result = read.await;
        tape.keep(question, &result);
        result
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn node() -> Value {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node1", "uid": "u"}})
    }

    /// A server with one node, and nothing else.
    fn cluster() -> Cluster {
        Cluster::from_client(client_of(service_fn(|request: http::Request<kube::client::Body>| async move {
            let body = match request.uri().path() {
                "/api/v1/nodes" => {
                    json!({"apiVersion": "v1", "kind": "NodeList", "metadata": {}, "items": [node()]})
                }
                path => panic!("{path}"),
            };
            Ok::<_, std::io::Error>(http::Response::new(kube::client::Body::from(
                body.to_string().into_bytes(),
            )))
        })))
    }

    #[tokio::test]
    async fn a_recording_answers_as_the_cluster_did_and_says_what_it_lacks() {
        let tape = Tape::blank();
        let nodes = cluster().recorded_on(tape.clone()).list("v1", "Node", None, None).await.unwrap();
        assert_eq!(nodes.len(), 1);
        let replayed = Cluster::replayed(Tape::parse(&tape.text()).unwrap());
        assert_eq!(replayed.list("v1", "Node", None, None).await.unwrap(), nodes);
        assert_eq!(replayed.server(), "https://cluster");
        let error = replayed.list("v1", "Pod", None, None).await.unwrap_err();
        assert_eq!(error.code().id, "KVN831", "an absent answer is not an empty list");
    }
}
