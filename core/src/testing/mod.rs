//! For those who test a service, a flow or a driver: time, wakes, jobs and a wire that are worked by hand, a rig that
//! holds a flow to its laws, and suites that hold a driver to its own.
//!
//! ```text
//!   you test            with                       which plays
//!   ─────────────────────────────────────────────────────────────────────────────────────────────
//!   a flow              Rig                        the driver, checking the flow's laws at every call
//!   a flow, a service   check_cuts, check_service, whole conversations, in one way and in another
//!                       check_steps, check_drain
//!   either, by proptest strategies                 peers that say anything at all (feature `strategies`)
//!   a turn of yours     wire_suite                 flow and wire, at every cut of input and output
//!   a whole driver      driver_suite               flows that judge their driver, and the peers
//!   its times           StallWatch                 nobody: it says what of them was the machine's own
//! ```
//!
//! Everything but these two is in memory, without threads, and never sleeps.
//!
//! # Example
//!
//! A flow that answers each line with its length, and what the rig asks of it:
//!
//! ```
//! use anabranch_core::testing::{Behaviour, Io, Probe, Rig};
//!
//! #[derive(Default)]
//! struct LineLengths(usize);
//!
//! impl Behaviour for LineLengths {
//!     fn input(&mut self, io: &mut Io, bytes: &[u8]) {
//!         for byte in bytes {
//!             match byte {
//!                 b'\n' => io.send(format!("{}\n", core::mem::take(&mut self.0))),
//!                 _ => self.0 += 1,
//!             }
//!         }
//!     }
//! }
//!
//! let mut rig = Rig::new(Probe::new(LineLengths::default(), Default::default(), Default::default()));
//! rig.assert_reading();
//! rig.read("four\nthr");
//! assert_eq!(rig.written(), b"4\n");
//! rig.read_bytewise("ee\n");
//! rig.eof();
//! assert_eq!(rig.written(), b"5\n");
//! assert!(rig.is_finished());
//! ```

mod answers;
mod checks;
mod clock;
mod converse;
mod cuts;
pub mod driver_suite;
mod escaped;
pub mod heads;
mod jobs;
mod laws;
mod mean_wire;
mod message;
mod oneshot;
mod probe;
mod real_time;
mod rig;
mod stall_watch;
mod steps;
#[cfg(any(test, feature = "strategies"))]
pub mod strategies;
mod waker;
mod wire;
pub mod wire_suite;

pub use answers::{Answer, answers};
pub use checks::{check_cuts, check_cuts_by, check_drain, check_end, check_service, check_steps};
pub use clock::ManualClock;
pub use converse::{Ending, Transcript, converse};
pub use cuts::{Cuts, Pace, Take};
pub use escaped::{escaped, unescaped};
pub use jobs::ManualJobs;
pub use laws::{After, Laws};
pub use mean_wire::MeanWire;
pub use message::{Chunk, Message, MessageBody};
pub use oneshot::oneshot;
pub use probe::{Behaviour, Io, Log, Probe, Seen};
pub use rig::Rig;
pub use stall_watch::StallWatch;
pub use steps::Step;
pub use waker::CountingWaker;
pub use wire::{ScriptedWire, WireCounts};

#[cfg(test)]
mod tests;
