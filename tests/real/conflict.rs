//! Another field manager changes kvnet's object: it is named, and only `--force-conflicts` overrules it.

use crate::kvnet::Kvnet;

const LIMIT: &str = "spec.template.spec.containers[0].resources.limits.memory";

pub fn story(kvnet: &Kvnet) {
    let node = kvnet.node;
    let patch = r#"[{"op": "replace", "path": "/spec/template/spec/containers/0/resources/limits/memory", "value": "400Mi"}]"#;
    let target = "kubectl -n kube-system patch daemonset kube-multus-ds";
    node.sh(&format!("{target} --field-manager=somebody --type=json --patch '{patch}'"));
    let plan = kvnet.exits(3, &["plan"]).out;
    for part in ["change DaemonSet kube-system/kube-multus-ds", "400Mi", "300Mi", "somebody"] {
        assert!(plan.contains(part), "`{part}` is not in\n{plan}");
    }
    let refused = kvnet.run(&["up", "--yes"]);
    assert!(matches!(refused.code, Some(1 | 4)), "{refused:?}");
    for part in ["KVN303", "somebody", "--force-conflicts"] {
        assert!(refused.err.contains(part), "`{part}` is not in\n{}", refused.err);
    }
    assert_eq!(limit(kvnet), "400Mi", "the other's value was taken away");
    kvnet.exits(0, &["up", "--yes", "--force-conflicts"]);
    assert_eq!(limit(kvnet), "300Mi");
    kvnet.has_nothing_to_do();
}

fn limit(kvnet: &Kvnet) -> String {
    kvnet.node.sh(&format!("kubectl -n kube-system get daemonset kube-multus-ds -o jsonpath='{{.{LIMIT}}}'"))
}
