//! Validates request options.

use serde_json::Value;

use super::asked::Asked;
use super::objects::Answer;
use super::status::{Cause, Status};

/// The longest name of a field manager.
const LONGEST: usize = 128;

/// Checks the parameters of a write; `kind` is `CreateOptions` and its like.
pub(super) fn check(asked: &Asked, kind: &str, is_apply: bool) -> Answer<()> {
    let mut causes = Vec::new();
    let manager = asked.parameter("fieldManager").unwrap_or_default();
    if kind == "PatchOptions" {
        if is_apply && manager.is_empty() {
            causes.push(Cause::required("fieldManager", "is required for apply patch"));
        }
        if !is_apply && asked.parameter("force").is_some() {
            causes.push(Cause::forbidden("force", "may not be specified for non-apply patch"));
        }
    }
    if manager.len() > LONGEST {
        causes.push(Cause::too_long("fieldManager", LONGEST));
    }
    for (place, character) in manager.char_indices().filter(|(_, character)| character.is_control()) {
        let why = format!("invalid character U+{:04X} (at position {place})", u32::from(character));
        causes.push(Cause::value("fieldManager", &manager.into(), &why));
    }
    let rehearsals = asked.parameters("dryRun");
    if rehearsals.iter().any(|one| *one != "All") {
        let value: Value = rehearsals.into();
        causes.push(Cause::not_supported("dryRun", &value, &["All"]));
    }
    let validation = asked.parameter("fieldValidation").unwrap_or_default();
    if !["", "Ignore", "Strict", "Warn"].contains(&validation) {
        let all = ["Ignore", "Strict", "Warn"];
        causes.push(Cause::not_supported("fieldValidation", &validation.into(), &all));
    }
    if causes.is_empty() { Ok(()) } else { Err(Status::invalid_of("meta.k8s.io", kind, "", &causes)) }
}

/// Checks how an object is to be deleted.
pub(super) fn check_propagation(propagation: Option<&str>) -> Answer<()> {
    let all = ["Foreground", "Background", "Orphan", "nil"];
    match propagation {
        Some(other) if !all[..3].contains(&other) => {
            let cause = Cause::not_supported("propagationPolicy", &other.into(), &all);
            Err(Status::invalid_of("meta.k8s.io", "DeleteOptions", "", &[cause]))
        }
        _ => Ok(()),
    }
}
