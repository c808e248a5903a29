//! `kvnet topology`: what is connected to what.

use crate::cli::args::{Format, Global, Topology};
use crate::cli::session::Session;
use crate::error::Result;
use crate::topology::{declared, dot, html, live, svg, text};
use crate::ui;

/// Runs the command.
pub async fn run(global: &Global, options: &Topology) -> Result<u8> {
    let session = Session::start(global).await?;
    let topology = if options.declared {
        declared(&session.cx.profile, &session.cx.facts.hostname)
    } else {
        session.connect().await?;
        live(&session.cx).await?
    };
    match session.format {
        Format::Text => ui::print(&text(&topology)),
        Format::Json | Format::Yaml => ui::structured(&topology, session.format)?,
        Format::Dot => ui::print(&dot(&topology)),
        Format::Svg => ui::print(&svg(&topology)),
        Format::Html => ui::print(&html(&topology)),
    }
    Ok(0)
}
