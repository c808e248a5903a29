//! Verification: pods that use every network prove that it works.

use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{About, Findings, Reach, Step};
use crate::error::Result;
use crate::verify::{self, Record};
use async_trait::async_trait;

pub use crate::verify::RECORD;

const ABOUT: About = About {
    id: "verification",
    title: "verification with pods",
    requires: &["kubeconfig", "taints", "flannel", "cni-order", "ovs-cni", "networks", "vm"],
    reach: Reach::Anywhere,
};

/// Proves with pods that the networks work.
pub struct Verification;

#[async_trait]
impl Step for Verification {
    fn about(&self) -> &'static About {
        &ABOUT
    }

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.verification.enabled
    }

    async fn find(&self, cx: &Context) -> Result<Findings> {
        if let Some(record) = Record::read(cx).await?.filter(|record| record.covers(cx)) {
            let mut findings = Findings::default();
            for check in record.not_checked() {
                findings.warn(format!("not checked: {check}"));
            }
            return Ok(findings);
        }
        let mut findings = Findings::of(vec![Change::Verify { checks: verify::lines(cx) }]);
        for network in verify::left_out(&cx.profile) {
            findings.note(format!("{network} is left out, because the profile says so"));
        }
        Ok(findings)
    }
}
