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
        let mut data =
            json!({"target": trace.target, "now": trace.now, "links": trace.links, "broken": trace.broken()});
        if let Some(frame) = &trace.frame {
            data["frame"] = json!(frame);
        }
        return structured(&data, format);
    }
    let terminal = console::Term::stdout();
    let width = terminal.is_term().then(|| usize::from(terminal.size().1));
    let mut text = format!("{}: {}\n", trace.target.bold(), clean(&trace.now));
    for link in &trace.links {
        text.push_str(&line(link, width));
    }
    text.push_str(&conclusion(trace));
    print(&text);
    Ok(())
}

/// A link, in lines of at most `width` columns.
fn line(link: &Link, width: Option<usize>) -> String {
    // Padded before it is coloured: escape sequences have no width.
    let state = match link.state {
        State::Holds => "holds  ".green().to_string(),
        State::Broken => "BROKEN ".red().to_string(),
        State::Warns => "warns  ".yellow().to_string(),
        State::Unknown => "unknown".yellow().to_string(),
    };
    let network = link.network.as_deref().unwrap_or_default();
    let mark = format!("{state} {:10} {network:20} ", link.link);
    let end = link.end.as_ref().map(|end| format!("{end}: ")).unwrap_or_default();
    let text = format!("{end}{}: {}", clean(&link.looked_at), clean(&link.found));
    match width {
        None => format!("{mark}{text}\n"),
        Some(width) if width >= WIDE => format!("{}\n", text::paragraph(&mark, &text, width)),
        // Beside the columns little would be left.
        Some(width) => {
            format!("{}\n{}\n", mark.trim_end(), text::paragraph("        ", &text, width))
        }
    }
}

fn conclusion(trace: &Trace) -> String {
    let Some(link) = trace.broken() else {
        let count = |state| trace.links.iter().filter(|link| link.state == state).count();
        let all =
            [(count(State::Warns), "with a warning"), (count(State::Unknown), "could not be looked at")];
        let told = all.iter().filter(|(count, _)| *count > 0);
        let told: Vec<String> = told.map(|(count, what)| format!("; {count} {what}")).collect();
        let links = if told.is_empty() {
            "every link holds".into()
        } else {
            format!("no link is broken{}", told.concat())
        };
        return format!("{links}{}\n", arrival(trace));
    };
    let code = format!("[{}]", link.code.unwrap_or_default());
    let (found, hint) = (clean(&link.found), clean(link.hint.as_deref().unwrap_or_default()));
    let network = link.network.as_ref().map(|network| format!(" of {network}")).unwrap_or_default();
    let end = link.end.as_ref().map(|end| format!(" of {end}")).unwrap_or_default();
    format!(
        "\nfirst broken link: {}{end}{network} {code}: {found}{}\n  {} {hint}\n",
        link.link.bold(),
        arrival(trace),
        "hint:".cyan()
    )
}

/// What became of the frame between two ends.
fn arrival(trace: &Trace) -> String {
    let Some(frame) = &trace.frame else { return String::new() };
    let last = clean(frame.last_seen.as_deref().unwrap_or("no link"));
    match (frame.arrives, frame.apart) {
        (Some(true), true) => "; the frame arrives, and must not".into(),
        (Some(false), true) => "; the frame does not arrive: isolated, as configured".into(),
        (Some(true), false) => "; the frame arrives".into(),
        (Some(false), false) => format!("; the frame does not arrive: it was last seen at {last}"),
        (None, _) if frame.last_seen.is_some() => {
            format!("; not checked whether the frame arrives: it was last seen at {last}")
        }
        (None, _) => "; not checked whether a frame arrives: none was sent".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_keeps_within_the_terminal() {
        let link = Link {
            link: "bridge",
            end: None,
            network: Some("default/ovs-blue".into()),
            looked_at: "bridge blue in Open vSwitch".into(),
            state: State::Holds,
            found: "datapath netdev, 6 ports, and what else there is to say about it".into(),
            code: None,
            hint: None,
        };
        assert_eq!(line(&link, None).lines().count(), 1);
        for width in [60, 80, 120] {
            let shown = line(&link, Some(width));
            let columns = shown.lines().map(textwrap::core::display_width).max();
            assert!(columns <= Some(width), "{columns:?} of {width}:\n{shown}");
            assert!(shown.contains("bridge blue in Open vSwitch: datapath"), "{shown}");
        }
    }
}
