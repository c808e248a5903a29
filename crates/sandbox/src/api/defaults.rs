//! The server's defaults for built-in kinds.

use serde_json::{Value, json};

use super::kinds::Kind;

pub(super) fn fill(kind: &Kind, object: &mut Value) {
    if kind.group == "extensions" {
        of_extensions(kind, object);
    }
    match kind.kind.as_str() {
        "DaemonSet" => {
            let rolling = if kind.tracks {
                json!({"maxUnavailable": 1, "maxSurge": 0})
            } else {
                json!({"maxUnavailable": 1})
            };
            let update = json!({"type": "RollingUpdate", "rollingUpdate": rolling});
            absent(&mut object["spec"], &[("updateStrategy", update), ("revisionHistoryLimit", json!(10))]);
            pod_template(object);
        }
        "Deployment" => {
            let strategy = json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "25%", "maxSurge": "25%"}});
            absent(
                &mut object["spec"],
                &[
                    ("replicas", json!(1)),
                    ("strategy", strategy),
                    ("revisionHistoryLimit", json!(10)),
                    ("progressDeadlineSeconds", json!(600)),
                ],
            );
            pod_template(object);
        }
        "ReplicaSet" | "StatefulSet" => {
            absent(&mut object["spec"], &[("replicas", json!(1))]);
            pod_template(object);
        }
        "Pod" => {
            pod(&mut object["spec"]);
            if kind.tracks {
                absent(&mut object["spec"], &[("enableServiceLinks", json!(true))]);
            }
        }
        "Service" => {
            absent(&mut object["spec"], &[("type", json!("ClusterIP")), ("sessionAffinity", json!("None"))]);
            if kind.tracks {
                absent(&mut object["spec"], &[("internalTrafficPolicy", json!("Cluster"))]);
            }
            for port in items(&mut object["spec"]["ports"]) {
                let target = port["port"].clone();
                absent(port, &[("protocol", json!("TCP")), ("targetPort", target)]);
            }
        }
        "Namespace" if kind.tracks => {
            let name = object["metadata"]["name"].clone();
            if !object["metadata"]["labels"].is_object() {
                object["metadata"]["labels"] = json!({});
            }
            object["metadata"]["labels"]["kubernetes.io/metadata.name"] = name;
        }
        "CustomResourceDefinition" => super::crd::fill(kind, object),
        "PriorityClass" if kind.tracks => {
            absent(object, &[("preemptionPolicy", json!("PreemptLowerPriority"))]);
        }
        "ClusterRole" | "Role" if object["rules"].as_array().is_some_and(Vec::is_empty) => {
            object["rules"] = Value::Null;
        }
        "Secret" => absent(object, &[("type", json!("Opaque"))]),
        "ClusterRoleBinding" | "RoleBinding" => {
            for subject in items(&mut object["subjects"]) {
                if subject["kind"] == "User" || subject["kind"] == "Group" {
                    absent(subject, &[("apiGroup", json!("rbac.authorization.k8s.io"))]);
                }
            }
        }
        _ => {}
    }
}

/// The fields that the server sets on a new object, which no manager owns.
pub(super) fn admit(kind: &Kind, object: &mut Value) {
    match kind.kind.as_str() {
        "Pod" => {
            let account = object["spec"]["serviceAccountName"].as_str().unwrap_or("default").to_owned();
            absent(
                &mut object["spec"],
                &[
                    ("serviceAccountName", account.as_str().into()),
                    ("serviceAccount", account.as_str().into()),
                    ("priority", json!(0)),
                ],
            );
            if kind.tracks {
                absent(&mut object["spec"], &[("preemptionPolicy", json!("PreemptLowerPriority"))]);
            }
            let class = if has_resources(&object["spec"]) { "Burstable" } else { "BestEffort" };
            absent(object, &[("status", json!({"phase": "Pending", "qosClass": class}))]);
        }
        "Service" => {
            let address = address(object);
            let spec = &mut object["spec"];
            absent(spec, &[("clusterIP", address)]);
            if kind.tracks {
                let addresses = json!([spec["clusterIP"]]);
                absent(
                    spec,
                    &[
                        ("clusterIPs", addresses),
                        ("ipFamilies", json!(["IPv4"])),
                        ("ipFamilyPolicy", json!("SingleStack")),
                    ],
                );
            }
            absent(object, &[("status", json!({"loadBalancer": {}}))]);
        }
        "Deployment" => absent(object, &[("status", json!({}))]),
        "DaemonSet" => {
            let status = json!({"currentNumberScheduled": 0, "numberMisscheduled": 0, "desiredNumberScheduled": 0, "numberReady": 0});
            absent(object, &[("status", status)]);
        }
        "ReplicaSet" => absent(object, &[("status", json!({"replicas": 0}))]),
        "Namespace" => absent(
            object,
            &[("spec", json!({"finalizers": ["kubernetes"]})), ("status", json!({"phase": "Active"}))],
        ),
        _ => {}
    }
}

fn has_resources(spec: &Value) -> bool {
    let containers = spec["containers"].as_array().into_iter().flatten();
    let some = |value: &Value| value.as_object().is_some_and(|map| !map.is_empty());
    containers.map(|one| &one["resources"]).any(|one| some(&one["requests"]) || some(&one["limits"]))
}

/// A cluster IP that depends only on the name: nothing answers there.
fn address(service: &Value) -> Value {
    let text = |name: &str| service["metadata"][name].as_str().unwrap_or_default().to_owned();
    let name = text("namespace") + "/" + &text("name");
    let number = name.bytes().fold(7_u16, |sum, byte| sum.wrapping_mul(31).wrapping_add(byte.into()));
    format!("10.96.{}.{}", number >> 8, number & 0xff).into()
}

/// The group that workloads were in before `apps`: they select by their template's labels, and daemons are not replaced
/// by themselves.
fn of_extensions(kind: &Kind, object: &mut Value) {
    let labels = object["spec"]["template"]["metadata"]["labels"].clone();
    if labels.is_object() {
        absent(&mut object["spec"], &[("selector", json!({"matchLabels": labels}))]);
        absent(&mut object["metadata"], &[("labels", labels)]);
    }
    if kind.kind == "Deployment" {
        let strategy =
            json!({"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 1}});
        absent(&mut object["spec"], &[("strategy", strategy)]);
    }
    if kind.kind == "DaemonSet" {
        absent(&mut object["spec"], &[("updateStrategy", json!({"type": "OnDelete"}))]);
    }
}

/// In the old group, the template has its own generation.
pub(super) fn count_templates(set: &mut Value, live: Option<&Value>) {
    let number = match live {
        None => 1,
        Some(live) => {
            let number = live["spec"]["templateGeneration"].as_i64().unwrap_or(1);
            number + i64::from(live["spec"]["template"] != set["spec"]["template"])
        }
    };
    set["spec"]["templateGeneration"] = number.into();
}

fn items(list: &mut Value) -> impl Iterator<Item = &mut Value> {
    list.as_array_mut().into_iter().flatten()
}

/// Adds the missing fields.
fn absent(object: &mut Value, fields: &[(&str, Value)]) {
    let Value::Object(map) = object else { return };
    for (name, value) in fields {
        if map.get(*name).is_none_or(Value::is_null) {
            map.insert((*name).to_owned(), value.clone());
        }
    }
}

fn pod_template(object: &mut Value) {
    pod(&mut object["spec"]["template"]["spec"]);
}

fn pod(spec: &mut Value) {
    if !spec.is_object() {
        return;
    }
    absent(
        spec,
        &[
            ("restartPolicy", json!("Always")),
            ("terminationGracePeriodSeconds", json!(30)),
            ("dnsPolicy", json!("ClusterFirst")),
            ("securityContext", json!({})),
            ("schedulerName", json!("default-scheduler")),
        ],
    );
    if let Some(account) = spec.get("serviceAccountName").cloned() {
        absent(spec, &[("serviceAccount", account)]);
    }
    let host_network = spec["hostNetwork"] == true;
    for list in ["initContainers", "containers"] {
        if spec.get(list).is_some() {
            items(&mut spec[list]).for_each(|one| container(one, host_network));
        }
    }
    if spec.get("volumes").is_some() {
        items(&mut spec["volumes"]).for_each(volume);
    }
}

fn container(container: &mut Value, host_network: bool) {
    let latest = container["image"].as_str().is_some_and(|image| {
        let tag = image.rsplit('/').next().unwrap_or_default();
        !tag.contains(':') && !tag.contains('@') || tag.ends_with(":latest")
    });
    absent(
        container,
        &[
            ("resources", json!({})),
            ("terminationMessagePath", json!("/dev/termination-log")),
            ("terminationMessagePolicy", json!("File")),
            ("imagePullPolicy", json!(if latest { "Always" } else { "IfNotPresent" })),
        ],
    );
    for probe in ["livenessProbe", "readinessProbe", "startupProbe"] {
        if container.get(probe).is_some() {
            fill_probe(&mut container[probe]);
        }
    }
    if container.get("ports").is_some() {
        for port in items(&mut container["ports"]) {
            absent(port, &[("protocol", json!("TCP"))]);
            let number = port["containerPort"].clone();
            if host_network {
                absent(port, &[("hostPort", number)]);
            }
        }
    }
    if container.get("env").is_some() {
        for variable in items(&mut container["env"]) {
            if let Some(reference) = variable.pointer_mut("/valueFrom/fieldRef") {
                absent(reference, &[("apiVersion", json!("v1"))]);
            }
        }
    }
}

fn fill_probe(probe: &mut Value) {
    absent(
        probe,
        &[
            ("timeoutSeconds", json!(1)),
            ("periodSeconds", json!(10)),
            ("successThreshold", json!(1)),
            ("failureThreshold", json!(3)),
        ],
    );
    if let Some(get) = probe.pointer_mut("/httpGet") {
        absent(get, &[("scheme", json!("HTTP")), ("path", json!("/"))]);
    }
}

fn volume(volume: &mut Value) {
    for source in ["configMap", "secret", "downwardAPI", "projected"] {
        if volume.get(source).is_some() {
            absent(&mut volume[source], &[("defaultMode", json!(420))]);
        }
    }
    if volume.get("hostPath").is_some() {
        absent(&mut volume["hostPath"], &[("type", json!(""))]);
    }
}
