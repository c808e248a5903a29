//! The administrator's kubeconfig in the user's home.

use async_trait::async_trait;
use camino::{Utf8Path, Utf8PathBuf};

use crate::cluster::kubeconfig::merge;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::on_node::refuse_unsafe;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::{Error, Result};
use crate::facts::gather::text;
use crate::host::{FileKind, Stat};
use crate::steps::kubeadm_init::ADMIN;

const ABOUT: About = About {
    id: "kubeconfig",
    title: "kubeconfig of the user",
    requires: &["kubeadm-init"],
    reach: Reach::Anywhere,
};

/// Copies it, or adds its context to the existing file.
pub struct Kubeconfig;

#[async_trait]
impl Step for Kubeconfig {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.cluster.kubeconfig.copy
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let (host, path) = (cx.host.as_ref(), path(cx));
        let existing = text(host, &path).await?;
        let Some(source) = text(host, &cx.profile.cluster.kubeconfig.source).await? else {
            return Ok(without_source(cx, &path, existing.is_some()));
        };
        let merged = merge(existing.as_deref().unwrap_or_default(), &source)
            .map_err(|error| error.at(path.as_str()))?;
        let mut findings = Findings::default();
        // A symlink's target decides, not the link.
        let is_open = |stat: Stat| stat.kind == FileKind::File && stat.mode & 0o077 != 0;
        if host.stat(&path).await?.is_some_and(is_open) {
            findings.warn(format!("{path} is readable by other users"));
        }
        if existing.as_ref() == Some(&merged.text) {
            return Ok(findings);
        }
        refuse_unsafe(host, &path).await.map_err(|reason| refusal(&reason))?;
        if existing.is_some() {
            findings.note(format!("context {} is added to the ones in {path}", merged.context));
        }
        let (before, after) = (existing, merged.text);
        findings.changes.push(Change::WriteFile { path, mode: 0o600, before, after, secret: true });
        Ok(findings)
    }
}

/// What is found while kubeadm has not written the original.
fn without_source(cx: &Context, path: &Utf8Path, exists: bool) -> Findings {
    let mut findings = Findings::default();
    let (source, creates) = (&cx.profile.cluster.kubeconfig.source, cx.profile.cluster.init.enabled);
    if creates && source == ADMIN {
        let verb = if exists { "change" } else { "create" };
        findings.foreseen.push(format!("{verb} file {path}"));
    } else if !creates {
        let field = "cluster.kubeconfig.source";
        let by = cx
            .profile
            .is_written(field)
            .then(|| format!(", and `{field}` names it: {}", cx.profile.place_of(field)));
        findings.warn(format!("{source} does not exist on the node{}", by.unwrap_or_default()));
    }
    findings
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
