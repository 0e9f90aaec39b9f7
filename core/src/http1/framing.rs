//! What a head says about its message: where the body ends, whether the connection lives on, what is expected.
//!
//! Decided once, strictly: whatever two implementations could frame differently is refused (RFC 9112 §6, §11.2).

use core::hint::cold_path;

use http::{Method, Version};

use super::head::list_members;
use super::refusal::Refusal;

/// How a request's body ends (RFC 9112 §6.3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum BodyLength {
    /// There is none.
    #[default]
    Empty,
    /// After so many bytes, at least one.
    Known(u64),
    /// After its last chunk and the trailer section.
    Chunked,
}

/// What was learnt from a head's field lines.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Facts {
    pub(crate) has_host: bool,
    pub(crate) body: BodyLength,
    pub(crate) persistent: bool,
    pub(crate) expects_continue: bool,
    pub(crate) offers_upgrade: bool,
}

/// Gathers the fields that frame a message, one line after another, and then decides.
#[derive(Debug, Default)]
pub(crate) struct Framing<'a, 'h> {
    /// A host that is known to be good.
    known_host: &'h [u8],
    has_host: bool,
    /// A field other than the host has a say.
    has_more: bool,
    /// The host, where it is not the one that was known.
    pub(crate) new_host: Option<&'a [u8]>,
    content_length: Option<u64>,
    coding: Coding,
    close: bool,
    keep_alive: bool,
    connection_upgrade: bool,
    upgrade: bool,
    expects_continue: bool,
    unknown_expectation: bool,
}

/// By length, what a name that matters begins with: no two are of one length.
static FIRST_LETTERS: [u8; 18] = {
    let names: [&[u8]; 6] =
        [b"host", b"expect", b"upgrade", b"connection", b"content-length", b"transfer-encoding"];
    let mut letters = [0; 18];
    let mut at = 0;
    while at < names.len() {
        letters[names[at].len()] = names[at][0];
        at += 1;
    }
    letters
};

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
enum Coding {
    #[default]
    None,
    Chunked,
    /// `chunked` comes last, behind something not implemented.
    UnknownThenChunked,
    /// Does not end in `chunked`, so far.
    Unknown,
}

impl<'a, 'h> Framing<'a, 'h> {
    /// Nothing is known yet but a host that was found good before.
    #[inline]
    pub(crate) fn knowing(host: &'h str) -> Self {
        Self { known_host: host.as_bytes(), ..Self::default() }
    }

    /// Takes one field line into account.
    #[inline(always)]
    pub(crate) fn field(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
        // Length and first letter tell the names that matter from nearly all others.
        match FIRST_LETTERS.get(name.len()) {
            Some(letter) if *letter == name[0] | 0x20 => match *name {
                [h, o, s, t] if [h | 0x20, o | 0x20, s | 0x20, t | 0x20] == *b"host" => self.host(value),
                _ => self.known(name, value),
            },
            _ => Ok(()),
        }
    }

    fn known(&mut self, name: &[u8], value: &'a [u8]) -> Result<(), Refusal> {
        self.has_more = true;
        match name.len() {
            6 if is(name, b"expect") => self.expectation(value),
            // A field that names no protocol offers none.
            7 if is(name, b"upgrade") => self.upgrade |= list_members(value).next().is_some(),
            10 if is(name, b"connection") => self.connection(value),
            14 if is(name, b"content-length") => return self.content_length(value),
            17 if is(name, b"transfer-encoding") => return self.transfer_encoding(value),
            _ => {}
        }
        Ok(())
    }

    /// Decides, once all lines were taken into account.
    #[inline]
    pub(crate) fn decide(
        &self,
        method: &Method,
        version: Version,
        max_body_bytes: u64,
    ) -> Result<Facts, Refusal> {
        let http11 = version == Version::HTTP_11;
        if http11 && !self.has_host {
            cold_path();
            return Err(Refusal::MissingHost);
        }
        if !self.has_more {
            let has_host = self.has_host;
            return Ok(Facts { has_host, persistent: http11, ..Facts::default() });
        }
        self.decide_more(method, http11, max_body_bytes)
    }

    #[inline(never)]
    fn decide_more(&self, method: &Method, http11: bool, max_body_bytes: u64) -> Result<Facts, Refusal> {
        let body = match (self.coding, self.content_length) {
            (Coding::None, None | Some(0)) => BodyLength::Empty,
            (Coding::None, Some(length)) if length > max_body_bytes => {
                return Err(Refusal::BodyTooLarge { limit: max_body_bytes });
            }
            (Coding::None, Some(length)) => BodyLength::Known(length),
            (_, Some(_)) => return Err(Refusal::LengthWithTransferEncoding),
            (_, None) if !http11 => return Err(Refusal::TransferEncodingInHttp10),
            (Coding::Chunked, None) => BodyLength::Chunked,
            (Coding::UnknownThenChunked, None) => return Err(Refusal::UnknownTransferCoding),
            (Coding::Unknown, None) => return Err(Refusal::BadTransferEncoding),
        };
        if *method == Method::CONNECT && (body != BodyLength::Empty || self.content_length.is_some()) {
            return Err(Refusal::ConnectWithBody);
        }
        if self.unknown_expectation && http11 {
            return Err(Refusal::UnknownExpectation);
        }
        Ok(Facts {
            has_host: self.has_host,
            body,
            persistent: !self.close && (http11 || self.keep_alive),
            // An expectation in HTTP/1.0 is ignored (RFC 9110 §10.1.1); without a body there is nothing to wait for.
            expects_continue: http11 && self.expects_continue && body != BodyLength::Empty,
            // Who expects 100 is owed it before any 101 (RFC 9110 §7.8), yet without a body there is nothing to continue:
            // such an offer is ignored, as any offer may be.
            offers_upgrade: http11
                && self.upgrade
                && self.connection_upgrade
                && body == BodyLength::Empty
                && !self.expects_continue,
        })
    }

    #[inline]
    fn host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if core::mem::replace(&mut self.has_host, true) {
            cold_path();
            return Err(Refusal::RepeatedHost);
        }
        if value == self.known_host {
            return Ok(());
        }
        self.judge_host(value)
    }

    fn judge_host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        self.new_host = Some(value);
        if value.is_empty() || is_authority(value) { Ok(()) } else { Err(Refusal::BadHost) }
    }

    fn content_length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let length = parse_decimal(value).ok_or(Refusal::BadContentLength)?;
        if self.content_length.replace(length).is_some() {
            return Err(Refusal::RepeatedContentLength);
        }
        Ok(())
    }

    fn transfer_encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        for coding in value.split(|byte| *byte == b',') {
            let coding = trim(coding);
            self.coding = match self.coding {
                // Nothing may follow `chunked`, another `chunked` least of all.
                Coding::Chunked | Coding::UnknownThenChunked => return Err(Refusal::BadTransferEncoding),
                _ if coding.is_empty() => return Err(Refusal::BadTransferEncoding),
                Coding::None if coding.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
                Coding::Unknown if coding.eq_ignore_ascii_case(b"chunked") => Coding::UnknownThenChunked,
                Coding::None | Coding::Unknown => Coding::Unknown,
            };
        }
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) {
        if value == b"keep-alive" {
            // All that nearly every browser says.
            self.keep_alive = true;
            return;
        }
        for option in value.split(|byte| *byte == b',') {
            let option = trim(option);
            match option.len() {
                5 if is(option, b"close") => self.close = true,
                7 if is(option, b"upgrade") => self.connection_upgrade = true,
                10 if is(option, b"keep-alive") => self.keep_alive = true,
                _ => {}
            }
        }
    }

    fn expectation(&mut self, value: &[u8]) {
        for expectation in value.split(|byte| *byte == b',') {
            let expectation = trim(expectation);
            if expectation.eq_ignore_ascii_case(b"100-continue") {
                self.expects_continue = true;
            } else if !expectation.is_empty() {
                self.unknown_expectation = true;
            }
        }
    }
}

/// Whether `text`, in which no control byte stands, is `lower` whatever its case. One bit tells a small letter from a
/// capital, and would make a `-` of nothing but a CR.
#[inline]
fn is<const N: usize>(text: &[u8], lower: &[u8; N]) -> bool {
    <&[u8; N]>::try_from(text).is_ok_and(|text| text.map(|byte| byte | 0x20) == *lower)
}

/// White space around a list's member (RFC 9110 §5.6.3).
fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// Digits and nothing else: no sign, no white space, no list (RFC 9110 §8.6).
pub(crate) fn parse_decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |value, digit| match digit {
        b'0'..=b'9' => value.checked_mul(10)?.checked_add(u64::from(digit - b'0')),
        _ => None,
    })
}

/// `uri-host [ ":" port ]` (RFC 9110 §7.2, RFC 3986 §3.2.2), without user information.
pub(crate) fn is_authority(value: &[u8]) -> bool {
    let (host, port) = if let Some(literal) = value.strip_prefix(b"[") {
        let Some(end) = memchr::memchr(b']', literal) else { return false };
        let (address, rest) = (&literal[..end], &literal[end + 1..]);
        if !is_ip_literal(address) {
            return false;
        }
        match rest {
            [] => return true,
            [b':', port @ ..] => return is_port(port),
            _ => return false,
        }
    } else {
        // Short and nearly always plain: one look at each byte finds the colon, and whatever needs a closer look.
        let plain =
            value.iter().position(|byte| !PLAIN_HOST_BYTES[usize::from(*byte)]).unwrap_or(value.len());
        match value.get(plain) {
            None => return plain > 0,
            Some(b':') => return plain > 0 && is_port(&value[plain + 1..]),
            Some(_) => match memchr::memchr(b':', value) {
                Some(colon) => (&value[..colon], &value[colon + 1..]),
                None => (value, &[][..]),
            },
        }
    };
    !host.is_empty() && is_port(port) && is_reg_name(host)
}

fn is_port(port: &[u8]) -> bool {
    port.len() <= 5
        && port.iter().all(u8::is_ascii_digit)
        && port.iter().fold(0, |number, digit| number * 10 + u32::from(digit - b'0')) <= u32::from(u16::MAX)
}

fn is_ip_literal(address: &[u8]) -> bool {
    if let [b'v' | b'V', rest @ ..] = address {
        let Some(dot) = memchr::memchr(b'.', rest) else { return false };
        let (version, address) = (&rest[..dot], &rest[dot + 1..]);
        return !version.is_empty()
            && version.iter().all(u8::is_ascii_hexdigit)
            && !address.is_empty()
            && address.iter().all(|byte| is_unreserved_or_sub_delim(*byte) || *byte == b':');
    }
    core::str::from_utf8(address).is_ok_and(|text| text.parse::<core::net::Ipv6Addr>().is_ok())
}

fn is_reg_name(host: &[u8]) -> bool {
    let mut bytes = host.iter();
    while let Some(byte) = bytes.next() {
        let valid = match byte {
            b'%' => {
                let encoded = [bytes.next(), bytes.next()];
                encoded.iter().all(|digit| digit.is_some_and(u8::is_ascii_hexdigit))
            }
            byte => PLAIN_HOST_BYTES[usize::from(*byte)],
        };
        if !valid {
            return false;
        }
    }
    true
}

/// The bytes of a host that stand for themselves.
static PLAIN_HOST_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_unreserved_or_sub_delim(byte as u8);
        byte += 1;
    }
    table
};

const fn is_unreserved_or_sub_delim(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'-' | b'.' | b'_' | b'~')
        || matches!(byte, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b';' | b'=')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(version: Version, fields: &[(&str, &str)]) -> Result<Facts, Refusal> {
        let mut framing = Framing::default();
        for (name, value) in fields {
            framing.field(name.as_bytes(), value.as_bytes())?;
        }
        framing.decide(&Method::POST, version, 1000)
    }

    fn body(fields: &[(&str, &str)]) -> Result<BodyLength, Refusal> {
        let mut with_host = vec![("Host", "example.org")];
        with_host.extend_from_slice(fields);
        facts(Version::HTTP_11, &with_host).map(|facts| facts.body)
    }

    #[test]
    fn one_length_or_one_chunked() {
        assert_eq!(body(&[]), Ok(BodyLength::Empty));
        assert_eq!(body(&[("content-length", "0")]), Ok(BodyLength::Empty));
        assert_eq!(body(&[("Content-Length", "12")]), Ok(BodyLength::Known(12)));
        assert_eq!(body(&[("Content-Length", "1001")]), Err(Refusal::BodyTooLarge { limit: 1000 }));
        assert_eq!(body(&[("Transfer-Encoding", "chunked")]), Ok(BodyLength::Chunked));
        assert_eq!(body(&[("Transfer-Encoding", "Chunked")]), Ok(BodyLength::Chunked));
    }

    #[test]
    fn malformed_lengths_are_refused() {
        for bad in ["", "+1", "-1", "1 2", "1,1", "0x10", "1.0", "18446744073709551616", "٣"] {
            assert_eq!(body(&[("Content-Length", bad)]), Err(Refusal::BadContentLength), "{bad:?}");
        }
        assert_eq!(
            body(&[("Content-Length", "1"), ("Content-Length", "1")]),
            Err(Refusal::RepeatedContentLength)
        );
    }

    #[test]
    fn ambiguous_codings_are_refused() {
        for bad in [
            "",
            "chunked,",
            ",chunked",
            "chunked, chunked",
            "chunked, gzip",
            "identity",
            "xchunked",
            "chunked;a",
        ] {
            assert_eq!(body(&[("Transfer-Encoding", bad)]), Err(Refusal::BadTransferEncoding), "{bad:?}");
        }
        assert_eq!(body(&[("Transfer-Encoding", "gzip, chunked")]), Err(Refusal::UnknownTransferCoding));
        let twice = [("Transfer-Encoding", "chunked"), ("Transfer-Encoding", "chunked")];
        assert_eq!(body(&twice), Err(Refusal::BadTransferEncoding));
        let both = [("Transfer-Encoding", "chunked"), ("Content-Length", "0")];
        assert_eq!(body(&both), Err(Refusal::LengthWithTransferEncoding));
        assert_eq!(
            facts(Version::HTTP_10, &[("Transfer-Encoding", "chunked")]).unwrap_err(),
            Refusal::TransferEncodingInHttp10
        );
    }

    #[test]
    fn persistence_follows_version_and_options() {
        let persistent = |version, value: Option<&str>| {
            let mut fields = vec![("Host", "a")];
            fields.extend(value.map(|value| ("Connection", value)));
            facts(version, &fields).unwrap().persistent
        };
        assert!(persistent(Version::HTTP_11, None));
        assert!(!persistent(Version::HTTP_11, Some("close")));
        assert!(!persistent(Version::HTTP_11, Some("keep-alive, Close")));
        assert!(!persistent(Version::HTTP_10, None));
        assert!(persistent(Version::HTTP_10, Some("Keep-Alive")));
    }

    #[test]
    fn authorities() {
        for good in [
            "a",
            "example.org",
            "example.org:80",
            "a:",
            "127.0.0.1:8080",
            "[::1]",
            "[::1]:80",
            "[v1.a:b]",
            "a%20b",
            "xn--a_b",
        ] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            ":80",
            "a b",
            "a/b",
            "a@b",
            "a:b",
            "a:65536",
            "a:80:80",
            "[::1",
            "[::1]x",
            "[]",
            "[1.2.3.4]",
            "a%2",
            "a%zz",
            "a?b",
            "a#b",
            "é",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn expectations() {
        let fields = |value| [("Host", "a"), ("Content-Length", "1"), ("Expect", value)];
        assert!(facts(Version::HTTP_11, &fields("100-Continue")).unwrap().expects_continue);
        assert_eq!(
            facts(Version::HTTP_11, &fields("100-continue, x")).unwrap_err(),
            Refusal::UnknownExpectation
        );
        assert!(!facts(Version::HTTP_10, &fields("100-continue")).unwrap().expects_continue);
        assert!(
            !facts(Version::HTTP_11, &[("Host", "a"), ("Expect", "100-continue")]).unwrap().expects_continue
        );
    }

    /// Each has the length and the first letter of a name that matters.
    const LOOKALIKES: [&str; 6] =
        ["hash", "export", "upwards", "connexions", "content-lingth", "transfer-incoding"];

    #[test]
    fn names_that_only_look_like_framing_say_nothing() {
        let plain = facts(Version::HTTP_11, &[("Host", "a")]).unwrap();
        for name in LOOKALIKES {
            for value in ["close", "chunked", "7", "100-continue", "b/c"] {
                let facts = facts(Version::HTTP_11, &[("Host", "a"), (name, value)]).unwrap();
                assert_eq!(format!("{facts:?}"), format!("{plain:?}"), "{name}: {value}");
            }
            assert_eq!(facts(Version::HTTP_11, &[(name, "a")]).unwrap_err(), Refusal::MissingHost, "{name}");
        }
    }

    #[test]
    fn members_that_only_look_like_options_say_nothing() {
        let of = |fields: &[(&str, &str)]| facts(Version::HTTP_11, fields).unwrap();
        assert!(of(&[("Host", "a"), ("Connection", "cloze")]).persistent);
        let offer = [("Host", "a"), ("Upgrade", "x"), ("Connection", "upgrabe")];
        assert!(!of(&offer).offers_upgrade);
        let offer = [("Host", "a"), ("Upgrade", "x"), ("Connection", "x, Upgrade")];
        assert!(of(&offer).offers_upgrade);
        assert!(!facts(Version::HTTP_10, &[("Connection", "keep-alife")]).unwrap().persistent);
        assert!(!facts(Version::HTTP_10, &[("Connection", "a, keep-alife")]).unwrap().persistent);
        assert_eq!(
            body(&[("Transfer-Encoding", "gzip"), ("Transfer-Encoding", "br")]),
            Err(Refusal::BadTransferEncoding)
        );
        assert_eq!(body(&[("Transfer-Encoding", "gzip, br, chunked")]), Err(Refusal::UnknownTransferCoding));
    }

    #[test]
    fn an_upgrade_that_names_no_protocol_is_no_offer() {
        let offers = |value| {
            let fields = [("Host", "a"), ("Connection", "upgrade"), ("Upgrade", value)];
            facts(Version::HTTP_11, &fields).unwrap().offers_upgrade
        };
        assert!(!offers(""));
        assert!(!offers(" ,\t,"));
        assert!(offers(", x"));
        // Nor is any other field of that length.
        let fields = [("Host", "a"), ("Connection", "upgrade"), ("Unicorn", "x")];
        assert!(!facts(Version::HTTP_11, &fields).unwrap().offers_upgrade);
    }

    #[test]
    fn a_host_is_remembered_as_one() {
        assert!(facts(Version::HTTP_11, &[("Host", "a")]).unwrap().has_host);
        assert!(facts(Version::HTTP_11, &[("Host", "a"), ("Connection", "close")]).unwrap().has_host);
        assert!(!facts(Version::HTTP_10, &[]).unwrap().has_host);
    }

    #[test]
    fn authorities_that_need_a_closer_look() {
        for good in ["a%20b:80", "%41:", "[vF.a]", "[v1.:]", "[v12ab.a-b!c]:1"] {
            assert!(is_authority(good.as_bytes()), "{good}");
        }
        for bad in [
            "a%20b:x",
            "a%20b:80:1",
            "%20 :80",
            ":",
            "[v.a]",
            "[v1.]",
            "[v1]",
            "[vg.a]",
            "[v1.a b]",
            "[v1..@]",
            "[v1.a]:x",
        ] {
            assert!(!is_authority(bad.as_bytes()), "{bad}");
        }
    }
}
