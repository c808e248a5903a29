//! The order of steps: a small, deterministic topological sort.

use std::collections::BTreeMap;

use crate::error::{Error, Result, code};

/// Names with what each requires, in the order in which they were registered.
pub struct Graph {
    nodes: Vec<(&'static str, Vec<&'static str>)>,
}

impl Graph {
    /// A graph of `(name, requires)`; a requirement that is not a node is dropped, because a step that is off or skipped
    /// counts as done. A cycle is [`GRAPH_CYCLE`](code::GRAPH_CYCLE) and names its path.
    pub fn new(nodes: impl IntoIterator<Item = (&'static str, Vec<&'static str>)>) -> Result<Self> {
        let mut nodes: Vec<_> = nodes.into_iter().collect();
        let names: Vec<&str> = nodes.iter().map(|(name, _)| *name).collect();
        for (_, requires) in &mut nodes {
            requires.retain(|name| names.contains(name));
        }
        let graph = Self { nodes };
        graph.refuse_cycles()?;
        Ok(graph)
    }

    /// The names so that each comes after what it requires; ties keep the order of registration.
    pub fn order(&self) -> Vec<&'static str> {
        let mut order: Vec<&'static str> = Vec::new();
        while order.len() < self.nodes.len() {
            let next = self.nodes.iter().find(|(name, requires)| {
                !order.contains(name) && requires.iter().all(|required| order.contains(required))
            });
            match next {
                Some((name, _)) => order.push(name),
                None => break,
            }
        }
        order
    }

    /// What a name requires.
    pub fn requires(&self, name: &str) -> &[&'static str] {
        self.nodes.iter().find(|(node, _)| *node == name).map_or(&[], |(_, requires)| requires)
    }

    /// Whether a name requires another one, directly or not.
    pub fn builds_on(&self, name: &str, other: &str) -> bool {
        self.requires(name).iter().any(|required| *required == other || self.builds_on(required, other))
    }

    fn refuse_cycles(&self) -> Result<()> {
        let edges: BTreeMap<_, _> = self.nodes.iter().map(|(name, requires)| (*name, requires)).collect();
        let ordered = self.order();
        let Some((start, _)) = self.nodes.iter().find(|(name, _)| !ordered.contains(name)) else {
            return Ok(());
        };
        let mut path = vec![*start];
        loop {
            let last = path[path.len() - 1];
            let Some(next) = edges[last].iter().find(|name| !ordered.contains(name)) else { return Ok(()) };
            if let Some(position) = path.iter().position(|name| name == next) {
                let circle = [&path[position..], &[*next]].concat().join(" -> ");
                return Err(Error::new(&code::GRAPH_CYCLE, format!("steps require each other: {circle}")));
            }
            path.push(next);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_comes_after_what_it_requires_and_ties_keep_their_order() {
        let graph = Graph::new([
            ("verify", vec!["flannel", "ovs"]),
            ("ovs", vec![]),
            ("flannel", vec!["kernel"]),
            ("kernel", vec![]),
        ])
        .unwrap();
        assert_eq!(graph.order(), ["ovs", "kernel", "flannel", "verify"]);
    }

    #[test]
    fn a_missing_requirement_counts_as_done() {
        let graph = Graph::new([("multus", vec!["flannel"])]).unwrap();
        assert_eq!(graph.order(), ["multus"]);
        assert!(graph.requires("multus").is_empty());
    }

    #[test]
    fn what_a_name_builds_on_may_be_far_below() {
        let graph = Graph::new([("vm", vec!["nets"]), ("nets", vec!["init"]), ("init", vec![])]).unwrap();
        assert!(graph.builds_on("vm", "init") && !graph.builds_on("init", "vm"));
    }

    #[test]
    fn a_circle_is_named_by_its_path() {
        let nodes = [("x", vec!["a"]), ("a", vec!["b"]), ("b", vec!["c"]), ("c", vec!["a"])];
        let error = Graph::new(nodes).err().unwrap();
        assert_eq!(error.to_string(), "steps require each other: a -> b -> c -> a");
    }
}
