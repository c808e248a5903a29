//! Verification: pods that use every network prove that it works.

use crate::context::Context;
use crate::engine::change::Change;
use crate::engine::step::{Findings, Reach, Step};
use crate::error::Result;
use crate::verify::{self, Record};
use async_trait::async_trait;

pub use crate::verify::RECORD;

/// Proves with pods that the networks work.
pub struct Verification;

#[async_trait]
impl Step for Verification {
    /// What was verified last.
    type Observed = Option<Record>;
    /// The checks.
    type Desired = Vec<String>;

    const ID: &'static str = "verification";
    const TITLE: &'static str = "verification with pods";
    const REQUIRES: &'static [&'static str] =
        &["kubeconfig", "taints", "flannel", "cni-order", "ovs-cni", "networks", "vm"];
    const REACH: Reach = Reach::Anywhere;

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.verification.enabled
    }

    async fn observe(&self, cx: &Context) -> Result<Option<Record>> {
        Record::read(cx).await
    }

    async fn desired(&self, cx: &Context, _: &Option<Record>) -> Result<Vec<String>> {
        Ok(verify::lines(cx))
    }

    fn diff(&self, cx: &Context, verified: &Option<Record>, checks: &Vec<String>) -> Result<Findings> {
        if let Some(record) = verified.as_ref().filter(|record| record.covers(cx)) {
            let mut findings = Findings::default();
            for check in record.not_checked() {
                findings.warn(format!("not checked: {check}"));
            }
            return Ok(findings);
        }
        let mut findings = Findings::of(vec![Change::Verify { checks: checks.clone() }]);
        for network in verify::left_out(&cx.profile) {
            findings.note(format!("{network} is left out, because the profile says so"));
        }
        Ok(findings)
    }
}
