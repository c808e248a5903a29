//! The topology as a picture: networks are rails from top to bottom, a NIC is a dot on its rail, and the rails of a bridge
//! end in a bar.

use std::fmt::Write;

use super::picture::{Bar, Column, NodeCard, Picture, Row};
use super::{GuestKind, Topology};
use crate::terminal::{clean, cut};

/// The colours of both pictures and pages; dark where the reader's system is.
pub(super) const STYLE: &str = include_str!("style.css");
/// How many colours there are for networks; each also has its place and its name.
const TONES: usize = 8;

/// Lengths, in pixels.
const MARGIN: usize = 16;
const LABELS: usize = 270;
const COLUMN: usize = 172;
const HEAD: usize = 84;
const LINE: usize = 18;
const ROW: usize = 32;
const GAP: usize = 18;

/// The topology as a drawing of its own.
pub fn svg(topology: &Topology) -> String {
    drawing(topology, STYLE)
}

/// The drawing; in a page the style is the page's.
pub(super) fn drawing(topology: &Topology, style: &str) -> String {
    let picture = Picture::of(topology);
    let width = MARGIN * 2 + LABELS + COLUMN * picture.columns.len();
    let height = MARGIN + HEAD + picture.cards.iter().map(|card| card_height(card) + GAP).sum::<usize>();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-labelledby=\"title description\" \
         width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n\
         <title id=\"title\">Networks of {}</title>\n<desc id=\"description\">{}</desc>\n",
        escape(&topology.source),
        escape(&description(&picture)),
    );
    if !style.is_empty() {
        let _ = writeln!(out, "<style>\n{style}</style>");
    }
    let _ = writeln!(out, "<rect class=\"paper\" width=\"{width}\" height=\"{height}\"/>");
    for (index, column) in picture.columns.iter().enumerate() {
        head(&mut out, index, column);
    }
    let mut top = MARGIN + HEAD;
    for card in &picture.cards {
        draw_card(&mut out, card, top, width);
        top += card_height(card) + GAP;
    }
    out.push_str("</svg>\n");
    out
}

/// All that is drawn, for screen readers.
fn description(picture: &Picture) -> String {
    let mut text = format!("{}.", picture.summary);
    for card in &picture.cards {
        let _ = write!(text, " Node {}:", card.title);
        for row in &card.rows {
            let cells = row.cells.iter().zip(&picture.columns);
            let nics = cells.filter_map(|(cell, column)| Some(format!("{} {}", column.name, cell.as_ref()?)));
            let _ = write!(text, " {} ({});", row.label, nics.collect::<Vec<_>>().join(", "));
        }
        let bars: Vec<&str> = card.bars.iter().map(|bar| bar.text.as_str()).collect();
        let _ = write!(text, " {}.", bars.join("; "));
    }
    text
}

fn rail(column: usize) -> usize {
    MARGIN + LABELS + COLUMN * column + 12
}

fn card_height(card: &NodeCard) -> usize {
    GAP + LINE * (1 + card.lines.len()) + ROW * (card.rows.len() + card.bars.len()) + GAP
}

fn head(out: &mut String, index: usize, column: &Column) {
    let (x, y, tone) = (rail(index), MARGIN + 12, index % TONES);
    let _ = writeln!(out, "<circle class=\"tone{tone}\" cx=\"{x}\" cy=\"{}\" r=\"5\"/>", y - 4);
    for (line, (class, text)) in
        [("strong", &column.name), ("soft", &column.on), ("soft", &column.addresses)].into_iter().enumerate()
    {
        label(out, class, (x + 12, y + LINE * line), text, 19);
    }
}

fn draw_card(out: &mut String, card: &NodeCard, top: usize, width: usize) {
    let (height, inside) = (card_height(card), width - MARGIN * 2);
    let _ = writeln!(
        out,
        "<g><rect class=\"card\" x=\"{MARGIN}\" y=\"{top}\" width=\"{inside}\" height=\"{height}\" rx=\"10\"/>"
    );
    let mut y = top + GAP + 6;
    label(out, "strong", (MARGIN + 14, y), &card.title, 90);
    for line in &card.lines {
        y += LINE;
        label(out, "soft", (MARGIN + 14, y), line, 120);
    }
    y += GAP;
    rails(out, card, y);
    for row in &card.rows {
        draw_row(out, row, y);
        y += ROW;
    }
    for bar in &card.bars {
        draw_bar(out, bar, y, MARGIN + inside);
        y += ROW;
    }
    out.push_str("</g>\n");
}

/// Each rail from the first row that uses it down to its bridge, or to the last row.
fn rails(out: &mut String, card: &NodeCard, top: usize) {
    let columns = card.rows.first().map_or(0, |row| row.cells.len());
    for column in 0..columns {
        let used = |row: &Row| row.cells[column].is_some();
        let Some(first) = card.rows.iter().position(used) else { continue };
        let last = card.rows.iter().rposition(used).unwrap_or(first);
        let reaches = |bar: &Bar| bar.columns.is_some_and(|(from, to)| (from..=to).contains(&column));
        let end = card.bars.iter().position(reaches).map_or(last, |bar| card.rows.len() + bar);
        let (x, from, to, tone) =
            (rail(column), top + ROW * first + ROW / 2, top + ROW * end + ROW / 2, column % TONES);
        let _ = writeln!(
            out,
            "<line class=\"rail tone{tone}\" x1=\"{x}\" y1=\"{from}\" x2=\"{x}\" y2=\"{to}\"/>"
        );
    }
}

fn draw_row(out: &mut String, row: &Row, top: usize) {
    let (middle, x) = (top + ROW / 2, MARGIN + 30);
    // A screen for a VM, a disc for a pod: the shape tells them apart without colour.
    if row.kind == GuestKind::Vm {
        let _ = writeln!(
            out,
            "<rect class=\"vm\" x=\"{}\" y=\"{}\" width=\"12\" height=\"9\" rx=\"1\"/>",
            x - 16,
            middle - 5
        );
    } else {
        let _ = writeln!(out, "<circle class=\"vm\" cx=\"{}\" cy=\"{middle}\" r=\"4\"/>", x - 10);
    }
    if row.detail.is_empty() {
        label(out, "", (x + 4, middle + 4), &row.label, 34);
    } else {
        label(out, "", (x + 4, middle - 2), &row.label, 34);
        label(out, "soft", (x + 4, middle + 12), &row.detail, 34);
    }
    for (column, cell) in row.cells.iter().enumerate() {
        if let Some(cell) = cell {
            let (x, tone) = (rail(column), column % TONES);
            let _ = writeln!(out, "<circle class=\"tone{tone}\" cx=\"{x}\" cy=\"{middle}\" r=\"5\"/>");
            label(out, "", (x + 12, middle + 4), cell, 20);
        }
    }
}

fn draw_bar(out: &mut String, bar: &Bar, top: usize, right: usize) {
    let (first, last) = bar.columns.unwrap_or((0, 0));
    // A long text needs its room even under a single network.
    let width = (COLUMN * (last - first + 1) - 8).max(bar.text.chars().count() * 8 + 20);
    let x = (rail(first) - 12).min(right.saturating_sub(width + 8));
    let _ = writeln!(
        out,
        "<rect class=\"bar\" x=\"{x}\" y=\"{}\" width=\"{width}\" height=\"{}\" rx=\"6\"/>",
        top + 4,
        ROW - 8
    );
    label(out, "strong", (x + 10, top + ROW / 2 + 4), &bar.text, 120);
}

/// A text that is cut to `most` characters, with all of it as a tooltip.
fn label(out: &mut String, class: &str, (x, y): (usize, usize), text: &str, most: usize) {
    let shown = cut(text, most);
    let whole = if shown == text { String::new() } else { format!("<title>{}</title>", escape(text)) };
    let class = if class.is_empty() { String::new() } else { format!(" class=\"{class}\"") };
    let _ = writeln!(out, "<text{class} x=\"{x}\" y=\"{y}\">{whole}{}</text>", escape(&shown));
}

/// Text inside an element or an attribute; what a name says is never markup.
pub(super) fn escape(text: &str) -> String {
    clean(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::cluster;
    use super::*;

    #[test]
    fn a_picture_names_what_it_draws_for_those_who_do_not_see_it() {
        let svg = svg(&cluster(1, 2));
        assert!(svg.contains("shop/web-00-00 (pod network 10.244.0.0, ovs-blue 10.20.0.0);"), "{svg}");
        assert_eq!(svg.matches("r=\"5\"").count(), 2 + 3, "two networks and three NICs");
    }

    #[test]
    fn five_hundred_pods_stay_on_one_screen() {
        let svg = svg(&cluster(50, 10));
        let height: usize =
            svg.split("height=\"").nth(1).unwrap().split('"').next().unwrap().parse().unwrap();
        assert!(height < 1000, "{height}");
    }

    #[test]
    fn a_name_is_never_markup() {
        let mut topology = cluster(1, 1);
        topology.nodes[0].guests[0].name = "<script>\"&\u{1b}".into();
        let svg = svg(&topology);
        assert!(!svg.contains("<script") && svg.contains("&lt;script&gt;&quot;&amp;\u{fffd}"), "{svg}");
    }
}
