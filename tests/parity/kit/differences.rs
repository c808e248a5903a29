//! What is known to differ, and why it stays. `docs/sandbox.md` lists the same.

use super::compare::Known;

/// Of the API server.
pub const OF_API: &[Known] = &[];

/// Of the switch.
pub const OF_SWITCH: &[Known] = &[];

/// What is not compared at all, and why.
pub const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "the Kubernetes of 2018",
        "its groups (`extensions/v1beta1`, `apiextensions.k8s.io/v1beta1` and their like) are not served by any API server that can be built today",
    ),
    ("`exec`, `attach` and logs", "they need a kubelet; the stories on the real node use them"),
    (
        "what controllers, scheduler and kubelet do",
        "only the collector and the controller of namespaces run beside the compared API server; the rest is seen on the real node",
    ),
    (
        "what the switch does with its database",
        "ports get numbers and links from a running `ovs-vswitchd`, which needs the kernel or root; the stories on the real node show it",
    ),
];
