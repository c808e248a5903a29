//! The kinds that kvnet installs: what the server fills in, and what it refuses.

use serde_json::{Value, json};

use super::super::step::{MERGE, Step, apply, get, patch, post, put};

const APPS: &str = "/apis/apps/v1/namespaces/workloads";
const CORE: &str = "/api/v1/namespaces/workloads";
const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";

pub fn steps() -> Vec<Step> {
    [pods(), controllers(), changed(), services(), roles(), others()].into_iter().flatten().collect()
}

fn pod(name: &str, spec: &Value) -> Value {
    json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
}

fn pods() -> Vec<Step> {
    let path = format!("{CORE}/pods");
    let full = json!({
        "initContainers": [{"name": "first", "image": "i:1", "command": ["true"]}],
        "containers": [{
            "name": "c", "image": "docker.io/library/busybox", "ports": [{"containerPort": 80, "name": "http"}],
            "livenessProbe": {"httpGet": {"port": 80}}, "readinessProbe": {"exec": {"command": ["true"]}},
            "env": [{"name": "N", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}}}],
            "volumeMounts": [{"name": "h", "mountPath": "/h"}], "resources": {"requests": {"cpu": "100m"}},
        }],
        "volumes": [{"name": "h", "hostPath": {"path": "/opt"}}, {"name": "s", "secret": {"secretName": "s"}}, {"name": "e", "emptyDir": {}}],
        "hostNetwork": true, "nodeSelector": {"kubernetes.io/os": "linux"}, "tolerations": [{"operator": "Exists", "effect": "NoSchedule"}],
        "terminationGracePeriodSeconds": 0, "serviceAccountName": "default",
    });
    let simple = json!({"containers": [{"name": "c", "image": "busybox:1.37.0"}]});
    vec![
        post("a simple pod", path.clone(), pod("simple", &simple)),
        post("a pod with everything", path.clone(), pod("full", &full)),
        apply("an applied pod", &format!("{path}/applied"), "one", pod("applied", &simple)),
        post("a pod without containers", path.clone(), pod("x", &json!({"containers": []}))),
        post(
            "a pod without a name for a container",
            path.clone(),
            pod("x", &json!({"containers": [{"image": "i"}]})),
        ),
        post("a pod without an image", path.clone(), pod("x", &json!({"containers": [{"name": "c"}]}))),
        post(
            "a pod with two containers of a name",
            path.clone(),
            pod("twice", &json!({"containers": [{"name": "c", "image": "i"}, {"name": "c", "image": "i"}]})),
        ),
        post(
            "a pod with a mount of no volume",
            path.clone(),
            pod(
                "mount",
                &json!({"containers": [{"name": "c", "image": "i", "volumeMounts": [{"name": "v", "mountPath": "/v"}]}]}),
            ),
        ),
        post(
            "a pod that restarts otherwise",
            path.clone(),
            pod(
                "restarts",
                &json!({"restartPolicy": "Sometimes", "containers": [{"name": "c", "image": "i"}]}),
            ),
        ),
        post(
            "a pod of an account that is not there",
            path.clone(),
            pod(
                "account",
                &json!({"serviceAccountName": "none", "containers": [{"name": "c", "image": "i"}]}),
            ),
        ),
        patch(
            "a pod gets another image",
            format!("{path}/simple"),
            MERGE,
            json!({"spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]}}),
        ),
        patch(
            "a pod gets an annotation",
            format!("{path}/simple"),
            MERGE,
            json!({"metadata": {"annotations": {"a": "b"}}}),
        ),
    ]
}

fn workload(kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn template(labels: &Value) -> Value {
    json!({"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i:1"}]}})
}

fn controllers() -> Vec<Step> {
    let spec = json!({"selector": {"matchLabels": {"app": "x"}}, "template": template(&json!({"app": "x"}))});
    let (deployments, sets) = (format!("{APPS}/deployments"), format!("{APPS}/daemonsets"));
    let with = |name: &str, value: Value| {
        let mut spec = spec.clone();
        spec[name] = value;
        spec
    };
    vec![
        post("a Deployment", deployments.clone(), workload("Deployment", "d", spec.clone())),
        post("a DaemonSet", sets.clone(), workload("DaemonSet", "s", spec.clone())),
        post("a ReplicaSet", format!("{APPS}/replicasets"), workload("ReplicaSet", "r", spec.clone())),
        post(
            "a DaemonSet that is replaced by hand",
            sets.clone(),
            workload("DaemonSet", "h", with("updateStrategy", json!({"type": "OnDelete"}))),
        ),
        post(
            "a Deployment that is recreated",
            deployments.clone(),
            workload("Deployment", "re", with("strategy", json!({"type": "Recreate"}))),
        ),
        post(
            "a Deployment without a selector",
            deployments.clone(),
            workload("Deployment", "x", with("selector", Value::Null)),
        ),
        post(
            "a Deployment with an empty selector",
            deployments.clone(),
            workload("Deployment", "x", with("selector", json!({}))),
        ),
        post(
            "a selector that the template does not fit",
            deployments.clone(),
            workload("Deployment", "x", with("selector", json!({"matchLabels": {"app": "y"}}))),
        ),
        post(
            "a template without containers",
            sets.clone(),
            workload(
                "DaemonSet",
                "x",
                with("template", json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": []}})),
            ),
        ),
        post(
            "a template without an image",
            sets.clone(),
            workload(
                "DaemonSet",
                "x",
                with(
                    "template",
                    json!({"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "c"}]}}),
                ),
            ),
        ),
        post(
            "a negative number of replicas",
            deployments.clone(),
            workload("Deployment", "negative", with("replicas", json!(-1))),
        ),
    ]
}

fn changed() -> Vec<Step> {
    let deployments = format!("{APPS}/deployments");
    vec![
        patch(
            "another image",
            format!("{deployments}/d"),
            MERGE,
            json!({"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "i:2"}]}}}}),
        ),
        patch(
            "another selector",
            format!("{deployments}/d"),
            MERGE,
            json!({"spec": {"selector": {"matchLabels": {"app": "y"}}, "template": {"metadata": {"labels": {"app": "y"}}}}}),
        ),
        patch("another number", format!("{deployments}/d"), MERGE, json!({"spec": {"replicas": 0}})),
        post(
            "no specification",
            deployments,
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "nothing"}}),
        ),
    ]
}

fn services() -> Vec<Step> {
    let path = format!("{CORE}/services");
    let service = |name: &str, spec: Value| json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec});
    vec![
        post(
            "a Service",
            path.clone(),
            service("a", json!({"selector": {"app": "x"}, "ports": [{"port": 80}]})),
        ),
        post(
            "a Service with names of ports",
            path.clone(),
            service(
                "b",
                json!({"ports": [{"port": 443, "targetPort": "https", "name": "https"}, {"port": 80, "name": "http", "protocol": "TCP"}]}),
            ),
        ),
        post(
            "a headless Service",
            path.clone(),
            service("c", json!({"clusterIP": "None", "selector": {"app": "x"}, "ports": [{"port": 80}]})),
        ),
        post("a Service with a wrong name", path.clone(), service("1a", json!({"ports": [{"port": 80}]}))),
        post("a Service without ports", path.clone(), service("portless", json!({}))),
        post(
            "a Service with a wrong port",
            path.clone(),
            service("port-zero", json!({"ports": [{"port": 0}]})),
        ),
        post(
            "a Service with a port that is too large",
            path,
            service("port-large", json!({"ports": [{"port": 80, "targetPort": 70000}]})),
        ),
    ]
}

fn roles() -> Vec<Step> {
    let binding = |role: &str| json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "kvnet-workloads"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role}, "subjects": [{"kind": "ServiceAccount", "name": "default", "namespace": "workloads"}, {"kind": "User", "name": "somebody"}]});
    let path = format!("{RBAC}/clusterrolebindings");
    vec![
        post(
            "a ClusterRole",
            format!("{RBAC}/clusterroles"),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "kvnet-workloads"}, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}]}),
        ),
        post("a ClusterRoleBinding", path.clone(), binding("kvnet-workloads")),
        put("a binding of another role", format!("{path}/kvnet-workloads"), binding("other")),
        apply(
            "an applied role",
            &format!("{RBAC}/namespaces/workloads/roles/r"),
            "one",
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "r"}, "rules": [{"apiGroups": ["k8s.cni.cncf.io"], "resources": ["*"], "verbs": ["*"]}]}),
        ),
        post(
            "a role without verbs",
            format!("{RBAC}/namespaces/workloads/roles"),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "x"}, "rules": [{"apiGroups": [""], "resources": ["pods"]}]}),
        ),
        post(
            "a role with a name of the system",
            format!("{RBAC}/namespaces/workloads/roles"),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "kvnet:x"}, "rules": []}),
        ),
    ]
}

fn others() -> Vec<Step> {
    vec![
        post(
            "a Secret",
            format!("{CORE}/secrets"),
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": "text"}, "data": {"b": "aGFsbG8="}}),
        ),
        apply(
            "an applied ServiceAccount",
            &format!("{CORE}/serviceaccounts/one"),
            "one",
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "one"}}),
        ),
        post(
            "a Lease",
            "/apis/coordination.k8s.io/v1/namespaces/workloads/leases",
            json!({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": "l"}, "spec": {"holderIdentity": "me"}}),
        ),
        post(
            "a PriorityClass",
            "/apis/scheduling.k8s.io/v1/priorityclasses",
            json!({"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "kvnet-workloads"}, "value": 1000}),
        ),
        post(
            "an Event",
            format!("{CORE}/events"),
            json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"kind": "Pod", "namespace": "workloads", "name": "simple"}, "reason": "Started", "message": "m", "type": "Normal"}),
        ),
        get(
            "the events of a pod",
            format!("{CORE}/events?fieldSelector=involvedObject.kind%3DPod,involvedObject.name%3Dsimple"),
        ),
        get("the warnings", format!("{CORE}/events?fieldSelector=type%3DWarning")),
        get("the log of a pod that is not there", format!("{CORE}/pods/none/log")),
        get("the log of a container that is not there", format!("{CORE}/pods/full/log?container=none")),
    ]
}
