//! What a command got wrong: the caller's fault, typed. Nothing was written when one of these comes back.

/// A command that does not fit the exchange it names. The connection is as it was before the call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Misuse {
    /// The exchange named is not the one in progress: it has ended, or its connection has.
    #[error("the exchange is over")]
    StaleExchange,
    /// The answer's head is out already.
    #[error("the answer has begun already")]
    AlreadyBegun,
    /// Body data or an end came before the answer's head.
    #[error("the answer has not begun")]
    NotBegun,
    /// More body bytes than the length that was announced.
    #[error("the body is longer than was announced")]
    TooLong,
    /// The end came before all the bytes that were announced.
    #[error("the body is shorter than was announced")]
    TooShort,
    /// A status that is no final one (1xx) where a final one is needed, or the other way round.
    #[error("the status does not fit: final answers are 200 to 999, interim ones 102 to 199")]
    Status,
    /// `Transfer-Encoding`, `Keep-Alive` or a `Connection` other than `close` among the fields: these are not the
    /// application's. In an interim answer and in a switch, whatever frames, and in the former `Upgrade`, too.
    #[error("a field that frames the message or governs the connection is not the application's to send")]
    FramingField,
    /// A `Content-Length` among the fields that is not the body's.
    #[error("a content-length that contradicts the body")]
    ContradictingLength,
    /// A switch of protocols that the peer did not offer, or to none that `Upgrade` names (RFC 9110 §7.8).
    #[error("the peer did not offer to switch protocols")]
    NotOffered,
    /// An interim answer to an HTTP/1.0 peer, which would take it for the final one (RFC 9110 §15.2).
    #[error("the peer speaks HTTP/1.0 and takes no interim answer")]
    InterimToHttp10,
}
