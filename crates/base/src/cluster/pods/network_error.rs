//! The innermost error of a chain: kubelet, runtime, Multus, plugin and IPAM plugin each put a sentence before it.

use crate::terminal::cut_middle;

/// How long a message may be; its middle is cut, because the cause is at its end.
const MOST: usize = 400;

/// Prefixes of a cause: a beginning, and the end of the variable part after it.
const WRAPPERS: [(&str, &str); 33] = [
    (" failed (add): ", ""),
    ("error adding container to network \"", "\": "),
    ("to CNI network \"", "\": "),
    ("error configuring pod [", "networking: "),
    (" ERRORED: ", ""),
    ("CNI request failed with status ", ": '"),
    ("CmdAdd (shim): ", ""),
    ("rpc error: code = ", " desc = "),
    ("network for sandbox \"", "\": "),
    ("failed to create pod network sandbox ", "): "),
    ("networkPlugin cni failed to set up pod \"", "network: "),
    ("onflistAdd - \"", "\": "),
    ("elegateAdd - \"", "\": "),
    ("elegate add - \"", "\": "),
    ("onflistAdd: ", ""),
    ("elegateAdd: ", ""),
    ("AddNetworkList: ", ""),
    ("AddNetwork: ", ""),
    ("failed getting the delegate: ", ""),
    ("GetCNIConfig: ", ""),
    ("err in getCNIConfigFromSpec: ", ""),
    ("err in GetCNIConfigFromFile: ", ""),
    ("getKubernetesDelegate: ", ""),
    ("parsePodNetworkAnnotation: ", ""),
    ("parsePodNetworkObjectName: ", ""),
    ("error in getting k8s network for pod: ", ""),
    ("TryLoadPodDelegates: ", ""),
    ("from pod annotation: ", ""),
    ("Multus: [", "]: "),
    ("Multus: ", ""),
    ("failed to allocate for range ", ": "),
    ("loadFlannelSubnetEnv failed: ", ""),
    ("Failed to create pod sandbox: ", ""),
];
/// Signs of a message about a pod's network.
const NETWORK: [&str; 7] =
    ["network for sandbox", "plugin type=", "CNI", "cni", "ultus", "networkPlugin", "failed to find plugin"];

/// Why a pod's sandbox could not be created.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SandboxError {
    /// The innermost plugin that is named.
    pub plugin: Option<String>,
    /// The network of Multus that is named.
    pub network: Option<String>,
    /// The innermost error.
    pub cause: String,
    /// Whether it is about the network.
    pub of_network: bool,
}

impl std::fmt::Display for SandboxError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whose = [("network", &self.network), ("plugin", &self.plugin)];
        let whose = whose.into_iter().filter_map(|(what, name)| Some(format!("{what} {}", name.as_ref()?)));
        let whose: Vec<String> = whose.collect();
        let whose = if whose.is_empty() { String::new() } else { format!(" ({})", whose.join(", ")) };
        let what = if self.of_network { "network cannot be set up" } else { "sandbox cannot be created" };
        write!(f, "its {what}{whose}: {}", self.cause)
    }
}

/// Takes a message of the kubelet's event apart.
pub(super) fn innermost(message: &str) -> SandboxError {
    let told = without_configuration(message);
    let mut start = 0;
    for (open, close) in WRAPPERS {
        let end = told.rfind(open).map(|at| at + open.len());
        let end = end.and_then(|end| told.get(end..)?.find(close).map(|at| end + at + close.len()));
        start = start.max(end.unwrap_or_default());
    }
    let mut cause = told.get(start..).unwrap_or(told).trim();
    // `[namespace/pod/uid:network]: `
    while let Some((_, rest)) = cause.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
        cause = rest;
    }
    let network = quoted(told, "error adding container to network \"");
    // The error after a network is its own plugin's; Multus only passes it on.
    let passes_on = |plugin: &String| network.is_some() && plugin.starts_with("multus");
    SandboxError {
        plugin: plugin(told).filter(|plugin| !passes_on(plugin)),
        network,
        cause: shortened(cause),
        of_network: NETWORK.iter().any(|sign| told.contains(sign)),
    }
}

/// Multus' shim appends the whole configuration to its message.
fn without_configuration(message: &str) -> &str {
    let end = message.find(": StdinData").unwrap_or(message.len());
    let told = message.get(..end).unwrap_or(message);
    let noise: &[char] = &['\'', '\n', ' ', '.'];
    told.trim_end_matches(noise).trim_end_matches("\\n").trim_end_matches(noise)
}

/// The innermost plugin: the last one named.
fn plugin(told: &str) -> Option<String> {
    let signs = ["plugin type=\"", "failed to find plugin \"", "elegateAdd - \"", "elegate add - \""];
    let last = signs.into_iter().filter_map(|sign| Some((told.rfind(sign)?, sign))).max()?;
    quoted(told, last.1)
}

fn quoted(told: &str, open: &str) -> Option<String> {
    let rest = told.get(told.rfind(open)? + open.len()..)?;
    rest.split_once('"').map(|(name, _)| name.to_owned()).filter(|name| !name.is_empty())
}

/// A message in one line, without its middle when it is long.
pub(super) fn shortened(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    cut_middle(&line, MOST / 4, MOST * 3 / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the thick Multus' shim, the runtime and the kubelet make of a plugin's error.
    fn thick(inner: &str) -> String {
        format!(
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \
             \"0123456789abcdef\": plugin type=\"multus-shim\" name=\"multus-cni-network\" failed (add): CmdAdd (shim): CNI \
             request failed with status 400: 'ContainerID:\"0123\" Netns:\"/var/run/netns/cni-1\" IfName:\"eth0\" \
             Args:\"K8S_POD_NAME=a\" Path:\"\" ERRORED: error configuring pod [n/a] networking: {inner}\n': StdinData: \
             {{\"cniVersion\":\"0.3.1\",\"type\":\"multus-shim\"}}"
        )
    }

    fn delegate(network: &str, inner: &str) -> String {
        format!(
            "[n/a/10000000-4b76-4e65-8074-000000000001:{network}]: error adding container to network \"{network}\": {inner}"
        )
    }

    fn thin(inner: &str) -> String {
        format!(
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"0123\": \
             plugin type=\"multus\" name=\"multus-cni-network\" failed (add): {inner}"
        )
    }

    fn crio(inner: &str) -> String {
        format!(
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to create pod network sandbox \
             k8s_a_n_1000_0(0123abcd): error adding pod n_a to CNI network \"multus-cni-network\": {inner}"
        )
    }

    fn bare(inner: &str) -> String {
        format!(
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to setup network for sandbox \"0123\": {inner}"
        )
    }

    #[test]
    #[allow(clippy::too_many_lines, reason = "a table")]
    fn the_innermost_error_is_told_with_its_plugin() {
        let typed = |kind: &str, inner: &str| format!("plugin type=\"{kind}\" failed (add): {inner}");
        let named =
            |kind: &str, inner: &str| format!("plugin type=\"{kind}\" name=\"x\" failed (add): {inner}");
        let socket = "failed to connect to ovsdb error: dial unix /var/run/openvswitch/db.sock: connect: no such file or directory";
        let full = "no IP addresses available in range set: 10.20.0.2-10.20.0.3";
        let env = "open /run/flannel/subnet.env: no such file or directory";
        let missing = "cannot find a network-attachment-definition (typo) in namespace (n): network-attachment-definitions.k8s.cni.cncf.io \"typo\" not found";
        let json = "failed to parse pod Network Attachment Selection Annotation JSON format: invalid character ']' after object key:value pair";
        let refused =
            "Post \"http://dummy/cni\": dial unix /run/multus/multus.sock: connect: connection refused";
        for (message, plugin, network, cause) in [
            (
                thick(&delegate("typo", "failed to find bridge br-typo")),
                "",
                "typo",
                "failed to find bridge br-typo",
            ),
            (
                thick(&delegate("b", &typed("ovs", "failed to find bridge br-typo"))),
                "ovs",
                "b",
                "failed to find bridge br-typo",
            ),
            (thick(&delegate("b", &typed("ovs", socket))), "ovs", "b", socket),
            (
                thick(&delegate("b", &named("ovs", &format!("failed to allocate for range 0: {full}")))),
                "ovs",
                "b",
                full,
            ),
            (
                thin(&delegate("b", &named("bridge", &format!("failed to allocate for range 0: {full}")))),
                "bridge",
                "b",
                full,
            ),
            (
                crio(&named("multus", &delegate("b", &typed("macvlan", "Link not found")))),
                "macvlan",
                "b",
                "Link not found",
            ),
            (
                thick(&delegate("b", &typed("macvlan", "failed to lookup master \"eth9\": Link not found"))),
                "macvlan",
                "b",
                "failed to lookup master \"eth9\": Link not found",
            ),
            (
                thick(&delegate("b", "failed to find plugin \"ovs\" in path [/opt/cni/bin]")),
                "ovs",
                "b",
                "failed to find plugin \"ovs\" in path [/opt/cni/bin]",
            ),
            (
                bare("failed to find plugin \"multus-shim\" in path [/opt/cni/bin]"),
                "multus-shim",
                "",
                "failed to find plugin \"multus-shim\" in path [/opt/cni/bin]",
            ),
            (
                thick(&delegate("b", &typed("ovs", "stat /opt/cni/bin/ovs: no such file or directory"))),
                "ovs",
                "b",
                "stat /opt/cni/bin/ovs: no such file or directory",
            ),
            (bare(&named("flannel", &format!("loadFlannelSubnetEnv failed: {env}"))), "flannel", "", env),
            (
                thick(&delegate("cbr0", &typed("flannel", &format!("loadFlannelSubnetEnv failed: {env}")))),
                "flannel",
                "cbr0",
                env,
            ),
            (
                bare(&named(
                    "multus-shim",
                    &format!("CmdAdd (shim): failed to send CNI request: {refused}: StdinData: {{}}"),
                )),
                "multus-shim",
                "",
                &format!("failed to send CNI request: {refused}"),
            ),
            (
                thick(&format!(
                    "Multus: [n/a/1000]: error loading k8s delegates k8s args: TryLoadPodDelegates: error in getting k8s network for pod: GetNetworkDelegates: failed getting the delegate: getKubernetesDelegate: {missing}"
                )),
                "multus-shim",
                "",
                missing,
            ),
            (
                thick(&format!(
                    "Multus: [n/a/1000]: error loading k8s delegates k8s args: TryLoadPodDelegates: parsePodNetworkAnnotation: {json}"
                )),
                "multus-shim",
                "",
                json,
            ),
            (
                thick(
                    "Multus: [n/a/1000]: PollImmediate error waiting for ReadinessIndicatorFile: timed out waiting for the condition",
                ),
                "multus-shim",
                "",
                "PollImmediate error waiting for ReadinessIndicatorFile: timed out waiting for the condition",
            ),
            (
                thick("Multus: [n/a/1000]: error getting pod: Unauthorized"),
                "multus-shim",
                "",
                "error getting pod: Unauthorized",
            ),
            (
                bare(&named("bridge", "\"cni0\" already has an IP address different from 10.244.0.1/24")),
                "bridge",
                "",
                "\"cni0\" already has an IP address different from 10.244.0.1/24",
            ),
            (
                thick(&delegate(
                    "b",
                    &typed(
                        "ovs",
                        "incompatible CNI versions; config is \"1.1.0\", plugin supports [\"0.3.1\"]",
                    ),
                )),
                "ovs",
                "b",
                "incompatible CNI versions; config is \"1.1.0\", plugin supports [\"0.3.1\"]",
            ),
            (
                thick(&delegate(
                    "b",
                    &typed(
                        "dhcp",
                        "error dialing DHCP daemon: dial unix /run/cni/dhcp.sock: connect: no such file or directory",
                    ),
                )),
                "dhcp",
                "b",
                "error dialing DHCP daemon: dial unix /run/cni/dhcp.sock: connect: no such file or directory",
            ),
            (
                thin("Multus: [n/a]: error in invoke Delegate add - \"ovs\": failed to find bridge blue100"),
                "ovs",
                "",
                "failed to find bridge blue100",
            ),
            (
                thin(
                    "[n/a:b]: error adding container to network \"b\": delegateAdd: error invoking conflistAdd - \"b\": conflistAdd: error in getting result from AddNetworkList: failed to find bridge x",
                ),
                "",
                "b",
                "failed to find bridge x",
            ),
        ] {
            let found = innermost(&message);
            let told = (
                found.plugin.as_deref().unwrap_or(""),
                found.network.as_deref().unwrap_or(""),
                found.cause.as_str(),
            );
            assert_eq!(told, (plugin, network, cause), "{message}");
            assert!(found.of_network, "{message}");
            assert!(found.to_string().ends_with(cause), "{found}");
        }
    }

    /// What the plugins said on the real node (Kubernetes 1.34.4, containerd 1.6, Multus 4.3.0 of both flavours), each
    /// with the network and the plugin that are to be named and the cause.
    #[test]
    fn what_a_real_node_tells_is_told_whole() {
        let recorded = include_str!("recorded_errors.tsv").lines().filter(|line| !line.starts_with('#'));
        let mut count = 0;
        for line in recorded {
            let [name, network, plugin, cause, message] = line.split('\t').collect::<Vec<_>>()[..] else {
                panic!("{line}")
            };
            let message: String = serde_json::from_str(message).unwrap();
            let found = innermost(&message);
            assert_eq!(found.network.as_deref().unwrap_or("-"), network, "{name}");
            assert_eq!(found.plugin.as_deref().unwrap_or("-"), plugin, "{name}");
            assert_eq!(found.cause, cause, "{name}");
            assert!(found.of_network, "{name}");
            count += 1;
        }
        assert!(count > 20, "{count}");
    }

    #[test]
    fn a_sandbox_may_fail_without_its_network() {
        let found = innermost(
            "Failed to create pod sandbox: rpc error: code = Unknown desc = failed to get sandbox image \"example.com/pause:3.9\": failed to pull image",
        );
        assert_eq!(
            found.to_string(),
            "its sandbox cannot be created: failed to get sandbox image \"example.com/pause:3.9\": failed to pull image"
        );
    }

    #[test]
    fn what_is_long_keeps_its_end() {
        let found = innermost(&thick(&delegate(
            "b",
            &format!("begin {} failed to find bridge br-typo", "x ".repeat(2000)),
        )));
        assert!(
            found.cause.ends_with("failed to find bridge br-typo") && found.cause.chars().count() <= MOST + 3,
            "{found}"
        );
    }
}
