//! Field lines, as an application sees them: told back by `/headers`.

use super::model::Model;
use crate::client::{get, text};

pub(super) fn fields_come_back_in_order_in_lower_case_and_trimmed(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(
        "GET /headers HTTP/1.1\r\nhOST:demo\r\nX-One:  a b  \r\nx-two:\r\nX-ONE:\t\tsecond\t \r\n\
         Accept: a,\tb\r\nX!#$%&'*+-.^_`|~9: odd\r\nx-one: third: with colon\r\n\r\n",
    );
    let answer = client.answer().is(
        200,
        "host: demo\nx-one: a b\nx-two: \nx-one: second\naccept: a,\tb\nx!#$%&'*+-.^_`|~9: odd\n\
         x-one: third: with colon\n",
    );
    assert_eq!(answer.field("content-type"), Some("text/plain"));
    client.get("/headers").is(200, "host: demo\n");
}

pub(super) fn body_is_read_before_its_fields_come_back(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send("POST /headers HTTP/1.1\r\nHost: demo\r\nContent-Length: 6\r\n\r\nabc");
    client.hears_nothing_for(std::time::Duration::from_millis(100));
    client.send("def");
    client.answer().is(200, "host: demo\ncontent-length: 6\n");
    // A GET may have a body too; it is read like any other.
    client.send("GET /headers HTTP/1.1\r\nHost: demo\r\nContent-Length: 3\r\n\r\nabc");
    client.send(get("/plaintext"));
    client.answer().is(200, "host: demo\ncontent-length: 3\n");
    client.answer().is(200, "Hello, World!");
}

pub(super) fn trailer_fields_do_not_appear(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(
        "POST /headers HTTP/1.1\r\nHost: demo\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n\
         3\r\nabc\r\n0\r\nX-Sum: 1\r\nX-Other: 2\r\n\r\n",
    );
    client.answer().is(200, "host: demo\ntransfer-encoding: chunked\ntrailer: x-sum\n");
    client.get("/headers").is(200, "host: demo\n");
}

pub(super) fn bytes_beyond_ascii_pass_in_values(model: &Model) {
    let server = model.serve();
    let mut client = server.connect();
    client.send(b"GET /headers HTTP/1.1\r\nHost: demo\r\nX-Name: \xe9\x80\xff\r\n\r\n");
    let answer = client.answer().has_status(200);
    assert_eq!(answer.body, b"host: demo\nx-name: \xe9\x80\xff\n", "{}", text(&answer.body));
}
