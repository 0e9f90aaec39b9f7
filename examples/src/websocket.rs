//! What a server of WebSocket brings along for the framing of tungstenite: the opening handshake, limits, and parting words.

use std::io::{ErrorKind, Read, Write};

use anabranch_core::app::{Request, Response};
use data_encoding::BASE64;
use http::header::{ALLOW, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION};
use http::{Method, StatusCode};
use tungstenite::handshake::derive_accept_key;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tungstenite::{Error, WebSocket};

/// Why a request opens no WebSocket. As an answer it says what would.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Another method than GET.
    Method,
    /// No upgrade to `websocket` is offered.
    NotOffered,
    /// Another version than 13, or none.
    Version,
    /// No nonce of 16 bytes in base64, or several.
    Key,
}

/// The answer that opens a WebSocket (RFC 6455 §4.2), for [`Outcome::duplex`](anabranch_core::app::Outcome::duplex).
///
/// Subprotocols and extensions that the client offers are left out of it, which declines them. `Origin` is not looked at: a
/// service that trusts cookies has to, for any page may open a WebSocket to it (RFC 6455 §10.2).
///
/// # Errors
/// When the request is none that opens one.
pub fn accept(request: &Request) -> Result<Response, Refusal> {
    if *request.method() != Method::GET {
        return Err(Refusal::Method);
    }
    if !request.offers_protocol("websocket") {
        return Err(Refusal::NotOffered);
    }
    if only(request, SEC_WEBSOCKET_VERSION.as_str()) != Some(b"13") {
        return Err(Refusal::Version);
    }
    let key = only(request, SEC_WEBSOCKET_KEY.as_str()).filter(|key| is_nonce(key)).ok_or(Refusal::Key)?;
    // What was derived is base64, which any field's value may be.
    let accept = HeaderValue::try_from(derive_accept_key(key)).map_err(|_| Refusal::Key)?;
    Ok(Response::switching_to("websocket").with_field(SEC_WEBSOCKET_ACCEPT, accept))
}

/// The server's end of a WebSocket over `stream`, with messages of at most [`MAX_MESSAGE_BYTES`].
///
/// What comes of a message is kept until it is whole, beside what the stream keeps: that is not in a server's memory budget.
pub fn over<S: Read + Write>(stream: S) -> WebSocket<S> {
    let config = WebSocketConfig::default()
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES))
        // The stream is a buffer already.
        .read_buffer_size(4 * 1024)
        .write_buffer_size(0);
    WebSocket::from_raw_socket(stream, Role::Server, Some(config))
}

/// A larger message ends its WebSocket with 1009.
pub const MAX_MESSAGE_BYTES: usize = 4 * 1024 * 1024;

/// After a read that failed: tells the peer why no more is said, where there is a code for it (RFC 6455 §7.4.1). A drain that
/// [interrupts](anabranch_core::app::WhenDrained::Interrupt) is one, and no failure: the peer's own close is still to be
/// read.
///
/// # Errors
/// The same, but for a drain; then those of sending.
pub fn part<S: Read + Write>(socket: &mut WebSocket<S>, error: Error) -> tungstenite::Result<()> {
    let code = match &error {
        Error::Io(error) if error.kind() == ErrorKind::Interrupted => {
            return socket.close(Some(frame(CloseCode::Away)));
        }
        Error::Protocol(_) => CloseCode::Protocol,
        Error::Utf8(_) => CloseCode::Invalid,
        Error::Capacity(_) => CloseCode::Size,
        _ => return Err(error),
    };
    // As far as there is room for it: a peer that breaks the protocol is not waited for.
    let _ = socket.close(Some(frame(code)));
    Err(error)
}

fn frame(code: CloseCode) -> CloseFrame {
    CloseFrame { code, reason: "".into() }
}

/// The value of a field that is there once.
fn only<'a>(request: &'a Request, name: &'a str) -> Option<&'a [u8]> {
    let mut values = request.field_values(name);
    values.next().filter(|_| values.next().is_none())
}

fn is_nonce(key: &[u8]) -> bool {
    BASE64.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Method => Self::text("a WebSocket is opened with GET\n")
                .with_status(StatusCode::METHOD_NOT_ALLOWED)
                .with_field(ALLOW, HeaderValue::from_static("GET")),
            Refusal::NotOffered => Self::upgrade_required("websocket"),
            Refusal::Version => Self::upgrade_required("websocket")
                .with_field(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
            Refusal::Key => Self::text("Sec-WebSocket-Key has to be 16 bytes in base64, and there once\n")
                .with_status(StatusCode::BAD_REQUEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use anabranch_core::app::{Duplex, Outcome, service_fn};
    use anabranch_core::testing::oneshot;

    use super::*;

    /// The handshake of RFC 6455 §1.3, without what is not asked for there.
    const OPENING: &str = "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
                           Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
                           Sec-WebSocket-Version: 13\r\n\r\n";

    /// The head that answers `request`.
    fn answer(request: &str) -> String {
        let service = service_fn(|request: &mut Request, _| match accept(request) {
            Ok(head) => Outcome::duplex(head, Duplex::new(1).hand_over(drop)),
            Err(refusal) => refusal.into(),
        });
        let answer = String::from_utf8(oneshot(service, request)).unwrap();
        answer.split_once("\r\n\r\n").unwrap().0.to_owned()
    }

    #[track_caller]
    fn assert_refused(request: &str, status: &str, fields: &[&str]) {
        let answer = answer(request);
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}{answer}");
        for field in fields {
            assert!(answer.lines().any(|line| line == *field), "{field} is not in {answer}");
        }
        for field in ["upgrade", "sec-websocket-version", "sec-websocket-accept", "allow"] {
            let is_there = answer.contains(&format!("\r\n{field}: "));
            assert_eq!(is_there, fields.iter().any(|said| said.starts_with(field)), "{field} in {answer}");
        }
    }

    #[test]
    fn example_of_the_rfc_is_answered_as_there() {
        let answer = answer(OPENING);
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        let accept = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        for field in ["upgrade: websocket", "connection: upgrade", accept] {
            assert!(answer.lines().any(|line| line == field), "{field} is not in {answer}");
        }
    }

    #[test]
    fn names_are_compared_without_their_case_and_lists_are_lists() {
        let request = OPENING
            .replace("Upgrade: websocket", "upgrade: h2c, WebSocket")
            .replace("Connection: Upgrade", "connection: keep-alive, UPGRADE");
        assert!(answer(&request).starts_with("HTTP/1.1 101 "));
    }

    #[test]
    fn client_that_offers_no_upgrade_is_told_to() {
        for (from, to) in [
            ("Upgrade: websocket\r\n", ""),
            ("Connection: Upgrade\r\n", ""),
            ("Upgrade: websocket", "Upgrade: h2c"),
            // Behind a body nobody would know which protocol comes next.
            ("\r\n\r\n", "\r\nContent-Length: 1\r\n\r\nx"),
        ] {
            assert_refused(&OPENING.replace(from, to), "426", &["upgrade: websocket"]);
        }
        assert_refused(&OPENING.replace("HTTP/1.1", "HTTP/1.0"), "426", &["upgrade: websocket"]);
    }

    #[test]
    fn client_of_another_version_is_told_which_is_spoken() {
        let fields = ["upgrade: websocket", "sec-websocket-version: 13"];
        for other in ["", "Sec-WebSocket-Version: 8\r\n", "Sec-WebSocket-Version: 13, 8\r\n"] {
            let request = OPENING.replace("Sec-WebSocket-Version: 13\r\n", other);
            assert_refused(&request, "426", &fields);
        }
        let twice = OPENING.replace("\r\n\r\n", "\r\nSec-WebSocket-Version: 13\r\n\r\n");
        assert_refused(&twice, "426", &fields);
    }

    #[test]
    fn key_is_sixteen_bytes_and_there_once() {
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        for other in ["", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25j", "dGhlIHNhbXBsZSBub25jZR==", "!"] {
            assert_refused(&OPENING.replace(KEY, other), "400", &[]);
        }
        let none = OPENING.replace(&format!("Sec-WebSocket-Key: {KEY}\r\n"), "");
        assert_refused(&none, "400", &[]);
        let twice = OPENING.replace("\r\n\r\n", &format!("\r\nSec-WebSocket-Key: {KEY}\r\n\r\n"));
        assert_refused(&twice, "400", &[]);
    }

    #[test]
    fn another_method_is_told_which() {
        assert_refused(&OPENING.replace("GET", "POST"), "405", &["allow: GET"]);
        assert_refused(&OPENING.replace("GET", "HEAD"), "405", &["allow: GET"]);
    }
}
