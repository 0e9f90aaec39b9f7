//! Whatever two implementations could read differently is refused, not repaired; and which refusal it is does not depend
//! on how the bytes were cut (RFC 9112 §2.2, §3, §5, §6, §7.1, §11.2).

use anabranch_core::CloseReason;
use anabranch_core::app::Failure;
use anabranch_core::http1::{ChunkFault, FieldFault, LineFault, Refusal};

use crate::kit::{Conversation, Held};

/// Holds `input` in every way; fails unless it is refused as `expected`, with its status and message, and closes.
#[track_caller]
fn assert_refused(input: impl AsRef<[u8]>, expected: Refusal) {
    let held = Conversation::new(input.as_ref()).hold();
    assert_is_refused(&held, expected, input.as_ref());
}

#[track_caller]
fn assert_is_refused(held: &Held, expected: Refusal, input: &[u8]) {
    let shown = input.escape_ascii();
    let last = held.requests.last().unwrap_or_else(|| panic!("nothing was refused: {shown}"));
    assert_eq!(last.failure, Some(Failure::Refused(expected)), "{shown}");
    let status = expected.status().as_u16();
    assert_eq!(held.answers.last().unwrap().status, status, "{shown}");
    assert_eq!(held.text(), format!("{expected}\n"), "{shown}");
    assert!(held.text().starts_with(&format!("{status}: ")), "{shown}");
    held.assert_closed(CloseReason::Refused(status));
}

/// Holds a request with these field lines, each ended by CRLF here.
#[track_caller]
fn hold_fields(version: &str, lines: &[&str]) -> Held {
    let mut request = format!("POST /count {version}\r\n");
    for line in lines {
        request += line;
        request += "\r\n";
    }
    Conversation::new(request + "\r\n").without_more().hold()
}

#[track_caller]
fn assert_fields_refused(lines: &[&str], expected: Refusal) {
    let held = hold_fields("HTTP/1.1", lines);
    assert_is_refused(&held, expected, lines.join("|").as_bytes());
}

#[track_caller]
fn assert_taken(input: impl AsRef<[u8]>) -> Held {
    let held = Conversation::new(input.as_ref()).hold();
    assert!(held.answers.iter().all(|answer| answer.status < 400), "{held:?}");
    held
}

// ---- request lines ----

#[test]
fn request_line_has_three_parts_with_one_space_between() {
    for line in [
        "GET /",
        "GET",
        "GET  / HTTP/1.1",
        "GET /  HTTP/1.1",
        "GET / HTTP/1.1 ",
        " GET / HTTP/1.1",
        "GET / a HTTP/1.1",
        " ",
        "GET  HTTP/1.1",
    ] {
        assert_refused(format!("{line}\r\nHost: a\r\n\r\n"), Refusal::BadRequestLine(LineFault::Spaces));
    }
}

#[test]
fn method_is_a_token() {
    for method in ["G(T", "GET/", "\"GET\"", "GÉT", "{}", "GET:", "G@T"] {
        assert_refused(
            format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Refusal::BadRequestLine(LineFault::Method),
        );
    }
    for method in ["get", "M-SEARCH", "!#$%&'*+-.^_`|~", "PROPFIND", "G"] {
        let held = Conversation::new(format!("{method} /who HTTP/1.1\r\nHost: a\r\n\r\n")).hold();
        assert_eq!(held.text(), format!("{method} /who"));
    }
}

#[test]
fn version_is_http_1() {
    for version in [
        "HTTP/1",
        "HTTP/1.",
        "HTTP/1.1.1",
        "http/1.1",
        "HTTP/11",
        "HTTP/1.10",
        "HTTPS/1.1",
        "1.1",
        "HTTP/a.b",
        "HTTP",
    ] {
        assert_refused(
            format!("GET / {version}\r\nHost: a\r\n\r\n"),
            Refusal::BadRequestLine(LineFault::Version),
        );
    }
    for version in ["HTTP/2.0", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9", "HTTP/2.1"] {
        assert_refused(format!("GET / {version}\r\nHost: a\r\n\r\n"), Refusal::UnsupportedVersion);
    }
}

#[test]
fn preface_of_http_2_is_recognised_and_refused() {
    assert_refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00", Refusal::UnsupportedVersion);
    assert_eq!(Refusal::UnsupportedVersion.status(), 505);
}

#[test]
fn tls_hello_is_recognised_by_its_first_byte() {
    assert_refused(b"\x16", Refusal::BadRequestLine(LineFault::Tls));
    assert_refused(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", Refusal::BadRequestLine(LineFault::Tls));
    assert!(Refusal::BadRequestLine(LineFault::Tls).to_string().contains("http://"));
}

#[test]
fn control_bytes_in_a_request_line_are_refused_at_once() {
    for byte in (0..32).chain([127_u8]).filter(|byte| !matches!(byte, b'\r' | b'\n')) {
        let fault = Refusal::BadRequestLine(LineFault::ControlByte);
        assert_refused([b"GE", &[byte][..]].concat(), fault);
        assert_refused([b"GET /", &[byte][..], b" HTTP/1.1\r\nHost: a\r\n\r\n"].concat(), fault);
    }
    assert_refused("\0", Refusal::BadRequestLine(LineFault::ControlByte));
}

#[test]
fn lines_end_in_cr_and_lf_and_neither_stands_alone() {
    for input in ["GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\n", "\n", "\nGET", "GET\n"] {
        assert_refused(input, Refusal::BadRequestLine(LineFault::BareLf));
    }
    for input in
        ["GET / HTTP/1.1\rHost: a\r\n\r\n", "\rG", "GET\r ", "\r\r\n", "GET / HTTP/1.1\r\r\n", "\r\n\rG"]
    {
        assert_refused(input, Refusal::BadRequestLine(LineFault::BareCr));
    }
    let head = "GET / HTTP/1.1\r\n";
    for lines in ["Host: a\n\r\n", "Host: a\n", "\n", "a: b\n\n"] {
        assert_refused(format!("{head}{lines}"), Refusal::BadField { fault: FieldFault::BareLf, line: 1 });
    }
    for lines in ["Host: a\rb: c\r\n\r\n", "a\rb: c\r\n", "\rx: y\r\n", "a: \r b\r\n", "x: y\r\r\n"] {
        let held = Conversation::new(format!("{head}{lines}")).hold();
        assert_eq!(held.statuses(), [400], "{lines:?}");
    }
    assert_refused(
        format!("{head}Host: a\r\nb: c\rd\r\n\r\n"),
        Refusal::BadField { fault: FieldFault::BareCr, line: 2 },
    );
}

#[test]
fn one_empty_line_before_a_request_is_enough() {
    for input in ["\r\n\r\n", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        assert_refused(input, Refusal::BadRequestLine(LineFault::EmptyLines));
    }
    assert_taken("\r\nGET /hello HTTP/1.1\r\nHost: a\r\n\r\n");
}

// ---- targets ----

#[test]
fn target_has_the_form_of_its_method() {
    for (method, target) in [
        ("GET", "*"),
        ("GET", "hello"),
        ("GET", "example.org:80"),
        ("GET", "http:/hello"),
        ("GET", "http://"),
        ("GET", "http:///hello"),
        ("GET", "://a/hello"),
        ("GET", "1http://a/"),
        ("GET", "http://u@a/hello"),
        ("GET", "http://a:x/"),
        ("GET", "http://a:65536/"),
        ("OPTIONS", "**"),
        ("CONNECT", "/"),
        ("CONNECT", "a"),
        ("CONNECT", "a:"),
        ("CONNECT", ":1"),
        ("CONNECT", "http://a:1"),
        ("CONNECT", "a:1/x"),
        ("CONNECT", "a:99999"),
        ("CONNECT", "a:0"),
        ("CONNECT", "a:000"),
        ("CONNECT", "*"),
    ] {
        assert_refused(format!("{method} {target} HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::BadTarget);
    }
    for target in ["/who#x", "/who\"", "/who<", "/who>", "/whoé"] {
        assert_refused(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"), Refusal::BadTarget);
    }
    for (target, path) in [
        ("/who", "/who"),
        ("/who?q=1|2^{3}[4]\\`", "/who?q=1|2^{3}[4]\\`"),
        ("http://example.org/who?x", "http://example.org/who?x"),
        ("HTTPS://[::1]:8080/who", "HTTPS://[::1]:8080/who"),
        ("a+b.c-d://e/who", "a+b.c-d://e/who"),
    ] {
        let held = assert_taken(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(held.text(), format!("GET {path}"));
    }
}

#[test]
fn options_of_the_whole_server_are_answered_by_the_server() {
    let held = Conversation::new("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").hold();
    assert_eq!(held.statuses(), [204]);
    held.assert_lives();
}

// ---- field lines ----

#[test]
fn field_lines_are_names_colons_and_values() {
    for (line, fault) in [
        (" folded: x", FieldFault::Folded),
        ("\tfolded", FieldFault::Folded),
        ("no colon", FieldFault::NoColon),
        ("x", FieldFault::NoColon),
        ("name : value", FieldFault::SpaceBeforeColon),
        ("name\t: value", FieldFault::SpaceBeforeColon),
        (": value", FieldFault::Name),
        ("na me: value", FieldFault::Name),
        ("na(me: value", FieldFault::Name),
        ("n\u{e9}: value", FieldFault::Name),
        ("name: val\0ue", FieldFault::Value),
        ("name: \x7f", FieldFault::Value),
        ("name: a\x0bb", FieldFault::Value),
        ("na\0me: value", FieldFault::Name),
    ] {
        assert_fields_refused(&["Host: a", line], Refusal::BadField { fault, line: 2 });
        assert_fields_refused(&[line, "Host: a"], Refusal::BadField { fault, line: 1 });
    }
    for line in ["x:", "x:y", "x: \t y \t ", "x: \u{e9}", "!#$%&'*+-.^_`|~: x", "x: a\tb"] {
        assert_eq!(hold_fields("HTTP/1.1", &["Host: a", line]).statuses(), [200], "{line}");
    }
    assert_taken(b"GET /hello HTTP/1.1\r\nHost: a\r\nx: \xff\x80\r\n\r\n");
}

#[test]
fn folded_line_is_refused_wherever_it_stands() {
    let refusal = Refusal::BadField { fault: FieldFault::Folded, line: 3 };
    assert_fields_refused(&["Host: a", "x: y", " z"], refusal);
    assert_refused("GET / HTTP/1.1\r\nHost: a\r\nx: y\r\n \r\n\r\n", refusal);
    assert_refused("GET / HTTP/1.1\r\n \r\n\r\n", Refusal::BadField { fault: FieldFault::Folded, line: 1 });
}

#[test]
fn host_is_given_once_and_is_a_host() {
    assert_fields_refused(&["x: y"], Refusal::MissingHost);
    assert_fields_refused(&["Host: a", "host: a"], Refusal::RepeatedHost);
    for host in
        ["a b", "a/b", "a@b", "a:x", "a:65536", "[::1", "é", "a?b", "[1.2.3.4]", "a:80:80", "http://a"]
    {
        assert_fields_refused(&[&format!("Host: {host}")], Refusal::BadHost);
    }
    // A comma is a sub-delimiter that a name may hold (RFC 3986 §3.2.2).
    for host in ["", "a", "a:", "a:80", "a,b", "[::1]", "[::1]:80", "127.0.0.1:8080", "a_b", "xn--x", "a%20b"]
    {
        assert_eq!(hold_fields("HTTP/1.1", &[&format!("Host: {host}")]).statuses(), [200], "{host}");
    }
    assert_eq!(hold_fields("HTTP/1.0", &[]).statuses(), [200]);
    let held = hold_fields("HTTP/1.0", &["Host: a", "Host: a"]);
    assert_is_refused(&held, Refusal::RepeatedHost, b"1.0");
}

#[test]
fn absolute_target_needs_a_host_all_the_same_and_outweighs_it() {
    assert_refused("GET http://b/ HTTP/1.1\r\n\r\n", Refusal::MissingHost);
    assert_taken("GET http://b/hello HTTP/1.1\r\nHost: other\r\n\r\n");
}

// ---- framing ----

#[test]
fn content_length_is_one_decimal_number() {
    for value in
        ["", "+1", "-1", "1 2", "1,1", "1, 1", "0x1", "1.0", "1e3", "a", "18446744073709551616", "١", "1;"]
    {
        assert_fields_refused(&["Host: a", &format!("Content-Length: {value}")], Refusal::BadContentLength);
    }
    for (first, second) in [("1", "1"), ("1", "2"), ("0", "0")] {
        let lines = ["Host: a", &format!("Content-Length: {first}"), &format!("content-length: {second}")];
        assert_fields_refused(&lines, Refusal::RepeatedContentLength);
    }
    for value in ["0", "00", " 0 ", "0000000000000000000000000000000"] {
        let held = hold_fields("HTTP/1.1", &["Host: a", &format!("Content-Length: {value}")]);
        assert_eq!((held.statuses(), held.text()), (vec![200], "0"), "{value}");
    }
    let held = assert_taken("POST /count HTTP/1.1\r\nHost: a\r\nContent-Length: 003\r\n\r\nabc");
    assert_eq!(held.text(), "3");
}

#[test]
fn length_and_coding_do_not_stand_together() {
    for length in ["0", "5"] {
        for lines in [
            ["Host: a", &format!("Content-Length: {length}"), "Transfer-Encoding: chunked"],
            ["Host: a", "Transfer-Encoding: chunked", &format!("Content-Length: {length}")],
            ["Host: a", "Transfer-Encoding: gzip", &format!("Content-Length: {length}")],
        ] {
            assert_fields_refused(&lines, Refusal::LengthWithTransferEncoding);
        }
    }
}

#[test]
fn transfer_coding_is_one_final_chunked() {
    for value in [
        "",
        "chunked, gzip",
        "chunked, chunked",
        "identity",
        "gzip",
        "chunked,",
        ", chunked",
        "chunked;x",
        "\"chunked\"",
        "chunke d",
        "xchunked",
        "chunkedx",
    ] {
        assert_fields_refused(
            &["Host: a", &format!("Transfer-Encoding: {value}")],
            Refusal::BadTransferEncoding,
        );
    }
    let twice = ["Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked"];
    assert_fields_refused(&twice, Refusal::BadTransferEncoding);
    let after = ["Host: a", "Transfer-Encoding: chunked", "Transfer-Encoding: gzip"];
    assert_fields_refused(&after, Refusal::BadTransferEncoding);
    for value in ["gzip, chunked", "identity,chunked", "a, b ,\tchunked"] {
        let refusal = Refusal::UnknownTransferCoding;
        assert_fields_refused(&["Host: a", &format!("Transfer-Encoding: {value}")], refusal);
        assert_eq!(refusal.status(), 501);
    }
    let two_lines = ["Host: a", "Transfer-Encoding: gzip", "Transfer-Encoding: chunked"];
    assert_fields_refused(&two_lines, Refusal::UnknownTransferCoding);
    for value in ["chunked", "Chunked", "CHUNKED", " chunked\t"] {
        let input = format!("POST /count HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n");
        assert_eq!(assert_taken(input).text(), "0");
    }
}

#[test]
fn http_1_0_has_no_transfer_codings() {
    let held = hold_fields("HTTP/1.0", &["Transfer-Encoding: chunked"]);
    assert_is_refused(&held, Refusal::TransferEncodingInHttp10, b"");
}

#[test]
fn connect_has_no_body() {
    for field in ["Content-Length: 1", "Content-Length: 0", "Transfer-Encoding: chunked"] {
        let input = format!("CONNECT tunnel:1 HTTP/1.1\r\nHost: tunnel:1\r\n{field}\r\n\r\n");
        assert_refused(input, Refusal::ConnectWithBody);
    }
}

// ---- chunks ----

#[track_caller]
fn assert_chunks_refused(chunks: &str, expected: Refusal) {
    let head = "POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_refused(format!("{head}{chunks}"), expected);
}

#[test]
fn chunks_are_sizes_lines_and_data() {
    for (chunks, fault) in [
        ("\r\n", ChunkFault::Size),
        ("x\r\n", ChunkFault::Size),
        (" 1\r\nx\r\n", ChunkFault::Size),
        ("+1\r\nx\r\n", ChunkFault::Size),
        ("-1\r\n", ChunkFault::Size),
        ("0x1\r\n", ChunkFault::Size),
        ("1 \r\nx\r\n", ChunkFault::Size),
        ("1 x\r\n", ChunkFault::Size),
        (";x\r\n", ChunkFault::Size),
        ("1g\r\n", ChunkFault::Size),
        ("10000000000000000\r\n", ChunkFault::Overflow),
        ("fffffffffffffffff\r\n", ChunkFault::Overflow),
        ("1;a\x00\r\n", ChunkFault::Extension),
        ("1;a\nx\r\n", ChunkFault::Extension),
        ("1\nx\r\n", ChunkFault::LineEnd),
        ("1\rx\r\n", ChunkFault::LineEnd),
        ("1\r\r\n", ChunkFault::LineEnd),
        ("0\n\n", ChunkFault::LineEnd),
        ("1;a\rx", ChunkFault::LineEnd),
        ("1\r\nxy\r\n", ChunkFault::DataEnd),
        ("1\r\nx\n", ChunkFault::DataEnd),
        ("1\r\nx\r1", ChunkFault::DataEnd),
        ("1\r\nx0\r\n\r\n", ChunkFault::DataEnd),
        ("3\r\nabc0\r\n", ChunkFault::DataEnd),
    ] {
        assert_chunks_refused(chunks, Refusal::BadChunk(fault));
    }
    for (chunks, data) in [
        ("0\r\n\r\n", ""),
        ("000\r\n\r\n", ""),
        ("a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("0000000000000000000000001\r\nx\r\n0\r\n\r\n", "x"),
        ("1;name=value\r\nx\r\n0;last\r\n\r\n", "x"),
        ("1 ;name\r\nx\r\n0\t;\r\n\r\n", "x"),
        ("1;\"quoted; \u{e9}\"\r\nx\r\n0\r\n\r\n", "x"),
    ] {
        let head = "POST /collect HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let held = assert_taken(format!("{head}{chunks}"));
        assert_eq!(held.text(), data);
        held.assert_lives();
    }
}

#[test]
fn trailers_are_as_strict_as_heads_and_frame_nothing() {
    for (lines, fault) in [
        ("a: b\n\r\n", FieldFault::BareLf),
        ("a : b\r\n\r\n", FieldFault::SpaceBeforeColon),
        (" a: b\r\n\r\n", FieldFault::Folded),
        ("ab\r\n\r\n", FieldFault::NoColon),
        ("a: b\x01\r\n\r\n", FieldFault::Value),
        ("a: b\rc\r\n\r\n", FieldFault::BareCr),
        ("\n", FieldFault::BareLf),
    ] {
        assert_chunks_refused(&format!("1\r\nx\r\n0\r\n{lines}"), Refusal::BadField { fault, line: 1 });
    }
    for name in
        ["Content-Length", "transfer-encoding", "Host", "Connection", "Trailer", "TE", "Upgrade", "Expect"]
    {
        let refusal = Refusal::ForbiddenTrailer { line: 2 };
        assert_chunks_refused(&format!("0\r\nx: y\r\n{name}: 1\r\n\r\n"), refusal);
    }
}
