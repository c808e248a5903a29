//! Where manifests come from: kvnet's templates, a pinned download, a file.

use serde_json::Value;

use crate::error::Result;
use crate::profile::{Profile, Source};

/// Loads manifests.
pub struct Sources {}
