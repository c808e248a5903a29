//! The formats of output.

use clap::ValueEnum;

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// JSON; one event per line while `up` and `down` run.
    Json,
    /// YAML.
    Yaml,
    /// Graphviz; `topology` only.
    #[value(hide = true)]
    Dot,
    /// An image; `topology` only.
    #[value(hide = true)]
    Svg,
    /// A web page; `topology` only.
    #[value(hide = true)]
    Html,
}
