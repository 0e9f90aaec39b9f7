//! A real client: curl. Where there is none, its cases say so and pass.

use std::io::Write;
use std::process::{Command, Stdio};
use std::thread;

use super::model::Model;
use super::routes::is_alphabets;
use super::server::Server;

/// What curl said: on standard output, and with `-v` on standard error.
struct Said {
    output: Vec<u8>,
    log: String,
}

impl Said {
    fn text(&self) -> &str {
        std::str::from_utf8(&self.output).unwrap()
    }
}

/// Runs curl with these arguments, `{}` being the server, and this input. `None` where there is no curl.
fn curl(server: &Server, arguments: &[&str], input: &[u8]) -> Option<Said> {
    let base = format!("http://{}", server.address());
    let child = Command::new("curl")
        .args(["--silent", "--show-error", "--verbose", "--max-time", "20", "--noproxy", "*"])
        .args(arguments.iter().map(|argument| argument.replace("{}", &base)))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIPPED: no curl to test with: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    let output = thread::scope(|scope| {
        // It may not want its input.
        scope.spawn(move || stdin.write_all(input).is_ok());
        child.wait_with_output().unwrap()
    });
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{:?}: {log}", output.status);
    Some(Said { output: output.stdout, log })
}

pub(super) fn curl_speaks_http_1_0(model: &Model) {
    let server = model.serve();
    for (path, body) in [("/plaintext", "Hello, World!"), ("/chunked", "part 0\npart 1\npart 2\n")] {
        let Some(said) = curl(&server, &["--http1.0", &format!("{{}}{path}")], b"") else { return };
        assert_eq!(said.text(), body);
    }
    let Some(said) = curl(&server, &["--http1.0", "--data", "hello", "{}/echo"], b"") else { return };
    assert_eq!(said.text(), "hello");
}

pub(super) fn curl_keeps_its_connection(model: &Model) {
    let server = model.serve();
    let arguments =
        ["--write-out", " %{num_connects}\n", "{}/json", "{}/plaintext", "{}/echo", "--data", "x"];
    let Some(said) = curl(&server, &arguments[..4], b"") else { return };
    assert_eq!(said.text(), "{\"message\":\"Hello, World!\"} 1\nHello, World! 0\n");
    let Some(said) = curl(&server, &[&arguments[..2], &arguments[4..], &arguments[4..5]].concat(), b"")
    else {
        return;
    };
    assert_eq!(said.text(), "x 1\nx 0\n");
}

pub(super) fn curl_sees_no_body_of_head(model: &Model) {
    let server = model.serve();
    let Some(said) = curl(&server, &["--head", "{}/large?bytes=1000", "{}/chunked", "{}/plaintext"], b"")
    else {
        return;
    };
    let heads = said.text().to_ascii_lowercase();
    assert_eq!(heads.matches("http/1.1 200 ok\r\n").count(), 3, "{heads}");
    assert!(heads.contains("content-length: 1000\r\n") && heads.contains("transfer-encoding: chunked\r\n"));
    assert!(said.log.contains("Re-using existing connection"), "{}", said.log);
}

pub(super) fn curl_uploads_ten_mebibytes_once_told_to_continue(model: &Model) {
    let server = model.serve();
    let body = vec![b'x'; 10 << 20];
    let expecting = ["--header", "Expect: 100-continue", "--expect100-timeout", "15"];
    let by_length = [&expecting[..], &["--data-binary", "@-", "{}/discard"]].concat();
    let Some(said) = curl(&server, &by_length, &body) else { return };
    assert_eq!(said.text(), "10485760");
    assert!(said.log.contains("< HTTP/1.1 100 Continue"), "{}", said.log);

    let in_chunks = [&expecting[..], &["--request", "POST", "--upload-file", "-", "{}/echo"]].concat();
    let Some(said) = curl(&server, &in_chunks, &body) else { return };
    assert!(said.output == body, "{} bytes", said.output.len());
    assert!(said.log.contains("Transfer-Encoding: chunked"), "{}", said.log);

    let Some(said) = curl(&server, &[&by_length[..6], &["{}/plaintext"]].concat(), &body) else { return };
    assert!(said.text().starts_with("405: "), "{}", said.text());
    assert!(!said.log.contains("100 Continue"), "{}", said.log);
}

pub(super) fn curl_reads_chunks_and_trailers(model: &Model) {
    let server = model.serve();
    let arguments = ["--dump-header", "-", "{}/trailers", "{}/large?bytes=3000000"];
    let Some(said) = curl(&server, &arguments, b"") else { return };
    let trailers = said.output.windows(10).position(|window| window.eq_ignore_ascii_case(b"x-parts: 3"));
    assert!(trailers.is_some(), "{}", said.log);
    assert!(
        said.output.len() > 21 + 3_000_000 && is_alphabets(&said.output[said.output.len() - 3_000_000..])
    );
}
