//! The field lines of an answer, owned: names and values that cannot carry a line end.

use core::fmt;

use http::{HeaderName, HeaderValue};

/// Field lines in the order they are to be sent (RFC 9110 §5).
///
/// The first line is kept in place, so that the common answer with a `Content-Type` and nothing else allocates nothing.
/// Names and values are `http`'s: neither can hold CR, LF or NUL, so no head built from them can be split.
#[derive(Clone, Default)]
pub struct Fields {
    first: Option<(HeaderName, HeaderValue)>,
    #[expect(clippy::box_collection, reason = "one word in the common case; an answer is moved by value")]
    more: Option<Box<Vec<(HeaderName, HeaderValue)>>>,
}

impl Fields {
    /// No lines.
    #[must_use]
    pub const fn new() -> Self {
        Self { first: None, more: None }
    }

    /// One line.
    #[must_use]
    #[inline]
    pub const fn of_one(name: HeaderName, value: HeaderValue) -> Self {
        Self { first: Some((name, value)), more: None }
    }

    /// Appends a line; lines of the same name stay in order.
    #[inline]
    pub fn append(&mut self, name: HeaderName, value: HeaderValue) {
        if self.first.is_none() && self.more.is_none() {
            self.first = Some((name, value));
        } else {
            self.more.get_or_insert_default().push((name, value));
        }
    }

    /// Replaces every line of this name by one.
    pub fn set(&mut self, name: HeaderName, value: HeaderValue) {
        self.remove(&name);
        self.append(name, value);
    }

    /// Takes every line of this name out.
    pub fn remove(&mut self, name: &HeaderName) {
        if self.first.as_ref().is_some_and(|(first, _)| first == name) {
            self.first = None;
        }
        if let Some(more) = &mut self.more {
            more.retain(|(other, _)| other != name);
            if self.first.is_none() && !more.is_empty() {
                self.first = Some(more.remove(0));
            }
            if more.is_empty() {
                self.more = None;
            }
        }
    }

    /// The first value of this name.
    #[must_use]
    pub fn get(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.iter().find(|(other, _)| other == name).map(|(_, value)| value)
    }

    /// Whether there is a line of this name.
    #[must_use]
    pub fn contains(&self, name: &HeaderName) -> bool {
        self.get(name).is_some()
    }

    /// All lines, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = (&HeaderName, &HeaderValue)> {
        self.first.iter().chain(self.more_lines()).map(|(name, value)| (name, value))
    }

    /// Whether a line is so. Written out where nearly every answer has one line: an iterator over both parts costs more
    /// than what is done with it.
    #[inline]
    pub(crate) fn any_line(&self, is_so: impl Fn(&HeaderName, &HeaderValue) -> bool) -> bool {
        self.first.as_ref().is_some_and(|(name, value)| is_so(name, value))
            || self.more.as_ref().is_some_and(|more| more.iter().any(|(name, value)| is_so(name, value)))
    }

    /// The first line.
    #[inline]
    pub(crate) const fn first_line(&self) -> Option<&(HeaderName, HeaderValue)> {
        self.first.as_ref()
    }

    /// All lines but the first.
    #[inline]
    pub(crate) fn more_lines(&self) -> &[(HeaderName, HeaderValue)] {
        self.more.as_deref().map_or(&[], Vec::as_slice)
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.first.is_some()) + self.more.as_deref().map_or(0, Vec::len)
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.first.is_none()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Extend<(HeaderName, HeaderValue)> for Fields {
    fn extend<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(&mut self, lines: I) {
        for (name, value) in lines {
            self.append(name, value);
        }
    }
}

impl FromIterator<(HeaderName, HeaderValue)> for Fields {
    fn from_iter<I: IntoIterator<Item = (HeaderName, HeaderValue)>>(lines: I) -> Self {
        let mut fields = Self::new();
        fields.extend(lines);
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::header::{ALLOW, CONTENT_TYPE, ETAG};

    fn value(text: &'static str) -> HeaderValue {
        HeaderValue::from_static(text)
    }

    #[test]
    fn order_is_kept_through_removal() {
        let mut fields: Fields =
            [(CONTENT_TYPE, value("a")), (ETAG, value("b")), (ALLOW, value("c")), (ETAG, value("d"))]
                .into_iter()
                .collect();
        assert_eq!(fields.len(), 4);
        fields.remove(&CONTENT_TYPE);
        let names: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
        assert_eq!(names, [("etag", &b"b"[..]), ("allow", b"c"), ("etag", b"d")]);
        fields.set(ETAG, value("e"));
        assert_eq!(fields.get(&ETAG), Some(&value("e")));
        assert_eq!(fields.len(), 2);
        fields.remove(&ALLOW);
        fields.remove(&ETAG);
        assert!(fields.is_empty());
        assert_eq!(fields.len(), 0);
    }
}
