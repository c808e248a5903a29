//! Known differences, and why they stay. `docs/sandbox.md` has the same list.

use super::compare::Known;

/// Of the API server of Kubernetes 1.11.
pub const OF_API_2018: &[Known] = &[
    Known {
        what: "objects and lists have no `selfLink`",
        why: "nobody reads it, and later servers do not have it",
        at: &[("*", "/body*/selfLink")],
    },
    Known {
        what: "refusals have the messages of later servers",
        why: "kvnet shows messages and does not parse them",
        at: &[
            ("in-place-of-apply: no third description", "/body"),
            ("in-place-of-apply: no third description", "/type/0"),
            ("lists: a selector with a wrong name", "/body/message"),
            ("lists: a part with a token of nobody's", "/body/message"),
            ("deletes: a time of deletion is nobody's to set", "/body*/message"),
            ("owners: an owner without *", "/body*/message"),
            ("namespaces: a namespace with a wrong name", "/body*/message"),
            ("watches: *", "/body*/message"),
        ],
    },
    Known {
        what: "parameters that the server of that day ignored or answered with 500 are refused",
        why: "kvnet sends none of them",
        at: &[
            ("lists: a match without a version", "*"),
            ("deletes: a propagation that there is not", "*"),
            ("deletes: options that are none", "*"),
            ("watches: a list from a version that is none", "*"),
        ],
    },
    Known {
        what: "unset times and lists are omitted or empty",
        why: "the real server writes them as null, as Go does",
        at: &[
            ("daemons-of-2018: *", "/body/spec/template/metadata/creationTimestamp"),
            ("deletes: all of a namespace that is not there", "/body/items"),
        ],
    },
    Known {
        what: "definitions have no default columns",
        why: "only tables show them, and kvnet requests none",
        at: &[("definitions-of-2018: *", "/body/spec/additionalPrinterColumns")],
    },
    Known {
        what: "DaemonSets show their template generation in every group, and not as an annotation",
        why: "kvnet reads it from the pods' label",
        at: &[
            ("daemons-of-2018: *later group", "/body/metadata/annotations"),
            ("daemons-of-2018: *later group", "/body/spec/templateGeneration"),
        ],
    },
    Known {
        what: "a new node has no taint, no podCIDRs and no empty nodeInfo",
        why: "the sandbox's node is as kubeadm leaves it when Ready",
        at: &[("*: a node", "/body/s*"), ("lists: a list of the cluster's objects", "/body/items/0/s*")],
    },
    Known {
        what: "pods have a service account and no default tolerations",
        why: "the compared server runs without the ServiceAccount admission plugin, which needs a token controller; nothing in the sandbox sets evicting taints",
        at: &[("*", "/body*/spec/serviceAccount*"), ("*", "/body*/spec/tolerations")],
    },
];

/// Of the API server.
pub const OF_API: &[Known] = &[
    Known {
        what: "`/version` has no commit and no Go version",
        why: "it has no build",
        at: &[("discovery: the version", "/body/gitCommit"), ("discovery: the version", "/body/goVersion")],
    },
    Known {
        what: "groups, kinds and subresources that neither kvnet nor its components use are not served",
        why: "each would promise the real behaviour",
        at: &[
            ("discovery: the groups", "/body/groups/authentication.k8s.io"),
            ("discovery: the groups", "/body/groups/authorization.k8s.io"),
            ("discovery: the groups", "/body/groups/autoscaling"),
            ("discovery: the groups", "/body/groups/certificates.k8s.io"),
            ("discovery: the groups", "/body/groups/discovery.k8s.io"),
            ("discovery: the groups", "/body/groups/events.k8s.io"),
            ("discovery: the groups", "/body/groups/flowcontrol.apiserver.k8s.io"),
            ("discovery: the groups", "/body/groups/node.k8s.io"),
            ("discovery: the groups", "/body/groups/resource.k8s.io"),
            ("discovery: the groups", "/body/groups/storage.k8s.io"),
            ("discovery: the kinds of the core", "/body/resources/bindings"),
            ("discovery: the kinds of the core", "/body/resources/componentstatuses"),
            ("discovery: the kinds of the core", "/body/resources/podtemplates"),
            ("discovery: the kinds of the core", "/body/resources/namespaces/finalize"),
            ("discovery: the kinds of the core", "/body/resources/nodes/proxy"),
            ("discovery: the kinds of the core", "/body/resources/pods/*"),
            ("discovery: the kinds of the core", "/body/resources/replicationcontrollers/scale"),
            ("discovery: the kinds of the core", "/body/resources/serviceaccounts/token"),
            ("discovery: the kinds of the core", "/body/resources/services/proxy"),
            ("discovery: the kinds of apps", "/body/resources/*/scale"),
        ],
    },
    Known {
        what: "the storage version hash of definitions differs",
        why: "the real server's is that of a version that it no longer serves",
        at: &[(
            "discovery: the kinds of definitions",
            "/body/resources/customresourcedefinitions/storageVersionHash",
        )],
    },
    Known {
        what: "parse errors of JSON, YAML and tokens have other messages",
        why: "the real server's come from Go's libraries; status and reason are the same",
        at: &[
            ("objects: a manager with a wrong name", "*message"),
            ("objects: broken JSON", "/body/message"),
            ("objects: an empty body", "/body/message"),
            ("objects: a list as an object", "/body/message"),
            ("lists: a part with a token of nobody's", "/body/message"),
            ("applies: an apply of broken YAML", "/body/message"),
            ("patches: a merge patch with another kind", "*message"),
            ("patches: operations that are none", "/body/message"),
            ("patches: a patch of broken JSON", "/body/message"),
            ("patches: operations of broken JSON", "/body/message"),
            ("patches: a patch that is a text", "/body/message"),
            ("patches: a patch that is empty", "/body/message"),
            ("custom: broken JSON", "/body/message"),
        ],
    },
    Known {
        what: "invalid delete options are a bad request",
        why: "the real server answers 500",
        at: &[("deletes: options that are none", "*")],
    },
    Known {
        what: "fields of built-in kinds are not checked against their types",
        why: "kvnet does not contain the types; unknown fields are kept",
        at: &[
            ("objects: a field of another type", "*"),
            ("applies: a field that the kind does not have", "*"),
        ],
    },
    Known {
        what: "an apply of a custom resource that violates its schema is not refused with 500",
        why: "a wrong type gets 422 as in other writes, an unknown field is dropped",
        at: &[
            ("custom: an apply that the schema refuses", "*"),
            ("custom: an apply of an unknown field", "*"),
        ],
    },
    Known {
        what: "unknown fields of custom resources are dropped without a warning, also with strict validation",
        why: "kvnet neither requests it nor shows warnings",
        at: &[
            ("custom: fields that the schema does not have", "/warnings"),
            ("custom: fields beside the specification", "/warnings"),
            ("custom: a wrong version", "/warnings"),
            ("custom: a merge patch", "/warnings"),
            ("custom: a status", "/warnings"),
            ("custom: an unknown field, strictly", "*"),
        ],
    },
    Known {
        what: "`pattern` in schemas is not enforced",
        why: "no field that kvnet writes has one",
        at: &[("custom: a text that does not fit", "*")],
    },
    Known {
        what: "pods get no token volume and no default tolerations, and their service account need not exist",
        why: "nothing in the sandbox reads a token or sets evicting taints",
        at: &[
            ("*", "/body*/spec/volumes*"),
            ("*", "/body*/spec/tolerations*"),
            ("*", "/body*/spec/*ontainers/*/volumeMounts*"),
            ("workloads: a pod of an account that is not there", "*"),
        ],
    },
    Known {
        what: "the spec of a pod is mutable",
        why: "kvnet replaces pods, and workload kinds are checked",
        at: &[
            ("workloads: a pod gets another image", "*"),
            ("workloads: a pod gets an annotation", "/body/spec/containers/c/image"),
            ("workloads: a pod gets an annotation", "/body/metadata/*"),
        ],
    },
    Known {
        what: "a new node has no taint, no podCIDRs and no empty nodeInfo",
        why: "the sandbox's node is as kubeadm leaves it when Ready",
        at: &[
            ("*: a node", "/body/s*"),
            ("lists: a list of the cluster's objects", "/body/items/0/s*"),
            ("statuses: a node*", "/body/spec/*"),
            ("statuses: a node*", "/body/status/*"),
            ("statuses: a node*", "/body/metadata/managedFields/*"),
        ],
    },
    Known {
        what: "DaemonSets have no template generation annotation",
        why: "it is deprecated and unused",
        at: &[
            ("applies: *", "/body/metadata/annotations"),
            ("patches: *", "/body/metadata/annotations"),
            ("patches: *", "/body/metadata/managedFields/*/fieldsV1/f:metadata"),
            ("statuses: *", "/body/metadata/annotations"),
            ("statuses: *", "/body/metadata/managedFields/*/fieldsV1/f:metadata*"),
            ("workloads: a DaemonSet*", "/body/metadata/annotations"),
            ("workloads: a DaemonSet*", "/body/metadata/managedFields/*/fieldsV1/f:metadata"),
        ],
    },
    Known {
        what: "unset times and strings are omitted",
        why: "the real server writes them as null or empty, as Go does",
        at: &[
            ("statuses: *", "/body/status/conditions/*/last*"),
            ("statuses: *", "/body/metadata/managedFields/*/fieldsV1/f:status/f:conditions/*"),
            ("workloads: *event*", "/body/items/0/*"),
            ("workloads: an Event", "/body/*"),
        ],
    },
    Known {
        what: "each cause is listed once",
        why: "the real server validates some changes two or four times, and lists the causes each time",
        at: &[
            ("applies: an apply to another object of that name", "/body/details/causes/1"),
            ("applies: an apply of a label with a wrong value", "/body/details/causes/*"),
            ("patches: a merge patch with a wrong label", "/body/details/causes/*"),
        ],
    },
    Known {
        what: "rejected versions of a definition are shown as they were written",
        why: "the real server shows its normalised form, and includes the stored ones",
        at: &[("definitions: no stored version", "/body/*"), ("definitions: two stored versions", "/body/*")],
    },
];

/// Of the switch.
pub const OF_SWITCH: &[Known] = &[];

/// What is not compared at all, and why.
pub const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "lists and watches without a resource version in Kubernetes 1.11",
        "the real server answers from an unordered cache, the sandbox in order",
    ),
    ("`exec`, `attach` and logs", "they need a kubelet; the stories on the real node use them"),
    (
        "what controllers, scheduler and kubelet do",
        "only the garbage collector and the namespace controller run beside the compared API server; the real node shows the rest",
    ),
    (
        "what ovs-vswitchd does with the database",
        "ports get numbers and interfaces from a running `ovs-vswitchd`, which needs the kernel or root; the real node shows it",
    ),
];
