//! A trace on the screen and as data.

use owo_colors::OwoColorize;
use serde_json::json;

use super::errors::with_log;
use super::{graded, page, structured};
use crate::context::events::Grade;
use crate::error::Result;
use crate::terminal::{self, clean};
use crate::trace::{Link, Trace};
use crate::ui::Format;

/// The width from which findings go beside the link.
const WIDE: usize = 110;

/// The longest finding that is repeated in the conclusion.
const LONG: usize = 100;

/// Shows every link, then the first broken one with its hint.
pub fn show(trace: &Trace, format: Format) -> Result<()> {
    if format != Format::Text {
        let mut data =
            json!({"target": trace.target, "now": trace.now, "links": trace.links, "broken": trace.broken()});
        if let Some(frame) = &trace.frame {
            data["frame"] = json!(frame);
        }
        return structured(&with_log(data), format);
    }
    page(&text(trace, terminal::width()));
    Ok(())
}

/// Every link and the conclusion, in lines of at most `width` columns.
pub fn text(trace: &Trace, width: Option<usize>) -> String {
    let mut text = format!("{}: {}\n", trace.target.bold(), clean(&trace.now));
    let columns = Columns::of(&trace.links);
    for link in &trace.links {
        text.push_str(&line(link, columns, width));
    }
    let conclusion = conclusion(trace);
    conclusion.lines().for_each(|line| text.push_str(&terminal::wrapped("", line, width)));
    text
}

/// The widths of the columns.
#[derive(Clone, Copy)]
struct Columns {
    link: usize,
    network: usize,
}

impl Columns {
    fn of(links: &[Link]) -> Self {
        let widest = |text: fn(&Link) -> &str| {
            links.iter().map(|link| text(link).chars().count()).max().unwrap_or_default()
        };
        Self {
            link: widest(|link| link.link),
            network: widest(|link| link.network.as_deref().unwrap_or_default()),
        }
    }
}

/// A link, in lines of at most `width` columns.
fn line(link: &Link, columns: Columns, width: Option<usize>) -> String {
    let state = graded(link.state);
    let network = link.network.as_deref().unwrap_or_default();
    let Columns { link: first, network: second } = columns;
    let mark = format!("{state} {:first$} {network:second$} ", link.link);
    let end = link.end.as_ref().map(|end| format!("{end}: ")).unwrap_or_default();
    let text = format!("{end}{}: {}", clean(&link.looked_at), clean(&link.found));
    match width {
        None => format!("{mark}{text}\n"),
        Some(width) if width >= WIDE => format!("{}\n", terminal::paragraph(&mark, &text, width)),
        // Too little room is left beside the columns.
        Some(width) => {
            let mark = terminal::fitted(mark.trim_end(), width);
            format!("{mark}\n{}\n", terminal::paragraph("        ", &text, width))
        }
    }
}

fn conclusion(trace: &Trace) -> String {
    let Some(link) = trace.broken() else {
        let count = |state| trace.links.iter().filter(|link| link.state == state).count();
        let all = [(count(Grade::Warns), "with a warning"), (count(Grade::Unknown), "not checked")];
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
    // A long finding is only shown at its link.
    let found = if found.chars().count() > LONG { "see above".to_owned() } else { found };
    let network = link.network.as_ref().map(|network| format!(" of {network}")).unwrap_or_default();
    let end = link.end.as_ref().map(|end| format!(" of {end}")).unwrap_or_default();
    format!(
        "\nfirst broken link: {}{end}{network} {code}: {found}{}\n  {} {hint}\n",
        link.link.bold(),
        arrival(trace),
        "hint:".cyan()
    )
}

/// What happened to the frame between two ends.
fn arrival(trace: &Trace) -> String {
    let Some(frame) = &trace.frame else { return String::new() };
    let last = clean(frame.last_seen.as_deref().unwrap_or("no link"));
    match (frame.arrives, frame.apart) {
        (Some(true), true) => "; the frame arrives, but must not".into(),
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
            state: Grade::Holds,
            found: "datapath netdev, 6 ports, and what else there is to say about it".into(),
            code: None,
            hint: None,
        };
        let columns = Columns::of(std::slice::from_ref(&link));
        assert_eq!(line(&link, columns, None).lines().count(), 1);
        for width in [40, 60, 80, 120] {
            let shown = line(&link, columns, Some(width));
            let columns = shown.lines().map(textwrap::core::display_width).max();
            assert!(columns <= Some(width), "{columns:?} of {width}:\n{shown}");
            let words: Vec<&str> = shown.split_whitespace().collect();
            assert!(words.join(" ").contains("bridge blue in Open vSwitch: datapath"), "{shown}");
        }
    }

    #[test]
    fn findings_are_aligned() {
        let link = |network: &str| Link {
            link: "pod-nic",
            end: None,
            network: Some(network.into()),
            looked_at: "net1".into(),
            state: Grade::Holds,
            found: "up".into(),
            code: None,
            hint: None,
        };
        let links = ["default/ovs-blue", "default/a-bridge-network"].map(link);
        let columns = Columns::of(&links);
        let at = links.map(|link| line(&link, columns, None).find("net1: up"));
        assert!(at[0].is_some() && at[0] == at[1], "{at:?}");
    }
}
