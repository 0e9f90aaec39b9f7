//! The laws of [`Flow`], as far as they can be checked from outside after each call.

use std::io::IoSlice;

use crate::flow::{
    CloseKind, CloseReason, Deadline, Flow, ReadOperation, Waiting, WriteOperation, WriteResult,
};
use crate::outlook::Outlook;

/// Holds a flow to its laws: told of each call just after it was made, it asks every question twice and compares with
/// what was answered before.
///
/// [`Rig`](super::Rig) uses it at every call. A driver of your own can too, while it is being written.
#[derive(Debug, Default)]
pub struct Laws {
    /// The bytes on offer that no result was reported for.
    offered: Vec<u8>,
    /// Bytes taken as owned chunks that no result was reported for.
    taken: usize,
    read_closed: bool,
    write_closed: bool,
    /// How the write side said `Close` when the flow was finished.
    closed_by: Option<WriteOperation>,
    ended: Option<CloseReason>,
    /// What was on offer was the last.
    was_last: bool,
}

/// The call that was just made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum After {
    /// This one, and it is none of the others.
    Call(&'static str),
    /// [`Flow::report_write_result`].
    Reported(WriteResult),
    /// [`Flow::take_output`], which gave so many bytes.
    Took(usize),
    /// [`Flow::abort`].
    Aborted,
}

/// Everything a flow answers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answers {
    pub(super) read: ReadOperation,
    pub(super) write: WriteOperation,
    pub(super) waiting: Waiting,
    pub(super) deadline: Option<Deadline>,
    pub(super) reason: Option<CloseReason>,
    pub(super) ending: Option<CloseKind>,
    pub(super) output: Vec<u8>,
}

impl Laws {
    /// Checks what can be checked after a call, and remembers the answers for the next.
    ///
    /// # Panics
    /// When a law is broken: the message names it.
    #[track_caller]
    pub fn check<F: Flow + ?Sized>(&mut self, flow: &F, after: After) {
        let answers = Answers::of(flow);
        answers.check_again(flow, after);
        self.check_output(after, &answers);
        self.check_last(after, &answers);
        self.check_end(after, &answers);
        check_waiting(after, &answers);
        check_outlook(flow, after, &answers);
        self.offered = answers.output;
    }

    /// Law 6: the bytes on offer stay, and only grow.
    #[track_caller]
    fn check_output(&mut self, after: After, answers: &Answers) {
        match after {
            After::Call(_) => {}
            After::Reported(WriteResult::Wrote(count)) => {
                let of_taken = count.min(self.taken);
                self.taken -= of_taken;
                self.offered.drain(..(count - of_taken).min(self.offered.len()));
            }
            After::Took(count) => {
                self.taken += count;
                self.offered.drain(..count.min(self.offered.len()));
            }
            After::Reported(WriteResult::Closed) | After::Aborted => {
                self.offered.clear();
                self.taken = 0;
            }
        }
        if !answers.output.starts_with(&self.offered) && !gave_up(answers) {
            let was = self.offered.escape_ascii();
            let what = format!("bytes on offer changed before a result was reported; they were \"{was}\"");
            broken("6, stable output", after, answers, &what);
        }
    }

    /// Law 6: nothing follows what is called the last, and there is something to be called so.
    #[track_caller]
    fn check_last(&mut self, after: After, answers: &Answers) {
        let law = "6, stable output";
        let is_owed = !answers.output.is_empty() || self.taken > 0;
        if answers.ending.is_some() && !is_owed {
            broken(
                law,
                after,
                answers,
                "it says how it ends once the last is out, and nothing is left to go out",
            );
        }
        if self.was_last && answers.output.len() > self.offered.len() {
            broken(law, after, answers, "something follows what it called the last");
        }
        if self.was_last && !is_owed && !matches!(answers.write, WriteOperation::Close(_)) {
            broken(
                law,
                after,
                answers,
                "what it called the last is out, and the write side does not say Close",
            );
        }
        self.was_last = answers.ending.is_some() || (self.was_last && is_owed);
    }

    /// What has ended stays so, for the reason it had.
    #[track_caller]
    fn check_end(&mut self, after: After, answers: &Answers) {
        let read_closed = answers.read == ReadOperation::Close;
        let write_closed = matches!(answers.write, WriteOperation::Close(_));
        if self.read_closed && !read_closed {
            broken("2, truthful questions", after, answers, "the read side said Close before");
        }
        if self.write_closed && !write_closed {
            broken("2, truthful questions", after, answers, "the write side said Close before");
        }
        self.read_closed = read_closed;
        self.write_closed = write_closed;
        if answers.write == WriteOperation::Close(CloseKind::Reset) && !read_closed {
            broken("life of a connection", after, answers, "it says Close(Reset) and is not finished");
        }
        if answers.are_final() {
            if self.closed_by.is_some_and(|before| before != answers.write) {
                broken("life of a connection", after, answers, "how it closes changed after the end");
            }
            self.closed_by = Some(answers.write);
            if answers.reason.is_none() {
                broken("life of a connection", after, answers, "it is finished and has no close reason");
            }
            if self.ended.is_some() && self.ended != answers.reason {
                broken("life of a connection", after, answers, "the close reason changed after the end");
            }
            self.ended = answers.reason;
        }
    }
}

impl Answers {
    pub(super) fn of<F: Flow + ?Sized>(flow: &F) -> Self {
        let write = flow.next_write_operation();
        Self {
            read: flow.next_read_operation(),
            write,
            waiting: flow.waiting_on(),
            deadline: flow.deadline(),
            reason: flow.close_reason(),
            ending: flow.ending(),
            output: if write == WriteOperation::Write { with_slices(flow, joined) } else { Vec::new() },
        }
    }

    /// Whether these are the answers given `before`, but for a deadline that moved later, which it may at any time.
    pub(super) fn are_as(&self, before: &Self) -> bool {
        let later = match (self.deadline, before.deadline) {
            (Some(now), Some(before)) => now.kind == before.kind && now.at >= before.at,
            (now, before) => now == before,
        };
        let Self { read, write, waiting, deadline: _, reason, ending, output } = self;
        later
            && *read == before.read
            && *write == before.write
            && *waiting == before.waiting
            && *reason == before.reason
            && *ending == before.ending
            && *output == before.output
    }

    /// Whether both sides say `Close`.
    fn are_final(&self) -> bool {
        self.read == ReadOperation::Close && matches!(self.write, WriteOperation::Close(_))
    }

    /// Asks all again. What is on offer is compared where it lies.
    #[track_caller]
    fn check_again<F: Flow + ?Sized>(&self, flow: &F, after: After) {
        let Self { read, write, waiting, deadline, reason, ending, output } = self;
        let same = *write == flow.next_write_operation()
            && *read == flow.next_read_operation()
            && *waiting == flow.waiting_on()
            && *deadline == flow.deadline()
            && *reason == flow.close_reason()
            && *ending == flow.ending();
        let same = same
            && with_slices(flow, |slices| {
                self.check_slices(flow, slices, after);
                are_joined(slices, output)
            });
        if !same {
            broken("ask again", after, self, "questions are pure, but asked again it answered otherwise");
        }
    }

    /// Law 2: Write means that there are slices, none of them empty, however many are asked for; anything else that there is
    /// nothing in them.
    #[track_caller]
    fn check_slices<F: Flow + ?Sized>(&self, flow: &F, slices: &[IoSlice<'_>], after: After) {
        let law = "2, truthful questions";
        if self.write != WriteOperation::Write {
            if slices.iter().any(|slice| !slice.is_empty()) {
                broken(law, after, self, "it offers bytes and does not say Write");
            }
            return;
        }
        if slices.is_empty() {
            broken(law, after, self, "it says Write and offers no slice");
        }
        if slices.iter().any(|slice| slice.is_empty()) {
            broken(law, after, self, "it offers an empty slice");
        }
        let mut one = [IoSlice::new(&[]); 1];
        if flow.write_slices(&mut one) != 1 || *one[0] != *slices[0] {
            broken(law, after, self, "with room for one slice it does not offer the first");
        }
    }
}

/// Laws 2 and 5: somebody is waited for, and it is the one who helps.
#[track_caller]
fn check_waiting(after: After, answers: &Answers) {
    if answers.are_final() {
        return;
    }
    let law = "5, time and waiting";
    if answers.waiting.is_empty() {
        broken(law, after, answers, "it is not finished and waits for nobody");
    }
    if answers.waiting.contains(Waiting::DEADLINE) != answers.deadline.is_some() {
        broken(law, after, answers, "waiting_on names a deadline if and only if there is one");
    }
    if answers.waiting.contains(Waiting::PEER_READ) != (answers.read == ReadOperation::Read) {
        broken(law, after, answers, "waiting_on names peer-read if and only if the read side says Read");
    }
    if answers.write == WriteOperation::Write && !answers.waiting.contains(Waiting::PEER_WRITE) {
        broken(law, after, answers, "the write side says Write, and waiting_on does not name peer-write");
    }
}

/// What is answered at once is what is answered one by one, and whoever reads may read something.
#[track_caller]
fn check_outlook<F: Flow + ?Sized>(flow: &F, after: After, answers: &Answers) {
    let outlook = flow.outlook();
    let Outlook { rests, max_read_bytes, .. } = outlook;
    if outlook != (Outlook { rests, max_read_bytes, ..Outlook::of(flow) }) || max_read_bytes == 0 {
        let what = format!("its outlook is not what it answers one by one: {outlook:?}");
        broken("ask again", after, answers, &what);
    }
}

/// Whether the conversation ended in a way that leaves output unsent.
const fn gave_up(answers: &Answers) -> bool {
    matches!(
        answers.reason,
        Some(
            CloseReason::PeerReset
                | CloseReason::TimedOut(_)
                | CloseReason::Aborted(_)
                | CloseReason::ApplicationFailed
                | CloseReason::TransportFailed
        )
    )
}

/// Looks at all the slices on offer.
fn with_slices<F: Flow + ?Sized, T>(flow: &F, look: impl FnOnce(&[IoSlice<'_>]) -> T) -> T {
    let mut few = [IoSlice::new(&[]); 16];
    let count = flow.write_slices(&mut few);
    if count < few.len() {
        return look(&few[..count]);
    }
    let mut room = few.len();
    loop {
        room *= 4;
        let mut many = vec![IoSlice::new(&[]); room];
        let count = flow.write_slices(&mut many);
        if count < room {
            return look(&many[..count]);
        }
    }
}

fn joined(slices: &[IoSlice<'_>]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(slices.iter().map(|slice| slice.len()).sum());
    slices.iter().for_each(|slice| whole.extend_from_slice(slice));
    whole
}

/// Whether `slices`, joined, are `whole`.
fn are_joined(slices: &[IoSlice<'_>], mut whole: &[u8]) -> bool {
    let each = slices.iter().all(|slice| match whole.strip_prefix(&**slice) {
        Some(rest) => {
            whole = rest;
            true
        }
        None => false,
    });
    each && whole.is_empty()
}

#[track_caller]
pub(super) fn broken(law: &str, after: After, answers: &Answers, what: &str) -> ! {
    let Answers { read, write, waiting, deadline, reason, ending, output } = answers;
    let output = output.len();
    panic!(
        "law broken ({law}) after {after:?}: {what}\n  the flow answers: read {read:?}, write {write:?} \
         ({output} bytes on offer, ending {ending:?}), waiting on {waiting}, deadline {deadline:?}, close reason {reason:?}"
    )
}
