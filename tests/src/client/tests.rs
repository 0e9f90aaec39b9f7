//! What the client lets through, and what it does not: a judge that passes everything proves nothing.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::SystemTime;

use super::{Answer, Asked, Client, Framing};

/// A client to which `answer` was sent, with `{date}` filled in, and then the end.
fn told(answer: &str) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let date = httpdate::fmt_http_date(SystemTime::now());
    let (mut server, _) = listener.accept().unwrap();
    server.write_all(answer.replace("{date}", &date).as_bytes()).unwrap();
    Client::over(stream)
}

fn read(asked: Asked, answer: &str) -> Answer {
    let mut client = told(answer);
    let answer = client.answer_to(asked);
    client.end();
    answer
}

#[test]
fn well_formed_answers_are_read() {
    for (asked, text, framing, body) in [
        (
            Asked::Plain,
            "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\n\r\nhi",
            Framing::Length,
            "hi",
        ),
        (Asked::Plain, "HTTP/1.1 200 \r\nDATE: {date}\r\ncontent-length: 0\r\n\r\n", Framing::Length, ""),
        (Asked::Head, "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n", Framing::None, ""),
        (
            Asked::Plain,
            "HTTP/1.1 304 Not Modified\r\ndate: {date}\r\ncontent-length: 2\r\n\r\n",
            Framing::None,
            "",
        ),
        (Asked::Plain, "HTTP/1.1 204 No Content\r\ndate: {date}\r\n\r\n", Framing::None, ""),
        (
            Asked::Plain,
            "HTTP/1.1 200 OK\r\ndate: {date}\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\n0A\r\n0123456789\r\n0\r\n\r\n",
            Framing::Chunked,
            "hi0123456789",
        ),
        (
            Asked::Http10,
            "HTTP/1.1 200 OK\r\ndate: {date}\r\nconnection: close\r\n\r\nhi",
            Framing::UntilClose,
            "hi",
        ),
    ] {
        let answer = read(asked, text);
        assert_eq!((answer.framing, answer.text()), (framing, body), "{text:?}");
    }
}

#[test]
fn interim_answers_and_trailers_are_kept_apart() {
    let answer = read(
        Asked::Plain,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n\
         date: {date}\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n",
    );
    assert_eq!((answer.interim.as_slice(), answer.text()), (&[100, 103][..], "x"));
    assert_eq!(answer.trailers, [(String::from("x-sum"), String::from("1"))]);
}

#[test]
fn anything_else_fails_the_test() {
    let good = "date: {date}\r\ncontent-length: 2\r\n\r\nhi";
    let chunked = "HTTP/1.1 200 OK\r\ndate: {date}\r\ntransfer-encoding: chunked\r\n\r\n";
    for (asked, answer) in [
        // Status line and fields.
        (Asked::Plain, format!("HTTP/1.0 200 OK\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 20 OK\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 600 OK\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\nx\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\nx : y\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\nx: y \r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\nx: y\rz\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\nx: y\nz: a\r\n{good}")),
        // Date.
        (Asked::Plain, "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nhi".into()),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\ndate: {{date}}\r\n{good}")),
        (
            Asked::Plain,
            format!("HTTP/1.1 200 OK\r\n{}", good.replace("{date}", "Sun, 06 Nov 1994 08:49:37 GMT")),
        ),
        // Framing.
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n{good}")),
        (Asked::Plain, "HTTP/1.1 200 OK\r\ndate: {date}\r\ncontent-length: +2\r\n\r\nhi".into()),
        (Asked::Plain, "HTTP/1.1 200 OK\r\ndate: {date}\r\n\r\nhi".into()),
        (Asked::Plain, format!("HTTP/1.1 204 No Content\r\n{good}")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\n{good} and more")),
        (Asked::Plain, format!("HTTP/1.1 200 OK\r\n{}", good.replace("hi", "h"))),
        (Asked::Head, format!("HTTP/1.1 200 OK\r\n{good}")),
        (
            Asked::Plain,
            format!("HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\nHTTP/1.1 200 OK\r\n{good}"),
        ),
        (Asked::Http10, format!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n{good}")),
        // Chunks.
        (Asked::Http10, format!("{chunked}0\r\n\r\n")),
        (Asked::Plain, format!("{chunked}1\r\nx\r\n")),
        (Asked::Plain, format!("{chunked}1\r\nx\r\n0\r\n")),
        (Asked::Plain, format!("{chunked}1\r\nxy\r\n0\r\n\r\n")),
        (Asked::Plain, format!("{chunked}1\nx\r\n0\r\n\r\n")),
        (Asked::Plain, format!("{chunked}1;a=b\r\nx\r\n0\r\n\r\n")),
        (Asked::Plain, format!("{chunked}+1\r\nx\r\n0\r\n\r\n")),
        (Asked::Plain, format!("{chunked}0\r\nx\r\n\r\n")),
        (Asked::Plain, format!("{chunked}0\r\n\r\n\r\n")),
    ] {
        let result = catch_unwind(AssertUnwindSafe(|| read(asked, &answer)));
        assert!(result.is_err(), "{asked:?} {answer:?}: {result:?}");
    }
}
