//! What may be said in an exchange, what is refused as misuse, and the bytes that come of it.
//!
//! A command with several faults may be refused for any of them: the model names all.

use std::fmt::Write as _;

use anabranch_core::http1::{AnswerLength, BodyLength, Misuse, Sends};
use anabranch_core::{CloseKind, CloseReason, ExchangeId};
use http::StatusCode;

use super::model::{Answer, Drain, Exchange, Input, Last, Model, Rest, Taking};
use super::peer::Request;

/// Lines of an answer, as the application gives them.
pub(crate) type Lines = Vec<(&'static str, &'static str)>;

/// What a command comes to, or all that is wrong with it.
pub(crate) type Said<T> = Result<T, Vec<Misuse>>;

impl Model {
    pub(crate) fn respond(
        &mut self,
        id: ExchangeId,
        status: u16,
        lines: &Lines,
        length: AnswerLength,
    ) -> Said<Sends> {
        let request = self.owed(id)?.request;
        let mut faults = faults_of(lines);
        if status < 200 || (request.method == "CONNECT" && status < 300) {
            faults.push(Misuse::Status);
        }
        let (framing, rest) = framing(&request, status, lines, length, &mut faults);
        check(faults)?;

        let drains_here = match self.drains {
            None => false,
            Some(Drain::AfterCurrent) => true,
            Some(Drain::AfterComplete) => !self.next_is_complete(),
        };
        let close = lines.contains(&("connection", "close"));
        if close || rest == Rest::UntilClose || drains_here || request.method == "CONNECT" {
            self.owed(id)?.last = Last::ForUs;
        }
        if self.reads_body() && self.owed(id)?.body == Taking::Held {
            self.drop_body(id)?;
        }
        let upgrade = lines.iter().any(|(name, _)| *name == "upgrade");
        let exchange = self.owed(id)?;
        exchange.answer = Answer::Begun(rest);
        let mut options = match exchange.last {
            Last::No if request.http11 => vec![],
            Last::No => vec!["keep-alive"],
            Last::ForPeer | Last::ForUs => vec!["close"],
        };
        options.extend(upgrade.then_some("upgrade"));
        self.head(status, lines, &framing, &options);
        self.until_close = rest == Rest::UntilClose;
        self.answer_by = None;
        self.await_write();
        Ok(if rest == Rest::Nothing { Sends::Nothing } else { Sends::Body })
    }

    pub(crate) fn reply(&mut self, id: ExchangeId, status: u16, lines: &Lines, body: &[u8]) -> Said<Sends> {
        let sends = self.respond(id, status, lines, AnswerLength::Known(body.len() as u64))?;
        if sends == Sends::Body {
            self.send_data(id, body)?;
        }
        self.finish(id, None)?;
        Ok(sends)
    }

    pub(crate) fn send_data(&mut self, id: ExchangeId, data: &[u8]) -> Said<()> {
        let Answer::Begun(rest) = &mut self.begun(id)?.answer else { return Ok(()) };
        match rest {
            Rest::Length(left) if *left < data.len() as u64 => return Err(vec![Misuse::TooLong]),
            Rest::Length(left) => {
                *left -= data.len() as u64;
                self.output.extend_from_slice(data);
            }
            Rest::UntilClose => self.output.extend_from_slice(data),
            Rest::Chunks if !data.is_empty() => {
                self.output.extend_from_slice(format!("{:x}\r\n", data.len()).as_bytes());
                self.output.extend_from_slice(data);
                self.output.extend_from_slice(b"\r\n");
            }
            Rest::Chunks | Rest::Nothing => {}
        }
        self.await_write();
        Ok(())
    }

    pub(crate) fn finish(&mut self, id: ExchangeId, trailers: Option<&Lines>) -> Said<()> {
        match self.begun(id)?.answer {
            Answer::Begun(Rest::Length(1..)) => return Err(vec![Misuse::TooShort]),
            Answer::Begun(Rest::Chunks) => {
                self.output.extend_from_slice(b"0\r\n");
                // Neither what frames nor what governs the connection comes behind a message.
                for (name, value) in trailers.into_iter().flatten() {
                    if !["content-length", "connection", "transfer-encoding", "upgrade"].contains(name) {
                        self.output.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
                    }
                }
                self.output.extend_from_slice(b"\r\n");
            }
            _ => {}
        }
        self.await_write();
        if self.reads_body() {
            self.drop_body(id)?;
        }
        self.begun(id)?.answer = Answer::Done;
        self.settle();
        Ok(())
    }

    pub(crate) fn cut(&mut self, id: ExchangeId) {
        if self.begun(id).is_ok() {
            self.reason.get_or_insert(CloseReason::ApplicationFailed);
            // Where no end would be missed, the connection's must not be taken for it.
            self.end_by(match self.until_close {
                true => CloseKind::Reset,
                false if self.arrived > self.lent => CloseKind::Linger,
                false => CloseKind::Immediate,
            });
            self.flushed();
        }
    }

    pub(crate) fn end_after(&mut self, id: ExchangeId) {
        if let Ok(exchange) = self.in_progress(id) {
            exchange.last = Last::ForUs;
        }
    }

    pub(crate) fn inform(&mut self, id: ExchangeId, status: u16, lines: &Lines) -> Said<()> {
        let request = self.owed(id)?.request;
        let mut faults = faults_of(lines);
        if !(102..200).contains(&status) {
            faults.push(Misuse::Status);
        }
        if lines.iter().any(|(name, _)| ["connection", "upgrade", "content-length"].contains(name)) {
            faults.push(Misuse::FramingField);
        }
        if !request.http11 {
            faults.push(Misuse::InterimToHttp10);
        }
        check(faults)?;
        self.status_line(status);
        self.lines(lines);
        self.output.extend_from_slice(b"\r\n");
        self.await_write();
        Ok(())
    }

    pub(crate) fn switch(&mut self, id: ExchangeId, status: u16, lines: &Lines) -> Said<()> {
        let exchange = self.owed(id)?.clone();
        let mut faults = faults_of(lines);
        if lines.iter().any(|(name, _)| ["connection", "content-length"].contains(name)) {
            faults.push(Misuse::FramingField);
        }
        let tunnel = exchange.request.method == "CONNECT";
        let named = lines.iter().any(|(name, _)| *name == "upgrade");
        let accepts = if tunnel { (200..300).contains(&status) } else { status == 101 };
        // The request has to be whole, and to have been a request.
        let offered = tunnel || (exchange.request.upgrades && named);
        if !offered || !exchange.complete || self.input != Input::Read {
            faults.push(Misuse::NotOffered);
        }
        if !accepts {
            faults.extend([Misuse::Status, Misuse::NotOffered]);
        }
        check(faults)?;
        let options = if named || !tunnel { vec!["upgrade"] } else { vec![] };
        self.head(status, lines, "", &options);
        self.exchange = None;
        self.input = Input::Switched;
        self.answer_by = None;
        self.await_write();
        Ok(())
    }

    pub(crate) fn take_leftover(&mut self) -> Vec<u8> {
        if self.input != Input::Switched {
            return Vec::new();
        }
        let kept = self.arrived - self.lent;
        let leftover = self.arrived_bytes().take(kept).collect();
        self.use_up(kept);
        leftover
    }

    // ---- the request's body ----

    pub(crate) fn want_body(&mut self, id: ExchangeId) -> Said<()> {
        let (now, is_read) = (self.now, self.reads_body());
        let exchange = self.in_progress(id)?;
        match exchange.body {
            Taking::Held => {
                exchange.since = now;
                if exchange.request.expects && is_read && !exchange.continued {
                    exchange.continued = true;
                    self.output.extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                }
            }
            Taking::Paused => exchange.since += now - exchange.paused_at,
            Taking::Wanted | Taking::Dropped => return Ok(()),
        }
        self.in_progress(id)?.body = Taking::Wanted;
        if self.reads_body() {
            self.answer_by = None;
            self.receive_body();
        }
        self.await_write();
        Ok(())
    }

    pub(crate) fn pause_body(&mut self, id: ExchangeId) -> Said<()> {
        let now = self.now;
        let exchange = self.in_progress(id)?;
        if exchange.body == Taking::Wanted {
            exchange.body = Taking::Paused;
            exchange.paused_at = now;
            if self.reads_body() {
                self.receive_by = None;
                self.await_answer();
            }
        }
        Ok(())
    }

    /// Declared short, and coming without being waited for: read and dropped. Anything else ends the connection.
    pub(crate) fn drop_body(&mut self, id: ExchangeId) -> Said<()> {
        let (now, limit) = (self.now, self.settings.limits.max_discard_bytes);
        let exchange = self.in_progress(id)?;
        let comes = !exchange.request.expects || exchange.continued;
        match (std::mem::replace(&mut exchange.body, Taking::Dropped), exchange.request.body) {
            (Taking::Dropped, _) | (_, BodyLength::Empty) => {}
            (before, BodyLength::Known(length)) if length <= limit && comes => {
                match before {
                    Taking::Held => exchange.since = now,
                    // No pause counts.
                    Taking::Paused => exchange.since += now - exchange.paused_at,
                    Taking::Wanted | Taking::Dropped => {}
                }
                self.receive_body();
            }
            _ => self.drop_rest(),
        }
        Ok(())
    }

    // ---- which exchange ----

    fn in_progress(&mut self, id: ExchangeId) -> Said<&mut Exchange> {
        let current = ExchangeId(self.exchanges);
        let stale = || vec![Misuse::StaleExchange];
        self.exchange.as_mut().filter(|it| id == current && it.answer != Answer::Done).ok_or_else(stale)
    }

    fn owed(&mut self, id: ExchangeId) -> Said<&mut Exchange> {
        let exchange = self.in_progress(id)?;
        if exchange.answer == Answer::Owed { Ok(exchange) } else { Err(vec![Misuse::AlreadyBegun]) }
    }

    fn begun(&mut self, id: ExchangeId) -> Said<&mut Exchange> {
        let exchange = self.in_progress(id)?;
        if exchange.answer == Answer::Owed { Err(vec![Misuse::NotBegun]) } else { Ok(exchange) }
    }

    /// Of a drain, it is the next one's head that counts.
    fn next_is_complete(&self) -> bool {
        let kept = self.arrived - self.lent;
        let complete = self.exchange.as_ref().is_some_and(|exchange| exchange.complete);
        complete && self.input == Input::Read && self.stream.front().is_some_and(|it| it.is_head_within(kept))
    }

    // ---- bytes ----

    fn head(&mut self, status: u16, lines: &Lines, framing: &str, options: &[&str]) {
        let server =
            self.settings.server.clone().filter(|_| !lines.iter().any(|(name, _)| *name == "server"));
        let server = server.map(|server| format!("server: {}\r\n", server.to_str().expect("it is ASCII")));
        self.status_line(status);
        self.output.extend_from_slice(server.unwrap_or_default().as_bytes());
        self.lines(lines);
        self.output.extend_from_slice(framing.as_bytes());
        if !options.is_empty() {
            self.output.extend_from_slice(format!("connection: {}\r\n", options.join(", ")).as_bytes());
        }
        self.output.extend_from_slice(b"\r\n");
    }

    fn status_line(&mut self, status: u16) {
        let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
        let line = format!("HTTP/1.1 {status} {}\r\n", reason.unwrap_or_default());
        self.output.extend_from_slice(line.as_bytes());
    }

    fn lines(&mut self, lines: &Lines) {
        let mut text = String::new();
        for (name, value) in lines.iter().filter(|(name, _)| !["content-length", "connection"].contains(name))
        {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        self.output.extend_from_slice(text.as_bytes());
    }
}

fn check(faults: Vec<Misuse>) -> Said<()> {
    if faults.is_empty() { Ok(()) } else { Err(faults) }
}

/// What an application may not say of the connection and the message, or says twice.
fn faults_of(lines: &Lines) -> Vec<Misuse> {
    let mut faults = Vec::new();
    for (name, value) in lines {
        match *name {
            "transfer-encoding" | "keep-alive" => faults.push(Misuse::FramingField),
            "connection" if *value != "close" => faults.push(Misuse::FramingField),
            "content-length" if value.parse::<u64>().is_err() => faults.push(Misuse::ContradictingLength),
            _ => {}
        }
    }
    let mut lengths = said_lengths(lines);
    if let Some(first) = lengths.next()
        && lengths.any(|other| other != first)
    {
        faults.push(Misuse::ContradictingLength);
    }
    faults
}

fn said_lengths(lines: &Lines) -> impl Iterator<Item = u64> + '_ {
    lines.iter().filter(|(name, _)| *name == "content-length").filter_map(|(_, value)| value.parse().ok())
}

/// RFC 9112 §6.3, RFC 9110 §8.6: how the answer's end is told, and what is to come of its body.
fn framing(
    request: &Request,
    status: u16,
    lines: &Lines,
    given: AnswerLength,
    faults: &mut Vec<Misuse>,
) -> (String, Rest) {
    let said = said_lengths(lines).next();
    let length = match given {
        AnswerLength::Known(length) => Some(length),
        AnswerLength::Unknown => said,
    };
    let content_length = |length: u64| format!("content-length: {length}\r\n");
    let chunked = || "transfer-encoding: chunked\r\n".to_owned();
    let is_head = request.method == "HEAD";
    if matches!(status, ..200 | 204 | 205 | 304) {
        if length != Some(0) && !is_head {
            faults.push(Misuse::TooLong);
        }
        let framing = match (status, said) {
            (205, _) => content_length(0),
            // What a 200 would have had.
            (304, Some(said)) => content_length(said),
            _ => String::new(),
        };
        return (framing, Rest::Nothing);
    }
    match length {
        // Of a body that is not made, the field may say the length.
        Some(0) if is_head && said.is_some() => (content_length(said.unwrap_or(0)), Rest::Nothing),
        Some(length) if is_head => {
            if said.is_some_and(|said| said != length) {
                faults.push(Misuse::ContradictingLength);
            }
            (content_length(length), Rest::Nothing)
        }
        None if is_head && request.http11 => (chunked(), Rest::Nothing),
        None if is_head => (String::new(), Rest::Nothing),
        Some(length) => {
            if said.is_some_and(|said| said != length) {
                faults.push(Misuse::ContradictingLength);
            }
            (content_length(length), Rest::Length(length))
        }
        None if request.http11 => (chunked(), Rest::Chunks),
        None => (String::new(), Rest::UntilClose),
    }
}
