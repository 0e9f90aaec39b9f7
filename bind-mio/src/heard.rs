//! What the poll says of a connection, as its driver knows it.

use anabranch_core::drive::Readiness;
use mio::event::Event;

/// Keeps what an event says.
pub(crate) fn note(readiness: &mut Readiness, event: &Event) {
    let broken = event.is_error() || event.is_write_closed();
    readiness.readable |= event.is_readable() || event.is_read_closed() || broken;
    readiness.writable |= event.is_writable() || broken;
    readiness.hangup |= event.is_read_closed() || broken;
    readiness.gone |= broken;
}

/// Adds what came meanwhile to what is known.
pub(crate) fn merge(readiness: &mut Readiness, events: Readiness) {
    readiness.readable |= events.readable;
    readiness.writable |= events.writable;
    readiness.hangup |= events.hangup;
    readiness.gone |= events.gone;
}
