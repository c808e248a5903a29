//! The formats of single values.

use crate::formats::names::{is_label, is_subdomain};
use crate::profile::Release;

/// A format that a string can have.
pub(super) struct Format {
    /// What it is, with an article.
    pub name: &'static str,
    /// How to write it.
    pub hint: &'static str,
    /// Whether a string has it.
    pub fits: fn(&str) -> bool,
}

macro_rules! formats {
    ($($id:ident = $name:literal, $hint:literal, $fits:expr;)*) => {
        $(pub(super) static $id: Format = Format { name: $name, hint: $hint, fits: $fits };)*
    };
}

formats! {
    LABEL = "a DNS-1123 label", "use 1 to 63 of a-z, 0-9 and `-`, with a letter or digit at both ends", is_label;
    SUBDOMAIN = "a DNS-1123 name", "use at most 253 of a-z, 0-9, `-` and `.`, with a letter or digit around each `.`", is_subdomain;
    INTERFACE = "a name that the kernel accepts for a network interface", "use 1 to 15 letters, digits, `-`, `_` and `.`, not beginning with `-` or `.`", is_interface;
    NIC = "a name that KubeVirt accepts for a NIC", "use 1 to 63 letters, digits, `-` and `_`", is_nic;
    MAC = "the MAC address of a NIC", "write it as `02:00:00:00:00:01`, with an even first pair", crate::profile::is_mac_address;
    RELEASE = "a version", "write it as `v1.2.3`", is_tag;
    COMMIT_OR_RELEASE = "a version", "write it as `v1.2.3`, or as a commit of 40 hexadecimal digits", |text| is_tag(text) || is_hex(text, 40);
    KUBERNETES = "a Kubernetes version", "write it as `v1.34.4`, or leave it empty for kubeadm's own", |text| Release::parse(text).is_some();
    DIGEST = "a SHA-256 digest", "write 64 hexadecimal digits as `sha256sum FILE` prints them, or leave it empty", |text| is_hex(text, 64);
    URL = "a download address", "write it as `https://HOST/PATH`, without a password", is_url;
    IMAGE = "an image reference", "write it as `registry.example/name:tag` or `registry.example/name@sha256:DIGEST`", is_image;
    QUANTITY = "a quantity", "write it as `1024M` or `300Mi`", |text| bytes(text).is_some_and(|bytes| bytes > 0.0);
    DIRECTORY = "an absolute path", "begin it with `/` and leave out `..`", is_absolute;
    CONF_FILE = "the name of a CNI configuration file", "write a plain file name that ends in `.conf` or `.conflist`, as in `00-multus.conf`", is_conf_file;
    CNI_NAME = "a name that the CNI library accepts", "begin it with a letter or digit, and use letters, digits, `-`, `_` and `.`", is_cni_name;
    CNI_VERSION = "a version of the CNI specification", "write 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0 or 1.1.0", |text| matches!(text, "0.1.0" | "0.2.0" | "0.3.0" | "0.3.1" | "0.4.0" | "1.0.0" | "1.1.0");
    TAINT = "the key of a taint", "write it as `node-role.kubernetes.io/control-plane`", is_qualified;
    ANNOTATION = "the key of an annotation", "write it as `k8s.v1.cni.cncf.io/resourceName`", is_qualified;
    GATE = "the name of a feature gate", "write it as `ImageVolume`", is_gate;
    PACKAGE = "the name of a package", "use letters, digits, `-`, `_`, `+` and dots between digits, with a letter or digit at both ends, or `auto`", is_package;
    SERVICE = "the name of a service", "use letters, digits and `-._@`, or `auto`", is_service;
}

/// The components' tags all begin with `v`, and URLs and images are made from them.
fn is_tag(text: &str) -> bool {
    text.starts_with('v') && Release::parse(text).is_some()
}

/// Stricter than the kernel: a name also becomes an argument of a command and a part of a path.
fn is_interface(text: &str) -> bool {
    (1..=15).contains(&text.len()) && words(text, "-_.") && !text.starts_with(['-', '.'])
}

fn is_nic(text: &str) -> bool {
    (1..=63).contains(&text.len()) && words(text, "-_")
}

fn is_cni_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && words(text, "-_.")
}

fn is_hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    rest.is_some_and(|rest| {
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        !host.is_empty()
            && !host.contains('@')
            && !host.starts_with(':')
            && rest.chars().all(|c| c.is_ascii_graphic())
    })
}

fn is_image(text: &str) -> bool {
    let (name, digest) = text.split_once('@').map_or((text, None), |(name, digest)| (name, Some(digest)));
    let slash = name.rfind('/').map_or(0, |at| at + 1);
    let tag = name[slash..].find(':').map(|at| slash + at);
    let (name, tag) = tag.map_or((name, None), |at| (&name[..at], Some(&name[at + 1..])));
    let (registry, path) = match name.split_once('/') {
        Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
        _ => (None, name),
    };
    text.len() <= 512
        && registry.is_none_or(|r| {
            r.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[') && words(r, "-.:[]")
        })
        && path.split('/').all(is_image_part)
        && tag.is_none_or(|tag| {
            (1..=128).contains(&tag.len()) && words(tag, "-_.") && !tag.starts_with(['-', '.'])
        })
        && digest.is_none_or(|digest| digest.strip_prefix("sha256:").is_some_and(|hex| is_hex(hex, 64)))
}

fn is_image_part(part: &str) -> bool {
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    words(part, "-_.")
        && part.starts_with(edge)
        && part.ends_with(edge)
        && !part.contains(|c: char| c.is_ascii_uppercase())
}

/// The bytes of a Kubernetes quantity, nothing when it is none.
pub(super) fn bytes(text: &str) -> Option<f64> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let factor = match unit {
        "" => 1.0,
        "m" => 1e-3,
        "k" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        "T" => 1e12,
        "Ki" => 1024.0,
        "Mi" => 1024.0 * 1024.0,
        "Gi" => 1024.0 * 1024.0 * 1024.0,
        "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => return None,
    };
    number
        .starts_with(|c: char| c.is_ascii_digit())
        .then(|| number.parse::<f64>().ok())?
        .map(|number| number * factor)
}

pub(super) fn is_absolute(text: &str) -> bool {
    text.starts_with('/') && !text.split('/').any(|part| part == "..")
}

fn is_conf_file(text: &str) -> bool {
    let ending = text.strip_suffix(".conf").or_else(|| text.strip_suffix(".conflist"));
    ending.is_some_and(|stem| !stem.is_empty())
        && words(text, "-_.")
        && text.len() <= 255
        && !text.starts_with(['-', '.'])
}

fn is_qualified(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let edge = |c: char| c.is_ascii_alphanumeric();
    prefix.is_none_or(is_subdomain)
        && (1..=63).contains(&name.len())
        && words(name, "-_.")
        && name.starts_with(edge)
        && name.ends_with(edge)
}

/// Package managers accept more than names: `curl-` and `curl+` remove and install, `a.b` and `a*` are patterns, `a=1`,
/// `a/b` and `a@b` choose a release or a repository.
fn is_package(text: &str) -> bool {
    let edge = |c: char| c.is_ascii_alphanumeric();
    let mut pieces = text.split('.').peekable();
    let mut dots_hold = true;
    while let Some(piece) = pieces.next() {
        let digit = |c: char| c.is_ascii_digit();
        let next = pieces.peek().is_none_or(|next| piece.ends_with(digit) && next.starts_with(digit));
        dots_hold = dots_hold && next;
    }
    (1..=128).contains(&text.len())
        && words(text, "+-._")
        && text.starts_with(edge)
        && text.ends_with(edge)
        && dots_hold
}

fn is_service(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && words(text, "-._@")
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
}

fn words(text: &str, others: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

fn is_gate(text: &str) -> bool {
    text.len() <= 63
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_accept_and_refuse() {
        let long = "a".repeat(64);
        let cases: &[(&Format, &[&str], &[&str])] = &[
            (&LABEL, &["a", "a-b", "0"], &["", "-a", "a-", "A", "a.b", "../x", &long]),
            (&SUBDOMAIN, &["a.b", "a", &long], &["", "a..b", ".a", "a/b", "a_b"]),
            (
                &INTERFACE,
                &["blue", "br-0.1_x", "fifteen-letters"],
                &["", "sixteen--letters", "a/b", "a b", ".", "..", "-x", "é", "a:b"],
            ),
            (&DIGEST, &["7c5ecb231940f2399f3bdcf4cedc9fcc54d09fe60f33165e1494cd6545d0a29a"], &["7c", "z"]),
            (
                &URL,
                &["https://a.b/c?d", "http://localhost:1/x"],
                &["ftp://a/b", "https://", "https:///x", "https://u:p@h/x", "https://a/ b", "file:///x"],
            ),
            (
                &IMAGE,
                &["busybox", "a/b:1", "ghcr.io/a/b-c:v1", "localhost:5000/a", "127.0.0.1:5000/a:x"],
                &["", "A", "a:", "a b", "a/", "/a", "a@sha256:1", "a:-", "https://a/b", "../a"],
            ),
            (&GATE, &["ImageVolume", "VMExport", "a1"], &["", "1a", "a-b", "a b", "Ä", "a=true", &long]),
            (&QUANTITY, &["1024M", "1Gi", "1.5Gi", "64"], &["", "M", "1MB", "-1", "0", "1 M", "1mi"]),
            (&DIRECTORY, &["/a/b", "/"], &["a", "", "/a/../b"]),
            (
                &CONF_FILE,
                &["00-multus.conf", "10-flannel.conflist"],
                &["a", ".conf", "a/b.conf", "../a.conf", "-a.conf", "a.conf.bak"],
            ),
            (
                &TAINT,
                &["node-role.kubernetes.io/control-plane", "a"],
                &["", "/a", "a/", "a/b/c", "a:NoSchedule"],
            ),
            (
                &PACKAGE,
                &["auto", "openvswitch3.5", "openvswitch-switch", "libstdc++6"],
                &[
                    "",
                    "-y",
                    "a b",
                    "a;b",
                    "curl-",
                    "curl+",
                    "g++",
                    "openss.-client",
                    "a.*",
                    "a*",
                    "a?",
                    "^a$",
                    "a=1",
                    "a/stable",
                    "a@edge",
                    "a:i386",
                    "a~",
                    ".a",
                    "a.",
                ],
            ),
            (&SERVICE, &["auto", "ovs@a.service", "openvswitch-switch"], &["", "-y", "a b", "a*", "../a"]),
        ];
        for (format, good, bad) in cases {
            good.iter().for_each(|text| assert!((format.fits)(text), "{} should be {}", text, format.name));
            bad.iter()
                .for_each(|text| assert!(!(format.fits)(text), "{} should not be {}", text, format.name));
        }
    }
}
