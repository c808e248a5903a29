//! Formats that others define, as pure parsers: CNI configurations, what `ip` prints, names, releases, kubeadm's
//! configuration, and cloud-init's network data.

pub mod cni;
mod headers;
pub mod kubernetes;
pub mod names;
pub mod net;
pub mod network_data;
mod network_data_v1;
pub mod object;
mod release;

pub use headers::retry_after;
pub use release::Release;
