//! One file for each command.

pub mod completions;
pub mod console;
pub mod doctor;
pub mod down;
pub mod explain;
pub mod init;
pub mod man;
pub mod plan;
pub mod profile;
pub mod render;
pub mod smoke;
pub mod status;
pub mod topology;
pub mod trace;
pub mod up;
pub mod version;

use crate::engine::cancel::Cancel;

/// The first Ctrl-C (or SIGTERM) lets the change in hand finish; the second ends the program at once.
pub fn stop_on_signal() -> Cancel {
    stop_on_signal_saying("stopping after the change in hand; press Ctrl-C again to stop at once")
}

/// As [`stop_on_signal`], with what is told at the first Ctrl-C.
pub fn stop_on_signal_saying(text: &'static str) -> Cancel {
    let cancel = Cancel::default();
    let asked = cancel.clone();
    tokio::spawn(async move {
        signal().await;
        asked.cancel();
        crate::ui::say(text);
        signal().await;
        std::process::exit(130);
    });
    cancel
}

async fn signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) =
        (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
}
