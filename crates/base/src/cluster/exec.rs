//! Commands in containers, and what containers have printed.

use std::time::Duration;

use http::Request;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, AttachParams};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::Cluster;
use super::api::query;
use super::key::segment;
use super::refusal::{Refusal, bounded};
use super::request::{ATTEMPTS, FailedAttempt};
use crate::error::{Error, Result, code};
use crate::host::Output;

/// How many bytes of each stream are kept.
const MOST_OUTPUT: u64 = 4 << 20;
/// How long a log may take.
const LOG_TIME: Duration = Duration::from_secs(20);

impl Cluster {
    /// Runs a command in a container; without a name, in the pod's default container. The command must be read-only: it
    /// is run again when the connection is lost.
    /// Fails with `KVN202` when the command does not end in `timeout`, `KVN304` when the pod does not exist, `KVN301`,
    /// `KVN302`, `KVN307`.
    pub async fn exec(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
        argv: &[&str],
        timeout: Duration,
    ) -> Result<Output> {
        let subject = format!("`{}` in pod {namespace}/{pod}", argv.join(" "));
        let question =
            || format!("exec {namespace}/{pod}/{} {}", container.unwrap_or_default(), argv.join(" "));
        let work = self.exec_now([namespace, pod], container, argv, timeout, &subject);
        self.taped(question, Box::pin(work)).await
    }

    async fn exec_now(
        &self,
        [namespace, pod]: [&str; 2],
        container: Option<&str>,
        argv: &[&str],
        timeout: Duration,
        subject: &str,
    ) -> Result<Output> {
        let mut retry = self.retry_policy(ATTEMPTS);
        loop {
            let run = Box::pin(self.run_in(namespace, pod, container, argv, subject));
            let ran = tokio::time::timeout(timeout, run).await.unwrap_or_else(|_| {
                let message = format!("{subject}: timed out after {} s", timeout.as_secs());
                Err(FailedAttempt::again(Error::new(&code::HOST_TIMEOUT, message), None))
            });
            match ran {
                Ok(output) => return Ok(output),
                Err(failure) => retry.wait_after(subject, failure).await?,
            }
        }
    }

    async fn run_in(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
        argv: &[&str],
        subject: &str,
    ) -> Result<Output, FailedAttempt> {
        self.login.refresh().await.map_err(FailedAttempt::last)?;
        let (namespace, pod) = (segment("namespace", namespace), segment("Pod", pod));
        let (namespace, pod) = (namespace.map_err(FailedAttempt::last)?, pod.map_err(FailedAttempt::last)?);
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let mut parameters = AttachParams::default().stdin(false).stdout(true).stderr(true).tty(false);
        if let Some(container) = container {
            parameters = parameters.container(container);
        }
        let process = pods.exec(&pod, argv.iter().copied(), &parameters).await;
        let mut process = process.map_err(|error| self.refused(subject, &error))?;
        let (stdout, stderr) = (process.stdout(), process.stderr());
        let status = process.take_status();
        // All at once: the streams have small buffers, and the command stops when one of them is full.
        let (stdout, stderr, status) = tokio::join!(drain(stdout), drain(stderr), async {
            match status {
                Some(status) => status.await,
                None => None,
            }
        });
        let status = status.and_then(|status| serde_json::to_value(status).ok());
        let status = status.as_ref().and_then(exit_status).ok_or_else(|| {
            let message = format!("{subject}: the connection ended before the command");
            FailedAttempt::again(Error::new(&code::CLUSTER_ANSWER, message), None)
        })?;
        let status = status.map_err(|message| {
            let error = Error::new(&code::CLUSTER_REJECTED, format!("{subject}: cannot be run"));
            FailedAttempt::last(error.because(bounded(&message)))
        })?;
        Ok(Output { status, stdout, stderr })
    }

    fn refused(&self, subject: &str, error: &kube::Error) -> FailedAttempt {
        let kube::Error::Api(status) = error else { return self.broken(error) };
        let value = serde_json::to_value(status).unwrap_or_default();
        let reason = value.get("reason").and_then(Value::as_str).unwrap_or_default().to_owned();
        let message = bounded(&status.message);
        let refusal = Refusal { code: status.code, reason, message, ..Refusal::default() };
        if refusal.passes() {
            return FailedAttempt::again(self.unavailable(&refusal), None);
        }
        FailedAttempt::last(refusal.into_error(subject))
    }

    /// The last `tail` lines that a container has printed; of a pod with one container, it needs no name.
    /// Fails with `KVN304` when there is no such pod or container, `KVN301`, `KVN302`.
    pub async fn logs(
        &self,
        namespace: &str,
        pod: &str,
        container: Option<&str>,
        tail: u32,
    ) -> Result<String> {
        self.log_of([namespace, pod], &[("container", container)], tail).await
    }

    /// The last `tail` lines of a container before its last restart.
    ///
    /// # Errors
    /// As [`Cluster::logs`], also when there was no restart.
    pub async fn logs_before(
        &self,
        namespace: &str,
        pod: &str,
        container: &str,
        tail: u32,
    ) -> Result<String> {
        let of = [("container", Some(container)), ("previous", Some("true"))];
        self.log_of([namespace, pod], &of, tail).await
    }

    async fn log_of(
        &self,
        [namespace, pod]: [&str; 2],
        of: &[(&str, Option<&str>)],
        tail: u32,
    ) -> Result<String> {
        let subject = format!("log of pod {namespace}/{pod}");
        let query = query(of);
        let (namespace, pod) = (segment("namespace", namespace)?, segment("Pod", pod)?);
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}/log?tailLines={tail}{query}");
        let request = Request::get(path).body(Vec::new()).map_err(|error| {
            Error::new(&code::INTERNAL, format!("{subject}: not a valid request")).because(error)
        })?;
        let mut retry = self.retry_policy(ATTEMPTS);
        loop {
            self.login.refresh().await?;
            let text = match tokio::time::timeout(LOG_TIME, self.client.request_text(request.clone())).await {
                Ok(text) => text.map_err(|error| self.refused(&subject, &error)),
                Err(_) => Err(FailedAttempt::again(self.silent(), None)),
            };
            match text {
                Ok(text) => return Ok(text),
                Err(failure) => retry.wait_after(&subject, failure).await?,
            }
        }
    }
}

async fn drain(stream: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut stream) = stream else { return String::new() };
    let mut bytes = Vec::new();
    // What came before the connection broke is still useful; the missing status tells that it broke.
    let _ = (&mut stream).take(MOST_OUTPUT).read_to_end(&mut bytes).await;
    let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The exit status in the final `Status`, or why there is none.
fn exit_status(status: &Value) -> Option<std::result::Result<i32, String>> {
    let text =
        |value: &Value, key: &str| value.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if text(status, "status") == "Success" {
        return Some(Ok(0));
    }
    let causes =
        status.pointer("/details/causes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let code =
        causes.iter().find(|cause| text(cause, "reason") == "ExitCode").map(|cause| text(cause, "message"));
    match code {
        Some(code) => code.parse().ok().map(Ok),
        None => Some(Err(text(status, "message"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_exit_status_is_in_the_causes() {
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated with exit code 3",
            "details": {"causes": [{"reason": "ExitCode", "message": "3"}]}});
        assert_eq!(exit_status(&failed), Some(Ok(3)));
        assert_eq!(exit_status(&json!({"status": "Success"})), Some(Ok(0)));
        assert_eq!(
            exit_status(&json!({"status": "Failure", "message": "no such file"})),
            Some(Err("no such file".to_owned()))
        );
    }
}
