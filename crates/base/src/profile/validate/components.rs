//! Versions, images, manifests, files and time limits of the components.

use super::Found;
use super::format::{self, Format};
use crate::profile::{KubeVirt, Multus, Profile, Release, Source, SourceKind};

/// Below, Multus gets OOM-killed when some pods start at the same time.
const LEAST_MEMORY: f64 = 64.0 * 1024.0 * 1024.0;
/// One day, in seconds.
const LONGEST: u64 = 86_400;

pub(super) fn check(profile: &Profile, found: &mut Found) {
    cluster(profile, found);
    flannel(profile, found);
    multus(profile, found);
    whereabouts(profile, found);
    ovs(profile, found);
    kubevirt(profile, found);
    verification(profile, found);
    images(profile, found);
    timeouts(profile, found);
}

fn cluster(profile: &Profile, found: &mut Found) {
    let (cluster, init) = (&profile.cluster, &profile.cluster.init);
    for (index, taint) in cluster.remove_taints.iter().enumerate() {
        found.format(format!("cluster.removeTaints[{index}]"), taint, &format::TAINT);
    }
    for (name, path) in [("cniConfDir", &cluster.cni_conf_dir), ("cniBinDir", &cluster.cni_bin_dir)] {
        if path != "auto" {
            found.format(format!("cluster.{name}"), path, &format::DIRECTORY);
        }
    }
    if cluster.kubeconfig.copy {
        found.format("cluster.kubeconfig.source", &cluster.kubeconfig.source, &format::DIRECTORY);
        found.format_unless_empty("cluster.kubeconfig.path", &cluster.kubeconfig.path, &format::DIRECTORY);
    }
    found.format_unless_empty(
        "cluster.init.kubernetesVersion",
        &init.kubernetes_version,
        &format::KUBERNETES,
    );
    found.format_unless_empty("cluster.init.nodeName", &init.node_name, &format::SUBDOMAIN);
    let socket = init.cri_socket.strip_prefix("unix://").unwrap_or(&init.cri_socket);
    found.format_unless_empty("cluster.init.criSocket", socket, &format::DIRECTORY);
    let address = &init.advertise_address;
    if !address.is_empty() && address.parse::<std::net::IpAddr>().is_err() {
        found.add(
            "cluster.init.advertiseAddress",
            "is not an IP address",
            "write one of the node's addresses",
        );
    }
}

fn flannel(profile: &Profile, found: &mut Found) {
    let flannel = &profile.flannel;
    if !flannel.enabled {
        return;
    }
    found.format("flannel.version", &flannel.version, &format::COMMIT_OR_RELEASE);
    found.format("flannel.namespace", &flannel.namespace, &format::LABEL);
    found.format("flannel.confFile", &flannel.conf_file, &format::CONF_FILE);
    source("flannel", &flannel.source, found);
    image("flannel.image", &flannel.image, &flannel.source, found);
    image("flannel.cniPluginImage", &flannel.cni_plugin_image, &flannel.source, found);
}

fn multus(profile: &Profile, found: &mut Found) {
    let (multus, flannel) = (&profile.multus, &profile.flannel);
    if !multus.enabled {
        return;
    }
    found.format("multus.version", &multus.version, &format::COMMIT_OR_RELEASE);
    found.format("multus.confFile", &multus.conf_file, &format::CONF_FILE);
    found.format_unless_empty("multus.masterCni", &multus.master_cni, &format::CONF_FILE);
    found.format_unless_empty("multus.image", &multus.image, &format::IMAGE);
    source("multus", &multus.source, found);
    match format::bytes(&multus.memory_limit) {
        None => found.format("multus.memoryLimit", &multus.memory_limit, &format::QUANTITY),
        Some(bytes) if bytes < LEAST_MEMORY => {
            let message = format!(
                "of {} gets Multus OOM-killed when pods start (upstream's 50Mi does)",
                multus.memory_limit
            );
            found.add("multus.memoryLimit", message, "give it 64Mi or more; 300Mi is the default");
        }
        Some(_) => {}
    }
    if flannel.enabled {
        order(&multus.conf_file, &flannel.conf_file, found);
    }
    if multus.master_cni == multus.conf_file {
        found.add(
            "multus.masterCni",
            "is Multus' own file: it would call itself endlessly",
            "give the pod network's file",
        );
    }
}

/// The runtime sorts file names by their bytes and takes the first, which must be Multus'.
fn order(multus: &str, flannel: &str, found: &mut Found) {
    if multus.as_bytes() < flannel.as_bytes() || !(format::CONF_FILE.fits)(flannel) {
        return;
    }
    if multus == Multus::default().conf_file {
        // Multus' name is the default, so the other one is at fault.
        let message = format!("does not sort after Multus' `{multus}`");
        found.add("flannel.confFile", message, "begin it with a higher number, as in `10-flannel.conflist`");
    } else {
        let message = format!("does not sort before flannel's `{flannel}`");
        found.add("multus.confFile", message, "begin it with a lower number, as in `00-multus.conf`");
    }
}

fn whereabouts(profile: &Profile, found: &mut Found) {
    let whereabouts = &profile.whereabouts;
    if !whereabouts.enabled {
        return;
    }
    found.format("whereabouts.version", &whereabouts.version, &format::COMMIT_OR_RELEASE);
    found.format_unless_empty("whereabouts.image", &whereabouts.image, &format::IMAGE);
    source("whereabouts", &whereabouts.source, found);
    if !profile.multus.enabled {
        let hint = "set `multus.enabled` to true, or leave whereabouts out";
        found.add("whereabouts.enabled", "needs `multus.enabled`, which is off", hint);
    }
}

fn ovs(profile: &Profile, found: &mut Found) {
    if profile.ovs.enabled {
        found.format("ovs.package", &profile.ovs.package, &format::PACKAGE);
        found.format("ovs.service", &profile.ovs.service, &format::SERVICE);
    }
    let plugin = &profile.ovs_cni;
    if plugin.enabled {
        found.format("ovsCni.version", &plugin.version, &format::COMMIT_OR_RELEASE);
        source("ovsCni", &plugin.source, found);
        image("ovsCni.image", &plugin.image, &plugin.source, found);
    }
}

fn kubevirt(profile: &Profile, found: &mut Found) {
    let kubevirt = &profile.kubevirt;
    if kubevirt.enabled {
        found.format("kubevirt.version", &kubevirt.version, &format::RELEASE);
        found.format("kubevirt.namespace", &kubevirt.namespace, &format::LABEL);
        let is_release = kubevirt.source.kind == SourceKind::Upstream
            && kubevirt.source.url.contains("/releases/download/");
        if is_release && kubevirt.has_operator() && kubevirt.namespace != "kubevirt" {
            let message = "must be `kubevirt`: the release's manifest is made for it";
            let hint =
                "remove the field, or use a manifest made for another namespace with `source.from: file`";
            found.add("kubevirt.namespace", message, hint);
        }
        if kubevirt.infra_replicas > 0 && !kubevirt.has_operator() {
            let message = "has no effect before KubeVirt v0.12.0, which has no operator";
            found.add("kubevirt.infraReplicas", message, "leave it out");
        }
        source("kubevirt", &kubevirt.source, found);
        gates(kubevirt, found);
    }
}

fn gates(kubevirt: &KubeVirt, found: &mut Found) {
    let (on, off) = (&kubevirt.feature_gates, &kubevirt.disabled_feature_gates);
    for (field, gates) in [("featureGates", on), ("disabledFeatureGates", off)] {
        for (index, gate) in gates.iter().enumerate() {
            let path = format!("kubevirt.{field}[{index}]");
            if gates[..index].contains(gate) {
                found.add(&path, format!("`{gate}` is listed twice"), "leave one of them out");
            }
            found.format(path, gate, &format::GATE);
        }
    }
    for (index, gate) in off.iter().enumerate().filter(|(_, gate)| on.contains(gate)) {
        let message = format!("`{gate}` is also enabled: KubeVirt rejects that");
        found.add(
            format!("kubevirt.disabledFeatureGates[{index}]"),
            message,
            "leave it out of one of the lists",
        );
    }
    let is_older =
        Release::parse(&kubevirt.version).is_some_and(|release| (release.major, release.minor) < (1, 8));
    if is_older && !off.is_empty() {
        let message = format!("KubeVirt {} has no such field", kubevirt.version);
        found.add(
            "kubevirt.disabledFeatureGates",
            message,
            "leave it out: before v1.8.0 a gate is off unless it is listed",
        );
    }
}

fn verification(profile: &Profile, found: &mut Found) {
    let verification = &profile.verification;
    if !verification.enabled {
        return;
    }
    found.format("verification.image", &verification.image, &format::IMAGE);
    found.format("verification.namespace", &verification.namespace, &format::LABEL);
    let namespace = verification.namespace.as_str();
    let used = [&profile.flannel.namespace, &profile.kubevirt.namespace, &profile.vm.namespace];
    let used = used.into_iter().chain(profile.networks.iter().map(|network| &network.namespace));
    if namespace == "default"
        || namespace.starts_with("kube-")
        || used.into_iter().any(|other| other == namespace)
    {
        let message = format!("cannot be `{namespace}`: kvnet deletes it after the checks");
        found.add("verification.namespace", message, "choose one that nothing else uses");
    }
}

fn images(profile: &Profile, found: &mut Found) {
    for (from, to) in &profile.images.rewrite {
        let path = crate::profile::path::join("images.rewrite", from);
        let fits = |text: &str| {
            !text.is_empty() && text.chars().all(|c| c.is_ascii_graphic()) && !text.contains("://")
        };
        if !fits(from) || !fits(to) {
            found.add(
                path,
                "is not a prefix of image names",
                "write it as `ghcr.io: mirror.example:5000/ghcr`",
            );
        }
    }
}

fn timeouts(profile: &Profile, found: &mut Found) {
    let limits = &profile.timeouts;
    let all = [
        ("ready", limits.ready),
        ("kubevirt", limits.kubevirt),
        ("vm", limits.vm),
        ("verification", limits.verification),
        ("package", limits.package),
        ("kubeadm", limits.kubeadm),
        ("download", limits.download),
    ];
    for (name, seconds) in all {
        if !(1..=LONGEST).contains(&seconds) {
            found.add(
                format!("timeouts.{name}"),
                format!("cannot be {seconds} seconds"),
                format!("write 1 to {LONGEST}"),
            );
        }
    }
}

fn source(section: &str, source: &Source, found: &mut Found) {
    let path = |field: &str| format!("{section}.source.{field}");
    match source.kind {
        SourceKind::Upstream if source.url.is_empty() => {
            found.add(path("from"), "is `upstream`, but `url` is missing", "add the `url` of the manifest");
        }
        SourceKind::Upstream => found.format(path("url"), &source.url, &format::URL),
        SourceKind::File if source.path.is_empty() => {
            found.add(path("from"), "is `file`, but `path` is missing", "add the `path` of the manifest");
        }
        SourceKind::Embedded | SourceKind::File => {}
    }
    found.format_unless_empty(path("sha256"), &source.sha256, &format::DIGEST);
}

/// An image can be empty when kvnet's own template is not used: then the manifest names it.
fn image(path: &str, image: &str, source: &Source, found: &mut Found) {
    let format: &Format = &format::IMAGE;
    if source.kind == SourceKind::Embedded {
        found.format(path, image, format);
    } else {
        found.format_unless_empty(path, image, format);
    }
}
