//! The administrator's kubeconfig in the user's home.

use async_trait::async_trait;
use camino::Utf8PathBuf;

use crate::cluster::kubeconfig::merge;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::on_node::refuse_unsafe;
use crate::engine::step::{Findings, Reach, Step};
use crate::error::{Error, Result};
use crate::facts::gather::text;
use crate::host::FileKind;
use crate::steps::kubeadm_init::ADMIN;

/// Copies it, or adds its context to the existing file.
pub struct Kubeconfig;

/// The two files.
pub struct Observed {
    path: Utf8PathBuf,
    source: Option<String>,
    existing: Option<String>,
    /// Whether other users can read it; a symlink's target decides, not the link.
    is_open: bool,
    /// Why the file cannot be written, if so.
    unsafe_to_write: Option<Error>,
}

/// The content that the copy should have; none while kubeadm has not written the original.
pub struct Desired {
    text: Option<String>,
    context: String,
}

#[async_trait]
impl Step for Kubeconfig {
    type Observed = Observed;
    type Desired = Desired;

    const ID: &'static str = "kubeconfig";
    const TITLE: &'static str = "kubeconfig of the user";
    const REQUIRES: &'static [&'static str] = &["kubeadm-init"];
    const REACH: Reach = Reach::Anywhere;

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.cluster.kubeconfig.copy
    }

    async fn observe(&self, cx: &Context) -> Result<Observed> {
        let host = cx.host.as_ref();
        let path = path(cx);
        Ok(Observed {
            source: text(host, &cx.profile.cluster.kubeconfig.source).await?,
            existing: text(host, &path).await?,
            is_open: host
                .stat(&path)
                .await?
                .is_some_and(|stat| stat.kind == FileKind::File && stat.mode & 0o077 != 0),
            unsafe_to_write: refuse_unsafe(host, &path).await.err(),
            path,
        })
    }

    async fn desired(&self, _cx: &Context, observed: &Observed) -> Result<Desired> {
        let Some(source) = &observed.source else {
            return Ok(Desired { text: None, context: String::new() });
        };
        let merged = merge(observed.existing.as_deref().unwrap_or_default(), source)
            .map_err(|error| error.at(observed.path.as_str()))?;
        Ok(Desired { text: Some(merged.text), context: merged.context })
    }

    fn diff(&self, cx: &Context, observed: &Observed, desired: &Desired) -> Result<Findings> {
        let mut findings = Findings::default();
        let Some(text) = &desired.text else {
            let (source, creates) = (&cx.profile.cluster.kubeconfig.source, cx.profile.cluster.init.enabled);
            if creates && source == ADMIN {
                let verb = if observed.existing.is_some() { "change" } else { "create" };
                findings.foreseen.push(format!("{verb} file {}", observed.path));
            } else if !creates {
                let field = "cluster.kubeconfig.source";
                let by = cx
                    .profile
                    .is_written(field)
                    .then(|| format!(", and `{field}` names it: {}", cx.profile.place_of(field)));
                findings.warn(format!("{source} does not exist on the node{}", by.unwrap_or_default()));
            }
            return Ok(findings);
        };
        if observed.is_open {
            findings.warn(format!("{} is readable by other users", observed.path));
        }
        if observed.existing.as_ref() == Some(text) {
            return Ok(findings);
        }
        if let Some(reason) = &observed.unsafe_to_write {
            return Err(refusal(reason));
        }
        if observed.existing.is_some() {
            findings.note(format!("context {} is added to the ones in {}", desired.context, observed.path));
        }
        findings.changes.push(Change::WriteFile {
            path: observed.path.clone(),
            mode: 0o600,
            before: observed.existing.clone(),
            after: text.clone(),
            secret: true,
        });
        Ok(findings)
    }
}

/// The same error with what to do about it.
fn refusal(reason: &Error) -> Error {
    let place = reason.place().unwrap_or_default();
    Error::new(reason.code(), format!("the kubeconfig is not changed: {}", reason.message()))
        .at(place)
        .hint("name the file that it points to with `--set cluster.kubeconfig.path=FILE`")
        .hint("or leave it as it is with `--set cluster.kubeconfig.copy=false`")
}

fn path(cx: &Context) -> Utf8PathBuf {
    match cx.profile.cluster.kubeconfig.path.as_str() {
        "" => cx.facts.home.join(".kube/config"),
        path => path.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;
    use crate::profile::Profile;
    use crate::steps::testing::{find, lines};

    fn config(name: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: {name}\n\
             clusters:\n- name: {name}\n  cluster: {{server: 'https://{name}:6443'}}\n\
             users:\n- name: {name}\n  user: {{token: t}}\n\
             contexts:\n- name: {name}\n  context: {{cluster: {name}, user: {name}}}\n"
        )
    }

    #[tokio::test]
    async fn it_is_copied_to_a_home_without_one() {
        let host = FakeHost::new().file(ADMIN, &config("a"));
        let findings = find(Kubeconfig, host, Profile::default()).await.unwrap();
        assert_eq!(lines(&findings), ["create file /root/.kube/config"]);
        let Change::WriteFile { after, mode, secret, .. } = &findings.changes[0] else { panic!("no file") };
        assert_eq!((after.as_str(), *mode, *secret), (config("a").as_str(), 0o600, true));
    }

    #[tokio::test]
    async fn the_same_content_is_left_alone() {
        let host = FakeHost::new().file(ADMIN, &config("a")).file("/root/.kube/config", &config("a"));
        assert!(find(Kubeconfig, host, Profile::default()).await.unwrap().changes.is_empty());
    }

    #[tokio::test]
    async fn another_cluster_stays_and_stays_current() {
        let host = FakeHost::new().file(ADMIN, &config("a")).file("/root/.kube/config", &config("b"));
        let findings = find(Kubeconfig, host, Profile::default()).await.unwrap();
        let Change::WriteFile { after, .. } = &findings.changes[0] else { panic!("no file") };
        for part in ["current-context: b", "https://a:6443", "https://b:6443"] {
            assert!(after.contains(part), "{after}");
        }
    }

    #[tokio::test]
    async fn a_link_is_refused_in_the_plan_unless_nothing_is_to_change() {
        let link =
            |content: &str| FakeHost::new().file(ADMIN, &config("a")).link("/root/.kube/config", content);
        let error = find(Kubeconfig, link(&config("b")), Profile::default()).await.unwrap_err();
        assert_eq!(error.code().id, "KVN207");
        assert!(error.hints().iter().any(|hint| hint.contains("cluster.kubeconfig.copy=false")), "{error:?}");
        assert_eq!(
            find(Kubeconfig, link(&config("a")), Profile::default()).await.unwrap(),
            Findings::default()
        );
    }

    #[tokio::test]
    async fn others_can_read_is_about_the_file_and_not_about_a_link() {
        let host = || FakeHost::new().file(ADMIN, &config("a"));
        let open = host().file("/root/.kube/config", &config("a"));
        let findings = find(Kubeconfig, open, Profile::default()).await.unwrap();
        assert!(findings.notes[0].text.contains("readable by other users"), "{findings:?}");
        let link = host().link("/root/.kube/config", &config("a"));
        assert!(find(Kubeconfig, link, Profile::default()).await.unwrap().notes.is_empty());
    }

    #[tokio::test]
    async fn before_kubeadm_there_is_nothing_to_copy_and_that_there_will_be_is_known() {
        let mut profile = Profile::default();
        profile.cluster.init.enabled = true;
        let found = find(Kubeconfig, FakeHost::new(), profile.clone()).await.unwrap();
        assert_eq!(
            (found.changes, found.foreseen),
            (Vec::new(), vec!["create file /root/.kube/config".to_owned()])
        );
        profile.cluster.kubeconfig.source = "/elsewhere".into();
        assert_eq!(find(Kubeconfig, FakeHost::new(), profile).await.unwrap(), Findings::default());
    }
}
