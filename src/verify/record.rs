//! The record of the last verification: a run with nothing to do reports from it what was never checked. A new verification
//! removes it first, so that a failed or interrupted one does not leave an older record behind.

use serde::{Deserialize, Serialize};

use super::Checked;
use crate::cluster::ClusterId;
use crate::context::Context;
use crate::context::events::Verdict;
use crate::error::{Error, Result, code};
use crate::profile::{Profile, Timeouts, digest};

/// The file with the last verification; any change to the node or cluster removes it, and so does the start of the next
/// verification.
pub const RECORD: &str = "verified.json";

/// A verification in which no check failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The digest of the verified part of the profile.
    profile: String,
    /// The address of the cluster, for people.
    #[serde(default)]
    server: String,
    /// The identity of the cluster.
    #[serde(default)]
    cluster: Option<ClusterId>,
    /// Whether the VM was checked: not when its step is skipped.
    #[serde(default)]
    vm: bool,
    /// How many checks hold.
    #[serde(default)]
    held: usize,
    /// The checks that could not run.
    #[serde(default)]
    not_checked: Vec<Checked>,
}

impl Record {
    /// The record of these outcomes.
    pub async fn of(cx: &Context, outcomes: &[Checked]) -> Self {
        let (not_checked, held): (Vec<Checked>, Vec<Checked>) =
            outcomes.iter().cloned().partition(|outcome| outcome.verdict == Verdict::NotChecked);
        let (profile, vm) = (verified_part(&cx.profile), looks_at_vm(cx));
        let server = cx.cluster().await.map(|cluster| cluster.place().server.clone()).unwrap_or_default();
        Self { profile, server, cluster: cx.cluster_id().await, vm, held: held.len(), not_checked }
    }

    /// Reads the record of this cluster; none when it is unreadable, or of another cluster.
    pub async fn read(cx: &Context) -> Result<Option<Self>> {
        let Some(record) = cx.state.read(RECORD)?.and_then(|text| serde_json::from_str::<Self>(&text).ok())
        else {
            return Ok(None);
        };
        let here = cx.cluster_id().await;
        let is_here = |then: &ClusterId| here.as_ref().is_some_and(|here| here.is(then));
        Ok(Some(record).filter(|record| record.cluster.as_ref().is_some_and(is_here)))
    }

    /// Removes the record.
    pub fn forget(cx: &Context) -> Result<()> {
        cx.state.remove(RECORD)
    }

    pub fn write(&self, cx: &Context) -> Result<()> {
        let text = serde_json::to_string(self)
            .map_err(|error| Error::new(&code::INTERNAL, "cannot serialise the record").because(error))?;
        cx.state.write(RECORD, &text)
    }

    /// Whether the record is about this profile. Unchecked checks do not trigger a new run: their obstacle still exists.
    pub fn covers(&self, cx: &Context) -> bool {
        self.profile == verified_part(&cx.profile) && (self.vm || !looks_at_vm(cx))
    }

    /// The checks that could not run, each with the reason.
    pub fn not_checked(&self) -> Vec<String> {
        self.not_checked.iter().map(|outcome| format!("{} ({})", outcome.check, outcome.detail)).collect()
    }
}

/// The digest of everything in a profile that decides what is verified: without its name and timeouts.
fn verified_part(profile: &Profile) -> String {
    let (name, description) = (String::new(), String::new());
    let timeouts = Timeouts::default();
    digest(&Profile { name, description, timeouts, ..profile.clone() })
}

fn looks_at_vm(cx: &Context) -> bool {
    cx.profile.vm.enabled && !super::vm::is_left_out(cx)
}

/// Whether everything that the profile promises was checked, and what was not.
pub async fn verified(cx: &Context) -> Result<(bool, Vec<String>)> {
    let record = Record::read(cx).await?.filter(|record| record.covers(cx));
    let not_checked = record.as_ref().map(Record::not_checked).unwrap_or_default();
    Ok((record.is_some() && not_checked.is_empty(), not_checked))
}
