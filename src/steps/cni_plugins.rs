//! The reference CNI plugins that the networks call; no component ships them.

use std::collections::BTreeSet;

use async_trait::async_trait;
use camino::Utf8PathBuf;
use serde_json::Value;

use crate::components::{flannel::brings_plugin, installs};
use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::on_node::packages::announced;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::{Error, Result, code};
use crate::facts::gather::exists;
use crate::facts::packages::PackageManager;
use crate::formats::cni::{all_types, is_foreign, where_from};

const ABOUT: About = About { id: "cni-plugins", title: "CNI plugins", requires: &[], reach: Reach::Node };

/// Installs the distribution's plugins when that helps.
pub struct CniPlugins;

#[async_trait]
impl Step for CniPlugins {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, _cx: &Context) -> bool {
        true
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        let missing = missing(cx).await?;
        if missing.is_empty() {
            return Ok(Findings::default());
        }
        let Some((manager, package)) = package(cx, &missing) else {
            return Err(absent(&missing, &cx.facts.cni_bin_dirs));
        };
        Ok(Findings::of(vec![Change::InstallPackage {
            manager,
            package: package.to_owned(),
            with: announced(cx.host.as_ref(), manager, package).await?,
            timeout: cx.profile.timeouts.package,
        }]))
    }

    async fn verify(&self, cx: &Context) -> Result<()> {
        let missing = missing(cx).await?;
        if missing.is_empty() { Ok(()) } else { Err(absent(&missing, &cx.facts.cni_bin_dirs)) }
    }
}

/// The plugins that are called but missing from the runtime's directories.
async fn missing(cx: &Context) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for plugin in wanted(cx) {
        let mut found = false;
        for directory in &cx.facts.cni_bin_dirs {
            found = found || exists(cx.host.as_ref(), directory.join(&plugin)).await?;
        }
        if !found {
            missing.push(plugin);
        }
    }
    Ok(missing)
}

/// The distribution's package, if it has all of them and puts them where the runtime looks: another would change the node for
/// nothing.
fn package(cx: &Context, missing: &[String]) -> Option<(PackageManager, &'static str)> {
    let manager = cx.facts.packages?;
    let (package, directory) = manager.cni_plugins()?;
    // No package of today has flannel's.
    let has_all = !missing.iter().any(|plugin| plugin == FLANNEL);
    let fits = cx.facts.cni_bin_dirs.iter().any(|path| path == directory);
    (!missing.is_empty() && has_all && fits).then_some((manager, package))
}

/// The plugins that will be called: networks that the run skips call none.
fn wanted(cx: &Context) -> BTreeSet<String> {
    let profile = &cx.profile;
    let mut wanted = BTreeSet::from(["loopback".to_owned()]);
    if profile.flannel.enabled {
        wanted.extend(["bridge", "host-local", "portmap"].map(String::from));
    }
    let unbrought = profile.flannel.enabled && !brings_plugin(profile);
    let has_networks = !cx.skipped.iter().any(|step| step == "networks");
    for network in profile.networks.iter().filter(|_| has_networks) {
        wanted.extend(all_types(&Value::Object(network.cni_config(""))));
    }
    wanted.retain(|plugin| !installs(profile, plugin));
    wanted.extend(unbrought.then(|| FLANNEL.to_owned()));
    wanted
}

/// The releases before 1.0 have it, those of today do not.
const FLANNEL: &str = "flannel";

fn absent(missing: &[String], directories: &[Utf8PathBuf]) -> Error {
    let directories: Vec<&str> = directories.iter().map(|directory| directory.as_str()).collect();
    let directories = directories.join(" and ");
    let names = missing.join(", ");
    let error = Error::new(&code::CNI_PLUGIN_MISSING, format!("CNI plugins are missing: {names}"))
        .at(directories.clone());
    // Missing only where flannel's pods do not install it.
    let (flannel, others): (Vec<String>, Vec<String>) =
        missing.iter().cloned().partition(|plugin| plugin == FLANNEL);
    let mut hints = where_from(&others, &directories);
    if !flannel.is_empty() {
        hints.push(format!(
            "put `flannel` into {directories}: from a release of https://github.com/containernetworking/plugins before 1.0 or \
             of https://github.com/flannel-io/cni-plugin; or set `flannel.cniPluginImage` to an image that has it"
        ));
    }
    if missing.iter().any(|kind| is_foreign(kind)) {
        hints.push(
            "if pods install it, first run `kvnet up --skip networks,vm,verification`: it sets up the network that they need"
                .into(),
        );
    }
    hints.into_iter().fold(error, Error::hint)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::host::fake::FakeHost;
    use crate::profile::{Network, NetworkKind, Profile};
    use crate::steps::testing::{context, debian, find, lines};

    fn node(directory: &str, plugins: &[&str]) -> FakeHost {
        plugins.iter().fold(FakeHost::new(), |host, name| host.file(&format!("{directory}/{name}"), ""))
    }

    #[tokio::test]
    async fn a_node_with_the_usual_plugins_is_left_alone() {
        let host = node("/opt/cni/bin", &["bridge", "host-local", "portmap", "loopback"]);
        assert_eq!(find(CniPlugins, host, Profile::default()).await.unwrap(), Findings::default());
    }

    #[test]
    fn a_plugin_that_no_release_has_is_not_looked_for_in_one() {
        let hints = |missing: &[&str]| {
            let missing: Vec<String> = missing.iter().map(ToString::to_string).collect();
            absent(&missing, &["/opt/cni/bin".into()]).hints().join("; ")
        };
        let foreign = hints(&["whereabouts"]);
        assert!(foreign.contains("has whereabouts") && !foreign.contains("unpack"), "{foreign}");
        let usual = hints(&["macvlan"]);
        assert!(usual.contains("unpack") && !usual.contains("no release"), "{usual}");
        assert!(hints(&["macvlan", "whereabouts"]).contains("has whereabouts:"));
    }

    #[tokio::test]
    async fn missing_plugins_are_named_with_the_directory() {
        let error =
            find(CniPlugins, node("/opt/cni/bin", &["bridge"]), Profile::default()).await.unwrap_err();
        assert_eq!(error.to_string(), "/opt/cni/bin: CNI plugins are missing: host-local, loopback, portmap");
    }

    #[tokio::test]
    async fn the_package_is_installed_where_the_runtime_looks_into_its_directory() {
        let mut facts = debian();
        facts.cni_bin_dirs = vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()];
        let cx = context(&Arc::new(FakeHost::new()), Profile::default(), facts);
        let findings = Step::find(&CniPlugins, &cx).await.unwrap();
        assert_eq!(lines(&findings), ["install package containernetworking-plugins with apt"]);
    }

    #[tokio::test]
    async fn a_flannel_that_does_not_bring_its_plugin_needs_it_on_the_node() {
        let mut profile = Profile::default();
        profile.flannel.cni_plugin_image.clear();
        let usual = ["bridge", "host-local", "portmap", "loopback"];
        let mut facts = debian();
        facts.cni_bin_dirs = vec!["/opt/cni/bin".into(), "/usr/lib/cni".into()];
        let cx = context(&Arc::new(node("/opt/cni/bin", &usual)), profile.clone(), facts);
        // The package would not bring it either.
        let error = Step::find(&CniPlugins, &cx).await.unwrap_err();
        assert!(error.message().ends_with("missing: flannel"), "{error}");
        assert!(error.hints().join("; ").contains("flannel.cniPluginImage"), "{error}");
        let all = [&usual[..], &["flannel"]].concat();
        let found = find(CniPlugins, node("/opt/cni/bin", &all), profile).await.unwrap();
        assert_eq!(found, Findings::default());
    }

    #[test]
    fn a_plugin_of_a_component_that_is_off_is_looked_for() {
        let config =
            serde_json::json!({"type": "macvlan", "ipam": {"type": "whereabouts", "range": "10.0.0.0/24"}});
        let kind = NetworkKind::Raw { config: config.as_object().unwrap().clone() };
        let mut profile = Profile { networks: vec![Network::new("n", kind)], ..Profile::default() };
        profile.flannel.enabled = false;
        for (is_on, plugins) in
            [(false, &["loopback", "macvlan", "whereabouts"][..]), (true, &["loopback", "macvlan"])]
        {
            profile.whereabouts.enabled = is_on;
            let cx = context(&Arc::new(FakeHost::new()), profile.clone(), debian());
            assert_eq!(wanted(&cx).into_iter().collect::<Vec<_>>(), plugins);
        }
    }

    #[test]
    fn networks_add_what_they_call_unless_they_are_left_out() {
        let config = serde_json::json!({"type": "macvlan", "ipam": {"type": "static"}});
        let kind = NetworkKind::Raw { config: config.as_object().unwrap().clone() };
        let network = Network::new("n", kind);
        let mut profile = Profile { networks: vec![network], ..Profile::default() };
        profile.flannel.enabled = false;
        let mut cx = context(&Arc::new(FakeHost::new()), profile, debian());
        assert_eq!(wanted(&cx).into_iter().collect::<Vec<_>>(), ["loopback", "macvlan", "static"]);
        cx.skipped = Arc::from(["networks".to_owned()]);
        assert_eq!(wanted(&cx).into_iter().collect::<Vec<_>>(), ["loopback"]);
    }
}
