//! A request's head, owned: its bytes as they came, and a table of spans into them.

use core::fmt;

use ascii::{AsAsciiStr, AsciiStr};
use bytes::Bytes;
use http::{Method, Version};

use super::framing::{BodyLength, Facts};
use super::limits::{HeadLimits, Limits};

/// A larger allocation for a head's bytes is not kept for the next head.
const KEPT_BYTES: usize = 2048;

/// The same for the host.
const KEPT_HOST_BYTES: usize = 256;

/// Where a field line's name and value stand in the head's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldSpan {
    pub(crate) name: u32,
    pub(crate) value: u32,
    pub(crate) name_len: u16,
    pub(crate) value_len: u16,
}

/// Where text stands in the head's bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TextSpan {
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Keeps its allocation while its head goes from one request to the next.
pub(crate) type FieldTable = Vec<FieldSpan>;

/// The head of a request: request line and field lines, as the peer sent them (RFC 9112 §3, §5).
///
/// It owns its bytes, is [`Send`], and builds no header map. The bytes are a copy, into an allocation that goes from one
/// head to the next: that costs less than to share the driver's buffer, and holds none of it.
#[derive(Clone)]
pub struct RequestHead {
    /// Empty, unless all else was read from them.
    pub(crate) bytes: Vec<u8>,
    /// What they were held to.
    held_to: HeadLimits,
    pub(crate) method: Method,
    pub(crate) version: Version,
    pub(crate) target: TextSpan,
    /// Where the target's first `?` stands in it.
    pub(crate) query: Option<u32>,
    /// The last `Host` that was found good, this head's where it has one: as a rule all requests of a thread name the same,
    /// which is judged once.
    pub(crate) known_host: String,
    pub(crate) facts: Facts,
    pub(crate) fields: FieldTable,
}

impl RequestHead {
    /// A head that nothing was read into.
    pub(crate) fn vacant() -> Self {
        Self {
            bytes: Vec::new(),
            held_to: HeadLimits::default(),
            method: Method::GET,
            version: Version::HTTP_11,
            target: TextSpan::default(),
            query: None,
            known_host: String::new(),
            facts: Facts::default(),
            fields: FieldTable::with_capacity(16),
        }
    }

    /// One more [vacant](Self::vacant) head, as the first request of a thread needs it: the next ones take one over.
    #[cold]
    pub(crate) fn boxed() -> Box<Self> {
        Box::new(Self::vacant())
    }

    /// Lets go of everything but allocations of a usual size, for the next head to be read into.
    #[inline]
    pub(crate) fn vacate(&mut self) {
        if self.bytes.capacity() > KEPT_BYTES || self.known_host.capacity() > KEPT_HOST_BYTES {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        self.bytes = Vec::new();
        self.known_host = String::new();
    }

    /// Whether `input` begins with what was read into this head before, and is held to the same: then it has been read.
    #[inline]
    pub(crate) fn comes_again(&self, input: &[u8], limits: &Limits) -> bool {
        !self.bytes.is_empty() && input.starts_with(&self.bytes) && self.held_to == limits.of_heads()
    }

    /// Forgets what was read, before anything else is.
    #[inline]
    pub(crate) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// Takes a copy of the bytes that were read into this head, and were held to these limits.
    #[inline]
    pub(crate) fn keep_bytes(&mut self, bytes: &[u8], limits: &Limits) {
        self.forget();
        self.bytes.reserve_exact(bytes.len());
        self.bytes.extend_from_slice(bytes);
        self.held_to = limits.of_heads();
    }

    /// Remembers a host that was found good, which makes it ASCII.
    pub(crate) fn keep_host(&mut self, host: &[u8]) {
        self.known_host.clear();
        self.known_host.push_str(text(host));
    }

    /// What is allocated for the head's bytes.
    pub(crate) const fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// HTTP/1.1 or HTTP/1.0. A higher minor version is served as 1.1 (RFC 9110 §2.5).
    #[must_use]
    pub const fn version(&self) -> Version {
        self.version
    }

    /// The request target as sent: visible ASCII.
    #[must_use]
    pub fn target(&self) -> &str {
        text(&self.bytes[self.target.start as usize..self.target.end as usize])
    }

    /// The target's path, without authority and query; `*` and an authority-form are given as they are.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &str {
        let start = self.target.start;
        let end = self.query.map_or(self.target.end, |query| start + query);
        let target = text(&self.bytes[start as usize..end as usize]);
        match split_scheme(target) {
            // An empty path means `/` (RFC 9110 §4.2.3).
            Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
            None => target,
        }
    }

    /// What follows the target's `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        Some(&self.target()[self.query? as usize + 1..])
    }

    /// The authority the request is for: the target's where it has one, else the `Host` field's (RFC 9112 §3.2.2).
    #[must_use]
    pub fn authority(&self) -> Option<&str> {
        let target = self.target();
        if self.method == Method::CONNECT {
            return Some(target);
        }
        if let Some((_, rest)) = split_scheme(target) {
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            return Some(&rest[..end]);
        }
        self.facts.has_host.then_some(&self.known_host)
    }

    /// The field lines in order: names as sent, values without surrounding white space.
    #[must_use]
    pub fn fields(&self) -> FieldLines<'_> {
        FieldLines { bytes: &self.bytes, table: self.fields.iter() }
    }

    /// The first value of this name, whatever its case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Every value of this name, in order.
    pub fn field_values<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.fields().filter(move |(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// The body that was declared.
    #[must_use]
    pub const fn body_length(&self) -> BodyLength {
        self.facts.body
    }

    /// Whether the peer waits for `100 Continue` before it sends the body (RFC 9110 §10.1.1). Never in HTTP/1.0.
    #[must_use]
    pub const fn expects_continue(&self) -> bool {
        self.facts.expects_continue
    }

    /// Whether the peer asks for another protocol on this connection (RFC 9110 §7.8) and could be given it: HTTP/1.1,
    /// `Upgrade` named in `Connection`, no body, no `100-continue` expected.
    #[must_use]
    pub const fn offers_upgrade(&self) -> bool {
        self.facts.offers_upgrade
    }

    /// Whether `protocol` is among those the peer offers to [switch](Self::offers_upgrade) to, whatever its case.
    #[must_use]
    pub fn offers_protocol(&self, protocol: impl AsRef<[u8]>) -> bool {
        let protocol = protocol.as_ref();
        self.offers_upgrade()
            && self
                .field_values("upgrade")
                .any(|value| list_members(value).any(|offered| offered.eq_ignore_ascii_case(protocol)))
    }

    /// Whether the peer wants the connection kept open after the answer (RFC 9112 §9.3).
    #[must_use]
    pub const fn wants_persistence(&self) -> bool {
        self.facts.persistent
    }

    /// Bytes of the head, as sent.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Never: a head has a request line at least.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

/// Bytes that were found to be ASCII before.
#[inline]
fn text(bytes: &[u8]) -> &str {
    bytes.as_ascii_str().map_or("", AsciiStr::as_str)
}

/// A list's members, without those that are empty (RFC 9110 §5.6.1.2).
pub(crate) fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

/// `scheme` and what follows its `://`, where the target has that form.
#[inline]
fn split_scheme(target: &str) -> Option<(&str, &str)> {
    if target.starts_with('/') { None } else { target.split_once("://") }
}

impl fmt::Debug for RequestHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestHead")
            .field("method", &self.method)
            .field("target", &self.target())
            .field("version", &self.version)
            .field("body", &self.facts.body)
            .field("fields", &self.fields())
            .finish()
    }
}

/// The trailer fields of a chunked body (RFC 9112 §7.1.2), kept apart from the head's fields.
#[derive(Clone, Default)]
pub struct Trailers {
    pub(crate) bytes: Bytes,
    pub(crate) fields: FieldTable,
}

impl Trailers {
    /// The field lines in order: names as sent, values without surrounding white space.
    #[must_use]
    pub fn fields(&self) -> FieldLines<'_> {
        FieldLines { bytes: &self.bytes, table: self.fields.iter() }
    }

    /// The first value of this name, whatever its case.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&[u8]> {
        self.fields().find(|(other, _)| other.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }
}

impl fmt::Debug for Trailers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields().fmt(f)
    }
}

/// Iterates over field lines: name and value.
#[derive(Clone)]
pub struct FieldLines<'a> {
    bytes: &'a [u8],
    table: core::slice::Iter<'a, FieldSpan>,
}

impl<'a> Iterator for FieldLines<'a> {
    type Item = (&'a str, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let span = self.table.next()?;
        let (name, value) = (span.name as usize, span.value as usize);
        // Names were checked to be tokens, which are ASCII, when the section was parsed.
        let name = text(&self.bytes[name..name + usize::from(span.name_len)]);
        Some((name, &self.bytes[value..value + usize::from(span.value_len)]))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        self.table.size_hint()
    }
}

impl ExactSizeIterator for FieldLines<'_> {}

impl fmt::Debug for FieldLines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map()
            .entries(self.clone().map(|(name, value)| (name, String::from_utf8_lossy(value))))
            .finish()
    }
}
