//! A service asked once: bytes in, bytes out, with no server around it.

use core::time::Duration;

use super::rig::Rig;
use crate::app::{Http, Service};
use crate::flow::ReadOperation;

/// How far the clock is moved on, altogether, for answers that take time.
const PATIENCE: Duration = Duration::from_secs(3600);
const STEP: Duration = Duration::from_millis(50);

/// What a connection to `service` would be sent back for `bytes`, after which the peer sends no more.
///
/// For those who test an application: the whole protocol is in between, with its default limits. Jobs run in place, and
/// delays pass without being waited for. `Date` is that of the [`Rig`].
///
/// ```
/// use anabranch_core::app::service_fn;
/// use anabranch_core::testing::oneshot;
///
/// let answer = oneshot(service_fn(|_, _| "hello"), "GET / HTTP/1.1\r\nHost: example.org\r\n\r\n");
/// assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
/// assert!(answer.ends_with(b"\r\n\r\nhello"));
/// ```
///
/// # Panics
/// When the answer has not come after an hour of the rig's time: what the service waits for is not there in a test.
#[track_caller]
pub fn oneshot(service: impl Service, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let mut rig = Rig::connect(&Http::new(service));
    rig.feed(bytes, usize::MAX);
    let mut answer = rig.written();
    let mut passed = Duration::ZERO;
    let mut ended = false;
    while !rig.is_finished() {
        let ran = rig.run_jobs();
        let more = rig.written();
        let moved = ran > 0 || !more.is_empty();
        answer.extend(more);
        if rig.is_finished() || moved {
            continue;
        }
        if !ended && rig.unread() == 0 && rig.next_read_operation() == ReadOperation::Read {
            ended = true;
            rig.eof();
            continue;
        }
        assert!(
            passed < PATIENCE,
            "no answer after an hour of the rig's time: {:?} is waited on",
            rig.waiting_on()
        );
        passed += STEP;
        rig.advance(STEP);
    }
    answer.extend(rig.written());
    answer
}
