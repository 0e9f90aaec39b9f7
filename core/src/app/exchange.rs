//! A request that was not answered in place: what it waits for, and what has come of its body.

use bytes::Bytes;

use super::body::{Body, Inner};
use super::clock::Clock;
use super::duplex::DuplexFlow;
use super::memory::{Charge, MemoryBudget};
use super::outcome::{AfterHandler, Answered, CollectHandler, OutcomeFuture};
use super::parse::Parsing;
use super::pipe::Feed;
use super::request::Request;
use super::response::Response;
use crate::http1::{BodyLength, Refusal, RequestHead};
use crate::info::ExchangeId;
use crate::job::{Job, Pending};
use crate::time::Instant;
use crate::turn::Pool;

/// One exchange in progress.
pub(crate) struct Exchange {
    pub(crate) id: ExchangeId,
    /// Until a lane has it.
    pub(crate) request: Option<Request>,
    pub(crate) stage: Stage,
    /// The request's body, on its way to the application.
    pub(crate) feed: Option<Feed>,
    /// Set when the application is given the body, whole or as a stream: it is given once. So many bytes of it were there at
    /// once, may be kept by the application, and are not counted yet.
    pub(crate) given: Option<usize>,
    /// Whether the request's bytes count against the process's budget: as soon as they outlive a turn.
    counted: bool,
    pub(crate) clock: Option<Clock>,
    /// Work for the driver to take.
    pub(crate) job: Option<Job>,
    /// What the exchange holds of the process's budget, its body apart.
    charge: Option<Charge>,
}

/// What an exchange waits for.
pub(crate) enum Stage {
    /// Nothing: its handler is being called.
    Calling,
    /// The rest of the body.
    Collecting { collected: Collected, max_bytes: usize, then: CollectHandler },
    /// The rest of the body, while it is parsed.
    Parsing(Box<Parsing>),
    /// A point in time.
    Waiting { until: Instant, then: AfterHandler },
    /// A future.
    Awaiting(OutcomeFuture),
    /// A thread for the job that takes the connection over.
    TakingOver(Box<TakingOver>),
    /// A job's result.
    Deferred(Pending<Answered>),
    /// The answer's body, and the peer that takes it.
    Sending(Body),
}

/// An upgrade that waits for its job to be at work.
pub(crate) struct TakingOver {
    pub(crate) at_work: Pending<()>,
    pub(crate) response: Response,
    pub(crate) flow: DuplexFlow,
}

impl Exchange {
    fn new(id: ExchangeId, request: Request, given: Option<usize>, clock: Option<Clock>) -> Self {
        Self {
            id,
            request: Some(request),
            stage: Stage::Calling,
            feed: None,
            given,
            counted: false,
            clock,
            job: None,
            charge: None,
        }
    }

    /// Begins an exchange, in a spare box where the driver thread has one; with the head that was left in that.
    pub(crate) fn lend(
        id: ExchangeId,
        request: Request,
        given: Option<usize>,
        clock: Option<Clock>,
        pool: &mut Pool,
    ) -> (Box<Self>, Option<Box<RequestHead>>) {
        match pool.take::<Self>() {
            Some(mut spare) => {
                spare.id = id;
                spare.given = given;
                spare.clock = clock;
                let vacant = spare.request.replace(request);
                (spare, vacant.map(Request::into_head))
            }
            None => (Box::new(Self::new(id, request, given, clock)), None),
        }
    }

    /// Gives the box back, for an exchange to begin in: nothing of this one stays in it but the allocation of its head.
    pub(crate) fn give_back(mut self: Box<Self>, pool: &mut Pool) {
        self.stage = Stage::Calling;
        self.feed = None;
        self.given = None;
        self.counted = false;
        self.clock = None;
        self.job = None;
        self.charge = None;
        if let Some(request) = &mut self.request {
            request.vacate();
        }
        pool.give(self);
    }

    /// What the request declared of a body that the application was not given yet.
    pub(crate) fn body_to_give(&self) -> BodyLength {
        match &self.request {
            Some(request) if self.given.is_none() => request.body_length(),
            _ => BodyLength::Empty,
        }
    }

    /// When time is next of interest to the application.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let clock = self.clock.as_ref().and_then(Clock::deadline);
        match (&self.stage, clock) {
            (Stage::Waiting { until, .. }, Some(clock)) => Some(clock.min(*until)),
            (Stage::Waiting { until, .. }, None) => Some(*until),
            (_, clock) => clock,
        }
    }

    /// Whether the application can move this exchange: it need not be woken for what only the peer or the clock brings.
    pub(crate) fn waits_for_application(&self) -> bool {
        let stage = match &self.stage {
            Stage::Calling | Stage::Awaiting(_) | Stage::Deferred(_) | Stage::TakingOver(_) => true,
            Stage::Collecting { .. } | Stage::Parsing(_) | Stage::Waiting { .. } => false,
            Stage::Sending(body) => !self.starves(body),
        };
        stage || (self.feed.is_some() && !matches!(&self.stage, Stage::Sending(body) if self.starves(body)))
    }

    /// Whether `body` is the request's own, and waits for the peer to send more of it.
    fn starves(&self, body: &Body) -> bool {
        matches!((&body.0, &self.feed), (Inner::Incoming(incoming), Some(feed)) if feed.starves(incoming))
    }

    /// Whether the application still holds the request's body.
    pub(crate) fn may_read_body(&self) -> bool {
        self.feed.as_ref().is_some_and(Feed::has_reader)
    }

    /// Whether `body` is the request's own.
    pub(crate) fn is_echo(&self, body: &Body) -> bool {
        matches!((&body.0, &self.feed), (Inner::Incoming(incoming), Some(feed)) if feed.feeds(incoming))
    }

    /// Takes the room that a body written elsewhere may fill from the process's budget.
    pub(crate) fn hold_room_for(&mut self, body: &Body, memory: &MemoryBudget) -> Result<(), Refusal> {
        match &body.0 {
            Inner::Incoming(incoming) if !self.is_echo(body) => match incoming.capacity() {
                0 => Ok(()),
                capacity => self.hold(capacity, memory),
            },
            _ => Ok(()),
        }
    }

    /// Counts the request's bytes, each once, against the process's budget.
    pub(crate) fn count_request(&mut self, memory: &MemoryBudget) -> Result<(), Refusal> {
        let mut bytes = self.given.as_mut().map_or(0, core::mem::take);
        if let Some(request) = &self.request
            && !self.counted
        {
            self.counted = true;
            bytes += request.capacity();
        }
        if bytes == 0 { Ok(()) } else { self.hold(bytes, memory) }
    }

    fn hold(&mut self, bytes: usize, memory: &MemoryBudget) -> Result<(), Refusal> {
        let granted = match &mut self.charge {
            Some(charge) => charge.grow(bytes),
            None => {
                self.charge = memory.charge(bytes);
                self.charge.is_some()
            }
        };
        if granted { Ok(()) } else { Err(Refusal::OutOfMemory) }
    }

    /// Lets go of the driver's read buffers: whatever outlives the turn is copied, once.
    pub(crate) fn detach(&mut self, memory: &MemoryBudget) -> Result<(), Refusal> {
        self.count_request(memory)?;
        if let Stage::Collecting { collected, .. } = &mut self.stage {
            collected.detach(memory)?;
        }
        match &self.feed {
            Some(feed) if !feed.detach(memory) => Err(Refusal::OutOfMemory),
            _ => Ok(()),
        }
    }
}

/// A body that is being collected: not copied when it came in one piece and is used at once.
#[derive(Default)]
pub(crate) struct Collected {
    first: Bytes,
    rest: Vec<u8>,
    charge: Option<Charge>,
}

impl Collected {
    pub(crate) const fn len(&self) -> usize {
        self.first.len() + self.rest.len()
    }

    pub(crate) fn push(&mut self, data: Bytes, memory: &MemoryBudget) -> Result<(), Refusal> {
        if self.len() == 0 {
            self.first = data;
            return Ok(());
        }
        self.detach(memory)?;
        self.append(&data, memory)
    }

    /// Copies the first piece into the collection's own memory.
    pub(crate) fn detach(&mut self, memory: &MemoryBudget) -> Result<(), Refusal> {
        if self.first.is_empty() {
            return Ok(());
        }
        let first = core::mem::take(&mut self.first);
        self.append(&first, memory)
    }

    pub(crate) fn finish(self) -> Bytes {
        if self.rest.is_empty() { self.first } else { Bytes::from(self.rest) }
    }

    fn append(&mut self, data: &[u8], memory: &MemoryBudget) -> Result<(), Refusal> {
        let (length, capacity) = (self.rest.len() + data.len(), self.rest.capacity());
        if length > capacity {
            // Asked for before it is allocated; doubled, so that a body in many pieces is not copied for each of them.
            let wanted = length.max(2 * capacity);
            let granted = match &mut self.charge {
                Some(charge) => charge.grow(wanted - capacity),
                None => {
                    self.charge = memory.charge(wanted);
                    self.charge.is_some()
                }
            };
            if !granted {
                return Err(Refusal::OutOfMemory);
            }
            self.rest.reserve_exact(wanted - self.rest.len());
        }
        self.rest.extend_from_slice(data);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budget_is_asked_before_a_collected_body_grows() {
        let memory = MemoryBudget::new(1000);
        let mut collected = Collected::default();
        for _ in 0..5 {
            collected.push(Bytes::from(vec![7; 100]), &memory).unwrap();
            assert!(collected.rest.capacity() <= memory.held());
        }
        assert_eq!(collected.push(Bytes::from(vec![7; 400]), &memory), Err(Refusal::OutOfMemory));
        assert!(collected.rest.capacity() <= memory.held() && memory.held() <= 1000);
        assert_eq!(collected.len(), 500);
        drop(collected);
        assert_eq!(memory.held(), 0);
    }
}
