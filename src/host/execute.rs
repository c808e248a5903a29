//! Executes the changes of the node.
