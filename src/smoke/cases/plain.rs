//! The default network.

use crate::error::{Result, code};
use crate::smoke::room::CaseContext;
use crate::smoke::talk::everything_routed;

pub async fn run(ctx: &CaseContext) -> Result<()> {
    let seen = ctx.meet_plain(&["plain-1", "plain-2"]).await?;
    for pod in &seen {
        let view = pod.view(&ctx.here, None);
        let check =
            format!("{}: eth0 has an address in {}", pod.probe.name, ctx.cx.profile.cluster.pod_subnet);
        ctx.check(check, (view.nic_holds, view.detail), &code::POD_NIC);
    }
    match seen.as_slice() {
        [one, other, ..] => everything_routed(ctx, one, other).await,
        _ => Ok(()),
    }
}
