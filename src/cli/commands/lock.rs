//! `kvnet lock`: writes the lock of a profile, or tells what has moved since.

use std::time::Duration;

use camino::Utf8Path;
use serde_json::{Value, json};

use crate::cli::args::{Global, Lock as Options};
use crate::cli::session::Session;
use crate::error::{PENDING, Result};
use crate::lock::{Change, Lock};
use crate::locking::{self, Wanted};
use crate::registry::{Credentials, Registry, RegistryOptions};
use crate::terminal::{self, counted};
use crate::ui;
use crate::ui::Format;

/// Runs the command.
pub async fn run(global: &Global, options: &Options) -> Result<u8> {
    let session = Session::start(global).await?;
    let path = global.lock_path();
    let old = if options.check { Some(locking::need(&path)?) } else { Lock::read(&path)? };
    let mut wanted = Wanted::of_profile(&session.cx, &session.selection).await?;
    wanted.add_node(&session.cx, old.as_ref()).await?;
    let timeout = Duration::from_secs(session.cx.profile.timeouts.download);
    let registry = Registry::new(RegistryOptions { credentials: Credentials::of_user()?, timeout });
    if let (Some(old), true) = (&old, options.check) {
        let changes = locking::moved(old, &wanted, &registry).await?;
        tell(&path, &changes, &wanted, session.format, &checked(&changes, old))?;
        return Ok(if changes.is_empty() { 0 } else { PENDING });
    }
    let new = locking::lock(&session.cx.profile.name, &wanted, &registry).await?;
    let changes = Change::between(old.as_ref().unwrap_or(&Lock::new("")), &new);
    if old.as_ref() != Some(&new) {
        new.write(&path)?;
    }
    let images = counted(new.images.len(), "image");
    let last = match (&old, changes.len()) {
        (None, _) => format!("{path}: {images}"),
        (Some(_), 0) => format!("{path}: {images}, nothing moved"),
        (Some(_), count) => format!("{path}: {images}, {}", counted(count, "change")),
    };
    let shown = if old.is_some() { changes.as_slice() } else { &[] };
    tell(&path, shown, &wanted, session.format, &last)?;
    Ok(0)
}

fn checked(changes: &[Change], lock: &Lock) -> String {
    match changes.len() {
        0 => format!("nothing moved: {} as locked", counted(lock.images.len(), "image")),
        count => format!("{} since the lock was written; `kvnet lock` renews it", counted(count, "change")),
    }
}

fn tell(path: &Utf8Path, changes: &[Change], wanted: &Wanted, format: Format, last: &str) -> Result<()> {
    if format != Format::Text {
        let changes: Vec<Value> = changes.iter().map(|change| json!(change)).collect();
        return ui::structured(
            &json!({"file": path, "images": wanted.images.len(), "changes": changes, "gaps": wanted.gaps}),
            format,
        );
    }
    let lines = changes.iter().map(ToString::to_string).chain([last.to_owned()]);
    let text = lines.collect::<Vec<_>>().join("\n");
    ui::print(&format!("{}\n", terminal::clean(&text)));
    for gap in &wanted.gaps {
        terminal::say(&format!("not locked: {}", terminal::clean(gap)));
    }
    Ok(())
}
