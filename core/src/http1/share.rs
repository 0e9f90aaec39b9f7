//! A head's bytes in one allocation, shared by whoever keeps a part of them.

use bytes::Bytes;

use super::head::RequestHead;

/// A head whose target and values can be kept one by one: see [`RequestHead::share`].
#[derive(Clone, Debug)]
pub struct SharedHead<'a> {
    head: &'a RequestHead,
    bytes: Bytes,
}

impl RequestHead {
    /// Copies the head's bytes once, for those who keep its target and its values as [`Bytes`]: an adapter that makes an
    /// `http::Request` of it. Whoever keeps one of them keeps a head's bytes allocated, and nothing of the driver's.
    ///
    /// ```
    /// use anabranch_core::app::{Request, service_fn};
    /// use anabranch_core::testing::oneshot;
    /// use http::HeaderValue;
    ///
    /// let service = service_fn(|request: &mut Request, _| {
    ///     let shared = request.share();
    ///     let values = shared.fields().map(|(_, value)| HeaderValue::from_maybe_shared(value));
    ///     format!("{:?} {:?}", shared.target(), values.flatten().collect::<Vec<_>>())
    /// });
    /// let answer = oneshot(service, "GET /a HTTP/1.1\r\nHost: b\r\nX-Empty:\r\n\r\n");
    /// assert!(answer.ends_with(br#"b"/a" ["b", ""]"#));
    /// ```
    #[must_use]
    pub fn share(&self) -> SharedHead<'_> {
        SharedHead { head: self, bytes: Bytes::copy_from_slice(&self.bytes) }
    }
}

impl SharedHead<'_> {
    /// The request target as sent.
    #[must_use]
    pub fn target(&self) -> Bytes {
        self.bytes.slice(self.head.target.start as usize..self.head.target.end as usize)
    }

    /// The field lines in order: names as sent, values without surrounding white space.
    pub fn fields(&self) -> impl ExactSizeIterator<Item = (&str, Bytes)> {
        self.head.fields().zip(&self.head.fields).map(|((name, _), span)| {
            let value = span.value as usize;
            (name, self.bytes.slice(value..value + usize::from(span.value_len)))
        })
    }
}
