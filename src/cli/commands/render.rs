//! `kvnet render`: all manifests that `up` applies.

use crate::cli::args::{Global, Render};
use crate::cli::session::Session;
use crate::cluster::ObjectKey;
use crate::engine::plan::select;
use crate::error::{Error, Result, code};
use crate::redact::redact_object;
use crate::ui::Format;
use crate::{terminal, ui};

/// Runs the command.
pub async fn run(global: &Global, options: &Render) -> Result<u8> {
    let session = Session::start(global).await?;
    connect(&session, options).await?;
    let (mut objects, mut hidden) = (Vec::new(), Vec::new());
    for step in select(&session.steps, &session.selection, &session.cx)? {
        let rendered = step.objects(&session.cx).await.map_err(|error| without_network(error, options))?;
        for mut object in rendered {
            let whole = object.clone();
            redact_object(&mut object);
            if object != whole {
                hidden.push(ObjectKey::of(&object).to_string());
            }
            objects.push(object);
        }
    }
    match session.format {
        Format::Json => ui::json(&serde_json::json!({"apiVersion": "v1", "kind": "List", "items": objects}))?,
        _ => ui::yaml_documents(&objects)?,
    }
    if !hidden.is_empty() {
        let what = hidden.join(", ");
        terminal::say(&format!("secrets are hidden in this output, in {what}: do not apply it as printed"));
    }
    Ok(0)
}

/// Explains a download error to users who rendered offline.
fn without_network(error: Error, options: &Render) -> Error {
    if !options.offline || error.code() != &code::SOURCE_DOWNLOAD {
        return error;
    }
    error.hint_also(
        "`--offline` only skips the API server; manifests that the profile names by version or URL are \
         still downloaded, unless they are cached",
    )
}

/// Connects to the cluster, whose nodes determine emulation, replicas and placement of some objects. Without a cluster, or
/// offline, they are rendered for a cluster that is only this machine.
async fn connect(session: &Session, options: &Render) -> Result<()> {
    if options.offline {
        return Ok(());
    }
    match session.connect().await {
        Ok(()) => match session.cx.cluster().await {
            Some(cluster) => cluster.reachable().await.map(|_| ()).map_err(|error| {
                error.hint_also("`--offline` renders for a cluster that is only this machine")
            }),
            None => Ok(()),
        },
        Err(error) if error.code() == &code::CLUSTER_CONFIG && session.connect.kubeconfig.is_none() => {
            let kvm = if session.cx.facts.kvm { "with" } else { "without" };
            terminal::say(&format!("no cluster: rendered for one that is only this machine, {kvm} KVM"));
            Ok(())
        }
        Err(error) => Err(error),
    }
}
