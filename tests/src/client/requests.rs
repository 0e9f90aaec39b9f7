//! Requests as clients send them.

/// `GET target`, as a client sends it.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: demo\r\n\r\n")
}

/// `HEAD target`.
pub(crate) fn head(target: &str) -> String {
    format!("HEAD {target} HTTP/1.1\r\nHost: demo\r\n\r\n")
}

/// `POST target` with a body of this length, which is still to be sent.
pub(crate) fn post_head(target: &str, length: usize) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: demo\r\nContent-Length: {length}\r\n\r\n")
}

/// `POST target` with this body.
pub(crate) fn post(target: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = post_head(target, body.as_ref().len()).into_bytes();
    bytes.extend_from_slice(body.as_ref());
    bytes
}

/// `POST target` with a chunked body, which is still to be sent.
pub(crate) fn chunked_head(target: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\n\r\n")
}

/// `POST target` with a body in these chunks.
pub(crate) fn post_chunks(target: &str, chunks: &[&[u8]]) -> Vec<u8> {
    let mut bytes = chunked_head(target).into_bytes();
    for chunk in chunks {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}
