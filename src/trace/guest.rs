//! The guest's NICs, read on its console or through its agent.

use std::time::Duration;

use serde_json::Value;

use super::target::Target;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::error::Result;
use crate::guest::{GuestNic, Shell, agent_nics, links};
use crate::profile::Login;

/// A running guest answers at once.
const PATIENCE: Duration = Duration::from_secs(8);

/// What is known about the guest's NICs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GuestView {
    /// The NICs, and their source.
    Nics(Vec<GuestNic>, &'static str),
    /// Why there is no source.
    Silent(String),
}

/// Tries the console first: an agent reports late, and not whether a NIC is down.
pub async fn look(
    cx: &Context,
    cluster: &Cluster,
    target: &Target,
    instance: &Value,
    console: bool,
) -> GuestView {
    let by_agent = agent_nics(instance).map(|nics| GuestView::Nics(nics, "its guest agent"));
    if !console {
        let silent = || GuestView::Silent("it has no guest agent, and `--no-console` was given".into());
        return by_agent.unwrap_or_else(silent);
    }
    match on_console(cx, cluster, target).await {
        Ok(nics) => GuestView::Nics(nics, "its serial console"),
        Err(error) => by_agent.unwrap_or_else(|| GuestView::Silent(error.to_string())),
    }
}

async fn on_console(cx: &Context, cluster: &Cluster, target: &Target) -> Result<Vec<GuestNic>> {
    let console = cluster.console(&target.namespace, &target.name).await?;
    let vm = &cx.profile.vm;
    let is_ours = vm.namespace == target.namespace && vm.name == target.name;
    let login = if is_ours { vm.login.clone() } else { Login::default() };
    let mut shell = Shell::open(console, &login, PATIENCE, &|_| ()).await?;
    Ok(links(&shell.run("ip addr show", PATIENCE).await?.output))
}
