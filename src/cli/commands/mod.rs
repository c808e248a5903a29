//! One file for each command.

pub mod completions;
pub mod console;
pub mod doctor;
pub mod down;
pub mod explain;
pub mod init;
pub mod lock;
pub mod man;
pub mod plan;
pub mod profile;
pub mod render;
pub mod smoke;
pub mod status;
pub mod sysdump;
pub mod topology;
pub mod trace;
pub mod up;
pub mod version;

use tokio::signal::unix::SignalKind;

use crate::context::cancel::Cancel;

/// The first Ctrl-C, SIGTERM or SIGHUP lets the change in progress finish; another Ctrl-C or SIGTERM exits at once.
pub fn stop_on_signal() -> Cancel {
    stop_on_signal_saying("stopping after the change in progress; press Ctrl-C again to stop at once")
}

/// Like [`stop_on_signal`], with the message to print at the first Ctrl-C.
pub fn stop_on_signal_saying(text: &'static str) -> Cancel {
    let cancel = Cancel::default();
    let asked = cancel.clone();
    tokio::spawn(async move {
        signal().await;
        asked.cancel();
        crate::terminal::say(text);
        // A closed terminal sends SIGHUP more than once: from the kernel and from the shell.
        asked_by_hand().await;
        std::process::exit(130);
    });
    cancel
}

/// Waits for Ctrl-C, SIGTERM or SIGHUP.
async fn signal() {
    // A process started with `nohup` outlives its terminal.
    if crate::host::ignores_hangup() {
        return asked_by_hand().await;
    }
    tokio::select! {
        () = asked_by_hand() => {}
        () = heard(SignalKind::hangup()) => {}
    }
}

async fn asked_by_hand() {
    tokio::select! {
        () = heard(SignalKind::interrupt()) => {}
        () = heard(SignalKind::terminate()) => {}
    }
}

async fn heard(kind: SignalKind) {
    match tokio::signal::unix::signal(kind) {
        Ok(mut signal) => _ = signal.recv().await,
        Err(_) => std::future::pending().await,
    }
}
