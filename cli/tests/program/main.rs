//! The program itself, started as a user starts it: its one line, its exit codes, its signals.

mod config;
mod http;
mod kit;

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use kit::{Program, anabranch, ask, output, read_all, stderr};

#[test]
fn one_line_says_where_which_model_and_whom_to_signal() {
    let program = Program::serve("--protocol etx --model pool --threads 2");
    assert!(program.line.starts_with("listening on etx://127.0.0.1:"), "{}", program.line);
    let pid = program.child.id();
    assert!(program.line.ends_with(&format!(" (model pool, pid {pid})\n")), "{}", program.line);
    program.signal(Signal::TERM);
    let (status, errors) = program.end();
    assert_eq!((status.code(), errors.as_str()), (Some(0), ""));
}

#[test]
fn first_signal_lets_what_has_begun_finish() {
    for signal in [Signal::TERM, Signal::INT] {
        let program = Program::serve("--protocol etx --etx-delay 1500ms -v");
        let mut stream = program.connect();
        stream.write_all(b"hello\x03").unwrap();
        thread::sleep(Duration::from_millis(100));
        program.signal(signal);
        assert_eq!(read_all(&stream), b"ack\x03");
        drop(stream);
        let (status, errors) = program.end();
        assert_eq!(status.code(), Some(0));
        assert!(errors.contains("reason=drained"), "{errors}");
    }
}

#[test]
fn second_signal_ends_what_is_left() {
    let program = Program::serve("--protocol etx --etx-delay 1h --grace off");
    let mut stream = program.connect();
    stream.write_all(b"hello\x03").unwrap();
    thread::sleep(Duration::from_millis(100));
    program.signal(Signal::TERM);
    thread::sleep(Duration::from_millis(200));
    program.signal(Signal::TERM);
    assert_eq!(read_all(&stream), b"");
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn end_of_the_grace_time_ends_what_is_left() {
    let program = Program::serve("--protocol etx --etx-delay 1h --grace 200ms -v --log-format json");
    let mut stream = program.connect();
    stream.write_all(b"hello\x03").unwrap();
    thread::sleep(Duration::from_millis(100));
    program.signal(Signal::TERM);
    assert_eq!(read_all(&stream), b"");
    let (status, errors) = program.end();
    assert_eq!(status.code(), Some(0));
    assert!(errors.contains(r#""reason":"aborted-grace""#), "{errors}");
    assert!(errors.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{errors}");
}

#[test]
fn demo_application_is_served_without_being_told_anything() {
    let program = Program::serve("");
    assert!(program.line.starts_with("listening on http://127.0.0.1:"), "{}", program.line);
    let answer = ask(&program, "GET /plaintext HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nHello, World!"),
        "{answer}"
    );
    program.signal(Signal::TERM);
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn request_in_flight_is_answered_when_the_server_stops() {
    for model in ["single", "threads", "pool"] {
        let program = Program::serve(&format!("--model {model}"));
        let mut stream = program.connect();
        stream.write_all(b"GET /slow?ms=1500 HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
        thread::sleep(Duration::from_millis(100));
        program.signal(Signal::TERM);
        let answer = String::from_utf8(read_all(&stream)).unwrap().to_ascii_lowercase();
        drop(stream);
        assert!(answer.contains("connection: close") && answer.ends_with("slow\n"), "{model}: {answer}");
        assert_eq!(program.end().0.code(), Some(0), "{model}");
    }
}

#[test]
fn access_log_has_a_line_for_each_request_and_one_for_each_panic() {
    let program = Program::serve("--access-log --log-format json");
    for target in ["/plaintext", "/panic", "/no%0anewline"] {
        ask(&program, &format!("GET {target} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n"));
    }
    ask(&program, "GET / HTTP/1.1\r\n\r\n");
    program.signal(Signal::TERM);
    let (_, errors) = program.end();
    let lines: Vec<&str> = errors.lines().collect();
    assert!(lines.iter().all(|line| line.starts_with('{') && line.ends_with('}')), "{errors}");
    for (number, says) in [
        (0, &[r#""message":"GET /plaintext HTTP/1.1""#, r#""status":200"#, r#""sent":13"#][..]),
        (1, &[r#""target":"panic""#, "/panic was asked for"]),
        (2, &[r#""message":"GET /panic HTTP/1.1""#, r#""status":500"#, "the handler panicked"]),
        (3, &["/no%0anewline", r#""status":404"#]),
        (4, &["refused request", r#""status":400"#]),
    ] {
        assert!(says.iter().all(|text| lines[number].contains(text)), "{number}: {errors}");
    }
}

#[test]
fn newcomer_at_the_limit_is_told_503_if_the_server_is_to_refuse() {
    let program = Program::serve("--max-connections 1 --at-limit refuse");
    let mut first = program.connect();
    first.write_all(b"GET /plaintext HTTP/1.1\r\nHost: demo\r\n\r\n").unwrap();
    first.read_exact(&mut [0; 12]).unwrap();
    let answer = ask(&program, "GET /plaintext HTTP/1.1\r\nHost: demo\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    program.signal(Signal::TERM);
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn limits_and_deadlines_of_the_command_line_are_those_of_the_server() {
    let program = Program::serve("--max-body-bytes 10 --head-timeout 200ms");
    let answer =
        ask(&program, "POST /discard HTTP/1.1\r\nHost: demo\r\nContent-Length: 11\r\n\r\nhello world");
    assert!(answer.starts_with("HTTP/1.1 413 ") && answer.contains("max_body_bytes"), "{answer}");
    let answer = ask(&program, "GET / HT");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    program.signal(Signal::TERM);
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn port_in_use_is_told_with_its_remedy() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let output = output(&format!("serve --protocol etx --port {port}"));
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot listen on 127.0.0.1:"), "{said}");
    assert!(said.contains("port 0 picks a free one") && !said.contains("panicked"), "{said}");
}

#[test]
fn too_few_open_files_are_told_with_their_remedy() {
    let output = Command::new("sh")
        .args(["-c", "ulimit -n 200; exec \"$0\" serve --protocol etx --port 0 --max-connections 1000"])
        .arg(env!("CARGO_BIN_EXE_anabranch"))
        .output()
        .unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ulimit -n") && said.contains("--max-connections 68"), "{said}");
}

#[test]
fn bad_flags_are_told_with_their_remedy() {
    for (arguments, code, says) in [
        ("serve --idle-timeout 0", 2, "write `off` for no bound"),
        ("serve --idle-timeout 3", 2, "`3s` or `3ms`"),
        ("serve --modle pool", 2, "--model"),
        ("serve --model single --threads 3", 1, "--threads is for model pool"),
        ("etx-client 0", 2, "at least 1"),
        ("", 2, "Usage"),
    ] {
        let output = output(arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(says) && !said.contains("panicked"), "{arguments}: {said}");
    }
}

#[test]
fn etx_client_without_a_server_says_how_to_start_one() {
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let output = output(&format!("etx-client 2 --addr {free}"));
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("anabranch serve --protocol etx"), "{}", stderr(&output));
}

#[test]
fn etx_client_tells_who_waited_for_whom() {
    let program = Program::serve("--protocol etx --etx-delay 20ms --model single");
    let output = output(&format!("etx-client 3 --addr {}", program.address));
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.contains("15 of 15 messages") && report.contains("2 were held up"), "{report}");
    program.signal(Signal::TERM);
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn models_are_printed_and_a_closed_pipe_is_no_failure() {
    let text = String::from_utf8(output("models").stdout).unwrap();
    assert!(["single", "threads", "pool"].iter().all(|model| text.contains(model)));
    let mut child = anabranch("models").stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert!(child.wait().unwrap().success());
}
