//! Multus must be the first CNI configuration: the runtime uses the first and ignores the rest.

use std::collections::BTreeMap;

use async_trait::async_trait;
use camino::Utf8Path;

use crate::cluster::Condition;
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::{Error, Result, code};
use crate::facts::gather::text;
use crate::formats::cni::{CniConf, is_configuration, order};
use crate::profile::{MultusFlavour, Profile};

/// The extension of a file that was first and should not be; the runtime ignores it.
const ASIDE: &str = "kvnet-saved";
/// The extension that Cilium gives the files that it disables.
const CILIUM: &str = ".cilium_bak";

const ABOUT: About =
    About { id: "cni-order", title: "CNI configuration order", requires: &["multus"], reach: Reach::Node };

/// Puts Multus first. Other files are moved aside, never deleted; the directory is never removed.
pub struct CniOrder;

/// The directory.
struct Observed {
    names: Vec<String>,
    /// The configurations by name, in the runtime's order; none for a file that cannot be parsed.
    files: BTreeMap<String, Option<CniConf>>,
}

#[async_trait]
impl Step for CniOrder {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.multus.enabled
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let observed = Observed::read(cx).await?;
        let (directory, wanted) = (&cx.facts.cni_conf_dir, cx.profile.multus.conf_file.as_str());
        refuse_circle(&observed, directory)?;
        refuse_late_name(&cx.profile, wanted)?;
        let mut findings = Findings::default();
        for name in observed.names.iter().filter(|name| name.ends_with(CILIUM)) {
            findings.warn(format!("Cilium disabled {name}: set `cni.exclusive: false` in its configuration"));
        }
        let written = written_name(&cx.profile, &observed);
        let multus = observed.multus().unwrap_or(written);
        if observed.multus().is_none() {
            findings.changes.push(wait(&directory.join(written), cx.profile.timeouts.ready));
        }
        let first = observed.place(multus, wanted);
        for name in observed.before(&first) {
            findings.changes.push(set_aside(name, directory, &observed.names));
        }
        if first != multus {
            findings.changes.push(moved(multus, &first, directory));
        }
        tell(&first, multus, &observed, &mut findings);
        Ok(findings)
    }

    async fn verify(&self, cx: &Context) -> Result<()> {
        let observed = Observed::read(cx).await?;
        refuse_circle(&observed, &cx.facts.cni_conf_dir)?;
        let winner = order(&observed.names).winner.unwrap_or_default();
        if observed.multus() == Some(winner.as_str()) {
            return Ok(());
        }
        let message = format!("the runtime uses `{winner}`, not Multus' configuration");
        Err(Error::new(&code::CNI_ORDER, message).at(cx.facts.cni_conf_dir.as_str()))
    }
}

impl Observed {
    async fn read(cx: &Context) -> Result<Self> {
        let (host, directory) = (cx.host.as_ref(), &cx.facts.cni_conf_dir);
        let names = host.list(directory).await?.unwrap_or_default();
        let mut files = BTreeMap::new();
        for name in names.iter().filter(|name| is_configuration(name)) {
            let content = text(host, directory.join(name)).await?.unwrap_or_default();
            // Created but still empty: its writer is not done.
            if content.trim().is_empty() {
                continue;
            }
            files.insert(name.clone(), CniConf::parse(&content));
        }
        Ok(Self { names, files })
    }

    /// Multus' own file, the first if there are several.
    fn multus(&self) -> Option<&str> {
        let is_multus = |conf: &Option<CniConf>| conf.as_ref().is_some_and(CniConf::is_multus);
        self.files.iter().find(|(_, conf)| is_multus(conf)).map(|(name, _)| name.as_str())
    }

    /// The name that Multus' file should have: its own when only intruders sort before the wanted one.
    fn place(&self, multus: &str, wanted: &str) -> String {
        let late = multus > wanted;
        let shadowed =
            self.files.keys().any(|name| name.as_str() < multus) || !self.files.contains_key(multus);
        let free = !self.names.iter().any(|name| name == wanted);
        if late && shadowed && free { wanted.to_owned() } else { multus.to_owned() }
    }

    /// The files that the runtime reads before `first`.
    fn before<'a>(&'a self, first: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().map(String::as_str).take_while(move |name| *name < first)
    }
}

/// What Multus calls the file that it writes: the manifest of 2018 copies a fixed file, and thin Multus takes a list
/// when its master's configuration is of CNI 1.0.0 or newer.
fn written_name(profile: &Profile, observed: &Observed) -> &'static str {
    let version = profile.multus.version.strip_prefix('v').unwrap_or_default();
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if major.is_none_or(|major| major < 4) {
        return "70-multus.conf";
    }
    let master = observed.files.get(master_name(profile)).and_then(Option::as_ref);
    let version = master.and_then(|conf| conf.version.as_deref()).unwrap_or("0");
    let is_list = profile.multus.flavour == MultusFlavour::Thin && !version.starts_with('0');
    if is_list { "00-multus.conflist" } else { "00-multus.conf" }
}

fn master_name(profile: &Profile) -> &str {
    match profile.multus.master_cni.as_str() {
        "" => &profile.flannel.conf_file,
        name => name,
    }
}

/// Multus keeps reading its master's file: that one can neither be first nor be moved.
fn refuse_late_name(profile: &Profile, first: &str) -> Result<()> {
    let master = master_name(profile);
    if first < master {
        return Ok(());
    }
    let message = format!("`multus.confFile` is `{first}`, which sorts after its master's file `{master}`");
    Err(Error::new(&code::PROFILE_VALUE, message).hint("choose a name that starts with 00"))
}

fn refuse_circle(observed: &Observed, directory: &Utf8Path) -> Result<()> {
    let calls_itself = |conf: &Option<CniConf>| conf.as_ref().is_some_and(CniConf::calls_itself);
    let Some((name, _)) = observed.files.iter().find(|(_, conf)| calls_itself(conf)) else {
        return Ok(());
    };
    let path = directory.join(name);
    let error = Error::new(&code::MULTUS_CONFIG, "Multus delegates to itself and forks endlessly");
    Err(error
        .at(path.as_str())
        .hint(format!("move {path} aside and restart the Multus pod; use Multus v4.1.0 or newer")))
}

fn wait(path: &Utf8Path, timeout: u64) -> Change {
    let condition = Condition::File { path: path.to_owned() };
    Change::Wait { condition, timeout, now: "Multus has not written it".into() }
}

fn moved(from: &str, to: &str, directory: &Utf8Path) -> Change {
    Change::MoveFile { from: directory.join(from), to: directory.join(to) }
}

fn set_aside(name: &str, directory: &Utf8Path, names: &[String]) -> Change {
    let free = |name: &String| !names.contains(name);
    let numbered = (2..100).map(|number| format!("{name}.{number}.{ASIDE}"));
    let aside = std::iter::once(format!("{name}.{ASIDE}")).chain(numbered).find(free);
    moved(name, &aside.unwrap_or_else(|| format!("{name}.{ASIDE}")), directory)
}

fn tell(first: &str, multus: &str, observed: &Observed, findings: &mut Findings) {
    let name = |name: &&str| *name != multus && *name > first;
    let others: Vec<&str> = observed.files.keys().map(String::as_str).filter(name).collect();
    let aside: Vec<&str> = observed.before(first).collect();
    if others.is_empty() {
        findings.note(format!("{first} sorts first, so the runtime uses it"));
    } else {
        findings.note(format!("{first} wins over {}", others.join(", ")));
    }
    if !aside.is_empty() {
        findings.warn(format!("renamed, because it sorts before Multus: {}", aside.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::fake::FakeHost;
    use crate::steps::testing::{find, lines};

    const MULTUS: &str = r#"{"name":"m","type":"multus-shim","delegates":[{"type":"flannel"}]}"#;
    const FLANNEL: &str = r#"{"name":"cbr0","cniVersion":"1.0.0","plugins":[{"type":"flannel"}]}"#;

    fn node(files: &[(&str, &str)]) -> FakeHost {
        files.iter().fold(FakeHost::new(), |host, (name, content)| {
            host.file(&format!("/etc/cni/net.d/{name}"), content)
        })
    }

    async fn found(files: &[(&str, &str)], version: &str) -> Findings {
        let mut profile = Profile::default();
        profile.multus.version = version.into();
        find(CniOrder, node(files), profile).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_that_is_being_written_is_waited_for() {
        let findings = found(&[("00-multus.conf", ""), ("10-flannel.conflist", FLANNEL)], "v4.3.0").await;
        assert_eq!(
            lines(&findings),
            ["wait for file /etc/cni/net.d/00-multus.conf to exist (now: Multus has not written it)"]
        );
    }

    #[tokio::test]
    async fn multus_first_is_left_alone() {
        let findings = found(&[("00-multus.conf", MULTUS), ("10-flannel.conflist", FLANNEL)], "v4.3.0").await;
        assert!(findings.changes.is_empty());
        assert_eq!(findings.notes[0].text, "00-multus.conf wins over 10-flannel.conflist");
    }

    #[tokio::test]
    async fn a_fresh_node_waits_for_the_file_that_this_multus_writes() {
        let wait = "wait for file /etc/cni/net.d/00-multus.conf to exist (now: Multus has not written it)";
        assert_eq!(lines(&found(&[], "v4.3.0").await), [wait]);
        let wait = "wait for file /etc/cni/net.d/70-multus.conf to exist (now: Multus has not written it)";
        let moved = "move /etc/cni/net.d/70-multus.conf to /etc/cni/net.d/00-multus.conf";
        assert_eq!(lines(&found(&[], "v3.1").await), [wait, moved]);
    }

    #[tokio::test]
    async fn thin_multus_writes_a_list_for_a_new_master() {
        let mut profile = Profile::default();
        profile.multus.flavour = MultusFlavour::Thin;
        let findings = find(CniOrder, node(&[("10-flannel.conflist", FLANNEL)]), profile).await.unwrap();
        assert!(lines(&findings)[0].contains("00-multus.conflist"));
    }

    #[tokio::test]
    async fn the_file_of_2018_is_moved_to_the_front() {
        let findings = found(&[("10-flannel.conflist", FLANNEL), ("70-multus.conf", MULTUS)], "v3.1").await;
        assert_eq!(lines(&findings), ["move /etc/cni/net.d/70-multus.conf to /etc/cni/net.d/00-multus.conf"]);
    }

    #[tokio::test]
    async fn an_intruder_is_kept_under_another_name() {
        let files =
            [("00-aaa.conflist", FLANNEL), ("00-aaa.conflist.kvnet-saved", ""), ("00-multus.conf", MULTUS)];
        let findings = found(&files, "v4.3.0").await;
        let moved = "move /etc/cni/net.d/00-aaa.conflist to /etc/cni/net.d/00-aaa.conflist.2.kvnet-saved";
        assert_eq!(lines(&findings), [moved]);
        assert!(findings.notes.iter().any(|note| note.warning));
    }

    #[tokio::test]
    async fn multus_that_calls_itself_is_an_error() {
        let own = r#"{"name":"m","type":"multus","delegates":[{"type":"multus"}]}"#;
        let error = find(CniOrder, node(&[("00-multus.conf", own)]), Profile::default()).await.unwrap_err();
        assert_eq!(
            (error.code(), error.place()),
            (&code::MULTUS_CONFIG, Some("/etc/cni/net.d/00-multus.conf"))
        );
    }

    #[tokio::test]
    async fn cilium_is_told_apart() {
        let findings =
            found(&[("00-multus.conf.cilium_bak", MULTUS), ("05-cilium.conf", FLANNEL)], "v4.3.0").await;
        assert!(findings.notes[0].warning && findings.notes[0].text.starts_with("Cilium disabled"));
    }
}
