//! Signals: TERM and INT end the server in order, but only once it is ready; before that they kill it, as HUP always
//! does.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::thread;

use nix::sys::signal::{SigSet, Signal, raise};

/// Sends a word when the server is to stop. Has to be called before any other thread is started, as those inherit what
/// is blocked.
pub(super) fn watch(is_ready: Arc<AtomicBool>, stop: Sender<()>) -> Result<(), String> {
    let mut watched = SigSet::empty();
    watched.add(Signal::SIGTERM);
    watched.add(Signal::SIGINT);
    watched.thread_block().map_err(|errno| format!("cannot block signals: {}", errno.desc()))?;
    let wait = move || {
        let Ok(signal) = watched.wait() else { return };
        if !is_ready.load(Ordering::SeqCst) && watched.thread_unblock().is_ok() && raise(signal).is_ok() {
            return;
        }
        // Nobody waits for it only if the server is on its way out already.
        let _ = stop.send(());
    };
    thread::Builder::new().name("signals".into()).spawn(wait).map(drop).map_err(|error| error.to_string())
}
