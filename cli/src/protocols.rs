//! Which flags mean something to one protocol only.

use std::collections::BTreeSet;

use crate::args::ProtocolName;

/// Flags, without their dashes, that mean something to HTTP alone. ETX-ack has no heads, bodies, handlers or slow work.
const HTTP: &[&str] = &[
    "lane-threads",
    "lane-queue",
    "max-memory",
    "max-body-bytes",
    "max-request-line-bytes",
    "max-fields",
    "max-header-bytes",
    "max-field-line-bytes",
    "max-chunk-line-bytes",
    "max-chunk-extension-bytes",
    "max-discard-bytes",
    "max-window-bytes",
    "max-requests",
    "first-byte-timeout",
    "body-timeout",
    "min-body-rate",
    "handler-timeout",
    "access-log",
];

/// And to ETX-ack alone.
const ETX: &[&str] = &["etx-delay", "etx-max-message-bytes"];

/// A flag that means nothing to the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "--{flag} is for protocol {means}, and this is protocol {spoken}\n  remedy: leave it out, or choose the other protocol: --protocol {means}",
    means = self.means.name(),
    spoken = self.spoken.name()
)]
pub struct NotThisProtocol {
    flag: &'static str,
    means: ProtocolName,
    spoken: ProtocolName,
}

/// The one protocol that a flag means something to; `None` where it means something to both.
#[must_use]
pub fn protocol_of(flag: &str) -> Option<ProtocolName> {
    if HTTP.contains(&flag) {
        Some(ProtocolName::Http)
    } else if ETX.contains(&flag) {
        Some(ProtocolName::Etx)
    } else {
        None
    }
}

/// Whether a key of that flag is for another protocol, and does not say so: those in `[etx]` do.
#[must_use]
pub fn is_stray(flag: &str, spoken: ProtocolName) -> bool {
    spoken == ProtocolName::Etx && protocol_of(flag) == Some(ProtocolName::Http)
}

/// Whether all flags that were given, without their dashes, mean something to the protocol that is spoken.
///
/// # Errors
/// With the first that does not.
pub fn check(given: &BTreeSet<&'static str>, spoken: ProtocolName) -> Result<(), NotThisProtocol> {
    let stranger = given.iter().find_map(|flag| {
        let means = protocol_of(flag).filter(|means| *means != spoken)?;
        Some(NotThisProtocol { flag, means, spoken })
    });
    stranger.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config_file::schema::KEYS;

    #[test]
    fn flags_of_one_protocol_are_flags() {
        let flags: BTreeSet<_> = KEYS.iter().flat_map(|key| key.flags).copied().collect();
        for flag in HTTP.iter().chain(ETX) {
            assert!(flags.contains(flag), "{flag}");
        }
    }

    #[test]
    fn flag_that_means_nothing_to_the_protocol_is_an_error() {
        let given = BTreeSet::from(["idle-timeout", "max-fields", "threads"]);
        assert_eq!(check(&given, ProtocolName::Http), Ok(()));
        let error = check(&given, ProtocolName::Etx).unwrap_err().to_string();
        assert!(error.starts_with("--max-fields is for protocol http, and this is protocol etx"), "{error}");
        assert!(error.ends_with("--protocol http"), "{error}");
        assert!(check(&BTreeSet::from(["etx-delay"]), ProtocolName::Http).is_err());
    }
}
