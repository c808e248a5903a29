//! `kvnet topology`: how nodes, networks, pods and VMs are connected.

use crate::cli::args::{Global, Topology};
use crate::cli::session::Session;
use crate::error::Result;
use crate::topology::{declared, dot, html, live, svg, text};
use crate::ui;
use crate::ui::Format;

/// Runs the command.
pub async fn run(global: &Global, options: &Topology) -> Result<u8> {
    let topology = if options.declared {
        let session = Session::of_profile(global).await?;
        declared(&session.cx.profile, &session.cx.facts.hostname)
    } else {
        let session = Session::start(global).await?;
        session.connect().await?;
        live(&session.cx).await?
    };
    match global.output {
        Format::Text => ui::page(&text(&topology)),
        Format::Json | Format::Yaml => ui::structured(&topology, global.output)?,
        Format::Dot => ui::print(&dot(&topology)),
        Format::Svg => ui::print(&svg(&topology)),
        Format::Html => ui::print(&html(&topology)),
    }
    Ok(0)
}
