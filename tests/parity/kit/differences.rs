//! What is known to differ, and why it stays. `docs/sandbox.md` lists the same.

use super::compare::Known;

/// Of the API server of Kubernetes 1.11.
pub const OF_API_2018: &[Known] = &[
    Known {
        what: "objects and lists have no `selfLink`",
        why: "nobody reads it, and later servers do not have it",
        at: &[("*", "/body*/selfLink")],
    },
    Known {
        what: "what is refused is told in the words of later servers",
        why: "kvnet shows them and does not read them",
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
        what: "parameters that the server of that day did not know, or took for its own mistake, are refused",
        why: "kvnet sends none of them",
        at: &[
            ("lists: a match without a version", "*"),
            ("deletes: a propagation that there is not", "*"),
            ("deletes: options that are none", "*"),
            ("watches: a list from a version that is none", "*"),
        ],
    },
    Known {
        what: "times and lists that nobody gave are left out or empty",
        why: "the real server writes them as null, because Go does",
        at: &[
            ("daemons-of-2018: *", "/body/spec/template/metadata/creationTimestamp"),
            ("deletes: all of a namespace that is not there", "/body/items"),
        ],
    },
    Known {
        what: "definitions have no columns by default",
        why: "only tables show them, and kvnet asks for none",
        at: &[("definitions-of-2018: *", "/body/spec/additionalPrinterColumns")],
    },
    Known {
        what: "DaemonSets show the generation of their template in every group, and not as an annotation",
        why: "kvnet reads the pods' label with it",
        at: &[
            ("daemons-of-2018: *later group", "/body/metadata/annotations"),
            ("daemons-of-2018: *later group", "/body/spec/templateGeneration"),
        ],
    },
    Known {
        what: "a new node has no taint, no list of networks and no empty information",
        why: "the sandbox's node comes as kubeadm leaves it when it is ready",
        at: &[("*: a node", "/body/s*"), ("lists: a list of the cluster's objects", "/body/items/0/s*")],
    },
    Known {
        what: "pods have an account and no tolerations by default",
        why: "the compared server runs without the plugin for accounts, whose tokens a controller would have to make; taints that evict are nobody's in the sandbox",
        at: &[("*", "/body*/spec/serviceAccount*"), ("*", "/body*/spec/tolerations")],
    },
];

/// Of the API server.
pub const OF_API: &[Known] = &[
    Known {
        what: "`/version` names no commit and no Go",
        why: "nobody built it",
        at: &[("discovery: the version", "/body/gitCommit"), ("discovery: the version", "/body/goVersion")],
    },
    Known {
        what: "groups, kinds and subresources that neither kvnet nor what it installs asks for are not served",
        why: "each would be a promise to behave like it",
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
        what: "the mark of the stored version of definitions is another",
        why: "the real server's is one of a version that it does not serve any more",
        at: &[(
            "discovery: the kinds of definitions",
            "/body/resources/customresourcedefinitions/storageVersionHash",
        )],
    },
    Known {
        what: "why JSON, YAML or a token cannot be read is said in other words",
        why: "the real server's are those of Go's libraries; status and reason are the same",
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
        what: "options of a deletion that cannot be read are a bad request",
        why: "the real server takes them for its own mistake, 500",
        at: &[("deletes: options that are none", "*")],
    },
    Known {
        what: "fields of built-in kinds are not checked against their types",
        why: "the types are not in kvnet; a field that the kind does not have is kept",
        at: &[
            ("objects: a field of another type", "*"),
            ("applies: a field that the kind does not have", "*"),
        ],
    },
    Known {
        what: "an apply of a custom resource that does not fit its schema is not refused with 500",
        why: "a wrong type is refused with 422 as in other writes, an unknown field is dropped",
        at: &[
            ("custom: an apply that the schema refuses", "*"),
            ("custom: an apply of an unknown field", "*"),
        ],
    },
    Known {
        what: "unknown fields of custom resources are dropped without a warning, also when asked for strictly",
        why: "kvnet neither asks for it nor shows warnings",
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
        what: "`pattern` of a schema is not looked at",
        why: "nothing that kvnet writes has a place with one",
        at: &[("custom: a text that does not fit", "*")],
    },
    Known {
        what: "pods get no volume with a token and no tolerations by default, and their account need not be there",
        why: "no program in the sandbox reads a token, and taints that evict are nobody's there",
        at: &[
            ("*", "/body*/spec/volumes*"),
            ("*", "/body*/spec/tolerations*"),
            ("*", "/body*/spec/*ontainers/*/volumeMounts*"),
            ("workloads: a pod of an account that is not there", "*"),
        ],
    },
    Known {
        what: "the specification of a pod can be changed",
        why: "kvnet replaces pods, and the kinds of its controllers are checked",
        at: &[
            ("workloads: a pod gets another image", "*"),
            ("workloads: a pod gets an annotation", "/body/spec/containers/c/image"),
            ("workloads: a pod gets an annotation", "/body/metadata/*"),
        ],
    },
    Known {
        what: "a new node has no taint, no list of networks and no empty information",
        why: "the sandbox's node comes as kubeadm leaves it when it is ready",
        at: &[
            ("*: a node", "/body/s*"),
            ("lists: a list of the cluster's objects", "/body/items/0/s*"),
            ("statuses: a node*", "/body/spec/*"),
            ("statuses: a node*", "/body/status/*"),
            ("statuses: a node*", "/body/metadata/managedFields/*"),
        ],
    },
    Known {
        what: "DaemonSets have no annotation with the generation of their template",
        why: "it is deprecated, and nobody reads it",
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
        what: "times and texts that nobody gave are left out",
        why: "the real server writes them as null or empty, because Go does",
        at: &[
            ("statuses: *", "/body/status/conditions/*/last*"),
            ("statuses: *", "/body/metadata/managedFields/*/fieldsV1/f:status/f:conditions/*"),
            ("workloads: *event*", "/body/items/0/*"),
            ("workloads: an Event", "/body/*"),
        ],
    },
    Known {
        what: "a cause is told once",
        why: "the real server checks some changes two and four times, and lists what it finds each time",
        at: &[
            ("applies: an apply to another object of that name", "/body/details/causes/1"),
            ("applies: an apply of a label with a wrong value", "/body/details/causes/*"),
            ("patches: a merge patch with a wrong label", "/body/details/causes/*"),
        ],
    },
    Known {
        what: "versions of a definition that are refused are shown as they were written",
        why: "the real server shows its own form of them, and counts the stored ones too",
        at: &[("definitions: no stored version", "/body/*"), ("definitions: two stored versions", "/body/*")],
    },
];

/// Of the switch.
pub const OF_SWITCH: &[Known] = &[];

/// What is not compared at all, and why.
pub const NOT_COMPARED: &[(&str, &str)] = &[
    (
        "lists and watches of no certain version of Kubernetes 1.11",
        "the real server answers them out of a cache without order, the sandbox in order",
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
