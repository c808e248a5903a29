//! What in an unvouched manifest goes beyond its component's needs.

use serde_json::Value;

use crate::components::Component;
use crate::profile::Profile;

/// The usual kinds of such manifests; everything else is listed.
const KINDS: [&str; 14] = [
    "Namespace",
    "CustomResourceDefinition",
    "PriorityClass",
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
    "ConfigMap",
    "Service",
    "DaemonSet",
    "Deployment",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
];

/// Each object that the component does not need, with what it can do.
pub(super) fn look(component: &Component, profile: &Profile, objects: &[Value]) -> Vec<String> {
    let own = &component.workloads;
    let own = Own { namespace: (own.namespace)(profile), workloads: own.names, group: own.group };
    let found = |object: &Value| Some(format!("{} {}", name(object), reach(&own, object)?));
    objects.iter().filter_map(found).collect()
}

/// What a component may have.
struct Own<'a> {
    namespace: &'a str,
    /// The name prefix of its pods' owners.
    workloads: &'static [&'static str],
    /// The API group of its own objects.
    group: &'static str,
}

fn name(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (kind, name) = (text("/kind"), text("/metadata/name"));
    match text("/metadata/namespace").as_str() {
        "" => format!("{kind} {name}"),
        namespace => format!("{kind} {namespace}/{name}"),
    }
}

fn reach(own: &Own<'_>, object: &Value) -> Option<&'static str> {
    let kind = object["kind"].as_str().unwrap_or_default();
    let group = object["apiVersion"]
        .as_str()
        .and_then(|version| version.split_once('/'))
        .map_or("", |(group, _)| group);
    let is_own_group = group == own.group || group.ends_with(&format!(".{}", own.group));
    let name = object.pointer("/metadata/name").and_then(Value::as_str).unwrap_or_default();
    let outside =
        object.pointer("/metadata/namespace").and_then(Value::as_str).is_some_and(|it| it != own.namespace);
    match kind {
        "Secret" => Some("is a Secret"),
        "ValidatingWebhookConfiguration" | "MutatingWebhookConfiguration" => {
            Some("lets a webhook act on foreign objects")
        }
        "APIService" => Some("serves a part of the API"),
        "ClusterRoleBinding" | "RoleBinding"
            if object.pointer("/roleRef/name") == Some(&"cluster-admin".into()) =>
        {
            Some("grants all permissions on the cluster")
        }
        "ClusterRoleBinding" | "RoleBinding" if binds_others(own, object) => {
            Some("grants permissions beyond the component")
        }
        "ClusterRole" | "Role" if allows_all(object) => Some("allows everything"),
        "CustomResourceDefinition" if !defines(own, object) => Some("defines objects of another project"),
        "Namespace" if name != own.namespace => Some("is not the component's namespace"),
        _ if rules_its_node(object)
            && (outside || !own.workloads.iter().any(|begin| name.starts_with(begin))) =>
        {
            Some("runs privileged on its node")
        }
        _ if outside => Some("is outside of the component's namespace"),
        _ if !is_own_group && !KINDS.contains(&kind) => Some("is of a kind that the component does not need"),
        _ => None,
    }
}

fn allows_all(role: &Value) -> bool {
    let rules = role["rules"].as_array().map(Vec::as_slice).unwrap_or_default();
    let has = |rule: &Value, field: &str, wanted: &[&str]| {
        rule[field].as_array().into_iter().flatten().filter_map(Value::as_str).any(|it| wanted.contains(&it))
    };
    rules.iter().any(|rule| {
        let all =
            has(rule, "apiGroups", &["*"]) && has(rule, "resources", &["*"]) && has(rule, "verbs", &["*"]);
        let more = has(rule, "verbs", &["escalate", "bind", "impersonate"]);
        all || more
    })
}

/// Whether a binding has other subjects than the component's service accounts.
fn binds_others(own: &Own<'_>, binding: &Value) -> bool {
    let subjects = binding["subjects"].as_array().map(Vec::as_slice).unwrap_or_default();
    let is_own = |subject: &Value| {
        subject["kind"] == "ServiceAccount"
            && subject["namespace"].as_str().is_none_or(|it| it == own.namespace)
    };
    // KubeVirt lets all authenticated users read its version and presets.
    let reads_own = binding
        .pointer("/roleRef/name")
        .and_then(Value::as_str)
        .is_some_and(|role| role.starts_with(own.group));
    !reads_own && !subjects.iter().all(is_own)
}

fn defines(own: &Own<'_>, definition: &Value) -> bool {
    let group = definition.pointer("/spec/group").and_then(Value::as_str).unwrap_or_default();
    group == own.group || group.ends_with(&format!(".{}", own.group))
}

/// Whether pods of it can change the node that they run on.
fn rules_its_node(object: &Value) -> bool {
    let pod = ["/spec/template/spec", "/spec/jobTemplate/spec/template/spec", "/spec"];
    let pod =
        pod.iter().filter_map(|pointer| object.pointer(pointer)).find(|spec| spec["containers"].is_array());
    let Some(pod) = pod else { return false };
    let containers =
        ["containers", "initContainers"].into_iter().filter_map(|list| pod[list].as_array()).flatten();
    let privileged = |container: &Value| {
        let context = &container["securityContext"];
        let added = context.pointer("/capabilities/add").and_then(Value::as_array);
        let admin = added
            .into_iter()
            .flatten()
            .any(|it| ["SYS_ADMIN", "ALL", "NET_ADMIN"].contains(&it.as_str().unwrap_or_default()));
        context["privileged"] == true || admin
    };
    let host_paths =
        pod["volumes"].as_array().is_some_and(|all| all.iter().any(|volume| volume["hostPath"].is_object()));
    host_paths
        || ["hostPID", "hostIPC", "hostNetwork"].iter().any(|it| pod[it] == true)
        || containers.into_iter().any(privileged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::components::kubevirt::KUBEVIRT;
    use crate::profile;

    fn found(component: &Component, yaml: &str) -> Vec<String> {
        let profile = profile::load("default", &[]).unwrap().profile;
        let objects = crate::manifest::parse_manifests(yaml, "test").unwrap();
        look(component, &profile, &objects)
    }

    #[test]
    fn what_an_operator_needs_is_not_named() {
        let yaml = "
{apiVersion: v1, kind: Namespace, metadata: {name: kubevirt}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: kubevirts.kubevirt.io}, spec: {group: kubevirt.io}}
---
{apiVersion: scheduling.k8s.io/v1, kind: PriorityClass, metadata: {name: kubevirt-cluster-critical}, value: 1}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: 'kubevirt.io:operator'}, rules: [{apiGroups: [kubevirt.io], resources: ['*'], verbs: ['*']}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: o}, roleRef: {kind: ClusterRole, name: kubevirt-operator}, subjects: [{kind: ServiceAccount, name: kubevirt-operator, namespace: kubevirt}]}
---
{apiVersion: apps/v1, kind: Deployment, metadata: {name: virt-operator, namespace: kubevirt}, spec: {template: {spec: {containers: [{name: c, image: i}]}}}}
---
{apiVersion: kubevirt.io/v1, kind: KubeVirt, metadata: {name: kubevirt, namespace: kubevirt}}
";
        assert_eq!(found(&KUBEVIRT, yaml), Vec::<String>::new());
    }

    #[test]
    fn what_reaches_further_is_named_with_what_it_can_do() {
        let yaml = "
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: evil}, roleRef: {kind: ClusterRole, name: cluster-admin}, subjects: []}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRoleBinding, metadata: {name: anybody}, roleRef: {kind: ClusterRole, name: view}, subjects: [{kind: Group, name: 'system:unauthenticated'}]}
---
{apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: {name: all}, rules: [{apiGroups: ['*'], resources: ['*'], verbs: ['*']}]}
---
{apiVersion: v1, kind: Secret, metadata: {name: x, namespace: kube-system}}
---
{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: virt-handler, namespace: kube-system}, spec: {template: {spec: {volumes: [{name: r, hostPath: {path: /}}], containers: [{name: c, image: i}]}}}}
---
{apiVersion: batch/v1, kind: CronJob, metadata: {name: miner, namespace: kubevirt}, spec: {jobTemplate: {spec: {template: {spec: {hostPID: true, containers: [{name: c, image: i}]}}}}}}
---
{apiVersion: admissionregistration.k8s.io/v1, kind: MutatingWebhookConfiguration, metadata: {name: w}}
---
{apiVersion: v1, kind: ConfigMap, metadata: {name: c, namespace: default}}
---
{apiVersion: v1, kind: Pod, metadata: {name: p, namespace: kubevirt}, spec: {containers: [{name: c, image: i}]}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: other}}
---
{apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {name: a.b}, spec: {group: b}}
";
        assert_eq!(
            found(&KUBEVIRT, yaml),
            [
                "ClusterRoleBinding evil grants all permissions on the cluster",
                "ClusterRoleBinding anybody grants permissions beyond the component",
                "ClusterRole all allows everything",
                "Secret kube-system/x is a Secret",
                "DaemonSet kube-system/virt-handler runs privileged on its node",
                "CronJob kubevirt/miner runs privileged on its node",
                "MutatingWebhookConfiguration w lets a webhook act on foreign objects",
                "ConfigMap default/c is outside of the component's namespace",
                "Pod kubevirt/p is of a kind that the component does not need",
                "Namespace other is not the component's namespace",
                "CustomResourceDefinition a.b defines objects of another project",
            ]
        );
    }
}
