//! Every known way of breaking.

use serde_json::json;

use super::*;

/// A change to the gathered state.
pub type Break = fn(&mut NodeSnapshot, &mut ClusterSnapshot);

/// A change, and the first broken check after it: its id, its code and a part of its finding.
pub const BREAKS: &[(Break, &str, &str, &str)] = &[
    (|node, _| node.bridge_filter = Some("0".into()), "kernel", "KVN609", "bridge-nf-call-iptables is off"),
    (
        |node, _| (node.bridge_filter, node.has_bridge_filter) = (None, false),
        "kernel",
        "KVN609",
        "is not loaded",
    ),
    (|node, _| node.forward = Some("0".into()), "kernel", "KVN609", "ip_forward is off"),
    (
        |_, cluster| {
            cluster.nodes[0]["status"]["conditions"] = json!([{"type": "Ready", "status": "False",
                "message": "container runtime network not ready: cni plugin not initialized"}]);
        },
        "nodes",
        "KVN630",
        "n0: container runtime network not ready",
    ),
    (
        |_, cluster| {
            let pressure =
                json!({"type": "DiskPressure", "status": "True", "message": "kubelet has disk pressure"});
            cluster.nodes[0]["status"]["conditions"].as_array_mut().unwrap().push(pressure);
        },
        "nodes",
        "KVN630",
        "n0 has DiskPressure",
    ),
    (
        |_, cluster| {
            cluster.nodes[0]["spec"]["taints"] =
                json!([{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]);
        },
        "room",
        "KVN631",
        "n0 has the taint node-role.kubernetes.io/control-plane:NoSchedule",
    ),
    (
        |_, cluster| cluster.nodes[0]["spec"]["unschedulable"] = json!(true),
        "room",
        "KVN631",
        "n0 is cordoned",
    ),
    (
        |_, cluster| {
            cluster.nodes[0]["spec"]["taints"] =
                json!([{"key": "kvnet.dev/leaving", "effect": "NoSchedule"}]);
        },
        "room",
        "KVN631",
        "a `kvnet down` was interrupted",
    ),
    (|_, cluster| cluster.nodes[0]["spec"] = json!({}), "pod-addresses", "KVN601", "has no podCIDR"),
    (
        |_, cluster| cluster.flannel[0]["data"]["net-conf.json"] = json!(r#"{"Network":"10.1.0.0/16"}"#),
        "pod-addresses",
        "KVN601",
        "10.244.0.0/24, which is not in flannel's network 10.1.0.0/16",
    ),
    (|node, _| node.subnet = None, "flannel", "KVN601", "subnet.env not found"),
    (
        |node, _| node.links = Some(vec![link("cni0", "10.244.7.1")]),
        "flannel",
        "KVN601",
        "cni0 has 10.244.7.1, but this node's subnet is 10.244.0.0/24",
    ),
    (
        |node, _| node.links.as_mut().unwrap()[1].mac = "12:34:56:78:9a:bc".into(),
        "flannel",
        "KVN601",
        "flannel.1 has 12:34",
    ),
    (
        |_, cluster| cluster.nodes.push(node("m0")),
        "flannel",
        "KVN601",
        "n0 and m0 both publish the address 192.0.2.2",
    ),
    (
        |_, cluster| cluster.daemons[0]["status"]["numberReady"] = json!(0),
        "flannel",
        "KVN601",
        "kube-flannel/kube-flannel-ds: 0 of 1 ready",
    ),
    (
        |node, _| assert!(node.plugins.remove("ovs")),
        "cni-plugins",
        "KVN603",
        "ovs, used by default/a-bridge-network",
    ),
    (
        |node, _| assert!(node.plugins.remove("bridge")),
        "cni-plugins",
        "KVN603",
        "bridge, used by 10-flannel.conflist",
    ),
    (
        |node, _| node.configurations[1].1 = Some("{".into()),
        "cni-files",
        "KVN635",
        "/etc/cni/net.d/10-flannel.conflist is not a CNI configuration",
    ),
    (
        |node, _| {
            node.configurations[0].1 =
                Some(r#"{"type":"multus","delegates":[{"type":"multus-shim"}]}"#.into());
            node.plugins.insert("multus".into());
        },
        "cni-files",
        "KVN612",
        "Multus delegates to itself",
    ),
    (
        |node, _| node.configurations[0].1 = Some(MULTUS.replace("0.3.1", "1.0.0")),
        "cni-files",
        "KVN635",
        "has cniVersion 1.0.0, its delegate 10-flannel.conflist has 0.3.1",
    ),
    (
        |_, cluster| _ = cluster.daemons.remove(1),
        "multus",
        "KVN612",
        "00-multus.conf calls Multus, but its DaemonSet does not exist",
    ),
    (
        |_, cluster| {
            cluster.pods[1]["status"]["containerStatuses"] =
                json!([{"lastState": {"terminated": {"reason": "OOMKilled"}}}]);
        },
        "multus",
        "KVN612",
        "was OOM-killed",
    ),
    (|node, _| node.multus_until = Some(1), "multus", "KVN612", "credentials"),
    (
        |node, _| node.configurations.insert(0, ("00-aaa.conflist".into(), Some(FLANNEL.into()))),
        "cni-order",
        "KVN602",
        "00-aaa.conflist sorts before 00-multus.conf, the configuration of Multus",
    ),
    (
        |node, _| {
            node.configurations.remove(0);
            node.names = vec!["00-multus.conf.cilium_bak".into()];
        },
        "cni-order",
        "KVN602",
        "Cilium renamed",
    ),
    (
        |node, _| node.switch = Some(Err("connection refused".into())),
        "open-vswitch",
        "KVN604",
        "connection refused",
    ),
    (|node, _| node.switch = None, "open-vswitch", "KVN604", "not installed, but a network names a bridge"),
    (|node, _| node.switch = Some(Ok(OvsState::default())), "bridges", "KVN605", "missing: blue"),
    (
        |node, _| {
            let Some(Ok(state)) = &mut node.switch else { panic!("it answers") };
            state.bridges[0].ports[0].interfaces[0].error = Some("No such device".into());
        },
        "ports",
        "KVN623",
        "veth1 of blue: No such device",
    ),
    (
        |_, cluster| cluster.daemons[2]["status"]["desiredNumberScheduled"] = json!(0),
        "ovs-cni",
        "KVN620",
        "is scheduled to 0 of 1 node",
    ),
    (|_, cluster| _ = cluster.daemons.pop(), "ovs-cni", "KVN620", "ovs-cni DaemonSet not found"),
    (
        |_, cluster| {
            cluster.nodes[0]["status"]["capacity"] = json!({});
            let mut waiting = pod("default", "late", "late");
            waiting["spec"] = json!({"containers": [{"resources": {"requests": {"ovs-cni.network.kubevirt.io/blue": "1"}}}]});
            waiting["status"] = json!({"phase": "Pending"});
            cluster.pods.push(waiting);
        },
        "marker",
        "KVN620",
        "n0 does not advertise blue: default/late waiting for it",
    ),
    (
        |_, cluster| _ = cluster.networks.pop(),
        "networks",
        "KVN621",
        "default/ovs-blue100, named by the profile",
    ),
    (
        |node, cluster| {
            node.plugins.insert("macvlan".into());
            cluster.networks[2]["spec"]["config"] =
                json!(r#"{"plugins":[{"type":"macvlan","master":"eth9"}]}"#);
        },
        "networks",
        "KVN660",
        "default/ovs-blue: macvlan needs master eth9, which this node does not have",
    ),
    (
        |_, cluster| cluster.machines[0]["spec"]["networks"][0]["multus"]["networkName"] = json!("red"),
        "networks",
        "KVN621",
        "default/red, named by VM default/vm",
    ),
    (
        |_, cluster| {
            _ = cluster.pods[3]["metadata"]["annotations"]
                .as_object_mut()
                .unwrap()
                .shift_remove("k8s.v1.cni.cncf.io/network-status");
        },
        "pod-nics",
        "KVN622",
        "default/web on n0 has 0 of 1 secondary NIC: none on default/ovs-blue",
    ),
    (
        |_, cluster| {
            cluster.pods[3]["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] =
                json!("garbage");
        },
        "pod-nics",
        "KVN622",
        "default/web: Multus' report cannot be read: `k8s.v1.cni.cncf.io/network-status` is not a list of NICs, it begins with `garbage`",
    ),
    // A user's typo is not a missing network.
    (
        |_, cluster| {
            cluster.pods[3]["metadata"]["annotations"] = json!({"k8s.v1.cni.cncf.io/networks": "ovs-blue,"});
            cluster.pods[3]["status"] = json!({"phase": "Pending"});
        },
        "annotations",
        "KVN640",
        "pod default/web: entry 2 is empty: there is a comma too many",
    ),
    (
        |_, cluster| {
            let slip = r#"[ {"name":"ovs-blue","ips":["10.20.0.104/24"] ]"#;
            cluster.pods[3]["metadata"]["annotations"] = json!({"k8s.v1.cni.cncf.io/networks": slip});
            cluster.pods[3]["status"] = json!({"phase": "Pending"});
        },
        "annotations",
        "KVN640",
        "pod default/web: it is not a JSON list",
    ),
    // A configuration that came with the runtime makes the pods' first NIC.
    (
        |node, cluster| {
            let bridge = r#"{"name":"containerd-net","plugins":[{"type":"bridge"}]}"#;
            node.configurations.insert(1, ("10-containerd-net.conflist".into(), Some(bridge.into())));
            cluster.pods[3]["status"]["podIP"] = json!("10.88.0.5");
        },
        "pod-subnet",
        "KVN643",
        "not in 10.244.0.0/16: 10.88.0.5 of pod default/web",
    ),
    (
        |_, cluster| cluster.pods[3]["status"]["podIP"] = cluster.pods[2]["status"]["podIP"].clone(),
        "duplicates",
        "KVN642",
        "eth0 of pod kube-system/ovs-cni-1 and eth0 of pod default/web",
    ),
    // A guest configured an address that a pod has.
    (
        |_, cluster| {
            let report = r#"[{"name":"default/ovs-blue","interface":"net1","ips":["10.20.0.3"]}]"#;
            cluster.pods[3]["metadata"]["annotations"]["k8s.v1.cni.cncf.io/network-status"] = json!(report);
            let mut launcher = pod("default", "virt-launcher-vm", "launcher");
            launcher["metadata"]["labels"] = json!({"kubevirt.io/created-by": "vm-uid"});
            cluster.pods.push(launcher);
            cluster.machines[0]["spec"]["domain"] = json!({"devices": {"interfaces": [{"name": "blue", "bridge": {}, "macAddress": "02:00:00:00:00:0a"}]}});
            cluster.machines[0]["status"] = json!({"phase": "Running",
                "conditions": [{"type": "AgentConnected", "status": "True"}],
                "interfaces": [{"name": "blue", "mac": "02:00:00:00:00:0a", "infoSource": "domain, guest-agent",
                    "ipAddresses": ["10.20.0.3"]}]});
        },
        "duplicates",
        "KVN642",
        "10.20.0.3: net1 of pod default/web (default/ovs-blue) and blue of VM default/vm (default/ovs-blue)",
    ),
    (
        |_, cluster| {
            cluster.pods[3]["status"] = json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "i",
                "state": {"waiting": {"reason": "ContainerCreating"}}}]});
            cluster.events = vec![json!({"reason": "FailedCreatePodSandBox",
                "involvedObject": {"name": "web", "uid": "uid-web"}, "lastTimestamp": "1970-01-01T00:10:00Z",
                "message": "Failed to create pod sandbox: plugin type=\"ovs\" failed (add): failed to find bridge br-typo"})];
        },
        "pods-waiting",
        "KVN641",
        "default/web: its network cannot be set up (plugin ovs): failed to find bridge br-typo",
    ),
    (
        |_, cluster| {
            cluster.pods[3]["spec"]["nodeName"] = json!("gone");
            cluster.pods[3]["status"] = json!({"phase": "Pending"});
        },
        "pods-waiting",
        "KVN641",
        "default/web: it is bound to node gone, which does not exist",
    ),
    (
        |_, cluster| {
            cluster.pods[3]["status"] = json!({"phase": "Unknown", "reason": "NodeLost",
                "message": "Node n0 which was running pod web is unresponsive"});
        },
        "pods-waiting",
        "KVN641",
        "default/web: its node does not report it (phase Unknown): Node n0 which was running pod web is unresponsive",
    ),
    (
        |_, cluster| {
            cluster.pods[3]["metadata"]["deletionTimestamp"] = json!("1969-12-24T00:00:00Z");
            cluster.pods[3]["status"]["conditions"] = json!([]);
        },
        "pods-waiting",
        "KVN641",
        "default/web: stuck in Terminating for 8 days",
    ),
    (|_, cluster| cluster.deployments[0]["status"] = json!({}), "dns", "KVN805", "coredns: it has no pods"),
    (
        |_, cluster| {
            cluster.pods.push(pod("kube-system", "other", "other"));
            cluster.pods[4]["status"] = json!({"phase": "Pending", "containerStatuses": [{"name": "c", "image": "i",
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "toomanyrequests"}}}]});
        },
        "system-pods",
        "KVN632",
        "kube-system/other: container c: ImagePullBackOff, image i (toomanyrequests)",
    ),
    (
        |_, cluster| cluster.kubevirts[0]["status"]["phase"] = json!("Deploying"),
        "kubevirt",
        "KVN633",
        "is Deploying",
    ),
    (
        |_, cluster| cluster.nodes[0]["status"]["allocatable"] = json!({}),
        "virtualisation",
        "KVN633",
        "no node advertises KVM, and software emulation is off",
    ),
    (|node, _| node.tun = false, "virtualisation", "KVN609", "/dev/net/tun"),
    (
        |_, cluster| cluster.machines[0]["status"]["phase"] = json!("Failed"),
        "machines",
        "KVN627",
        "default/vm",
    ),
    (
        |_, cluster| {
            cluster.machines[0]["status"] = json!({"phase": "Pending", "conditions": [
                {"type": "Synchronized", "status": "False", "message": "no such network"}]});
        },
        "machines",
        "KVN636",
        "default/vm is Pending: no such network",
    ),
    (
        |_, cluster| {
            cluster.services[0]["status"]["conditions"][0] = json!({"type": "Available", "status": "False", "message": "service/virt-api is not present."});
        },
        "leftovers",
        "KVN613",
        "APIService v1.subresources.kubevirt.io unavailable: service/virt-api is not present",
    ),
    (
        |_, cluster| cluster.namespaces[0]["metadata"]["deletionTimestamp"] = json!("1970-01-01T00:00:10Z"),
        "leftovers",
        "KVN613",
        "namespace default is stuck in Terminating",
    ),
];
