//! A VM with the same NICs as the profile's.

use std::sync::Arc;

use crate::cluster::ObjectKey;
use crate::components::vm::VM;
use crate::context::Context;
use crate::error::{Result, code};
use crate::profile::{Profile, RunStrategy};
use crate::smoke::room::CaseContext;
use crate::verify::{Found, Scenario, batches, check_vm, pods_of_nics};

const NAME: &str = "smoke-vm";

/// The verification's checks, for the case's own VM.
pub async fn run(ctx: &CaseContext) -> Result<()> {
    let mut cx: Context = ctx.cx.clone();
    cx.profile = Arc::new(of_the_case(&ctx.cx.profile));
    let scenario = Scenario::of(&cx.profile);
    ctx.open().await?;
    for object in cx.manifest(&VM).await?.objects {
        ctx.cluster.apply(&object, true).await?;
    }
    let nics = pods_of_nics(&cx, &scenario);
    let mut needed = scenario.clone();
    needed.pods.retain(|probe| nics.iter().flatten().any(|name| *name == probe.name));
    (needed.reach, needed.isolated) = (Vec::new(), Vec::new());
    for batch in batches(&needed, &nics, ctx.places).iter().filter(|batch| !batch.nics.is_empty()) {
        ctx.meet_batch(batch).await?;
        let progress = ctx.progress();
        let (outcomes, _) = check_vm(&cx, &ctx.cluster, &scenario, &batch.nics, &ctx.here, &progress).await?;
        for outcome in outcomes {
            let found = Found { verdict: outcome.verdict, detail: outcome.detail };
            ctx.check(outcome.check, found, &code::VERIFY_FAILED);
        }
    }
    let version = cx.profile.kubevirt.api_version();
    let vm = ObjectKey::new(version, "VirtualMachineInstance", Some(&ctx.namespace), NAME);
    // The deletion of the namespace would wait for it otherwise.
    ctx.cluster.delete(&vm, Some(0)).await.map(|_| ())
}

/// The profile with a VM of another name in the case's namespace: MAC addresses are derived from the name, so it can run
/// beside the profile's own.
fn of_the_case(profile: &Profile) -> Profile {
    let mut own = profile.clone();
    for nic in &mut own.vm.interfaces {
        nic.mac_address = None;
        // A name without a namespace means one in the namespace of the VM.
        if let Some(network) = profile.network_of(nic) {
            nic.network = format!("{}/{}", network.namespace, network.name);
        }
    }
    // Fixed addresses in network data are in use by the profile's own VM.
    own.vm.cloud_init.network_data.clear();
    NAME.clone_into(&mut own.vm.name);
    own.vm.namespace.clone_from(&own.verification.namespace);
    own.vm.run_strategy = None::<RunStrategy>;
    own
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile;

    #[test]
    fn the_vm_is_another_one_on_the_same_networks() {
        let before = profile::load("default", &[]).unwrap().profile;
        let own = of_the_case(&before);
        assert_eq!(own.vm.interfaces[1].network, "default/ovs-blue-l2");
        assert_eq!(own.network_of(&own.vm.interfaces[1]), before.network_of(&before.vm.interfaces[1]));
        let macs = [&before, &own].map(|profile| profile.vm.mac_address(&profile.vm.interfaces[1]));
        assert_ne!(macs[0], macs[1]);
    }
}
