//! Which kubeconfig, as kubectl would choose it, and which context of it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use camino::Utf8PathBuf;
use kube::config::{AuthInfo, Cluster, Kubeconfig, NamedContext};

use super::client::ConnectOptions;
use super::place::{Place, bare_address};
use crate::error::{Error, Result, code};

use crate::host::small;
use crate::terminal::{clean, cut};

/// A context with its cluster and user.
pub(super) struct Chosen {
    /// The files that were read, for people.
    pub origin: String,
    pub context: String,
    pub cluster: Cluster,
    /// Empty when the kubeconfig has no such user: kubectl accepts that too.
    pub user: AuthInfo,
    /// The files that other users can write to, and why.
    pub open: Vec<(PathBuf, String)>,
}

/// The kubeconfig that is used.
pub(super) struct Found {
    pub kubeconfig: Kubeconfig,
    /// The files that were read, for people.
    pub origin: String,
    /// Each file with the contexts that it has.
    files: Vec<(PathBuf, Vec<String>)>,
    /// The files that other users can write to, and why.
    open: Vec<(PathBuf, String)>,
}

impl Found {
    /// That of `--kubeconfig`, else of `$KUBECONFIG`, else `~/.kube/config`, else the fallback.
    pub fn look(options: &ConnectOptions) -> Result<Self> {
        if let Some(path) = &options.kubeconfig {
            return Self::read(path.as_std_path());
        }
        if let Some(list) = std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
            return Self::merged(&named(&list)?);
        }
        Self::first(&default_paths(options))
    }

    pub fn read(path: &Path) -> Result<Self> {
        let (kubeconfig, open) = read(path)?;
        let origin = path.display().to_string();
        let files = vec![(path.to_owned(), contexts_of(&kubeconfig))];
        let open = open.map(|why| (path.to_owned(), why)).into_iter().collect();
        Ok(Self { kubeconfig, origin, files, open })
    }

    /// The files of `KUBECONFIG`, merged; like kubectl, files that do not exist are skipped.
    fn merged(paths: &[PathBuf]) -> Result<Self> {
        let origin = format!("{} (from KUBECONFIG)", list_of(paths, ":"));
        // One that may not even be stat'ed is not a missing one.
        let existing = paths.iter().filter(|path| path.try_exists().unwrap_or(true));
        let read = existing.map(|path| Self::read(path)).collect::<Result<Vec<_>>>()?;
        if read.is_empty() {
            let error = Error::new(&code::CLUSTER_CONFIG, format!("no such file: {origin}"));
            return Err(error.hint(OTHER_FILE));
        }
        let mut merged =
            Self { kubeconfig: Kubeconfig::default(), origin, files: Vec::new(), open: Vec::new() };
        for mut next in read {
            // A file that has an empty one has none: the next file decides.
            next.kubeconfig.current_context.take_if(|name| name.is_empty());
            let together = std::mem::take(&mut merged.kubeconfig).merge(next.kubeconfig);
            merged.kubeconfig = together.map_err(|error| unusable(&merged.origin).because(cause(&error)))?;
            merged.files.extend(next.files);
            merged.open.extend(next.open);
        }
        Ok(merged)
    }

    /// The first file with at least one context.
    fn first(paths: &[PathBuf]) -> Result<Self> {
        let mut tried = Vec::new();
        for path in paths {
            if !path.exists() {
                tried.push(format!("{} (not found)", path.display()));
                continue;
            }
            let found = Self::read(path)?;
            if !found.kubeconfig.contexts.is_empty() {
                return Ok(found);
            }
            tried.push(format!("{} ({})", path.display(), found.lack()));
        }
        Err(Error::new(&code::CLUSTER_CONFIG, "no kubeconfig with a cluster was found")
            .because(format!("tried {}", tried.join(", "))))
    }

    /// The requested context, else the current one.
    pub fn context(&self, wanted: Option<&str>) -> Result<&NamedContext> {
        let origin = &self.origin;
        let failed =
            |what: &str| Error::new(&code::CLUSTER_CONFIG, format!("kubeconfig {origin} has no {what}"));
        let contexts = contexts_of(&self.kubeconfig).join(", ");
        if contexts.is_empty() {
            return Err(failed("context").because(self.lack()).hint(OTHER_FILE));
        }
        let current = self.kubeconfig.current_context.as_deref().filter(|name| !name.is_empty());
        let Some(name) = wanted.or(current) else {
            return Err(failed("current context").hint(format!("choose one with `--context`: {contexts}")));
        };
        let context = self.kubeconfig.contexts.iter().find(|context| context.name == name);
        context.ok_or_else(|| failed(&format!("context `{name}`")).hint(format!("it has: {contexts}")))
    }

    /// Why there is no context.
    fn lack(&self) -> &'static str {
        let Kubeconfig { clusters, auth_infos, .. } = &self.kubeconfig;
        if clusters.is_empty() && auth_infos.is_empty() { "it is empty" } else { "it has no contexts" }
    }

    /// The cluster and user of a context.
    pub fn choose(&self, context: &NamedContext) -> Result<Chosen> {
        let missing = |what: String| unusable(&self.origin).because(what);
        let name = &context.name;
        let stands = context.context.as_ref();
        let stands = stands.ok_or_else(|| missing(format!("its context `{name}` is empty")))?;
        let named = self.kubeconfig.clusters.iter().find(|named| named.name == stands.cluster);
        let cluster = named.and_then(|named| named.cluster.clone());
        let cluster = cluster.ok_or_else(|| missing(format!("it has no cluster `{}`", stands.cluster)))?;
        let user = self.kubeconfig.auth_infos.iter().find(|named| Some(&named.name) == stands.user.as_ref());
        let user = user.and_then(|named| named.auth_info.clone()).unwrap_or_default();
        let (origin, open) = (self.origin.clone(), self.open.clone());
        Ok(Chosen { origin, context: name.clone(), cluster, user, open })
    }

    /// The context's cluster, for people.
    pub fn place(&self, context: &NamedContext, server: &str) -> Place {
        let file = self.files.iter().find(|(_, contexts)| contexts.contains(&context.name));
        Place {
            server: bare_address(server),
            context: Some(context.name.clone()),
            user: context.context.as_ref().and_then(|context| context.user.clone()),
            file: file.and_then(|(path, _)| Utf8PathBuf::from_path_buf(path.clone()).ok()),
        }
    }
}

/// What to do about a kubeconfig without a usable context.
const OTHER_FILE: &str = "pass the cluster's with `--kubeconfig FILE`: on a control plane it is /etc/kubernetes/admin.conf; without KUBECONFIG, ~/.kube/config is used";

/// The files of a list in `KUBECONFIG`. One of only separators names none: kubectl does not fall back to ~/.kube/config
/// then, and kvnet works on the same cluster as kubectl.
fn named(list: &OsStr) -> Result<Vec<PathBuf>> {
    let paths: Vec<PathBuf> = std::env::split_paths(list).collect();
    if paths.iter().any(|path| !path.to_string_lossy().trim().is_empty()) {
        return Ok(paths);
    }
    let error = Error::new(&code::CLUSTER_CONFIG, "KUBECONFIG names no file");
    let why = format!("it is `{}`", list.to_string_lossy().escape_debug());
    Err(error.because(why).hint("unset it to use ~/.kube/config, or set it to the cluster's kubeconfig"))
}

fn default_paths(options: &ConnectOptions) -> Vec<PathBuf> {
    let home = std::env::home_dir().map(|home| home.join(".kube/config"));
    home.into_iter().chain(options.fallback.iter().map(|path| path.clone().into_std_path_buf())).collect()
}

/// The kubeconfig, and why other users can write to it if they can. Paths in it are relative to the directory that it
/// is in.
fn read(path: &Path) -> Result<(Kubeconfig, Option<String>)> {
    let unusable = || unusable(&path.display().to_string());
    let file = small::read(path).map_err(|error| unusable().because(error))?;
    let text = decoded(&file.content).ok_or_else(|| unusable().because("it is not text"))?;
    let mut kubeconfig = Kubeconfig::from_yaml(&text).map_err(|error| unusable().because(cause(&error)))?;
    let other = |said: &Option<String>, wanted: &str| {
        said.clone().filter(|said| !said.is_empty() && said != wanted).map(|said| cut(&clean(&said), 60))
    };
    if let Some(kind) = other(&kubeconfig.kind, "Config") {
        return Err(unusable().because(format!("it is not a kubeconfig: its `kind` is {kind}, not Config")));
    }
    if let Some(version) = other(&kubeconfig.api_version, "v1") {
        return Err(unusable().because(format!("its `apiVersion` is {version}, not v1")));
    }
    let directory = path.parent().unwrap_or(Path::new(""));
    let absolute = |file: &mut Option<String>| {
        if let Some(file) = file.as_mut().filter(|file| !file.is_empty()) {
            *file = directory.join(&*file).to_string_lossy().into_owned();
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|named| named.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    for user in kubeconfig.auth_infos.iter_mut().filter_map(|named| named.auth_info.as_mut()) {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
        // A name without a slash is looked for on PATH.
        if let Some(exec) =
            user.exec.as_mut().filter(|exec| exec.command.iter().any(|name| name.contains('/')))
        {
            absolute(&mut exec.command);
        }
    }
    Ok((kubeconfig, file.open_to))
}

/// The text, without the byte order mark that Windows editors write.
fn decoded(content: &[u8]) -> Option<String> {
    let wide = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect();
        String::from_utf16(&units).ok()
    };
    match content {
        [0xff, 0xfe, rest @ ..] => wide(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => wide(rest, u16::from_be_bytes),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(content.to_vec()).ok(),
    }
}

fn contexts_of(kubeconfig: &Kubeconfig) -> Vec<String> {
    kubeconfig.contexts.iter().map(|context| context.name.clone()).collect()
}

pub(super) fn unusable(origin: &str) -> Error {
    Error::new(&code::CLUSTER_CONFIG, format!("kubeconfig {origin} cannot be used"))
}

/// The reason without the source text around it, which could contain a key.
pub(super) fn cause(error: &kube::config::KubeconfigError) -> String {
    use kube::config::KubeconfigError as E;
    match error {
        E::Parse(_) => "it is not valid YAML of a kubeconfig".to_owned(),
        other => other.to_string(),
    }
}

fn list_of(paths: &[PathBuf], separator: &str) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(separator)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kubeconfig(context: &str, current: &str, server: &str) -> String {
        format!(
            "apiVersion: v1\nkind: Config\n{current}clusters:\n- name: {context}-cluster\n  cluster: {{server: '{server}'}}\ncontexts:\n- name: {context}\n  context: {{cluster: {context}-cluster, user: {context}-user}}\nusers:\n- name: {context}-user\n  user: {{token: s3cret}}\n"
        )
    }

    fn files(texts: &[&str]) -> (tempfile::TempDir, Vec<PathBuf>) {
        let directory = tempfile::tempdir().unwrap();
        let write = |(number, text): (usize, &&str)| {
            let path = directory.path().join(format!("config{number}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let paths = texts.iter().enumerate().map(write).collect();
        (directory, paths)
    }

    #[test]
    fn the_first_file_of_a_list_that_has_a_current_context_decides() {
        let second = kubeconfig("prod", "current-context: prod\n", "https://h:1");
        for first in [
            String::new(),
            "---\n".to_owned(),
            "apiVersion: v1\nkind: Config\n".to_owned(),
            kubeconfig("home", "", "https://h:2"),
            kubeconfig("home", "current-context: ''\n", "https://h:2"),
            kubeconfig("home", "current-context:\n", "https://h:2"),
        ] {
            let (_directory, mut paths) = files(&[&first, &second]);
            paths.insert(1, "/nonexistent/config".into());
            let found = Found::merged(&paths).unwrap();
            let context = found.context(None).unwrap();
            let place = found.place(context, "https://h:1/");
            assert_eq!((context.name.as_str(), place.user.as_deref()), ("prod", Some("prod-user")));
            assert_eq!(place.file.unwrap(), paths[2], "after {first:?}");
        }
    }

    #[test]
    fn the_first_file_of_a_list_wins_where_both_have_a_name() {
        let (_directory, paths) = files(&[
            &kubeconfig("prod", "", "https://h:1"),
            &kubeconfig("prod", "current-context: prod\n", "https://h:2"),
        ]);
        let found = Found::merged(&paths).unwrap();
        let place = found.place(found.context(None).unwrap(), "https://h:1");
        assert_eq!(place.file.unwrap(), paths[0]);
        assert_eq!(found.kubeconfig.clusters.len(), 1);
    }

    #[test]
    fn one_of_a_list_that_cannot_be_used_is_named_and_an_empty_entry_is_none() {
        let good = kubeconfig("prod", "current-context: prod\n", "https://h:1");
        for wrong in ["clusters: [", "\u{0}", "kind: Config\nclusters: 7\n"] {
            let (_directory, paths) = files(&[&good, wrong, &good]);
            let error = Found::merged(&paths).err().unwrap();
            let says = format!("kubeconfig {} cannot be used", paths[1].display());
            assert!(
                error.code().id == "KVN300" && error.to_string().starts_with(&says),
                "{wrong:?}: {error}"
            );
        }
        let (directory, mut paths) = files(&[&good]);
        paths.insert(0, PathBuf::new());
        assert_eq!(Found::merged(&paths).unwrap().context(None).unwrap().name, "prod");
        paths.insert(1, directory.path().to_owned());
        assert!(Found::merged(&paths).err().unwrap().to_string().contains("directory"));
    }

    #[test]
    fn what_is_missing_is_named() {
        let (_directory, paths) = files(&[&kubeconfig("prod", "", "https://h:1")]);
        let found = Found::merged(&paths).unwrap();
        let error = found.context(None).unwrap_err();
        assert_eq!(error.hints(), ["choose one with `--context`: prod"]);
        let error = found.context(Some("other")).unwrap_err();
        assert_eq!((error.code().id, error.hints()), ("KVN300", vec!["it has: prod"]));
        assert!(Found::merged(&["/nonexistent/config".into()]).is_err());
    }

    /// As kubectl 1.32 does: with such a list it has no cluster, whatever is in ~/.kube/config.
    #[test]
    fn a_list_without_a_file_is_no_unset_variable() {
        for list in [":", "::", " ", " : "] {
            let error = named(OsStr::new(list)).unwrap_err();
            assert_eq!(
                (error.code().id, error.message()),
                ("KVN300", "KUBECONFIG names no file"),
                "{list:?}"
            );
            assert!(
                error.cause().unwrap().contains(list) && error.hints()[0].contains("unset it"),
                "{error:?}"
            );
        }
        assert_eq!(named(OsStr::new(":a::b")).unwrap(), ["", "a", "", "b"].map(PathBuf::from));
    }

    #[test]
    fn a_kubeconfig_without_a_context_says_what_it_lacks_and_what_to_do() {
        let cluster = "clusters: [{name: c, cluster: {server: 'https://h:1'}}]\ncurrent-context: x\n";
        for (text, says) in [
            ("", "it is empty"),
            ("{}", "it is empty"),
            ("apiVersion: v1\nkind: Config\n", "it is empty"),
            (cluster, "it has no contexts"),
        ] {
            let (_directory, paths) = files(&[text]);
            let found = Found::read(&paths[0]).unwrap();
            for wanted in [None, Some("x")] {
                let error = found.context(wanted).unwrap_err();
                assert_eq!((error.code().id, error.cause()), ("KVN300", Some(says)), "{text:?}");
                assert!(error.message().ends_with("has no context"), "{error}");
                assert!(error.hints()[0].contains("--kubeconfig FILE"), "{error:?}");
            }
            let error = Found::first(&[paths[0].clone(), "/nonexistent/config".into()]).err().unwrap();
            let cause = error.cause().unwrap();
            assert!(cause.contains(&format!("({says})")) && cause.ends_with("(not found)"), "{cause}");
        }
    }
}
