//! Progress: whatever the exchange waits for is looked at, and what has come of it is passed on.

use core::hint::cold_path;
use core::task::{Context as TaskContext, Poll};
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;

use super::body::{Body, Frame};
use super::exchange::Stage;
use super::failure::Failure;
use super::memory::Charge;
use super::observer::RequestEnd;
use super::outcome::Answered;
use super::pipe::{Appetite, Feed};
use super::serve::{Offered, Serve};
use super::service::Service;
use crate::flow::ReadOperation;
use crate::info::ExchangeId;
use crate::job::JobError;
use crate::turn::Turn;

impl<S: Service> Serve<S> {
    /// Moves whatever can move, until nothing does.
    #[inline(never)]
    pub(super) fn progress(&mut self, turn: &mut Turn<'_>) {
        loop {
            let moved = self.advance(turn);
            let tended = self.tend_feed(turn);
            let events = self.connection.has_kept_input()
                && (self.pump(&mut BytesMut::new(), turn)
                    || (self.makes_room(0) && self.pump(&mut BytesMut::new(), turn)));
            if !moved && !tended && !events {
                break;
            }
        }
        if self.connection.has_begun() && self.body_broke() && self.has_room() {
            self.cut(turn);
        }
        if let Some(exchange) = &mut self.exchange
            && let Err(refusal) = exchange.detach(&self.shared.memory)
        {
            self.fail(Failure::Refused(refusal), turn);
        }
        self.connection.keep(&mut BytesMut::new(), turn);
    }

    /// Whether the request's body broke off under an answer that had begun: such an answer never ends in order.
    fn body_broke(&self) -> bool {
        self.exchange.as_ref().and_then(|exchange| exchange.feed.as_ref()).is_some_and(Feed::is_broken)
    }

    /// Moves the exchange on as far as the application lets it. Says whether anything moved.
    pub(super) fn advance(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        if let Some(track) = &mut self.track {
            track.latest = turn.now;
        }
        if let Some(clock) = &exchange.clock {
            clock.advance(turn.now, turn.waker);
        }
        match core::mem::replace(&mut exchange.stage, Stage::Calling) {
            Stage::Waiting { until, then } if until <= turn.now => {
                if let Some(outcome) = self.call_again(turn, then) {
                    self.proceed(outcome, &mut BytesMut::new(), turn);
                }
                true
            }
            Stage::Awaiting(mut future) => {
                let mut context = TaskContext::from_waker(turn.waker);
                match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(&mut context))) {
                    Ok(Poll::Ready(outcome)) => {
                        // What the future still held of the body is given up before the answer is framed.
                        drop(future);
                        self.proceed(outcome, &mut BytesMut::new(), turn);
                        true
                    }
                    Ok(Poll::Pending) => {
                        exchange.stage = Stage::Awaiting(future);
                        false
                    }
                    Err(_) => {
                        self.fail(Failure::Panicked, turn);
                        true
                    }
                }
            }
            Stage::Deferred(mut pending) => {
                match pending.poll(turn.waker) {
                    Poll::Ready(Ok(Answered { response, request })) => {
                        exchange.request = request;
                        self.answer(response, turn);
                    }
                    Poll::Ready(Err(JobError::Refused)) => self.fail(Failure::LaneFull, turn),
                    Poll::Ready(Err(JobError::Lost)) => self.fail(Failure::JobLost, turn),
                    Poll::Pending => {
                        exchange.stage = Stage::Deferred(pending);
                        return false;
                    }
                }
                true
            }
            Stage::TakingOver(mut taking) => {
                match taking.at_work.poll(turn.waker) {
                    Poll::Ready(Ok(())) => self.taken_over(*taking, turn),
                    Poll::Ready(Err(JobError::Refused)) => self.fail(Failure::LaneFull, turn),
                    Poll::Ready(Err(JobError::Lost)) => self.fail(Failure::JobLost, turn),
                    Poll::Pending => {
                        exchange.stage = Stage::TakingOver(taking);
                        return false;
                    }
                }
                true
            }
            Stage::Sending(body) => self.send_body(body, turn),
            other => {
                exchange.stage = other;
                false
            }
        }
    }

    /// Moves an answer's body into the output while there is room.
    pub(super) fn send_body(&mut self, mut body: Body, turn: &mut Turn<'_>) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        let id = exchange.id;
        let echo = exchange.is_echo(&body);
        let mut moved = false;
        loop {
            if !self.has_room() {
                break;
            }
            let pending = self.connection.pending_output();
            let room = if echo {
                // It has come, and is held in any case, here or there.
                self.shared.settings.limits.max_output_bytes.saturating_sub(pending)
            } else {
                self.connection.output_limit(0).saturating_sub(self.connection.held_output())
            };
            if room == 0 && pending > 0 {
                break;
            }
            let mut context = TaskContext::from_waker(turn.waker);
            let Ok(polled) = catch_unwind(AssertUnwindSafe(|| body.poll_frame(&mut context, room.max(1))))
            else {
                self.cut(turn);
                return true;
            };
            let frame = match polled {
                Poll::Pending => break,
                Poll::Ready(frame) => frame,
            };
            moved = true;
            let sent = match frame {
                Some(Ok(Frame::Data(data))) => {
                    self.count_sent(data.len() as u64);
                    if echo {
                        self.connection.send_lent_data(id, data, turn)
                    } else {
                        self.connection.send_data(id, data, turn)
                    }
                }
                Some(Ok(Frame::Trailers(_))) | None if self.body_broke() => {
                    self.cut(turn);
                    return true;
                }
                Some(Ok(Frame::Trailers(trailers))) => {
                    self.close_body(id, body, turn);
                    self.finish(id, Some(&trailers), turn);
                    return true;
                }
                None => {
                    self.close_body(id, body, turn);
                    self.finish(id, None, turn);
                    return true;
                }
                Some(Err(_)) => {
                    self.cut(turn);
                    return true;
                }
            };
            if sent.is_err() {
                self.cut(turn);
                return true;
            }
        }
        if let Some(exchange) = &mut self.exchange {
            exchange.stage = Stage::Sending(body);
        }
        moved
    }

    /// The answer's body is complete: what is left of the request's is declined.
    pub(super) fn close_body(&mut self, id: ExchangeId, body: Body, turn: &mut Turn<'_>) {
        drop(body);
        self.decline_body(id, turn);
    }

    /// Asks for the request's body, pauses or declines it, as its reader likes. Says whether that may bring events.
    pub(super) fn tend_feed(&mut self, turn: &mut Turn<'_>) -> bool {
        let Some(exchange) = &mut self.exchange else { return false };
        let Some(feed) = &exchange.feed else { return false };
        if feed.is_broken() {
            return false;
        }
        let id = exchange.id;
        // The exchange is open as long as its feed is: none of these can be misuse.
        match feed.appetite(turn.waker) {
            Appetite::None => false,
            Appetite::Hungry => {
                let flows = self.connection.next_read_operation() == ReadOperation::Read;
                let _ = self.connection.want_body(id, turn);
                !flows && self.connection.has_kept_input()
            }
            Appetite::Full => {
                let _ = self.connection.pause_body(id, turn);
                false
            }
            Appetite::Gone => {
                exchange.feed = None;
                let _ = self.connection.drop_body(id, turn);
                true
            }
            Appetite::Sated => {
                exchange.feed = None;
                false
            }
        }
    }

    /// Output that a write left behind, `pending` bytes, is held from now on: it lets go of read buffers, and counts against the process's
    /// budget. While that is spent nothing more is made until the peer has taken what there is.
    #[inline]
    pub(super) fn tend_output(&mut self, pending: usize) {
        if pending > 0 {
            self.connection.detach_output();
        }
        // Most answers are small and taken by their first write: they never touch what all threads share.
        if self.offered != Offered::Nothing || self.output_charge.is_some() {
            cold_path();
            self.charge_output(pending);
        }
    }

    #[inline(never)]
    fn charge_output(&mut self, pending: usize) {
        if pending == 0 {
            self.output_charge = None;
            self.connection.grant_output(0, 0);
            return;
        }
        if self.offered == Offered::Nothing {
            return;
        }
        self.connection.shrink_output();
        self.offered = if self.hold_output(pending, 0) { Offered::Waits } else { Offered::OverBudget };
    }

    /// Whether requests that wait for the answers before them to be sent need not: the process has room for what waits.
    /// `unread` bytes of them are not kept yet.
    #[cold]
    pub(super) fn makes_room(&mut self, unread: usize) -> bool {
        let pending = self.connection.pending_output();
        self.connection.output_is_full()
            && pending <= self.connection.output_limit(unread)
            && self.hold_output(pending, unread)
    }

    /// Counts output that waits, `pending` bytes, against the process's budget; says whether there was room. Beyond what is
    /// counted there is always room for a little.
    fn hold_output(&mut self, pending: usize, unread: usize) -> bool {
        let granted = match &mut self.output_charge {
            Some(charge) if charge.bytes() >= pending => {
                charge.shrink(charge.bytes() - pending);
                true
            }
            Some(charge) => charge.grow(pending - charge.bytes()),
            None => {
                self.output_charge = self.shared.memory.charge(pending);
                self.output_charge.is_some()
            }
        };
        let held = self.output_charge.as_ref().map_or(0, Charge::bytes);
        self.connection.grant_output(held, unread);
        granted
    }

    /// Whether more output may be made.
    pub(super) fn has_room(&self) -> bool {
        let pending = self.connection.pending_output();
        pending == 0
            || (pending < self.shared.settings.limits.max_output_bytes
                && self.offered != Offered::OverBudget
                && self.shared.memory.held() < self.shared.memory.limit())
    }

    /// After input that may have closed the connection under the application.
    pub(super) fn abandon_if_closed(&mut self, turn: &mut Turn<'_>) {
        if self.connection.open_exchange().is_none() && (self.exchange.is_some() || self.track.is_some()) {
            self.end(None, RequestEnd::Cut, None, turn);
        }
    }
}
