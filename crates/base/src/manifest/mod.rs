//! Manifests as text and as objects: YAML as kubectl reads it, the order of applying, and their images.

mod images;
mod objects;
mod reference;
mod scalar;
mod yaml;

pub use images::{HUB, change_images, images_of, rewrite as rewrite_image, rewrite_object};
pub use objects::sort;
pub use reference::{Reference, is_digest};
pub use scalar::reads_as_text;
pub use yaml::{MAX_BYTES, parse_manifests};
