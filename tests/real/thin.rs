//! The thin flavour of Multus does the same, and leaves as little behind.

use crate::default::AFTER_DOWN;
use crate::kvnet::Kvnet;
use crate::networks::{check_node, check_pods, first_configuration};
use crate::node::Node;
use crate::see;

pub fn story() {
    let node = Node::start("t-thin");
    let kvnet = Kvnet::new(&node, &["--set", "multus.flavour=thin"]);
    let fresh = see::all(&node);
    kvnet.up();
    check_node(&node);
    assert_eq!(first_configuration(&node), "00-multus.conf");
    check_pods(&node);
    kvnet.has_nothing_to_do();
    kvnet.exits(0, &["down", "--yes"]);
    fresh.must_equal(&see::all(&node), AFTER_DOWN);
}
