//! Where a connection stands: two halves that move on their own and meet between exchanges.
//!
//! ```text
//!   receiving   Idle      ──► Head       head_begun
//!               Idle      ──► Body       request_begun
//!               Idle      ──► Done       request_begun
//!               Idle      ──► Lingering  refuse
//!               Idle      ──► Closed     end
//!               Head      ──► Body       request_begun
//!               Head      ──► Done       request_begun
//!               Head      ──► Lingering  refuse
//!               Head      ──► Closed     end
//!               Body      ──► Done       request_complete
//!               Body      ──► Lingering  drop_rest, lose_rest, refuse
//!               Body      ──► Closed     end, reset
//!               Done      ──► Idle       settle
//!               Done      ──► Lingering  drop_rest, refuse, settle
//!               Done      ──► Switched   switch
//!               Done      ──► Closed     end, reset, settle
//!               Lingering ──► Closed     end, input_closed, reset
//!               Closed    ──► Lingering  linger_instead
//!   sending     Idle      ──► Owed       refuse, request_begun
//!               Idle      ──► Ending     end
//!               Owed      ──► Body       answer_begun
//!               Owed      ──► Switched   switch
//!               Body      ──► Done       answer_complete
//!               Body      ──► Ending     end, reset
//!               Done      ──► Idle       settle
//!               Done      ──► Ending     settle
//!               Ending    ──► Closed     flushed
//! ```
//!
//! `close` is left out: it closes both halves from anywhere.
//!
//! Every move is a row of one table, [`State::next`]; `connection.rs` says when, this file says whether and whereto. A test
//! says all of it in every state that is ever reached, holds what comes of it to its laws, and draws the page above. All
//! states by all that is said stand in `docs/state-machines.md`.

use crate::flow::CloseKind;

/// The receiving half.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Receiving {
    /// Between messages.
    #[default]
    Idle,
    /// Part of a head is there.
    Head,
    /// The head is complete, its body is not.
    Body,
    /// The request is complete; its answer is not.
    Done,
    /// Whatever comes is dropped, so that the peer gets to read the answer (RFC 9112 §9.6).
    Lingering,
    /// The bytes belong to another protocol.
    Switched,
    /// Nothing more is read.
    Closed,
}

/// The sending half.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Sending {
    /// Nothing is owed.
    #[default]
    Idle,
    /// An answer is owed and has not begun.
    Owed,
    /// An answer's head is out, its body is not.
    Body,
    /// The answer is complete; its request is not.
    Done,
    /// What is queued is the last.
    Ending(CloseKind),
    /// The bytes belong to another protocol, once what is queued is out.
    Switched,
    /// Nothing more is sent.
    Closed(CloseKind),
}

/// Whether the connection outlives the exchange.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) enum Persistence {
    /// Nobody wants it to end.
    #[default]
    Persist,
    /// The peer asked for the end: it sends no more.
    PeerEnds,
    /// We end it: the peer may have sent more already.
    WeEnd,
}

/// What a connection says to its state.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Said {
    HeadBegun,
    RequestBegun,
    RequestWithBodyBegun,
    PeerEnds,
    WeEnd,
    RequestComplete,
    AnswerBegun,
    AnswerComplete,
    Refuse,
    DropRest,
    LoseRest,
    Switch,
    Settle,
    SettleWithLeftover,
    End,
    Reset,
    LingerInstead,
    Flushed,
    InputClosed,
    Close,
    CloseByReset,
}

/// Both halves.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct State {
    pub(crate) receiving: Receiving,
    pub(crate) sending: Sending,
    pub(crate) persistence: Persistence,
}

impl State {
    /// A request is complete, its answer has not begun, and nobody wants the connection to end.
    pub(crate) const OWED: Self =
        Self { receiving: Receiving::Done, sending: Sending::Owed, persistence: Persistence::Persist };

    /// The table: what may be said where, and what comes of it. `None` is what the connection sees to that it is not said.
    #[inline(always)]
    const fn next(self, said: Said) -> Option<Self> {
        use Persistence::{PeerEnds, Persist, WeEnd};
        use Receiving as R;
        use Sending as S;
        let Self { receiving, sending, persistence } = self;
        Some(match (said, receiving, sending) {
            (Said::HeadBegun, R::Idle, S::Idle) => self.receives(R::Head),
            (Said::RequestBegun, R::Idle | R::Head, S::Idle) => self.receives(R::Done).sends(S::Owed),
            (Said::RequestWithBodyBegun, R::Idle | R::Head, S::Idle) => self.receives(R::Body).sends(S::Owed),
            (Said::RequestComplete, R::Body, _) => self.receives(R::Done),
            (Said::AnswerBegun, _, S::Owed) => self.sends(S::Body),
            (Said::AnswerComplete, _, S::Body) => self.sends(S::Done),
            (Said::Switch, R::Done, S::Owed) => self.receives(R::Switched).sends(S::Switched),

            (Said::PeerEnds, R::Body | R::Done, S::Owed) if matches!(persistence, Persist) => {
                self.persists(PeerEnds)
            }
            (Said::WeEnd, _, S::Owed | S::Body) => self.persists(WeEnd),
            (Said::Refuse, R::Idle | R::Head, S::Idle) => {
                self.persists(WeEnd).receives(R::Lingering).sends(S::Owed)
            }
            (Said::Refuse, R::Closed, S::Owed) => self.persists(WeEnd),
            (Said::Refuse, _, S::Owed) | (Said::Refuse, R::Body, S::Body | S::Done) => {
                self.persists(WeEnd).receives(R::Lingering)
            }
            (Said::DropRest, R::Body, _) | (Said::DropRest, R::Done, S::Owed | S::Body) => {
                self.persists(WeEnd).receives(R::Lingering)
            }
            (Said::DropRest, _, S::Owed | S::Body) => self.persists(WeEnd),
            (Said::LoseRest, R::Body, _) => self.receives(R::Lingering),

            (Said::Settle | Said::SettleWithLeftover, R::Done, S::Done) => match (said, persistence) {
                (_, Persist) => self.receives(R::Idle).sends(S::Idle),
                (Said::Settle, PeerEnds) => self.ends(CloseKind::Immediate),
                _ => self.ends(CloseKind::Linger),
            },
            (Said::Settle | Said::SettleWithLeftover, R::Lingering, S::Done) => self.ends(CloseKind::Linger),
            (Said::Settle | Said::SettleWithLeftover, R::Closed, S::Done) => self.ends(CloseKind::Immediate),
            // Either half is not through yet.
            (Said::Settle | Said::SettleWithLeftover, ..) => self,

            (Said::End, R::Idle | R::Head, S::Idle) | (Said::End, _, S::Body) => {
                self.ends(CloseKind::Immediate)
            }
            (Said::Reset, _, S::Body) => self.ends(CloseKind::Reset),
            (Said::LingerInstead, R::Closed, S::Ending(CloseKind::Immediate)) => self.ends(CloseKind::Linger),
            (Said::LingerInstead, R::Closed, _) => self,
            (Said::Flushed, _, S::Ending(kind)) => self.sends(S::Closed(kind)),
            (Said::InputClosed, R::Lingering | R::Closed, S::Ending(CloseKind::Linger)) => {
                self.receives(R::Closed).sends(S::Ending(CloseKind::Immediate))
            }
            (Said::InputClosed, R::Lingering | R::Closed, S::Closed(CloseKind::Linger)) => {
                self.receives(R::Closed).sends(S::Closed(CloseKind::Immediate))
            }
            (Said::InputClosed, R::Lingering | R::Closed, _) => self.receives(R::Closed),

            // What is settled already stays so.
            (Said::Close | Said::CloseByReset, R::Closed, S::Closed(_)) => self,
            (Said::CloseByReset, ..) | (Said::Close, _, S::Ending(CloseKind::Reset)) => {
                self.receives(R::Closed).sends(S::Closed(CloseKind::Reset))
            }
            (Said::Close, ..) => self.receives(R::Closed).sends(S::Closed(CloseKind::Immediate)),
            _ => return None,
        })
    }

    /// Where what is said is known when this is compiled, no more than its rows are left of the table.
    #[inline(always)]
    fn say(&mut self, said: Said) {
        let next = self.next(said);
        debug_assert!(next.is_some(), "{said:?} in {self:?}");
        if let Some(next) = next {
            *self = next;
        }
    }

    #[inline(always)]
    const fn receives(self, receiving: Receiving) -> Self {
        Self { receiving, ..self }
    }

    #[inline(always)]
    const fn sends(self, sending: Sending) -> Self {
        Self { sending, ..self }
    }

    #[inline(always)]
    const fn persists(self, persistence: Persistence) -> Self {
        Self { persistence, ..self }
    }

    /// What is queued is the last. Reading on keeps a peer that sends before it reads from blocking both of us.
    #[inline(always)]
    const fn ends(self, kind: CloseKind) -> Self {
        let receiving =
            if matches!(kind, CloseKind::Linger) { Receiving::Lingering } else { Receiving::Closed };
        self.receives(receiving).sends(Sending::Ending(kind))
    }

    /// Part of a head is there.
    pub(crate) fn head_begun(&mut self) {
        self.say(Said::HeadBegun);
    }

    /// A head is complete; a body may follow.
    #[inline]
    pub(crate) fn request_begun(&mut self, has_body: bool) {
        if has_body { self.say(Said::RequestWithBodyBegun) } else { self.say(Said::RequestBegun) }
    }

    /// The peer asked for the end, with the request that has just begun.
    #[inline]
    pub(crate) fn peer_ends(&mut self) {
        self.say(Said::PeerEnds);
    }

    /// The exchange in progress is the last.
    #[inline]
    pub(crate) fn we_end(&mut self) {
        self.say(Said::WeEnd);
    }

    /// The request is complete.
    #[inline]
    pub(crate) fn request_complete(&mut self) {
        self.say(Said::RequestComplete);
    }

    /// The answer's head is out.
    #[inline]
    pub(crate) fn answer_begun(&mut self) {
        self.say(Said::AnswerBegun);
    }

    /// The answer is complete.
    #[inline]
    pub(crate) fn answer_complete(&mut self) {
        self.say(Said::AnswerComplete);
    }

    /// The answer is complete as soon as it began, and with it [the exchange](Self::OWED): the next one may begin.
    #[inline]
    pub(crate) fn answered_plainly(&mut self) {
        debug_assert!(*self == Self::OWED);
        *self = Self::default();
    }

    /// The peer broke the protocol: an answer is owed, if none has begun, and whatever still comes is dropped.
    pub(crate) fn refuse(&mut self) {
        self.say(Said::Refuse);
    }

    /// What remains of the request is dropped, and the connection ends with the answer.
    pub(crate) fn drop_rest(&mut self) {
        self.say(Said::DropRest);
    }

    /// A body that is dropped does not come as it was declared. The connection ends with the answer, which does not say so:
    /// whether it has begun by now is a matter of chance.
    pub(crate) fn lose_rest(&mut self) {
        self.say(Said::LoseRest);
    }

    /// The exchange went over to another protocol.
    pub(crate) fn switch(&mut self) {
        self.say(Said::Switch);
    }

    /// Begins the next exchange, or the end, once both halves are through with this one. `leftover`: the peer sent more
    /// than this exchange. Says whether the connection is idle again.
    #[inline]
    pub(crate) fn settle(&mut self, leftover: bool) -> bool {
        // Mostly neither half is through, and the table need not be looked through to say so.
        if self.sending != Sending::Done {
            return false;
        }
        if leftover {
            self.say(Said::SettleWithLeftover);
        } else {
            self.say(Said::Settle);
        }
        self.is_idle()
    }

    /// What is queued is the last: the halves close once it is flushed.
    pub(crate) fn end(&mut self) {
        self.say(Said::End);
    }

    /// As [`end`](Self::end), in the middle of an answer that an orderly end would complete.
    pub(crate) fn reset(&mut self) {
        self.say(Said::Reset);
    }

    /// The end that is under way turns out to have unread input behind it.
    pub(crate) fn linger_instead(&mut self) {
        self.say(Said::LingerInstead);
    }

    /// All that was queued is out.
    #[inline]
    pub(crate) fn flushed(&mut self) {
        self.say(Said::Flushed);
    }

    /// The peer sends no more.
    pub(crate) fn input_closed(&mut self) {
        self.say(Said::InputClosed);
    }

    /// Nothing is read or sent any more. `kind`: how that is told, unless it is settled already.
    pub(crate) fn close(&mut self, kind: CloseKind) {
        if kind == CloseKind::Reset { self.say(Said::CloseByReset) } else { self.say(Said::Close) }
    }

    pub(crate) const fn is_idle(&self) -> bool {
        matches!((self.receiving, self.sending), (Receiving::Idle, Sending::Idle))
    }

    pub(crate) const fn is_finished(&self) -> bool {
        matches!((self.receiving, self.sending), (Receiving::Closed, Sending::Closed(_)))
    }
}

#[cfg(test)]
mod tests;
