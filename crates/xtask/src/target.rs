//! The targets of a release, and what others call them.

use clap::ValueEnum;
use clap::builder::PossibleValue;

/// A target.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Target {
    /// The name of rustc.
    pub triple: &'static str,
    /// The name of Go, OCI, Debian, krew and nfpm.
    pub arch: &'static str,
    /// The name of the kernel, RPM and Alpine.
    pub machine: &'static str,
    /// The compiler for what is in C. Nothing of its libc is used: rustc brings musl and links.
    pub compiler: &'static str,
}

/// All targets of a release.
pub const ALL: [Target; 2] = [
    Target { triple: "x86_64-unknown-linux-musl", arch: "amd64", machine: "x86_64", compiler: "gcc" },
    Target {
        triple: "aarch64-unknown-linux-musl",
        arch: "arm64",
        machine: "aarch64",
        compiler: "aarch64-linux-gnu-gcc",
    },
];

impl Target {
    /// Whether this machine can run it.
    pub fn is_native(self) -> bool {
        self.machine == std::env::consts::ARCH
    }
}

impl ValueEnum for Target {
    fn value_variants<'a>() -> &'a [Self] {
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        Some(PossibleValue::new(self.triple))
    }
}
