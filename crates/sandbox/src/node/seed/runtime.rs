//! The container runtime with its configuration, and the reference CNI plugins where it looks for them.

use super::{Runtime, Seed, directory, file, program, special};
use crate::formats::cni::RELEASED_PLUGINS;
use crate::node::Distribution;
use crate::store::Transaction;

/// Makes it.
pub(super) fn plant(transaction: &mut Transaction<'_>, seed: &Seed) {
    match seed.runtime {
        Runtime::Containerd => containerd(transaction, seed.distribution),
        Runtime::Crio => crio(transaction),
    }
    let plugins = plugin_directory(seed);
    directory(transaction, plugins, 0o755);
    if seed.cni_plugins {
        for name in RELEASED_PLUGINS {
            program(transaction, &format!("{plugins}/{name}"));
        }
    }
}

/// The first directory in which the runtime looks for plugins.
pub(in crate::node) fn plugin_directory(seed: &Seed) -> &'static str {
    match seed.distribution {
        Distribution::Alpine => "/usr/libexec/cni",
        _ => "/opt/cni/bin",
    }
}

/// What `containerd config dump` prints, and a file has unless the built-in configuration counts.
pub(in crate::node) fn containerd_configuration(distribution: Distribution) -> String {
    match distribution {
        Distribution::Ubuntu => "version = 2\n\n[plugins]\n  [plugins.\"io.containerd.grpc.v1.cri\"]\n    \
            [plugins.\"io.containerd.grpc.v1.cri\".cni]\n      bin_dir = \"/opt/cni/bin\"\n      \
            conf_dir = \"/etc/cni/net.d\"\n      max_conf_num = 1\n    \
            [plugins.\"io.containerd.grpc.v1.cri\".containerd]\n      default_runtime_name = \"runc\"\n"
            .to_owned(),
        distribution => {
            let directory =
                if distribution == Distribution::Alpine { "/usr/libexec/cni" } else { "/opt/cni/bin" };
            format!(
                "version = 3\nroot = '/var/lib/containerd'\nstate = '/run/containerd'\n\n[plugins]\n  \
                 [plugins.'io.containerd.cri.v1.runtime']\n    [plugins.'io.containerd.cri.v1.runtime'.cni]\n      \
                 bin_dirs = ['{directory}']\n      conf_dir = '/etc/cni/net.d'\n      max_conf_num = 1\n"
            )
        }
    }
}

/// Arch has no configuration file: what is built in counts.
fn containerd(transaction: &mut Transaction<'_>, distribution: Distribution) {
    program(transaction, "/usr/bin/containerd");
    if distribution != Distribution::Arch {
        let text = containerd_configuration(distribution);
        file(transaction, "/etc/containerd/config.toml", 0o644, &text);
    }
    special(transaction, "/run/containerd/containerd.sock", 0o660);
}

fn crio(transaction: &mut Transaction<'_>) {
    program(transaction, "/usr/bin/crio");
    let text = "[crio.network]\nnetwork_dir = \"/etc/cni/net.d/\"\nplugin_dirs = [\"/opt/cni/bin/\", \"/usr/libexec/cni/\"]\n";
    file(transaction, "/etc/crio/crio.conf.d/10-crio.conf", 0o644, text);
    special(transaction, "/run/crio/crio.sock", 0o660);
}
