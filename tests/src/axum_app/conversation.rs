//! What the application is asked, and what it answers, whatever carries it. Line ends stand for CRLF.

/// Requests on one connection, and what comes back: byte for byte, but for `Date` and `Server`. The last ends it.
pub const CONVERSATION: &[(&str, &str)] = &[
    (
        "GET / HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 6\n\nhello\n",
    ),
    (
        "HEAD / HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 6\n\n",
    ),
    (
        "GET /hello/w%C3%B6rld?b=2&a=1&b HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 49\n\n\
         hello wörld [(\"b\", \"2\"), (\"a\", \"1\"), (\"b\", \"\")]\n",
    ),
    ("DELETE /hello/me HTTP/1.1\nHost: a\n\n", "HTTP/1.1 204 No Content\n\n"),
    (
        "POST /hello/me HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 405 Method Not Allowed\nallow: GET,HEAD,DELETE\ncontent-length: 0\n\n",
    ),
    (
        "OPTIONS /hello/me HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 405 Method Not Allowed\nallow: GET,HEAD,DELETE\ncontent-length: 0\n\n",
    ),
    ("GET /nowhere HTTP/1.1\nHost: a\n\n", "HTTP/1.1 404 Not Found\ncontent-length: 0\n\n"),
    (
        "POST /sum HTTP/1.1\nHost: a\nContent-Type: application/json\nContent-Length: 7\n\n[1,2,3]",
        "HTTP/1.1 200 OK\ncontent-type: application/json\ncontent-length: 9\n\n{\"sum\":6}",
    ),
    (
        "POST /sum HTTP/1.1\nHost: a\nContent-Type: application/json\nContent-Length: 7\n\n[1,2,x]",
        "HTTP/1.1 400 Bad Request\ncontent-type: text/plain; charset=utf-8\ncontent-length: 80\n\n\
         Failed to parse the request body as JSON: [2]: expected value at line 1 column 6",
    ),
    (
        "POST /sum HTTP/1.1\nHost: a\nContent-Length: 7\n\n[1,2,3]",
        "HTTP/1.1 415 Unsupported Media Type\ncontent-type: text/plain; charset=utf-8\ncontent-length: 54\n\n\
         Expected request with `Content-Type: application/json`",
    ),
    (
        "POST /upper HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n3\nabc\n2\nde\n0\n\n",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 5\n\nABCDE",
    ),
    (
        "POST /count HTTP/1.1\nHost: a\nContent-Length: 10\n\n0123456789",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 9\n\n10 bytes\n",
    ),
    (
        "POST /echo HTTP/1.1\nHost: a\nContent-Length: 10\n\n0123456789",
        "HTTP/1.1 200 OK\ncontent-length: 10\n\n0123456789",
    ),
    (
        "POST / HTTP/1.1\nHost: a\nContent-Length: 10\n\n0123456789",
        "HTTP/1.1 405 Method Not Allowed\nallow: GET,HEAD\ncontent-length: 0\n\n",
    ),
    (
        "GET /parts HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n7\npart 0\n\n7\npart 1\n\n7\npart 2\n\n0\n\n",
    ),
    ("HEAD /parts HTTP/1.1\nHost: a\n\n", "HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n"),
    (
        "GET /cookies HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 200 OK\nset-cookie: a=1\nset-cookie: b=2\ncontent-length: 0\n\n",
    ),
    ("GET /not-modified HTTP/1.1\nHost: a\n\n", "HTTP/1.1 304 Not Modified\netag: \"one\"\n\n"),
    (
        "GET /refuse HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 409 Conflict\ncontent-type: text/plain; charset=utf-8\ncontent-length: 10\n\n\
         not twice\n",
    ),
    (
        "GET /late HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 5\n\nlate\n",
    ),
    (
        "GET /fields HTTP/1.1\nHost: a\nX-B: 1\nx-a: 2\nX-b: 3\n\n",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 27\n\n\
         x-b: \"1\"\nx-b: \"3\"\nx-a: \"2\"\n",
    ),
    (
        "GET /upgrade HTTP/1.1\nHost: a\n\n",
        "HTTP/1.1 426 Upgrade Required\ncontent-type: application/octet-stream\nupgrade: echo\n\
         content-length: 9\nconnection: upgrade\n\n\
         to what?\n",
    ),
    (
        "GET /late HTTP/1.1\nHost: a\nConnection: close\n\n",
        "HTTP/1.1 200 OK\ncontent-type: text/plain; charset=utf-8\ncontent-length: 5\nconnection: close\n\n\
         late\n",
    ),
];

/// As it is sent.
pub fn on_the_wire(request: &str) -> String {
    request.replace('\n', "\r\n")
}

/// What was received without `Date` and `Server`, and with line ends as they are written here.
///
/// # Panics
/// When it is no text.
pub fn masked(received: &[u8]) -> String {
    let text = str::from_utf8(received).unwrap().replace("\r\n", "\n");
    let own = |line: &&str| line.starts_with("date: ") || line.starts_with("server: ");
    text.split_inclusive('\n').filter(|line| !own(line)).collect()
}
