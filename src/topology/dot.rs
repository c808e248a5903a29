//! Graphviz: the same groups as in the picture, as a graph.

use std::fmt::Write;

use super::picture::Picture;
use super::{GuestKind, Topology};
use crate::terminal::clean;

/// The topology in the language of Graphviz: `kvnet topology -o dot | dot -Tpng`.
pub fn dot(topology: &Topology) -> String {
    let picture = Picture::of(topology);
    let mut out =
        String::from("graph kvnet {\n  rankdir=LR;\n  node [fontname=\"sans-serif\", shape=box];\n");
    for (index, column) in picture.columns.iter().enumerate() {
        let label = format!("{}\n{}\n{}", column.name, column.on, column.addresses);
        let _ = writeln!(out, "  network{index} [shape=ellipse, label={}];", quoted(&label));
    }
    for (node, card) in picture.cards.iter().enumerate() {
        let _ = writeln!(out, "  subgraph cluster{node} {{\n    label={};", quoted(&card.title));
        for (index, row) in card.rows.iter().enumerate() {
            let style = if row.kind == GuestKind::Vm { "bold" } else { "solid" };
            let label = format!("{}\n{}", row.label, row.detail);
            let _ = writeln!(out, "    guest{node}_{index} [style={style}, label={}];", quoted(&label));
        }
        for (index, bar) in card.bars.iter().enumerate() {
            let _ = writeln!(out, "    bridge{node}_{index} [shape=cds, label={}];", quoted(&bar.text));
        }
        out.push_str("  }\n");
        edges(&mut out, &picture, node);
    }
    out.push_str("}\n");
    out
}

fn edges(out: &mut String, picture: &Picture, node: usize) {
    let card = &picture.cards[node];
    for (index, row) in card.rows.iter().enumerate() {
        for (column, cell) in row.cells.iter().enumerate() {
            if let Some(cell) = cell {
                let _ = writeln!(out, "  guest{node}_{index} -- network{column} [label={}];", quoted(cell));
            }
        }
    }
    for (index, bar) in card.bars.iter().enumerate() {
        for column in bar.columns.into_iter().flat_map(|(first, last)| first..=last) {
            let _ = writeln!(out, "  network{column} -- bridge{node}_{index};");
        }
    }
}

/// A string of the language; names from the cluster cannot end it.
fn quoted(text: &str) -> String {
    let escaped = clean(text).replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

#[cfg(test)]
mod tests {
    use super::super::picture::tests::cluster;
    use super::*;

    #[test]
    fn guests_are_joined_to_their_networks_and_networks_to_their_bridge() {
        let graph = dot(&cluster(1, 2));
        assert!(graph.contains("guest0_0 -- network1 [label=\"10.20.0.0\"];"), "{graph}");
        assert!(graph.contains("network1 -- bridge0_0;"), "{graph}");
        assert!(!graph.contains("guest0_1 -- network1"), "the second pod has no NIC there: {graph}");
    }

    #[test]
    fn a_name_cannot_leave_its_string() {
        assert_eq!(quoted("a\"]; b\\\u{1b}"), "\"a\\\"]; b\\\\\u{fffd}\"");
    }
}
