//! A request's head, owned and zero-copy: one `Bytes` and a table of spans into it.

use core::fmt;

use bytes::Bytes;
use http::{Method, Version};

use super::framing::{BodyLength, Facts};

/// The allocation of a longer target or host is not kept for the next head.
const KEPT_TEXT_BYTES: usize = 256;

/// Where a field line's name and value stand in the head's bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FieldSpan {
    pub(crate) name: u32,
    pub(crate) value: u32,
    pub(crate) name_len: u16,
    pub(crate) value_len: u16,
}

/// Keeps its allocation while its head goes from one request to the next.
pub(crate) type FieldTable = Vec<FieldSpan>;

/// The head of a request: request line and field lines, as the peer sent them (RFC 9112 §3, §5).
///
/// It owns its bytes, is [`Send`], and builds no header map. It was read in place from the driver's buffer, which stays
/// allocated while the head lives: call [`detach`](Self::detach) before keeping one beyond its request.
#[derive(Clone)]
pub struct RequestHead {
    pub(crate) bytes: Bytes,
    pub(crate) method: Method,
    pub(crate) version: Version,
    /// Copied out of the bytes: asked for by every application, and text only once.
    pub(crate) target: String,
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
            bytes: Bytes::new(),
            method: Method::GET,
            version: Version::HTTP_11,
            target: String::new(),
            query: None,
            known_host: String::new(),
            facts: Facts::default(),
            fields: FieldTable::with_capacity(16),
        }
    }

    /// Lets go of everything but the allocation, so that the next head can be read into it.
    pub(crate) fn vacate(&mut self) {
        self.bytes = Bytes::new();
        self.fields.clear();
        for text in [&mut self.target, &mut self.known_host] {
            if text.capacity() > KEPT_TEXT_BYTES {
                *text = String::new();
            }
        }
    }

    /// Moves the bytes into an allocation of their own size, so that no buffer of a driver is held by them.
    pub fn detach(&mut self) {
        self.bytes = Bytes::copy_from_slice(&self.bytes);
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
        &self.target
    }

    /// The target's path, without authority and query; `*` and an authority-form are given as they are.
    #[must_use]
    #[inline]
    pub fn path(&self) -> &str {
        let target = self.query.map_or(&self.target[..], |query| &self.target[..query as usize]);
        match split_scheme(target) {
            // An empty path means `/` (RFC 9110 §4.2.3).
            Some((_, rest)) => rest.find('/').map_or("/", |start| &rest[start..]),
            None => target,
        }
    }

    /// What follows the target's `?`, if there is one.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        Some(&self.target[self.query? as usize + 1..])
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
        let name =
            core::str::from_utf8(&self.bytes[name..name + usize::from(span.name_len)]).unwrap_or_default();
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
