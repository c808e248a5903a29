//! Headers of HTTP that more than one client reads.

use std::time::Duration;

use http::{HeaderMap, header};

/// How long a server asks to wait. Only the form in seconds, which API servers and registries use.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
