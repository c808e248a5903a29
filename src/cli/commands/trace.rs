//! `kvnet trace`: which link in the network of a VM or pod is broken.

use crate::cli::args::{Global, Trace as Options};
use crate::cli::session::Session;
use crate::error::Result;
use crate::trace::{self, Trace, Wanted};
use crate::{log, ui};

/// Runs the command.
pub async fn run(global: &Global, options: &Options) -> Result<u8> {
    let session = Session::start(global).await?;
    let namespace = options.namespace.as_deref().unwrap_or(&session.cx.profile.vm.namespace);
    let wanted = Wanted::parse(&options.target, namespace)?;
    let other = options.to.as_deref().map(|to| Wanted::parse(to, namespace)).transpose()?;
    session.connect().await?;
    let cluster = session.cx.need_cluster().await?;
    let version = session.cx.profile.kubevirt.api_version();
    let target = wanted.find(&cluster, version).await?;
    let console = !options.no_console;
    let trace = match other {
        None => Trace::make(&session.cx, &target, console).await?,
        Some(other) => {
            let targets = [target, other.find(&cluster, version).await?];
            trace::between(&session.cx, targets, options.network.as_deref(), console).await?
        }
    };
    for link in &trace.links {
        log::found(link.link, link.state, &format!("{}: {}", link.looked_at, link.found));
    }
    ui::trace::show(&trace, session.format)?;
    if trace.broken().is_none() {
        return Ok(0);
    }
    ui::name_log();
    Ok(1)
}
