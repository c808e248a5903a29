//! `kvnet render`: all manifests that `up` applies.

use crate::cli::args::{Format, Global};
use crate::cli::session::Session;
use crate::engine::plan::select;
use crate::engine::redact::redact_object;
use crate::error::Result;
use crate::ui;

/// Runs the command.
pub async fn run(global: &Global) -> Result<u8> {
    let session = Session::start(global).await?;
    // Without a cluster every object is new, so the findings hold all of them.
    let mut objects = Vec::new();
    for step in select(&session.steps, &session.selection, &session.cx)? {
        let rendered = step.objects(&session.cx).await?;
        objects.extend(rendered.into_iter().map(|mut object| {
            redact_object(&mut object);
            object
        }));
    }
    match session.format {
        Format::Json => ui::json(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}))?,
        _ => ui::yaml_documents(&objects)?,
    }
    Ok(0)
}
