//! A connection as a driver sees it: two questions, a few inputs, two commands, and bytes to send.
//!
//! ```text
//!               bytes from the peer                                bytes to the peer
//!                      │ read / close_input            write_slices / take_output │
//!                      ▼                                                          │
//!   next_read_operation                                          next_write_operation
//!   ┌──────┐ ◄─ work done ─ ┌───────┐             ┌───────┐ ─ answer ready ─► ┌───────┐
//!   │ Read │                │ Yield │             │ Yield │                   │ Write │
//!   └──┬───┘ ─ must wait ─► └───┬───┘             └───┬───┘ ◄─ all flushed ── └───┬───┘
//!      └─────────┬──────────────┘                     └────────────┬──────────────┘
//!                ▼                                                 ▼
//!              Close                              Close(Immediate | Linger | Reset)
//!
//!           run ◄── waker ◄── application (a job, a future, a body source)
//!           handle_timeout ◄── the driver's clock, at deadline()
//! ```
//!
//! The shape is that of OCaml's http/af: reading and writing are two independent questions. It differs in that nothing
//! is stored to be called back: after every call the driver asks again, and a [`Waker`](core::task::Waker) is used for
//! the application's side only.

use core::fmt;
use std::io::IoSlice;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::drive::TakeTurns;
use crate::info::ConnectionInfo;
use crate::job::Job;
use crate::outlook::Outlook;
use crate::time::Instant;
use crate::turn::Turn;

/// One connection's protocol, whatever the protocol, with no I/O in it.
///
/// # The laws
///
/// A driver relies on these; a flow keeps them; the driver suite and the properties test both sides.
///
/// 1. **Ask again.** After any input or command, ask the questions again. A driver may block only when neither side
///    made progress and no wake came during [`run`](Self::run) (a wake from within `run` counts), after it has flushed.
///    It calls `run` at least once between an input and blocking, unless the flow [rests](Outlook::rests).
/// 2. **Questions are truthful.** [`ReadOperation::Read`] means that bytes from the peer will help;
///    [`WriteOperation::Write`] means that the slices are not empty.
/// 3. **Quiescence.** Once nothing moves, another `run` without a wake changes nothing.
/// 4. **Wakes.** Whatever enables application progress wakes the waker of the latest `run`. Spurious calls are harmless.
/// 5. **Time and waiting.** `now` is an argument and never goes backwards. Until the flow is finished,
///    [`waiting_on`](Self::waiting_on) is not empty, and what it names is what unblocks it.
/// 6. **Stable output.** Bytes offered for writing stay as they are, and only grow at the end, until a result is
///    reported; where they are the [last](Self::ending) they do not grow. `Close` on the write side means that all was
///    flushed.
/// 7. **Drain.** A request whose head was complete before the drain is answered (drivers read once more, without
///    blocking, before they drain an idle connection); nothing later is started; an answer not yet begun says that the
///    connection closes; idle connections close at once.
/// 8. **Bounds.** Peer input never panics, and memory stays within the limits, counted as capacity.
/// 9. **Cuts do not matter.** However input is cut into reads and output into writes, the conversation is the same.
/// 10. **Models do not matter.** The same conversation under every binding and every model.
///
/// # Life of a connection
///
/// A flow is *finished* when the read side says [`Close`](ReadOperation::Close) and the write side says
/// [`Close`](WriteOperation::Close): the driver then closes the transport. While the write side says
/// `Close(`[`Linger`](CloseKind::Linger)`)` and the read side still says `Read`, the driver shuts its sending half down
/// and reads on; the flow bounds that in time and bytes. A flow that says `Close(`[`Reset`](CloseKind::Reset)`)` is
/// finished, and its driver closes the transport with a reset. What a finished flow says does not change any more.
///
/// [`drive::turn`](crate::drive::turn) is all of this as code for readiness and blocking drivers; each flow has its own of it, by
/// [`take_turn`](TakeTurns::take_turn).
pub trait Flow: TakeTurns + Send + 'static {
    // ---- questions: pure, repeatable, asked again after every call ----

    /// *Question.* What the reading side wants.
    fn next_read_operation(&self) -> ReadOperation;

    /// *Question.* What the writing side wants.
    fn next_write_operation(&self) -> WriteOperation;

    /// *Question.* Who can unblock this flow. A blocking driver chooses by it between receiving, parking and waiting for
    /// both; an operator learns from it why a connection stands still. Empty only when the flow is finished.
    fn waiting_on(&self) -> Waiting;

    /// *Question.* When [`handle_timeout`](Self::handle_timeout) is due, and what ends then. Costs nothing: the answer is
    /// kept ready. It may move later without notice: a driver that wakes too early asks again and sleeps on.
    #[must_use]
    fn deadline(&self) -> Option<Deadline>;

    /// *Question.* Fills `out` with the bytes to send, in order, and says how many slices that took. At least one and
    /// never an empty one while the write side says [`WriteOperation::Write`] and `out` has room; not a byte while it says
    /// anything else.
    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize;

    /// *Question.* How the sending half ends once what is offered for writing is out, where that is the last there will be. A
    /// driver may then leave the sending of it to that end, which comes next: one segment on TCP instead of two. `None` while
    /// more may follow; never wrong.
    #[must_use]
    fn ending(&self) -> Option<CloseKind> {
        None
    }

    /// *Question.* All that a driver asks between two calls, at once. Left as it is, it asks the others; a flow that stands in
    /// one place most of the time may know the answers there without asking, and one that keeps what it cannot use yet bounds
    /// what is [read](Outlook::max_read_bytes). A read that brings more is taken all the same, and held.
    fn outlook(&self) -> Outlook {
        Outlook::of(self)
    }

    /// *Question.* Why the conversation ended, once it did.
    #[must_use]
    fn close_reason(&self) -> Option<CloseReason>;

    // ---- inputs: what happened, each with the driver's turn ----

    /// *Input.* Bytes came from the peer. The flow takes all of them: it uses them, or keeps an exact-size copy of what it
    /// cannot use yet. `input` is the driver's buffer, lent for the call and empty after it.
    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>);

    /// *Input.* Nothing more will come from the peer. Valid at any time, while the read side yields too.
    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>);

    /// *Input.* What became of the bytes offered by [`write_slices`](Self::write_slices).
    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>);

    /// *Input.* [`deadline`](Self::deadline) has passed. Harmless when it has not.
    fn handle_timeout(&mut self, turn: &mut Turn<'_>);

    /// *Input.* Lets the application make progress. The only call that registers the turn's waker.
    fn run(&mut self, turn: &mut Turn<'_>);

    // ---- commands: the server wants something ----

    /// *Command.* Finish what has begun, begin nothing more (law 7).
    fn drain(&mut self, turn: &mut Turn<'_>);

    /// *Command.* End now: both sides say `Close`, nothing more is written. A driver that does not take another turn asks
    /// [`is_reset`] before it closes the transport.
    fn abort(&mut self, reason: AbortReason);

    // ---- outputs: taken by the driver ----

    /// *Output.* Work for another thread. Whoever takes it runs it, or says that it cannot with [`Job::refuse`]; a job
    /// that is merely dropped counts as lost.
    fn poll_job(&mut self) -> Option<Job>;

    /// *Output.* Moves up to `max` bytes of output into `out` as owned chunks, for drivers whose writes outlive the call
    /// (completion loops, split reader and writer threads). Bytes taken this way are still owed a
    /// [`report_write_result`](Self::report_write_result), and are no longer in `write_slices`; until it came, the write
    /// side yields once nothing is left to take.
    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>);
}

/// What the reading side wants (law 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum ReadOperation {
    /// Bytes from the peer will help.
    Read,
    /// Something else must move first; leave what the peer sends in its socket.
    Yield,
    /// Nothing more will be read.
    Close,
}

/// What the writing side wants (law 2).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use]
pub enum WriteOperation {
    /// There are bytes to send: see [`Flow::write_slices`].
    Write,
    /// Nothing to send yet.
    Yield,
    /// All was flushed and nothing more will be written.
    Close(CloseKind),
}

/// How the sending half ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum CloseKind {
    /// All input was consumed, or nobody is left to read: close at once.
    Immediate,
    /// Shut the sending half down and read on while the flow says so, that the peer reads the answer and not a reset.
    Linger,
    /// What was sent is not all that should have been, and an orderly end would make it seem so: close with a reset. For
    /// messages whose end is the connection's end, and for no others: where a length or a last chunk is missing the peer
    /// sees that by itself, and a reset could cost it bytes that are still on their way.
    ///
    /// On TCP that is SO_LINGER with a time of zero before close(2). A transport that knows no resets closes as a broken
    /// one would: without `close_notify` in TLS.
    Reset,
}

/// A set of those who can unblock a flow.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
#[must_use]
pub struct Waiting(u8);

impl Waiting {
    /// Nobody: the flow is finished.
    pub const NOTHING: Self = Self(0);
    /// The peer, by sending.
    pub const PEER_READ: Self = Self(1);
    /// The peer, by taking what is sent to it.
    pub const PEER_WRITE: Self = Self(2);
    /// The application: a job, a future, a body source. It wakes the waker.
    pub const APPLICATION: Self = Self(4);
    /// The clock.
    pub const DEADLINE: Self = Self(8);

    /// Both sets together.
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every member of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether nobody is waited for.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl core::ops::BitOr for Waiting {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (member, name) in [
            (Self::PEER_READ, "peer-read"),
            (Self::PEER_WRITE, "peer-write"),
            (Self::APPLICATION, "application"),
            (Self::DEADLINE, "deadline"),
        ] {
            if self.contains(member) {
                write!(f, "{separator}{name}")?;
                separator = "+";
            }
        }
        if self.is_empty() { f.write_str("nothing") } else { Ok(()) }
    }
}

/// When a flow wants to be told the time, and what it will conclude.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Deadline {
    /// When.
    pub at: Instant,
    /// What ends then.
    pub kind: DeadlineKind,
}

/// What a deadline bounds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[non_exhaustive]
pub enum DeadlineKind {
    /// A layer's handshake.
    Handshake,
    /// A connection that has sent nothing yet.
    FirstByte,
    /// A message head that has begun.
    Head,
    /// A body that makes no progress, or too little.
    Body,
    /// A connection kept open between two messages.
    Idle,
    /// A peer that does not take what is sent to it.
    WriteStall,
    /// A closed sending half that waits for the peer to close its own.
    Linger,
    /// An application that is given only so long to answer.
    Handler,
    /// The application's own time: a delayed answer, a sleep. Nothing ends; something goes on.
    Application,
}

impl fmt::Display for DeadlineKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "handshake",
            Self::FirstByte => "first-byte",
            Self::Head => "head",
            Self::Body => "body",
            Self::Idle => "idle",
            Self::WriteStall => "write-stall",
            Self::Linger => "linger",
            Self::Handler => "handler",
            Self::Application => "application",
        })
    }
}

/// How the peer's bytes ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum InputEnd {
    /// In order: the peer shut its sending half down. It may still read.
    Eof,
    /// The peer reset the connection: nobody reads any more.
    Reset,
    /// The transport closed without TLS's `close_notify`: what came last may be cut short by an attacker.
    TlsTruncated,
    /// The transport failed.
    Error,
}

/// What became of bytes offered for writing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum WriteResult {
    /// So many bytes went out, from the front of what was offered.
    Wrote(usize),
    /// The transport takes nothing more.
    Closed,
}

/// Why a connection is ended at once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum AbortReason {
    /// The grace time of a stop ran out.
    GraceExpired,
    /// The server was told to abort.
    Requested,
    /// The driver can carry it no further.
    Driver,
}

impl fmt::Display for AbortReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::GraceExpired => "grace time expired",
            Self::Requested => "abort requested",
            Self::Driver => "driver gave up",
        })
    }
}

/// Why a conversation ended. [`explain`](Self::explain) says it in a sentence; `Display` in a word for logs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CloseReason {
    /// The protocol came to its end: the peer or the application asked to close.
    Finished,
    /// The peer closed between two messages.
    PeerClosed,
    /// The peer closed within a message.
    Truncated,
    /// The peer reset the connection, or stopped taking what is sent to it.
    PeerReset,
    /// The peer broke the protocol and was told so, with this status where the protocol has such.
    Refused(u16),
    /// A deadline passed.
    TimedOut(DeadlineKind),
    /// The server drains.
    Drained,
    /// The connection was ended at once.
    Aborted(AbortReason),
    /// The application failed in a way that leaves no usable connection.
    ApplicationFailed,
    /// The transport failed.
    TransportFailed,
}

impl CloseReason {
    /// One sentence for people.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::Finished => "the conversation came to its agreed end",
            Self::PeerClosed => "the peer closed the connection between two messages",
            Self::Truncated => "the peer closed the connection in the middle of a message",
            Self::PeerReset => "the peer reset the connection or stopped reading from it",
            Self::Refused(_) => "the peer sent what the protocol or a limit does not allow, and was refused",
            Self::TimedOut(DeadlineKind::Handshake) => "the peer did not complete the handshake in time",
            Self::TimedOut(DeadlineKind::FirstByte) => "the peer connected and sent nothing in time",
            Self::TimedOut(DeadlineKind::Head) => "the peer did not complete a request's head in time",
            Self::TimedOut(DeadlineKind::Body) => "the peer sent a request's body too slowly",
            Self::TimedOut(DeadlineKind::Idle) => "the connection stood idle for too long",
            Self::TimedOut(DeadlineKind::WriteStall) => "the peer did not take what was sent to it in time",
            Self::TimedOut(DeadlineKind::Linger) => "the peer did not close its half in time",
            Self::TimedOut(DeadlineKind::Handler) => "the application did not answer in time",
            Self::TimedOut(DeadlineKind::Application) => "the application's own time ran out",
            Self::Drained => "the server is draining and the connection had nothing left to do",
            Self::Aborted(AbortReason::GraceExpired) => "the grace time of the server's stop ran out",
            Self::Aborted(AbortReason::Requested) => "the server was told to abort its connections",
            Self::Aborted(AbortReason::Driver) => "the driver could carry the connection no further",
            Self::ApplicationFailed => "the application failed in the middle of an answer",
            Self::TransportFailed => "the transport reported an error",
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::PeerClosed => f.write_str("peer-closed"),
            Self::Truncated => f.write_str("truncated"),
            Self::PeerReset => f.write_str("peer-reset"),
            Self::Refused(status) => write!(f, "refused-{status}"),
            Self::TimedOut(kind) => write!(f, "timeout-{kind}"),
            Self::Drained => f.write_str("drained"),
            Self::Aborted(AbortReason::GraceExpired) => f.write_str("aborted-grace"),
            Self::Aborted(AbortReason::Requested) => f.write_str("aborted"),
            Self::Aborted(AbortReason::Driver) => f.write_str("aborted-driver"),
            Self::ApplicationFailed => f.write_str("application-failed"),
            Self::TransportFailed => f.write_str("transport-failed"),
        }
    }
}

/// What a server speaks: makes a flow for each connection. Shared by all of a server's threads.
pub trait Protocol: Send + Sync + 'static {
    /// A flow for a connection that was just accepted, at `now`.
    fn connect(&self, info: ConnectionInfo, now: Instant) -> Box<dyn Flow>;

    /// A flow that tells a connection over the server's limit that it cannot be served and closes; `None` where the
    /// protocol has no way to say so: the connection is then closed without a word.
    fn refuse(&self, info: ConnectionInfo, now: Instant) -> Option<Box<dyn Flow>> {
        let _ = (info, now);
        None
    }
}

impl<P: Protocol + ?Sized> Protocol for Arc<P> {
    fn connect(&self, info: ConnectionInfo, now: Instant) -> Box<dyn Flow> {
        (**self).connect(info, now)
    }
    fn refuse(&self, info: ConnectionInfo, now: Instant) -> Option<Box<dyn Flow>> {
        (**self).refuse(info, now)
    }
}

impl<F: Flow + ?Sized> Flow for Box<F> {
    fn next_read_operation(&self) -> ReadOperation {
        (**self).next_read_operation()
    }
    fn next_write_operation(&self) -> WriteOperation {
        (**self).next_write_operation()
    }
    fn waiting_on(&self) -> Waiting {
        (**self).waiting_on()
    }
    fn deadline(&self) -> Option<Deadline> {
        (**self).deadline()
    }
    fn write_slices<'a>(&'a self, out: &mut [IoSlice<'a>]) -> usize {
        (**self).write_slices(out)
    }
    fn ending(&self) -> Option<CloseKind> {
        (**self).ending()
    }
    fn outlook(&self) -> Outlook {
        (**self).outlook()
    }
    fn close_reason(&self) -> Option<CloseReason> {
        (**self).close_reason()
    }
    fn read(&mut self, input: &mut BytesMut, turn: &mut Turn<'_>) {
        (**self).read(input, turn);
    }
    fn close_input(&mut self, end: InputEnd, turn: &mut Turn<'_>) {
        (**self).close_input(end, turn);
    }
    fn report_write_result(&mut self, result: WriteResult, turn: &mut Turn<'_>) {
        (**self).report_write_result(result, turn);
    }
    fn handle_timeout(&mut self, turn: &mut Turn<'_>) {
        (**self).handle_timeout(turn);
    }
    fn run(&mut self, turn: &mut Turn<'_>) {
        (**self).run(turn);
    }
    fn drain(&mut self, turn: &mut Turn<'_>) {
        (**self).drain(turn);
    }
    fn abort(&mut self, reason: AbortReason) {
        (**self).abort(reason);
    }
    fn poll_job(&mut self) -> Option<Job> {
        (**self).poll_job()
    }
    fn take_output(&mut self, max: usize, out: &mut Vec<Bytes>) {
        (**self).take_output(max, out);
    }
}

/// Whether `flow` says that its transport is to be closed with a [reset](CloseKind::Reset).
#[must_use]
pub fn is_reset<F: Flow + ?Sized>(flow: &F) -> bool {
    flow.next_write_operation() == WriteOperation::Close(CloseKind::Reset)
}

/// Whether both sides of `flow` say `Close`: the transport may be closed.
#[must_use]
pub fn is_finished<F: Flow + ?Sized>(flow: &F) -> bool {
    flow.next_read_operation() == ReadOperation::Close
        && matches!(flow.next_write_operation(), WriteOperation::Close(_))
}
