//! How data is printed.

use clap::ValueEnum;

/// How to print.
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
    /// A picture; `topology` only.
    #[value(hide = true)]
    Svg,
    /// A page; `topology` only.
    #[value(hide = true)]
    Html,
}
