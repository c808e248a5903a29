//! The topology as a page of its own: the picture, and the same in tables for screen readers and small screens.

use std::fmt::Write;

use super::Topology;
use super::picture::{Column, NodeCard, Picture, Row};
use super::svg::{STYLE, drawing, escape};

/// A page without scripts and without anything from elsewhere.
pub fn html(topology: &Topology) -> String {
    let picture = Picture::of(topology);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>Networks of {source}</title>\n<style>\n{STYLE}{}</style>\n</head>\n<body>\n<main>\n\
         <h1>Networks</h1>\n<p>{source}: {}</p>\n\
         <figure class=\"scroll\" tabindex=\"0\" aria-label=\"Picture; the tables below say the same\">\n{}</figure>\n",
        include_str!("page.css"),
        escape(&picture.summary),
        drawing(topology, ""),
        source = escape(&topology.source),
    );
    for (index, card) in picture.cards.iter().enumerate() {
        node(&mut out, index, card, &picture.columns);
    }
    out.push_str("</main>\n</body>\n</html>\n");
    out
}

fn node(out: &mut String, index: usize, card: &NodeCard, columns: &[Column]) {
    let _ = writeln!(
        out,
        "<section aria-labelledby=\"node{index}\">\n<h2 id=\"node{index}\">{}</h2>",
        escape(&card.title)
    );
    let lines: Vec<&String> = card.lines.iter().chain(card.bars.iter().map(|bar| &bar.text)).collect();
    if !lines.is_empty() {
        out.push_str("<ul>\n");
        for line in lines {
            let _ = writeln!(out, "<li>{}</li>", escape(line));
        }
        out.push_str("</ul>\n");
    }
    if !card.rows.is_empty() {
        table(out, card, columns);
    }
    out.push_str("</section>\n");
}

/// The roles are spelled out because small screens lay the table out as a list, which would take them away.
fn table(out: &mut String, card: &NodeCard, columns: &[Column]) {
    let title = escape(&card.title);
    let _ = writeln!(
        out,
        "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-label=\"Pods and VMs on {title}\">\n\
         <table role=\"table\">\n<caption>Pods and VMs, and their addresses on each network</caption>\n\
         <thead role=\"rowgroup\"><tr role=\"row\"><th role=\"columnheader\" scope=\"col\">Pod or VM</th>"
    );
    for column in columns {
        let _ = writeln!(
            out,
            "<th role=\"columnheader\" scope=\"col\">{} <small>{}, {}</small></th>",
            escape(&column.name),
            escape(&column.on),
            escape(&column.addresses)
        );
    }
    out.push_str("</tr></thead>\n<tbody role=\"rowgroup\">\n");
    for row in &card.rows {
        table_row(out, row, columns);
    }
    out.push_str("</tbody>\n</table>\n</div>\n");
}

fn table_row(out: &mut String, row: &Row, columns: &[Column]) {
    let detail = if row.detail.is_empty() {
        String::new()
    } else {
        format!(" <small>{}</small>", escape(&row.detail))
    };
    let _ = write!(
        out,
        "<tr role=\"row\"><th role=\"rowheader\" scope=\"row\">{}{detail}</th>",
        escape(&row.label)
    );
    for (cell, column) in row.cells.iter().zip(columns) {
        let (name, text) = (escape(&column.name), cell.as_deref().map(escape).unwrap_or_default());
        let _ = write!(out, "<td role=\"cell\" data-network=\"{name}\">{text}</td>");
    }
    out.push_str("</tr>\n");
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::cluster;
    use super::*;

    #[test]
    fn a_page_needs_nothing_from_elsewhere_and_runs_nothing() {
        let page = html(&cluster(2, 3));
        for foreign in ["<script", "src=", "href=", "url(", "@import"] {
            assert!(!page.contains(foreign), "{foreign}");
        }
    }

    #[test]
    fn tables_say_what_the_picture_shows() {
        let page = html(&cluster(1, 1));
        assert!(
            page.contains("<th role=\"rowheader\" scope=\"row\">shop/web-00-00 <small>pod</small></th>"),
            "{page}"
        );
        assert!(page.contains("<td role=\"cell\" data-network=\"ovs-blue\">10.20.0.0</td>"), "{page}");
    }
}
