//! Upgrades: the connection goes over to another protocol, or to whoever wants it as a stream.
//!
//! ```text
//!   Upgrade ─┬─ a flow, a future, elsewhere ─────────────────────────────► 101 ──► the flow that takes over
//!            └─ a lane: job out ──► TakingOver ─┬─ a thread is at work ──► 101 ──► the stream's flow
//!                                               └─ refused, lost ────────► 503, 500
//! ```

use http::header::UPGRADE;
use http::{Method, StatusCode};

use super::duplex::Takeover;
use super::exchange::{Stage, TakingOver};
use super::failure::Failure;
use super::observer::RequestEnd;
use super::outcome::{MakeFlow, Successor, Upgrade};
use super::response::Response;
use super::serve::Serve;
use super::service::Service;
use crate::fields::Fields;
use crate::flow::Flow;
use crate::http1::{Misuse, Refusal, RequestHead, list_members};
use crate::turn::Turn;

impl<S: Service> Serve<S> {
    pub(super) fn upgrade(&mut self, upgrade: Upgrade, turn: &mut Turn<'_>) {
        let Upgrade { response, into } = upgrade;
        match into {
            Successor::Flow(make) => self.switch(response, make, turn),
            Successor::Stream(takeover) => self.take_over(response, takeover, turn),
        }
    }

    /// Gives the connection away as a stream: at once, or when a lane's thread is there to have it.
    fn take_over(&mut self, response: Response, takeover: Takeover, turn: &mut Turn<'_>) {
        let Some(charge) = self.shared.memory.charge(takeover.max_bytes()) else {
            return self.fail(Failure::Refused(Refusal::OutOfMemory), turn);
        };
        if !takeover.is_on_lane() {
            let make = move |info, now| -> Box<dyn Flow> {
                Box::new(takeover.take_over(info, Some(charge)).begin(now))
            };
            return self.switch(response, Box::new(make), turn);
        }
        let Some(exchange) = &mut self.exchange else { return };
        let Some(request) = &exchange.request else { return };
        if !can_switch(&response, request) {
            return self.fail(Failure::Unsendable(Misuse::NotOffered), turn);
        }
        if let Some((flow, job, at_work)) = takeover.begin_on_lane(self.info.clone(), Some(charge)) {
            exchange.job = Some(job);
            exchange.stage = Stage::TakingOver(Box::new(TakingOver { at_work, response, flow }));
        }
    }

    /// A lane's thread has the stream: the peer is told of the switch.
    pub(super) fn taken_over(&mut self, taking: TakingOver, turn: &mut Turn<'_>) {
        let TakingOver { response, flow, .. } = taking;
        self.switch(response, Box::new(move |_, now| Box::new(flow.begin(now))), turn);
    }

    fn switch(&mut self, response: Response, make: MakeFlow, turn: &mut Turn<'_>) {
        let Some(exchange) = &self.exchange else { return };
        let Some(request) = &exchange.request else { return };
        if !can_switch(&response, request) {
            return self.fail(Failure::Unsendable(Misuse::NotOffered), turn);
        }
        let status = switch_status(&response, request);
        match self.connection.switch(exchange.id, status, &response.fields, turn) {
            Ok(()) => {
                self.next = Some(Box::new(make));
                self.end(Some(status), RequestEnd::Switched, None, turn);
            }
            Err(misuse) => self.fail(Failure::Unsendable(misuse), turn),
        }
    }
}

/// The status that accepts an upgrade, or a tunnel.
fn switch_status(response: &Response, request: &RequestHead) -> StatusCode {
    match *request.method() {
        Method::CONNECT => response.status,
        _ => StatusCode::SWITCHING_PROTOCOLS,
    }
}

/// Whether the peer offered what this answer switches to.
fn can_switch(response: &Response, request: &RequestHead) -> bool {
    switch_status(response, request) != StatusCode::SWITCHING_PROTOCOLS
        || is_offered(&response.fields, request)
}

/// Whether the protocols that an answer's `Upgrade` names are all among those the peer offered (RFC 9110 §7.8).
fn is_offered(fields: &Fields, request: &RequestHead) -> bool {
    fields
        .iter()
        .filter(|(name, _)| *name == UPGRADE)
        .flat_map(|(_, value)| list_members(value.as_bytes()))
        .all(|protocol| request.offers_protocol(protocol))
}
