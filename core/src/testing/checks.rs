//! The laws as checks: a flow or a service of yours in, a panic that says what broke out.
//!
//! ```text
//!   check_cuts      9 however the bytes are cut, the conversation is the same          any flow
//!   check_service   9 the same for HTTP; every answer as a strict client reads it      any service
//!   check_steps     1-6, 8 whatever happens, in whatever order                         any flow
//!   check_end       5 the peer's end and time bring the flow to its end                any flow
//!   check_drain     7 what came before is finished, what comes after is not begun      any flow
//! ```
//!
//! All but the comparisons is in the [`Rig`], which looks at a flow after every call. The numbers are those of
//! [`Flow`](crate::Flow#the-laws).

use core::fmt::Debug;
use core::time::Duration;
use std::sync::{Arc, Mutex, PoisonError};

use super::answers::{Answer, answers};
use super::converse::{Ending, Transcript, converse, take_all};
use super::cuts::Cuts;
use super::rig::Rig;
use super::steps::{Step, Steps};
use crate::app::{Http, Observer, RequestRecord, Service};
use crate::flow::{CloseReason, Flow, ReadOperation, WriteOperation};
use crate::http1::Settings;

/// Law 9 for any flow: `input`, cut like this, brings forth byte for byte what it does whole, and the same end. Says what
/// that is.
///
/// `connect` makes a fresh flow in a rig: `|| Rig::connect(&protocol)`, or `|| Rig::new(flow)`. For a flow whose output
/// may rightly follow the reads, as chunks of an answer may, see [`check_cuts_by`].
///
/// ```
/// use anabranch_core::testing::{Behaviour, Cuts, Ending, Io, Probe, Rig, check_cuts};
///
/// struct Echo;
/// impl Behaviour for Echo {
///     fn input(&mut self, io: &mut Io, bytes: &[u8]) {
///         io.send(bytes.to_vec());
///     }
/// }
/// let connect = || Rig::new(Probe::new(Echo, Default::default(), Default::default()));
/// let transcript = check_cuts(connect, "hello", Ending::Eof, &Cuts::bytewise());
/// assert_eq!(transcript.output, b"hello");
/// ```
///
/// # Panics
/// When the two differ, or a law is broken on the way.
#[track_caller]
pub fn check_cuts<F: Flow>(
    connect: impl Fn() -> Rig<F>,
    input: impl AsRef<[u8]>,
    ending: Ending,
    cuts: &Cuts,
) -> Transcript {
    check_cuts_by(connect, input, ending, cuts, |output| output.escape_ascii().to_string())
}

/// As [`check_cuts`], but what is compared is what `read` makes of the output.
///
/// # Panics
/// As [`check_cuts`].
#[track_caller]
pub fn check_cuts_by<F: Flow, T: PartialEq + Debug>(
    connect: impl Fn() -> Rig<F>,
    input: impl AsRef<[u8]>,
    ending: Ending,
    cuts: &Cuts,
    read: impl Fn(&[u8]) -> T,
) -> Transcript {
    let input = input.as_ref();
    let hold = |cuts: &Cuts| {
        let transcript = converse(&mut connect(), input, ending, cuts);
        let said = (read(&transcript.output), transcript.closed, transcript.reading);
        (transcript, said)
    };
    let (whole, expected) = hold(&Cuts::default());
    let (_, got) = hold(cuts);
    compare(input, cuts, &expected, &got);
    whole
}

#[track_caller]
fn compare<T: PartialEq + Debug>(input: &[u8], cuts: &Cuts, expected: &T, got: &T) {
    assert!(
        got == expected,
        "law broken (9, cuts do not matter): \"{}\"\n  whole: {expected:?}\n  {cuts:?}: {got:?}",
        input.escape_ascii()
    );
}

/// Law 9 for a service behind HTTP: `input`, cut like this, brings forth the same requests and the same answers in the same
/// order as it does whole, and the same end. Says which answers.
///
/// The answers are read [strictly](answers()): a service gives none that two clients could take differently. The service is
/// shared between the two ways: what it remembers of one it must not let show in the other.
///
/// ```
/// use anabranch_core::app::service_fn;
/// use anabranch_core::http1::Settings;
/// use anabranch_core::testing::{Cuts, Ending, check_service};
/// use std::sync::Arc;
///
/// let service = Arc::new(service_fn(|_, _| "hello"));
/// let input = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// let answers = check_service(&service, &Settings::default(), input, Ending::Open, &Cuts::bytewise());
/// assert_eq!((answers[0].body.len(), answers[1].body.len()), (0, 5));
/// ```
///
/// # Panics
/// When the two differ, when an answer is not as RFC 9112 has it, or when a law is broken on the way.
#[track_caller]
pub fn check_service<S: Service>(
    service: &Arc<S>,
    settings: &Settings,
    input: impl AsRef<[u8]>,
    ending: Ending,
    cuts: &Cuts,
) -> Vec<Answer> {
    let input = input.as_ref();
    let expected = Held::of(service, settings, input, ending, &Cuts::default());
    let got = Held::of(service, settings, input, ending, cuts);
    compare(input, cuts, &expected, &got);
    expected.answers
}

/// A conversation over HTTP, as far as cuts must not matter to it.
#[derive(PartialEq, Debug)]
struct Held {
    requests: Vec<String>,
    answers: Vec<Answer>,
    closed: Option<CloseReason>,
    reading: ReadOperation,
}

impl Held {
    #[track_caller]
    fn of<S: Service>(
        service: &Arc<S>,
        settings: &Settings,
        input: &[u8],
        ending: Ending,
        cuts: &Cuts,
    ) -> Self {
        let seen = Arc::new(Requests::default());
        let http = Http::new(Arc::clone(service))
            .with_settings(settings.clone())
            .with_observer(Arc::clone(&seen) as Arc<dyn Observer>);
        let transcript = converse(&mut Rig::connect(&http), input, ending, cuts);
        let seen = core::mem::take(&mut *seen.0.lock().unwrap_or_else(PoisonError::into_inner));
        let methods: Vec<&str> = seen.iter().map(|(method, _)| &**method).collect();
        let answers = answers(&transcript.output, &methods);
        let requests = seen.into_iter().map(|(_, told)| told).collect();
        Self { requests, answers, closed: transcript.closed, reading: transcript.reading }
    }
}

/// Each request's method, and all that is told of it and does not follow the cuts.
#[derive(Default)]
struct Requests(Mutex<Vec<(String, String)>>);

impl Observer for Requests {
    fn request(&self, record: &RequestRecord<'_>) {
        let method = record.request.as_ref().map_or("GET".to_owned(), |line| line.method.to_string());
        let line =
            record.request.as_ref().map(|line| format!("{} {} {:?}", line.method, line.target, line.version));
        let told = format!(
            "{} {line:?}: {:?}, {:?}, {:?}, {} bytes",
            record.exchange.0, record.status, record.end, record.failure, record.response_body_bytes
        );
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((method, told));
    }
}

/// Laws 1 to 6 and 8, as far as they can be seen from outside: takes these steps with the flow in `rig`, which looks at it
/// after each.
///
/// ```
/// use anabranch_core::app::{Http, service_fn};
/// use anabranch_core::testing::{Rig, Step, check_end, check_steps};
///
/// let http = Http::new(service_fn(|_, _| "hello"));
/// let mut rig = Rig::connect(&http);
/// let request = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec();
/// check_steps(&mut rig, &[Step::Feed(request, 3), Step::Drain, Step::Write(10)]);
/// check_end(&mut rig);
/// ```
///
/// # Panics
/// When the flow breaks a law.
#[track_caller]
pub fn check_steps<F: Flow>(rig: &mut Rig<F>, steps: &[Step]) {
    let mut taker = Steps::new(rig);
    for step in steps {
        taker.take(step);
    }
    taker.report_all();
}

/// Law 5: once the peer has closed its half, takes everything and every job is lost, time brings the flow to its end. Not
/// for flows that may rightly go on for ever after the peer's end.
///
/// # Panics
/// When it is not finished after ten times a thousand seconds.
#[track_caller]
pub fn check_end<F: Flow>(rig: &mut Rig<F>) {
    rig.lose_jobs();
    rig.written();
    if !rig.input_ended() {
        rig.eof();
    }
    for _ in 0..10 {
        rig.advance(Duration::from_secs(1000));
        rig.written();
        rig.lose_jobs();
    }
    assert!(rig.is_finished(), "law broken (5, time and waiting): it does not end: {rig:?}");
}

/// Law 7: drained behind `before`, the flow sends what it owes for that, begins nothing of what comes `after`, and ends.
/// Says what was sent.
///
/// `before` ends between two messages, or within the head of one: a message whose body is still to come is waited for.
///
/// ```
/// use anabranch_core::app::{Http, service_fn};
/// use anabranch_core::testing::{Rig, check_drain};
///
/// let http = Http::new(service_fn(|_, _| "hello"));
/// let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// let output = check_drain(|| Rig::connect(&http), request, request);
/// assert_eq!(output.windows(5).filter(|window| window == b"hello").count(), 1);
/// ```
///
/// # Panics
/// When what comes after changes what is sent, or the flow does not end.
#[track_caller]
pub fn check_drain<F: Flow>(
    connect: impl Fn() -> Rig<F>,
    before: impl AsRef<[u8]>,
    after: impl AsRef<[u8]>,
) -> Vec<u8> {
    let drained = |after: &[u8]| {
        let (mut rig, mut takes, mut output) = (connect(), Cuts::default().takes(), Vec::new());
        rig.feed(before.as_ref(), usize::MAX);
        rig.drain();
        rig.feed(after, usize::MAX);
        take_all(&mut rig, &mut takes, &mut output);
        let ended = matches!(rig.next_write_operation(), WriteOperation::Close(_));
        assert!(ended, "law broken (7, drain): what it owed is sent, and it does not end: {rig:?}");
        output
    };
    let (without, with) = (drained(b""), drained(after.as_ref()));
    let (shown, wanted) = (with.escape_ascii(), without.escape_ascii());
    assert!(with == without, "law broken (7, drain): begun after it: \"{shown}\"\n  instead of \"{wanted}\"");
    with
}

#[cfg(test)]
mod tests;
