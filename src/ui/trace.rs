//! A trace on the screen and as data.

use owo_colors::OwoColorize;
use serde_json::json;

use super::{clean, print, structured, text};
use crate::cli::args::Format;
use crate::error::Result;
use crate::trace::{Link, State, Trace};

/// From so many columns on, what was found stands beside the link.
const WIDE: usize = 110;

/// Shows every link, and the first broken one once more with what to do.
pub fn show(trace: &Trace, format: Format) -> Result<()> {
    if format != Format::Text {
        let data =
            json!({"target": trace.target, "now": trace.now, "links": trace.links, "broken": trace.broken()});
        return structured(&data, format);
    }
    let mut text = format!("{}: {}\n", trace.target.bold(), clean(&trace.now));
    for link in &trace.links {
        text.push_str(&line(link));
    }
    text.push_str(&conclusion(trace));
    print(&text);
    Ok(())
}

fn line(link: &Link) -> String {
    // Padded before it is coloured: escape sequences have no width.
    let state = match link.state {
        State::Holds => "holds  ".green().to_string(),
        State::Broken => "BROKEN ".red().to_string(),
        State::Unknown => "unknown".yellow().to_string(),
    };
    let network = link.network.as_deref().unwrap_or_default();
    let mark = format!("{state} {:10} {network:20} ", link.link);
    let text = format!("{}: {}", clean(&link.looked_at), clean(&link.found));
    let terminal = console::Term::stdout();
    if !terminal.is_term() {
        return format!("{mark}{text}\n");
    }
    let width = usize::from(terminal.size().1);
    // Beside the columns nothing would be left in a narrow terminal.
    if width < WIDE {
        return format!("{}\n{}\n", mark.trim_end(), text::paragraph("        ", &text, width));
    }
    format!("{}\n", text::paragraph(&mark, &text, width))
}

fn conclusion(trace: &Trace) -> String {
    let Some(link) = trace.broken() else {
        let unknown = trace.links.iter().filter(|link| link.state == State::Unknown).count();
        return match unknown {
            0 => "every link holds\n".into(),
            count => format!("no link is broken; {count} could not be looked at\n"),
        };
    };
    let code = format!("[{}]", link.code.unwrap_or_default());
    let (found, hint) = (clean(&link.found), clean(link.hint.as_deref().unwrap_or_default()));
    let network = link.network.as_ref().map(|network| format!(" of {network}")).unwrap_or_default();
    format!(
        "\nfirst broken link: {}{network} {code}: {found}\n  {} {hint}\n",
        link.link.bold(),
        "hint:".cyan()
    )
}
