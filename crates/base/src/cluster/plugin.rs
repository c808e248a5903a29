//! Credential plugins of a kubeconfig (`exec`): announced, under a deadline, and run once by a process.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use kube::config::{ExecConfig, ExecInteractiveMode};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::Mutex;

use super::client::Tell;
use crate::error::{Error, Result, code};
use crate::host::helper::{Ear, Ended, Helper};
use crate::redact::{know, redact_text};
use crate::terminal::{clean, cut};

/// How long a plugin may take by default; a person may have to log in.
const DEADLINE: Duration = Duration::from_mins(1);
/// Credentials that expire sooner are renewed.
const MARGIN: Duration = Duration::from_mins(1);
/// How much of a plugin's standard error is shown.
const TOLD: usize = 200;
/// Words shorter than this are not secrets; hiding them would hide the reason.
const SHORTEST_SECRET: usize = 5;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Credential {
    pub token: Option<String>,
    pub client_certificate_data: Option<String>,
    pub client_key_data: Option<String>,
    expiration_timestamp: Option<String>,
    /// Told when it had already expired.
    #[serde(skip)]
    pub over: Option<String>,
}

impl Credential {
    /// A plugin that only has expired credentials is not run again.
    fn is_fresh(&self) -> bool {
        self.over.is_some() || self.left().is_none_or(|left| left > MARGIN)
    }

    /// How long it is valid; none when unknown.
    fn left(&self) -> Option<Duration> {
        let end = self.expiration_timestamp.as_deref()?.parse::<Timestamp>().ok()?;
        let now = Timestamp::try_from(std::time::SystemTime::now()).unwrap_or_default();
        Some(Duration::try_from(end.duration_since(now)).unwrap_or_default())
    }
}

/// The credentials of this process's plugins, by their input.
static GIVEN: LazyLock<Mutex<HashMap<String, Credential>>> = LazyLock::new(Mutex::default);

/// A plugin with its information about the cluster.
#[derive(Clone)]
pub(super) struct Plugin {
    spec: ExecConfig,
    /// `cluster` of `KUBERNETES_EXEC_INFO`, when the plugin wants it.
    cluster: Option<Value>,
    deadline: Duration,
    tell: Tell,
}

impl Plugin {
    pub fn new(spec: ExecConfig, cluster: Value, deadline: Option<Duration>, tell: Tell) -> Self {
        let cluster = spec.provide_cluster_info.then_some(cluster);
        Self { spec, cluster, deadline: deadline.unwrap_or(DEADLINE), tell }
    }

    /// Its credentials: the cached ones while they are valid.
    /// Fails with `KVN310` when it is not found, fails, hangs, or gives none.
    pub async fn credential(&self) -> Result<Credential> {
        let key = json!([self.spec, self.cluster]).to_string();
        let mut given = GIVEN.lock().await;
        if let Some(known) = given.get(&key).filter(|known| known.is_fresh()) {
            return Ok(known.clone());
        }
        let mut credential = self.ask().await?;
        if credential.left() == Some(Duration::ZERO) {
            let end = credential.expiration_timestamp.as_deref().unwrap_or_default();
            let end = cut(&clean(end), 40);
            let over = format!("the credentials from plugin `{}` had already expired at {end}", self.name());
            credential.over = Some(over);
        }
        given.insert(key, credential.clone());
        Ok(credential)
    }

    async fn ask(&self) -> Result<Credential> {
        let helper = self.helper()?;
        (self.tell).note(&format!("running the credential plugin `{}` of the kubeconfig", self.name()));
        let secrets = Arc::new(self.secrets());
        secrets.iter().for_each(|secret| know(secret));
        let started = Instant::now();
        let ended = helper.run(self.ear(&secrets)).await;
        let (plugin, ms, ended_by) = (self.name(), started.elapsed().as_millis(), how(&ended));
        tracing::debug!(target: "kvnet::host", plugin, code = ended_by, ms, "ran");
        let printed = match ended {
            Ended::Well(printed) => printed,
            Ended::Badly { status, last } => {
                return Err(self
                    .error(&format!("failed with exit code {status}"))
                    .because(reason(&last, &secrets)));
            }
            Ended::Late(last) => {
                let seconds = self.deadline.as_secs_f64();
                let error = self.error(&format!("timed out after {seconds} s"));
                return Err(if last.is_empty() { error } else { error.because(reason(&last, &secrets)) });
            }
            Ended::TooMuch => return Err(self.error("printed more than 1 MiB")),
            Ended::Missing => return Err(self.missing()),
            Ended::NotStarted(why) => return Err(self.error("cannot be started").because(why)),
        };
        self.parse(&printed)
    }

    fn helper(&self) -> Result<Helper> {
        let Some(program) = self.spec.command.clone().filter(|command| !command.is_empty()) else {
            return Err(self.error("has no `command`"));
        };
        let terminal = std::io::IsTerminal::is_terminal(&std::io::stdin());
        let asks = self.spec.interactive_mode == Some(ExecInteractiveMode::Always);
        if asks && !terminal {
            return Err(self.error("needs to prompt, but there is no terminal"));
        }
        let mut variables = self.variables();
        let info = json!({
            "kind": "ExecCredential",
            "apiVersion": self.spec.api_version,
            "spec": {"interactive": asks, "cluster": self.cluster},
        });
        variables.push(("KUBERNETES_EXEC_INFO".into(), without_null(info).to_string()));
        let arguments = self.spec.args.clone().unwrap_or_default();
        Ok(Helper { program, arguments, variables, deadline: self.deadline, asks })
    }

    fn variables(&self) -> Vec<(String, String)> {
        let pairs = self.spec.env.iter().flatten();
        pairs.filter_map(|pair| Some((pair.get("name")?.clone(), pair.get("value")?.clone()))).collect()
    }

    /// An interactive plugin says on the terminal what to do.
    fn ear(&self, secrets: &Arc<Vec<String>>) -> Option<Ear> {
        let (tell, name, secrets) = (self.tell.clone(), self.name(), Arc::clone(secrets));
        let quiet = self.spec.interactive_mode == Some(ExecInteractiveMode::Never);
        let ear = move |line: &str| tell.note(&format!("{name}: {}", reason(line, &secrets)));
        (!quiet && std::io::IsTerminal::is_terminal(&std::io::stderr())).then(|| Arc::new(ear) as Ear)
    }

    /// What its standard error must not reveal: the values of its environment, and arguments that are not plain words.
    fn secrets(&self) -> Vec<String> {
        let is_word = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
        let values = self.variables().into_iter().map(|(_, value)| value);
        let arguments = self.spec.args.iter().flatten().map(|argument| {
            argument
                .strip_prefix("--")
                .and_then(|flag| flag.split_once('='))
                .map_or(argument.as_str(), |(_, value)| value)
        });
        let arguments = arguments.filter(|argument| !is_word(argument)).map(str::to_owned);
        let mut secrets: Vec<String> =
            values.chain(arguments).filter(|secret| secret.len() >= SHORTEST_SECRET).collect();
        // The longest first: a part of it may be a secret too.
        secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
        secrets
    }

    fn parse(&self, printed: &[u8]) -> Result<Credential> {
        let answer: Value = std::str::from_utf8(printed)
            .ok()
            .and_then(|text| serde_yaml::from_str(text).ok())
            .filter(Value::is_object)
            // What it printed instead may be the secret itself.
            .ok_or_else(|| self.error("did not print an ExecCredential"))?;
        let said = answer.get("apiVersion").and_then(Value::as_str);
        if let (Some(said), Some(wanted)) = (said, self.spec.api_version.as_deref())
            && said != wanted
        {
            let said = cut(&clean(said), 60);
            return Err(self.error(&format!("speaks {said}, and the kubeconfig wants {wanted}")));
        }
        let status = answer.get("status").cloned().unwrap_or_default();
        let credential: Credential = serde_json::from_value(status)
            .map_err(|_| self.error("did not print an ExecCredential with a status"))?;
        let certificate =
            credential.client_certificate_data.is_some() && credential.client_key_data.is_some();
        if credential.token.as_deref().unwrap_or_default().is_empty() && !certificate {
            return Err(self.error("gave neither a token nor a certificate with its key"));
        }
        [&credential.token, &credential.client_key_data]
            .into_iter()
            .flatten()
            .for_each(|secret| know(secret));
        Ok(credential)
    }

    fn missing(&self) -> Error {
        let error = self.error("is not installed");
        match self.spec.install_hint.as_deref().map(str::trim).filter(|hint| !hint.is_empty()) {
            Some(hint) => {
                error.hint(cut(&clean(&hint.split_whitespace().collect::<Vec<_>>().join(" ")), 400))
            }
            None => error,
        }
    }

    fn error(&self, what: &str) -> Error {
        let message = format!("the credential plugin `{}` of the kubeconfig {what}", self.name());
        Error::new(&code::CREDENTIAL_PLUGIN, message)
    }

    /// The program's base name.
    fn name(&self) -> String {
        let command = self.spec.command.as_deref().unwrap_or_default();
        cut(&clean(command.rsplit('/').next().unwrap_or(command)), 60)
    }
}

/// A plugin's line, redacted.
fn reason(line: &str, secrets: &[String]) -> String {
    if line.is_empty() {
        return "it did not say why".to_owned();
    }
    let known: Vec<&str> = secrets.iter().map(String::as_str).collect();
    cut(&clean(&redact_text(line, &known)), TOLD)
}

/// The exit code, or what happened before there was one.
fn how(ended: &Ended) -> String {
    match ended {
        Ended::Well(_) => "0".into(),
        Ended::Badly { status, .. } => status.to_string(),
        Ended::Late(_) => "killed at its deadline".into(),
        Ended::TooMuch => "killed for its output".into(),
        Ended::Missing | Ended::NotStarted(_) => "not started".into(),
    }
}

fn without_null(mut info: Value) -> Value {
    if let Some(spec) = info.get_mut("spec").and_then(Value::as_object_mut) {
        spec.retain(|_, value| !value.is_null());
    }
    info
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plugin(spec: Value) -> Plugin {
        let spec = serde_json::from_value(spec).unwrap();
        Plugin::new(spec, json!({"server": "https://h"}), Some(Duration::from_secs(5)), Tell::default())
    }

    fn shell(script: &str) -> Value {
        json!({"apiVersion": "client.authentication.k8s.io/v1", "command": "/bin/sh", "args": ["-c", script, "CANARY-ARG"],
            "env": [{"name": "VAULT_TOKEN", "value": "CANARY-ENV"}], "interactiveMode": "Never"})
    }

    async fn refused(spec: Value) -> Error {
        plugin(spec).credential().await.unwrap_err()
    }

    #[tokio::test]
    async fn a_plugin_that_is_not_installed_is_named_with_its_hint() {
        let mut spec = json!({"command": "no-such-login", "installHint": "install the\n login helper"});
        let error = refused(spec.clone()).await;
        assert_eq!(error.code().id, "KVN310");
        assert!(error.message().contains("`no-such-login`") && error.message().contains("not installed"));
        assert_eq!(error.hints()[0], "install the login helper");
        spec["command"] = "/opt/no/such-login".into();
        assert!(refused(spec).await.message().contains("`such-login`"));
        assert!(refused(json!({"command": ""})).await.message().contains("`command`"));
    }

    #[tokio::test]
    async fn a_plugin_that_fails_is_quoted_without_its_secrets() {
        let error =
            refused(shell("echo one >&2; echo \"\u{1b}[2Jlog in first: $VAULT_TOKEN $0\" >&2; exit 3")).await;
        assert!(error.message().contains("exit code 3"), "{error}");
        let cause = error.cause().unwrap();
        assert!(
            cause.contains("log in first") && !cause.contains("CANARY") && !cause.contains('\u{1b}'),
            "{cause}"
        );
        let long = refused(shell("head -c 100000 /dev/zero | tr '\\0' x >&2; exit 1")).await;
        assert!(long.cause().unwrap().chars().count() <= TOLD);
    }

    #[tokio::test]
    async fn what_it_prints_is_in_no_error() {
        for script in [
            "echo CANARY-OUT",
            "echo '{\"kind\": \"ExecCredential\", \"status\": {\"token\": [\"CANARY-OUT\"]}}'",
            "echo '{\"status\": {\"clientKeyData\": \"CANARY-OUT\"}}'",
            "echo '{\"apiVersion\": \"v0\", \"status\": {\"token\": \"CANARY-OUT\"}}'",
            "echo CANARY-OUT; exit 1",
        ] {
            let error = refused(shell(script)).await;
            assert_eq!(error.code().id, "KVN310");
            assert!(!format!("{error} {error:?}").contains("CANARY"), "{script}: {error:?}");
        }
    }

    #[tokio::test]
    async fn it_is_run_once_while_what_it_gave_is_good() {
        let directory = tempfile::tempdir().unwrap();
        let runs = directory.path().join("runs");
        let script = |expires: &str| {
            format!("echo run >> {}; echo '{{\"status\": {{\"token\": \"t\"{expires}}}}}'", runs.display())
        };
        let count = || std::fs::read_to_string(&runs).unwrap_or_default().lines().count();
        let good = plugin(shell(&script(", \"expirationTimestamp\": \"2999-01-01T00:00:00Z\"")));
        for _ in 0..3 {
            assert_eq!(good.credential().await.unwrap().token.as_deref(), Some("t"));
        }
        assert_eq!(count(), 1);
        let ended = plugin(shell(&script(", \"expirationTimestamp\": \"2020-01-01T00:00:00Z\"")));
        for _ in 0..2 {
            let over = ended.credential().await.unwrap().over.unwrap();
            assert!(over.contains("expired at 2020-01-01T00:00:00Z"), "{over}");
        }
        assert_eq!(count(), 2, "a plugin that has nothing better is not asked again");
        let soon = Timestamp::try_from(std::time::SystemTime::now() + MARGIN / 2).unwrap();
        let soon = plugin(shell(&script(&format!(", \"expirationTimestamp\": \"{soon}\""))));
        for _ in 0..2 {
            assert_eq!(soon.credential().await.unwrap().over, None);
        }
        assert_eq!(count(), 4);
    }

    #[tokio::test]
    async fn it_is_told_about_the_cluster_when_it_wants_that() {
        let mut spec = shell(
            "case \"$KUBERNETES_EXEC_INFO\" in *https://h*) echo '{status: {token: t}}';; *) exit 4;; esac",
        );
        assert!(refused(spec.clone()).await.message().contains("exit code 4"));
        spec["provideClusterInfo"] = true.into();
        assert_eq!(plugin(spec).credential().await.unwrap().token.as_deref(), Some("t"));
    }
}
