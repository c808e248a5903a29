//! The thin flavour of Multus does the same, and leaves as little behind.

use crate::default::AFTER_DOWN;
use crate::kvnet::Kvnet;
use crate::networks::{check_node, check_pods};
use crate::node::Node;
use crate::see;

pub fn story() {
    let node = Node::start("thin");
    let kvnet = Kvnet::new(&node, &["--set", "multus.flavour=thin"]);
    let fresh = see::all(&node);
    kvnet.up();
    check_node(&node);
    check_pods(&node);
    kvnet.has_nothing_to_do();
    kvnet.exits(0, &["doctor"]);
    kvnet.exits(0, &["down", "--yes"]);
    fresh.must_equal(&see::all(&node), AFTER_DOWN);
}
