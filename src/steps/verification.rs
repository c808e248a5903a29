//! Verification: pods that use every network prove that it works.

use async_trait::async_trait;
use serde_json::json;

use crate::engine::change::Change;
use crate::engine::context::Context;
use crate::engine::step::{Findings, Step};
use crate::error::{Error, Result, code};
use crate::verify;

/// The file that remembers the last profile that was verified; any change to the node or cluster removes it.
pub const RECORD: &str = "verified.json";

/// Proves with pods that the networks work.
pub struct Verification;

#[async_trait]
impl Step for Verification {
    /// The digest of the profile that was verified last.
    type Observed = Option<String>;
    /// The checks.
    type Desired = Vec<String>;

    const ID: &'static str = "verification";
    const TITLE: &'static str = "verification with pods";
    const REQUIRES: &'static [&'static str] =
        &["kubeconfig", "taints", "flannel", "cni-order", "ovs-cni", "networks", "vm"];

    fn enabled(&self, cx: &Context) -> bool {
        cx.profile.verification.enabled
    }

    async fn observe(&self, cx: &Context) -> Result<Option<String>> {
        let text = cx.state.read(RECORD)?;
        let record: Option<serde_json::Value> = text.and_then(|text| serde_json::from_str(&text).ok());
        Ok(record.and_then(|record| Some(record["profile"].as_str()?.to_owned())))
    }

    async fn desired(&self, cx: &Context, _: &Option<String>) -> Result<Vec<String>> {
        Ok(verify::Scenario::of(&cx.profile).checks())
    }

    fn diff(&self, cx: &Context, verified: &Option<String>, checks: &Vec<String>) -> Result<Findings> {
        if verified.as_deref() == Some(&cx.digest) {
            return Ok(Findings::default());
        }
        Ok(Findings::of(vec![Change::Verify { checks: checks.clone() }]))
    }

    async fn verify(&self, cx: &Context) -> Result<()> {
        let text = serde_json::to_string(&json!({"profile": cx.digest}))
            .map_err(|error| Error::new(&code::INTERNAL, "the record cannot be written").because(error))?;
        cx.state.write(RECORD, &text)
    }
}
