//! Verification: pods that use every network prove that it works.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::engine::change::Change;
use crate::engine::context::Context;
use crate::engine::step::{Findings, Step};
use crate::error::{Error, Result, code};
use crate::verify;

/// The file that remembers the last profile that was verified; any change to the node or cluster removes it.
pub const RECORD: &str = "verified.json";

/// What was verified last.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The digest of the profile.
    profile: String,
    /// Whether the VM was looked at: it is not when its step is skipped.
    #[serde(default)]
    vm: bool,
}

impl Record {
    fn of(cx: &Context) -> Self {
        Self { profile: cx.digest.clone(), vm: cx.profile.vm.enabled }
    }

    fn covers(&self, cx: &Context) -> bool {
        self.profile == cx.digest && (self.vm || !cx.profile.vm.enabled)
    }
}

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

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.verification.enabled
    }

    async fn observe(&self, cx: &Context) -> Result<Option<Record>> {
        let text = cx.state.read(RECORD)?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    async fn desired(&self, cx: &Context, _: &Option<Record>) -> Result<Vec<String>> {
        Ok(verify::lines(cx))
    }

    fn diff(&self, cx: &Context, verified: &Option<Record>, checks: &Vec<String>) -> Result<Findings> {
        if verified.as_ref().is_some_and(|record| record.covers(cx)) {
            return Ok(Findings::default());
        }
        Ok(Findings::of(vec![Change::Verify { checks: checks.clone() }]))
    }

    async fn verify(&self, cx: &Context) -> Result<()> {
        let text = serde_json::to_string(&Record::of(cx))
            .map_err(|error| Error::new(&code::INTERNAL, "the record cannot be written").because(error))?;
        cx.state.write(RECORD, &text)
    }
}
