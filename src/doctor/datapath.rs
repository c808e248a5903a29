//! The datapath of this node's pods.

use super::seen::Snapshot;
use super::{CheckResult, Grade, Verdict};
use crate::trace::datapath::Part;

pub fn links(seen: &Snapshot) -> CheckResult {
    judge(seen, Part::Links, "no pod links")
}

pub fn forwarding(seen: &Snapshot) -> CheckResult {
    judge(seen, Part::Forwarding, "nothing to forward")
}

pub fn firewall(seen: &Snapshot) -> CheckResult {
    judge(seen, Part::Firewall, "no pod with an address on this node")
}

pub fn fail_mode(seen: &Snapshot) -> CheckResult {
    judge(seen, Part::FailMode, "no Open vSwitch bridge")
}

pub fn flows(seen: &Snapshot) -> CheckResult {
    judge(seen, Part::Flows, "no Open vSwitch bridge")
}

fn judge(seen: &Snapshot, part: Part, absent: &str) -> CheckResult {
    let Some(datapath) = &seen.datapath else { return Ok(Verdict::unknown("not checked")) };
    if datapath.nics.is_empty() && !matches!(part, Part::FailMode | Part::Flows) {
        return Ok(Verdict::absent("no pod with a NIC on this node"));
    }
    let judged = datapath.judge(part);
    if let Some((code, _, hint)) = judged.broken.first() {
        let found: Vec<String> = judged.broken.iter().map(|(_, what, _)| what.clone()).collect();
        let verdict = Verdict { code: Some(*code), ..Verdict::new(Grade::Broken, "") }.each("", found);
        return Ok(verdict.hint(hint.clone()));
    }
    if !judged.unknown.is_empty() {
        return Ok(Verdict::unknown("").each("not checked", judged.unknown));
    }
    if !judged.warns.is_empty() {
        return Ok(Verdict::warns("").each("", judged.warns));
    }
    Ok(if judged.holds.is_empty() { Verdict::absent(absent) } else { Verdict::holds(judged.holds) })
}
