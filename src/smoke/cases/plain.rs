//! The default network.

use crate::error::{Result, code};
use crate::smoke::room::Room;
use crate::smoke::talk::everything_routed;

pub async fn run(room: &Room) -> Result<()> {
    let seen = room.meet_plain(&["plain-1", "plain-2"]).await?;
    for pod in &seen {
        let view = pod.view(&room.here, None);
        let check =
            format!("{}: eth0 has an address in {}", pod.probe.name, room.cx.profile.cluster.pod_subnet);
        room.check(check, (view.nic_holds, view.detail), &code::POD_NIC);
    }
    match seen.as_slice() {
        [one, other, ..] => everything_routed(room, one, other).await,
        _ => Ok(()),
    }
}
