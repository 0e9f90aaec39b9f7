//! SIGTERM and SIGINT: the first asks for an orderly stop, the second for an end at once.

use std::io;
use std::thread;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// What a signal asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// The first: finish what has begun.
    Drain,
    /// Any later one: end at once.
    Abort,
}

/// Calls `on_signal` for each signal, on a thread of its own. From here on the signals end the process no more.
///
/// # Errors
/// When no handler can be set or no thread started.
pub fn watch(mut on_signal: impl FnMut(&'static str, Stop) + Send + 'static) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    thread::Builder::new().name("signals".into()).spawn(move || {
        let mut stop = Stop::Drain;
        for signal in &mut signals {
            on_signal(if signal == SIGINT { "SIGINT" } else { "SIGTERM" }, stop);
            stop = Stop::Abort;
        }
    })?;
    Ok(())
}
