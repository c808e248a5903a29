//! The topology for a terminal.

use std::fmt::Write;

use owo_colors::OwoColorize;

use super::picture::{Column, NodeCard, Picture, Row};
use super::{GuestKind, Topology};
use crate::terminal::clean;

/// The topology in lines that fit 80 columns, as long as names do.
pub fn text(topology: &Topology) -> String {
    let picture = Picture::of(topology);
    let mut out = format!("{}: {}\n", clean(&topology.source), picture.summary);
    for card in &picture.cards {
        node(&mut out, card, &picture.columns);
    }
    let _ = writeln!(out, "\n{}", "networks".bold());
    let width = picture.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or_default();
    for column in &picture.columns {
        let name = format!("{:width$}", clean(&column.name));
        let _ = writeln!(out, "  {name}  {}, {}", clean(&column.on), clean(&column.addresses));
    }
    out
}

fn node(out: &mut String, card: &NodeCard, columns: &[Column]) {
    let _ = writeln!(out, "\n{} {}", "node".bold(), clean(&card.title).bold());
    for line in card.lines.iter().chain(card.bars.iter().map(|bar| &bar.text)) {
        let _ = writeln!(out, "  {}", clean(line));
    }
    for row in &card.rows {
        guest(out, row, columns);
    }
}

fn guest(out: &mut String, row: &Row, columns: &[Column]) {
    let label = clean(&row.label);
    let label = if row.kind == GuestKind::Vm { label.cyan().to_string() } else { label };
    let detail = if row.detail.is_empty() { String::new() } else { format!(" ({})", clean(&row.detail)) };
    let _ = writeln!(out, "  {label}{detail}");
    for (cell, column) in row.cells.iter().zip(columns) {
        if let Some(cell) = cell {
            let _ = writeln!(out, "    {:<26} {}", clean(&column.name), clean(cell));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::cluster;
    use super::*;

    #[test]
    fn every_guest_stands_under_its_node_with_its_networks() {
        let text = anstream::adapter::strip_str(&text(&cluster(1, 1))).to_string();
        let expected = "test: 1 node, 2 networks, 1 pod, 0 VMs

node n00
  192.0.2.0
  bridge blue, VLAN 100
  shop/web-00-00 (pod)
    pod network                10.244.0.0
    ovs-blue                   10.20.0.0

networks
  pod network  flannel, layer 2 only
  ovs-blue     blue, layer 2 only
";
        assert_eq!(text, expected);
    }
}
