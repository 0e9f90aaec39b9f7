//! Path patterns: what they may look like, and where in a path their parameters stand.

/// One segment of a pattern.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Segment {
    /// These very bytes.
    Static(&'static str),
    /// `{name}`: any one segment that is not empty.
    Parameter(&'static str),
    /// `{*name}`: all that is left, which is not empty.
    Tail(&'static str),
}

/// Why a pattern can never be matched, or not be understood.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PatternFault {
    /// Paths begin with `/`.
    #[error("a pattern begins with '/'")]
    NoSlash,
    /// A brace that does not open and close a whole segment.
    #[error("a parameter is a whole segment: {{name}}, or {{*name}} for all that is left")]
    Brace,
    /// `{}` or `{*}`.
    #[error("a parameter has a name")]
    NoName,
    /// Two parameters of one name.
    #[error("two parameters have the same name")]
    TwiceNamed,
    /// Something stands behind `{*name}`.
    #[error("{{*name}} stands last")]
    TailNotLast,
    /// A byte that no path has: a control, a space, `?`, `#`, or one beyond ASCII.
    #[error(
        "a path holds visible ASCII without '?' and '#'; the rest is percent-encoded, as clients send it"
    )]
    Unsendable,
}

/// The first segment of a path or a pattern that is without its first `/`, and what is left behind the next one.
pub(super) fn next_segment(path: &str) -> (&str, Option<&str>) {
    match memchr::memchr(b'/', path.as_bytes()) {
        Some(at) => (&path[..at], Some(&path[at + 1..])),
        None => (path, None),
    }
}

/// The segments of a pattern, judged.
pub(super) fn parse(pattern: &'static str) -> Result<Vec<Segment>, PatternFault> {
    let rest = pattern.strip_prefix('/').ok_or(PatternFault::NoSlash)?;
    if !rest.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'?' && byte != b'#') {
        return Err(PatternFault::Unsendable);
    }
    let segments = rest.split('/').map(segment).collect::<Result<Vec<_>, _>>()?;
    let ends_early = |segment: &Segment| matches!(segment, Segment::Tail(_));
    if segments.iter().rev().skip(1).any(ends_early) {
        return Err(PatternFault::TailNotLast);
    }
    let mut names: Vec<_> = segments.iter().filter_map(|segment| segment.name()).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(PatternFault::TwiceNamed);
    }
    Ok(segments)
}

fn segment(text: &'static str) -> Result<Segment, PatternFault> {
    let inner = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let segment = match inner {
        None => Segment::Static(text),
        Some(inner) => match inner.strip_prefix('*') {
            Some(name) => Segment::Tail(name),
            None => Segment::Parameter(inner),
        },
    };
    let (Segment::Static(text) | Segment::Parameter(text) | Segment::Tail(text)) = segment;
    if text.contains(['{', '}']) {
        return Err(PatternFault::Brace);
    }
    if segment.name() == Some("") {
        return Err(PatternFault::NoName);
    }
    Ok(segment)
}

impl Segment {
    const fn name(&self) -> Option<&'static str> {
        match self {
            Self::Static(_) => None,
            Self::Parameter(name) | Self::Tail(name) => Some(name),
        }
    }
}

/// The part of `path`, as sent, that the parameter `name` of `pattern` stands for. `path` matches `pattern`.
pub(crate) fn parameter<'a>(pattern: &'static str, path: &'a str, name: &str) -> Option<&'a str> {
    let (mut pattern, mut path) = (pattern.strip_prefix('/')?, path.strip_prefix('/')?);
    loop {
        let (expected, pattern_rest) = next_segment(pattern);
        let (found, path_rest) = next_segment(path);
        if let Some(inner) = expected.strip_prefix('{').and_then(|text| text.strip_suffix('}')) {
            let (expected, value) = match inner.strip_prefix('*') {
                Some(tail) => (tail, path),
                None => (inner, found),
            };
            if expected == name {
                return Some(value);
            }
        }
        (pattern, path) = (pattern_rest?, path_rest?);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_is_taken_apart_or_refused_for_a_reason() {
        use Segment::{Parameter, Static, Tail};
        assert_eq!(parse("/").unwrap(), [Static("")]);
        assert_eq!(parse("/a/").unwrap(), [Static("a"), Static("")]);
        assert_eq!(parse("/users/{id}").unwrap(), [Static("users"), Parameter("id")]);
        assert_eq!(parse("/{a}/{*b}").unwrap(), [Parameter("a"), Tail("b")]);
        for (pattern, fault) in [
            ("", PatternFault::NoSlash),
            ("a", PatternFault::NoSlash),
            ("*", PatternFault::NoSlash),
            ("/a{b}", PatternFault::Brace),
            ("/{b}a", PatternFault::Brace),
            ("/{a", PatternFault::Brace),
            ("/a}", PatternFault::Brace),
            ("/{{a}}", PatternFault::Brace),
            ("/{}", PatternFault::NoName),
            ("/{*}", PatternFault::NoName),
            ("/{a}/{a}", PatternFault::TwiceNamed),
            ("/{a}/b/{*a}", PatternFault::TwiceNamed),
            ("/{*a}/b", PatternFault::TailNotLast),
            ("/{*a}/", PatternFault::TailNotLast),
            ("/a b", PatternFault::Unsendable),
            ("/a?b", PatternFault::Unsendable),
            ("/a#b", PatternFault::Unsendable),
            ("/ü", PatternFault::Unsendable),
            ("/{ü}", PatternFault::Unsendable),
        ] {
            assert_eq!(parse(pattern), Err(fault), "{pattern}");
        }
    }

    #[test]
    fn parameter_is_the_segment_where_its_name_stands() {
        assert_eq!(parameter("/users/{id}", "/users/7", "id"), Some("7"));
        assert_eq!(parameter("/users/{id}", "/users/a%2Fb", "id"), Some("a%2Fb"));
        assert_eq!(parameter("/users/{id}", "/users/7", "users"), None);
        assert_eq!(parameter("/{a}/x/{b}/{*rest}", "/1/x/2/3/4/", "a"), Some("1"));
        assert_eq!(parameter("/{a}/x/{b}/{*rest}", "/1/x/2/3/4/", "b"), Some("2"));
        assert_eq!(parameter("/{a}/x/{b}/{*rest}", "/1/x/2/3/4/", "rest"), Some("3/4/"));
        assert_eq!(parameter("/{a}/x/{b}/{*rest}", "/1/x/2/3/4/", "*rest"), None);
    }
}
