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
//!               Body      ──► Lingering  drop_rest, refuse
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
//! Every move is here; `connection.rs` says when, this file says whether and whereto. [`State::allows`] is the table of what
//! may be said when. A test says all of it in every state that is ever reached, holds what comes of it to its laws, and
//! draws the page above.

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

/// What a connection says to its state; whatever is not listed may be said at any time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Said {
    HeadBegun,
    RequestBegun,
    PeerEnds,
    WeEnd,
    RequestComplete,
    AnswerBegun,
    AnswerComplete,
    Refuse,
    DropRest,
    Switch,
    End,
    Reset,
    LingerInstead,
    InputClosed,
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

    /// Whether `said` makes sense here: what the connection sees to before it says so.
    pub(crate) const fn allows(self, said: Said) -> bool {
        use Receiving::{Body, Closed, Done, Head, Idle, Lingering};
        let (receiving, sending) = (self.receiving, self.sending);
        match said {
            Said::HeadBegun => matches!((receiving, sending), (Idle, Sending::Idle)),
            Said::RequestBegun => matches!((receiving, sending), (Idle | Head, Sending::Idle)),
            Said::PeerEnds => {
                matches!((receiving, sending), (Body | Done, Sending::Owed))
                    && matches!(self.persistence, Persistence::Persist)
            }
            Said::WeEnd => matches!(sending, Sending::Owed | Sending::Body),
            Said::RequestComplete => matches!(receiving, Body),
            Said::AnswerBegun => matches!(sending, Sending::Owed),
            Said::AnswerComplete => matches!(sending, Sending::Body),
            Said::Refuse => matches!(
                (receiving, sending),
                (Idle | Head, Sending::Idle) | (Body, Sending::Body | Sending::Done) | (_, Sending::Owed)
            ),
            Said::DropRest => matches!(receiving, Body) || matches!(sending, Sending::Owed | Sending::Body),
            Said::Switch => matches!((receiving, sending), (Done, Sending::Owed)),
            Said::End => matches!((receiving, sending), (Idle | Head, Sending::Idle) | (_, Sending::Body)),
            Said::Reset => matches!(sending, Sending::Body),
            Said::LingerInstead => matches!(receiving, Closed),
            Said::InputClosed => matches!(receiving, Lingering | Closed),
        }
    }

    /// Part of a head is there.
    pub(crate) fn head_begun(&mut self) {
        debug_assert!(self.allows(Said::HeadBegun));
        self.receiving = Receiving::Head;
    }

    /// A head is complete; a body may follow.
    pub(crate) fn request_begun(&mut self, has_body: bool) {
        debug_assert!(self.allows(Said::RequestBegun));
        self.receiving = if has_body { Receiving::Body } else { Receiving::Done };
        self.sending = Sending::Owed;
    }

    /// The peer asked for the end, with the request that has just begun.
    pub(crate) fn peer_ends(&mut self) {
        debug_assert!(self.allows(Said::PeerEnds));
        self.persistence = Persistence::PeerEnds;
    }

    /// The exchange in progress is the last.
    pub(crate) fn we_end(&mut self) {
        debug_assert!(self.allows(Said::WeEnd));
        self.persistence = Persistence::WeEnd;
    }

    /// The request is complete.
    pub(crate) fn request_complete(&mut self) {
        debug_assert!(self.allows(Said::RequestComplete));
        self.receiving = Receiving::Done;
    }

    /// The answer's head is out.
    pub(crate) fn answer_begun(&mut self) {
        debug_assert!(self.allows(Said::AnswerBegun));
        self.sending = Sending::Body;
    }

    /// The answer is complete.
    pub(crate) fn answer_complete(&mut self) {
        debug_assert!(self.allows(Said::AnswerComplete));
        self.sending = Sending::Done;
    }

    /// The answer is complete as soon as it began, and with it [the exchange](Self::OWED): the next one may begin.
    #[inline]
    pub(crate) fn answered_plainly(&mut self) {
        debug_assert!(*self == Self::OWED);
        *self = Self::default();
    }

    /// The peer broke the protocol: an answer is owed, if none has begun, and whatever still comes is dropped.
    pub(crate) fn refuse(&mut self) {
        debug_assert!(self.allows(Said::Refuse));
        self.persistence = Persistence::WeEnd;
        if self.receiving != Receiving::Closed {
            self.receiving = Receiving::Lingering;
        }
        if self.sending == Sending::Idle {
            self.sending = Sending::Owed;
        }
    }

    /// What remains of the request is dropped, and the connection ends with the answer.
    pub(crate) fn drop_rest(&mut self) {
        debug_assert!(self.allows(Said::DropRest));
        self.persistence = Persistence::WeEnd;
        if matches!(self.receiving, Receiving::Body | Receiving::Done) {
            self.receiving = Receiving::Lingering;
        }
    }

    /// The exchange went over to another protocol.
    pub(crate) fn switch(&mut self) {
        debug_assert!(self.allows(Said::Switch));
        self.receiving = Receiving::Switched;
        self.sending = Sending::Switched;
    }

    /// Begins the next exchange, or the end, once both halves are through with this one. `leftover`: the peer sent more
    /// than this exchange. Says whether the connection is idle again.
    pub(crate) fn settle(&mut self, leftover: bool) -> bool {
        if self.sending != Sending::Done {
            return false;
        }
        match (self.receiving, self.persistence) {
            (Receiving::Done, Persistence::Persist) => {
                self.receiving = Receiving::Idle;
                self.sending = Sending::Idle;
                return true;
            }
            (Receiving::Done, Persistence::PeerEnds) if !leftover => self.end_by(CloseKind::Immediate),
            (Receiving::Done | Receiving::Lingering, _) => self.end_by(CloseKind::Linger),
            (Receiving::Closed, _) => self.end_by(CloseKind::Immediate),
            _ => {}
        }
        false
    }

    /// What is queued is the last: the halves close once it is flushed.
    pub(crate) fn end(&mut self) {
        debug_assert!(self.allows(Said::End));
        self.end_by(CloseKind::Immediate);
    }

    /// As [`end`](Self::end), in the middle of an answer that an orderly end would complete.
    pub(crate) fn reset(&mut self) {
        debug_assert!(self.allows(Said::Reset));
        self.end_by(CloseKind::Reset);
    }

    fn end_by(&mut self, kind: CloseKind) {
        self.sending = Sending::Ending(kind);
        // Reading on keeps a peer that sends before it reads from blocking both of us.
        self.receiving = if kind == CloseKind::Linger { Receiving::Lingering } else { Receiving::Closed };
    }

    /// The end that is under way turns out to have unread input behind it.
    pub(crate) fn linger_instead(&mut self) {
        debug_assert!(self.allows(Said::LingerInstead));
        if self.sending == Sending::Ending(CloseKind::Immediate) && self.receiving == Receiving::Closed {
            self.sending = Sending::Ending(CloseKind::Linger);
            self.receiving = Receiving::Lingering;
        }
    }

    /// All that was queued is out.
    pub(crate) fn flushed(&mut self) {
        if let Sending::Ending(kind) = self.sending {
            self.sending = Sending::Closed(kind);
        }
    }

    /// The peer sends no more.
    pub(crate) fn input_closed(&mut self) {
        debug_assert!(self.allows(Said::InputClosed));
        self.receiving = Receiving::Closed;
        if let Sending::Ending(kind) | Sending::Closed(kind) = &mut self.sending
            && *kind == CloseKind::Linger
        {
            *kind = CloseKind::Immediate;
        }
    }

    /// Nothing is read or sent any more. `kind`: how that is told, unless it is settled already.
    pub(crate) fn close(&mut self, kind: CloseKind) {
        if self.is_finished() {
            return;
        }
        let kind = if self.sending == Sending::Ending(CloseKind::Reset) { CloseKind::Reset } else { kind };
        self.receiving = Receiving::Closed;
        self.sending = Sending::Closed(kind);
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
