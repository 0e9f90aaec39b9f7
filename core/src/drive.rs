//! The turn every readiness or blocking driver takes with a connection, written once.
//!
//! ```text
//!            ┌──────────────────────────────────────────────┐
//!            ▼                                              │
//!   timeout? ─► run ─► jobs out ─► flush ─► read once ─► flow.read
//!                                   │          │
//!                                   │          └─ nothing more to be had ─► Blocked   (wait for what waiting_on names)
//!                                   └─ budget spent ────────────────────► Again     (queue the connection again)
//!                                   └─ both sides say Close ────────────► Finished  (reset it, if told so; close it)
//! ```
//!
//! The driver owns the socket (behind [`Wire`]), the buffer, the clock and the threads; [`turn`] owns the order of calls.
//! Edge-triggered loops keep the [`Readiness`] between turns; level-triggered ones set it from each event; blocking
//! drivers set it always and let [`Wire::read`] wait; tasks are [`Polled`].

mod driven;
mod task;

use core::hint::cold_path;
use std::io::{self, ErrorKind, IoSlice};

use bytes::BytesMut;

pub use driven::{Driven, Stop};
pub use task::{Alarm, PollWire, Polled};

use crate::flow::{CloseKind, CloseReason, Flow, InputEnd, ReadOperation, WriteOperation, WriteResult};
use crate::job::Job;
use crate::outlook::Outlook;
use crate::turn::Turn;

/// A transport, as far as a turn needs one.
pub trait Wire {
    /// Appends what can be had to `into`, which has room for `max` bytes, and says how many bytes that were: `max` at most,
    /// which is never zero.
    ///
    /// # Errors
    /// `Ok(0)` means that the peer shut its sending half down; `WouldBlock` that nothing is there (a blocking wire: that
    /// it waited long enough); `ConnectionReset` and its like that nobody is there any more.
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize>;

    /// Sends from the front of `slices` and says how many bytes that were.
    ///
    /// # Errors
    /// `WouldBlock` when nothing can be taken now; anything else closes the flow's output.
    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize>;

    /// As [`write`](Self::write), where these are the last: if all of them are taken, the next call is
    /// [`shutdown_write`](Self::shutdown_write) where that is how the flow [ends](Flow::ending), or else the transport is closed.
    /// What comes next may then send them, on TCP in one segment with the end. Only told where a close could not lose them: to
    /// the turn's knowledge nothing lies unread behind what the peer sent last.
    ///
    /// # Errors
    /// As `write` has them.
    fn write_last(&mut self, slices: &[IoSlice<'_>], end: CloseKind) -> io::Result<usize> {
        let _ = end;
        self.write(slices)
    }

    /// Shuts the sending half down, so that the peer sees the end of what was sent.
    ///
    /// # Errors
    /// `WouldBlock` when that takes longer: the next turn asks again. Anything else is ignored by [`turn`]: a peer that is
    /// gone is learnt of by reading.
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// Sees to it that the transport's close, which comes next, reaches the peer as a reset and not as an orderly end: see
    /// [`CloseKind::Reset`]. On TCP: SO_LINGER with a time of zero. Where the transport knows nothing of the kind: nothing.
    ///
    /// # Errors
    /// Ignored by [`turn`]: the transport is closed all the same.
    fn reset(&mut self) -> io::Result<()>;
}

/// What is known of a connection's transport between two turns. One a connection, kept by its driver.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct Readiness {
    /// Reading may give something. Cleared by [`turn`] when a read came back empty or short.
    pub readable: bool,
    /// Writing may take something. Cleared by [`turn`] when a write came back empty or short.
    pub writable: bool,
    /// The poller said that the peer hung up: a short read is then not the last, for the end itself is still to be read.
    pub hangup: bool,
    /// The poller said that the transport failed, or hung up both ways. A flow that reads or writes learns of it by doing
    /// so; one that does neither is told by [`turn`], unless both ends are known to it already. A peer that has only shut
    /// its sending half down is not gone.
    pub gone: bool,
    /// What has to come before the driver hears of the wire again: whether short means last.
    pub waking: Waking,
    ended: bool,
    write_shut: bool,
}

/// What has to come before a driver hears that its wire can be read or written again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub enum Waking {
    /// Nothing: events come by themselves, as those of epoll, kqueue and poll(2) do. So a read or write that came back
    /// short is the last of its turn: the system call that would only say "empty" is saved.
    #[default]
    ByEvents,
    /// A `WouldBlock`: only by saying so does the wire keep the waker it was polled with, as futures-io's and tokio's
    /// streams do. So each turn begins by taking both directions for ready, since its waker may be another than the last
    /// one's, and goes on until each direction that the flow wants has said `WouldBlock`.
    AfterWouldBlock,
}

impl Readiness {
    /// Readable and writable: for a connection just accepted, which costs one idle read at worst and saves a wait for the
    /// first event at best.
    #[must_use]
    pub const fn ready() -> Self {
        Self {
            readable: true,
            writable: true,
            hangup: false,
            gone: false,
            waking: Waking::ByEvents,
            ended: false,
            write_shut: false,
        }
    }

    /// For a wire that is polled by a task, where [`Wire`] says `WouldBlock` for `Pending`. The task takes turns whenever it
    /// is polled and touches none of this: after [`Progress::Blocked`] whatever the flow waits for on the wire wakes it.
    #[must_use]
    pub const fn polled() -> Self {
        let mut readiness = Self::ready();
        readiness.waking = Waking::AfterWouldBlock;
        readiness
    }

    /// Whether the peer's bytes have come to their end, in order or not: nothing more is to be waited for but the flow's own.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        self.ended
    }

    /// Nothing more will be read.
    const fn end(&mut self) {
        self.readable = false;
        self.ended = true;
    }

    /// Whether a read or write was the last, having moved `moved` bytes of the `wanted`.
    fn is_last(self, moved: usize, wanted: usize) -> bool {
        self.waking == Waking::ByEvents && moved < wanted
    }
}

/// How much one turn may do before others have theirs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Budget {
    /// Bytes read and written, together. Checked before each read and after each write; overshot by one of each at most.
    pub bytes: usize,
    /// Requests begun.
    pub requests: u32,
}

impl Budget {
    /// So many bytes and requests a turn.
    #[must_use]
    pub const fn new(bytes: usize, requests: u32) -> Self {
        Self { bytes, requests }
    }

    /// No bound: for drivers that serve one connection a thread.
    pub const UNBOUNDED: Self = Self::new(usize::MAX, u32::MAX);
}

impl Default for Budget {
    /// 256 KiB and 64 requests: long enough to amortise a turn, short enough that a fast peer starves no other.
    fn default() -> Self {
        Self::new(256 * 1024, 64)
    }
}

/// How a turn ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Progress {
    /// Nothing moves before what [`Flow::waiting_on`] names. The driver may wait for it, if its waker was not woken since
    /// the turn began.
    Blocked,
    /// The budget is spent and there may be more to do: queue the connection again. No event need come first.
    Again,
    /// Both sides are closed: close the transport. If with a reset, the wire was told to [`reset`](Wire::reset).
    Finished(CloseReason),
}

/// At most so many slices go into one vectored write.
pub const MAX_SLICES: usize = 32;

/// Slices that are asked for first.
const FEW_SLICES: usize = 4;

/// Takes one turn with `flow` over `wire`: everything that can be done now, within `budget`.
///
/// `scratch` is the driver thread's read buffer; its capacity is the size of a read, of which the flow may want
/// [less](Outlook::max_read_bytes), and it is empty again afterwards.
/// `exec` hands a job to its lane, or gives it back when there is no room: it is then refused.
///
/// Where all that is known of `flow` is that it is one, [`TakeTurns::take_turn`] costs less.
///
/// Two system calls a request that fits: one read that stops when it came back short, one write for all answers. (Where
/// only a `WouldBlock` [wakes](Waking), one more read for that.)
///
/// # Panics
/// When `scratch` has no capacity at all.
pub fn turn<F, W>(
    flow: &mut F,
    wire: &mut W,
    readiness: &mut Readiness,
    scratch: &mut BytesMut,
    turn: &mut Turn<'_>,
    exec: &mut dyn FnMut(Job) -> Result<(), Job>,
    budget: Budget,
) -> Progress
where
    F: Flow + ?Sized,
    W: Wire + ?Sized,
{
    let read_size = scratch.capacity();
    assert!(read_size > 0, "the scratch buffer's capacity is the size of a read");
    let progress = drive(flow, wire, readiness, scratch, turn, exec, budget);
    // What the flow split off is gone from the capacity: the next turn must find the size of a read in it again.
    renew(scratch, read_size, turn);
    progress
}

/// Makes `scratch` whole again: as a rule by taking back what was split off, and by a new allocation if that is still held.
fn renew(scratch: &mut BytesMut, read_size: usize, turn: &mut Turn<'_>) {
    if !scratch.try_reclaim(read_size) {
        cold_path();
        turn.pool.was_kept();
        scratch.reserve(read_size);
    }
}

/// [`turn`], compiled for each flow there is: for drivers that know a flow as a `dyn Flow` only. To them a turn is one call by
/// way of a table, and not one for each question and input.
///
/// Every flow has it. Nothing is to be implemented.
pub trait TakeTurns {
    /// Takes one turn over `wire`: see [`turn`].
    ///
    /// # Panics
    /// When `scratch` has no capacity at all.
    fn take_turn(
        &mut self,
        wire: &mut dyn Wire,
        readiness: &mut Readiness,
        scratch: &mut BytesMut,
        turn: &mut Turn<'_>,
        exec: &mut dyn FnMut(Job) -> Result<(), Job>,
        budget: Budget,
    ) -> Progress;
}

impl<F: Flow> TakeTurns for F {
    fn take_turn(
        &mut self,
        wire: &mut dyn Wire,
        readiness: &mut Readiness,
        scratch: &mut BytesMut,
        lent: &mut Turn<'_>,
        exec: &mut dyn FnMut(Job) -> Result<(), Job>,
        budget: Budget,
    ) -> Progress {
        turn(self, wire, readiness, scratch, lent, exec, budget)
    }
}

fn drive<F, W>(
    flow: &mut F,
    wire: &mut W,
    readiness: &mut Readiness,
    scratch: &mut BytesMut,
    turn: &mut Turn<'_>,
    exec: &mut dyn FnMut(Job) -> Result<(), Job>,
    budget: Budget,
) -> Progress
where
    F: Flow + ?Sized,
    W: Wire + ?Sized,
{
    let read_size = scratch.capacity();
    turn.allowance = budget.requests;
    if readiness.waking == Waking::AfterWouldBlock {
        readiness.readable = true;
        readiness.writable = true;
    }
    let mut bytes_left = budget.bytes;
    // Of all that the peer has sent, to the turn's knowledge, nothing is unread.
    let mut is_read_out = readiness.ended;
    let mut outlook = flow.outlook();
    if outlook.due <= turn.now {
        cold_path();
        if outlook.reads() && !readiness.ended && bytes_left > 0 {
            // Others may have kept the driver so long, even from hearing that something came: that is heard before time is.
            let max = outlook.read_size(read_size);
            renew(scratch, read_size, turn);
            let count = receive(flow, wire, readiness, scratch, max, turn);
            is_read_out |= count > 0 && count < max;
            bytes_left = bytes_left.saturating_sub(count);
            outlook = flow.outlook();
        }
        if outlook.due <= turn.now {
            flow.handle_timeout(turn);
        }
        outlook.rests = false;
    }
    loop {
        let mut wrote = false;
        if !outlook.rests {
            run(flow, turn, exec);
            wrote = flush(flow, wire, readiness, turn, &mut bytes_left, is_read_out);
            outlook = flow.outlook();
            shut_write(outlook, wire, readiness);
        }
        if readiness.gone && !wrote && loses_peer(outlook, readiness) {
            cold_path();
            flow.close_input(InputEnd::Reset, turn);
            outlook.rests = false;
            continue;
        }
        if outlook.is_finished() {
            cold_path();
            if outlook.is_reset() {
                // The driver closes the transport whatever came of it.
                let _ = wire.reset();
            }
            return Progress::Finished(flow.close_reason().unwrap_or(CloseReason::Finished));
        }
        if bytes_left == 0 || turn.allowance == 0 {
            cold_path();
            hold_output(flow, outlook, readiness, turn);
            return Progress::Again;
        }
        if readiness.readable && outlook.reads() {
            let mut max = outlook.read_size(read_size);
            loop {
                renew(scratch, read_size, turn);
                let count = receive(flow, wire, readiness, scratch, max, turn);
                is_read_out = count < max;
                bytes_left = bytes_left.saturating_sub(count);
                max = max.saturating_sub(count);
                // What a short read leaves to be heard is heard before anything is answered: behind the answer a next
                // request might be read, and the turn's time would be older than it.
                let more = readiness.readable && flow.next_read_operation() == ReadOperation::Read;
                if max == 0 || !more || bytes_left == 0 {
                    break;
                }
            }
            outlook.rests = false;
        } else if !wrote || outlook.rests {
            hold_output(flow, outlook, readiness, turn);
            return Progress::Blocked;
        }
    }
}

/// Lets the application make progress, and hands out what it leaves to others.
fn run<F: Flow + ?Sized>(flow: &mut F, turn: &mut Turn<'_>, exec: &mut dyn FnMut(Job) -> Result<(), Job>) {
    flow.run(turn);
    if let Some(job) = flow.poll_job() {
        hand_out(job, flow, turn, exec);
    }
}

#[cold]
#[inline(never)]
fn hand_out<F: Flow + ?Sized>(
    mut job: Job,
    flow: &mut F,
    turn: &mut Turn<'_>,
    exec: &mut dyn FnMut(Job) -> Result<(), Job>,
) {
    loop {
        if let Err(job) = exec(job) {
            job.refuse();
            flow.run(turn);
        }
        match flow.poll_job() {
            Some(next) => job = next,
            None => return,
        }
    }
}

/// What the wire would not take is held from now on: the flow lets go of this thread's buffers.
fn hold_output<F: Flow + ?Sized>(flow: &mut F, outlook: Outlook, readiness: &Readiness, turn: &mut Turn<'_>) {
    if outlook.writes() && !readiness.writable {
        cold_path();
        flow.run(turn);
    }
}

/// Whether the flow is to be told that its peer is gone: it will not learn of it by itself, and does not know. Once.
fn loses_peer(outlook: Outlook, readiness: &mut Readiness) -> bool {
    let learns = outlook.reads() || outlook.writes();
    // Where our half is shut and the peer's too, that both are is no news.
    let loses = !learns && !readiness.ended && !readiness.write_shut && !outlook.is_finished();
    readiness.ended |= loses;
    loses
}

/// Ends our half, where that is told before the transport closes.
fn shut_write<W: Wire + ?Sized>(outlook: Outlook, wire: &mut W, readiness: &mut Readiness) {
    if outlook.write == WriteOperation::Close(CloseKind::Linger) && !readiness.write_shut {
        cold_path();
        // A peer that is gone already is learnt of by reading.
        let result = wire.shutdown_write();
        readiness.write_shut = !result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
    }
}

/// Writes until nothing is left, the wire is full or the budget is spent; says whether anything moved.
fn flush<F, W>(
    flow: &mut F,
    wire: &mut W,
    readiness: &mut Readiness,
    turn: &mut Turn<'_>,
    bytes_left: &mut usize,
    is_read_out: bool,
) -> bool
where
    F: Flow + ?Sized,
    W: Wire + ?Sized,
{
    let mut moved = false;
    // What was read last is answered whatever is left: held until the next turn, it would have to be copied.
    while readiness.writable && (*bytes_left > 0 || !moved) {
        let Written { bytes, offered, is_all } = match write(flow, wire, is_read_out) {
            Ok(None) => break,
            Ok(Some(written)) if written.bytes > 0 => written,
            failed => match write_failed(failed, flow, readiness, turn) {
                Failed::ForNow => break,
                Failed::Interrupted => continue,
                Failed::ForEver => return true,
            },
        };
        // A short write already says "full": do not write again to hear it.
        readiness.writable = !readiness.is_last(bytes, offered);
        *bytes_left = bytes_left.saturating_sub(bytes);
        flow.report_write_result(WriteResult::Wrote(bytes), turn);
        moved = true;
        if is_all && bytes == offered {
            break;
        }
    }
    moved
}

/// How a write failed.
enum Failed {
    /// The wire is full.
    ForNow,
    /// Nothing came of it: it is to be tried again.
    Interrupted,
    /// The wire takes nothing more, and the flow knows.
    ForEver,
}

#[cold]
#[inline(never)]
fn write_failed<F: Flow + ?Sized>(
    result: io::Result<Option<Written>>,
    flow: &mut F,
    readiness: &mut Readiness,
    turn: &mut Turn<'_>,
) -> Failed {
    match result.map_err(|error| error.kind()) {
        Err(ErrorKind::Interrupted) => Failed::Interrupted,
        Err(ErrorKind::WouldBlock) => {
            readiness.writable = false;
            Failed::ForNow
        }
        _ => {
            flow.report_write_result(WriteResult::Closed, turn);
            Failed::ForEver
        }
    }
}

/// What one write came to.
struct Written {
    bytes: usize,
    offered: usize,
    /// What was offered is all that the flow had.
    is_all: bool,
}

/// Writes once, if there is anything to be sent.
fn write<F, W>(flow: &F, wire: &mut W, is_read_out: bool) -> io::Result<Option<Written>>
where
    F: Flow + ?Sized,
    W: Wire + ?Sized,
{
    // As a rule there is one slice or two: room for all there may be is not made before it is needed.
    let mut few = [IoSlice::new(&[]); FEW_SLICES];
    let count = flow.write_slices(&mut few);
    let end = flow.ending().filter(|end| may_wait_for(*end, is_read_out));
    if count == FEW_SLICES {
        cold_path();
        let mut many = [IoSlice::new(&[]); MAX_SLICES];
        let count = flow.write_slices(&mut many);
        let is_all = count < MAX_SLICES;
        return offer(wire, &many[..count], is_all, end.filter(|_| is_all));
    }
    offer(wire, &few[..count], true, end)
}

/// Whether what is sent last may be left to this end to send. A close loses it where something lies unread.
fn may_wait_for(end: CloseKind, is_read_out: bool) -> bool {
    cold_path();
    match end {
        CloseKind::Immediate => is_read_out,
        CloseKind::Linger => true,
        CloseKind::Reset => false,
    }
}

fn offer<W: Wire + ?Sized>(
    wire: &mut W,
    slices: &[IoSlice<'_>],
    is_all: bool,
    end: Option<CloseKind>,
) -> io::Result<Option<Written>> {
    let offered = slices.iter().map(|slice| slice.len()).sum();
    if offered == 0 {
        return Ok(None);
    }
    let bytes = match end {
        None => wire.write(slices)?,
        Some(end) => {
            cold_path();
            wire.write_last(slices, end)?
        }
    };
    Ok(Some(Written { bytes, offered, is_all }))
}

/// Reads once, `max` bytes at most, and gives the flow what came; says how many bytes that were.
fn receive<F, W>(
    flow: &mut F,
    wire: &mut W,
    readiness: &mut Readiness,
    scratch: &mut BytesMut,
    max: usize,
    turn: &mut Turn<'_>,
) -> usize
where
    F: Flow + ?Sized,
    W: Wire + ?Sized,
{
    match wire.read(scratch, max) {
        Ok(count) if count > 0 => {
            // A short read already says "empty": do not read again to hear it.
            readiness.readable = !readiness.is_last(count, max) || readiness.hangup;
            flow.read(scratch, turn);
            debug_assert!(scratch.is_empty(), "a flow takes all of its input");
            scratch.clear();
            count
        }
        nothing => {
            hear_nothing(nothing.map(|_| InputEnd::Eof), flow, readiness, turn);
            0
        }
    }
}

/// A read brought nothing: for now, or because the peer's bytes have come to that end.
#[cold]
#[inline(never)]
fn hear_nothing<F: Flow + ?Sized>(
    result: io::Result<InputEnd>,
    flow: &mut F,
    readiness: &mut Readiness,
    turn: &mut Turn<'_>,
) {
    let end = match result.map_err(|error| error.kind()) {
        Ok(end) => end,
        Err(ErrorKind::Interrupted) => return,
        Err(ErrorKind::WouldBlock) => {
            readiness.readable = false;
            return;
        }
        Err(ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted | ErrorKind::BrokenPipe) => {
            InputEnd::Reset
        }
        Err(_) => InputEnd::Error,
    };
    readiness.end();
    flow.close_input(end, turn);
}
