//! The program as an HTTP server: under each model, with a real client, and stopped in the midst of requests.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anabranch_core::testing::StallWatch;
use rustix::process::Signal;

use crate::kit::{PATIENCE, Program, ask, output, read_all, stderr};

const MODELS: [&str; 8] = [
    "single",
    "threads",
    "pool",
    "reactor",
    "multi-reactor",
    "reactor-pool",
    "staged",
    "staged --ownership shared",
];

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: demo\r\n\r\n")
}

/// Sends a request whose answer keeps the connection, and reads that far.
fn served(program: &Program) -> TcpStream {
    let mut stream = program.connect();
    stream.write_all(get("/plaintext").as_bytes()).unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"Hello, World!") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    stream
}

/// Waits until nobody listens any more.
fn refuses_newcomers(program: &Program) {
    let started = Instant::now();
    loop {
        match TcpStream::connect(program.address) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => return,
            _ => assert!(started.elapsed() < PATIENCE, "newcomers are still accepted"),
        }
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn page_tells_which_model_carries_it() {
    for model in MODELS {
        let program = Program::serve(&format!("--model {model}"));
        let model = model.split(' ').next().unwrap();
        assert!(program.line.contains(&format!("(model {model}, ")), "{}", program.line);
        let page = ask(&program, "GET / HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n");
        assert!(page.contains(&format!("<strong>{model}</strong>")), "{page}");
        program.signal(Signal::TERM);
        assert_eq!(program.end().0.code(), Some(0));
    }
}

#[test]
fn signal_closes_what_is_idle_and_refuses_newcomers_while_a_request_finishes() {
    for (model, signal) in [("threads", Signal::INT), ("pool", Signal::TERM)] {
        let program = Program::serve(&format!("--model {model}"));
        let idle = served(&program);
        let mut busy = served(&program);
        busy.write_all(get("/slow?ms=3000").as_bytes()).unwrap();
        let (watch, signalled) = (StallWatch::start(), Instant::now());
        program.signal(signal);
        assert_eq!(read_all(&idle), b"", "{model}");
        let took = watch.running_since(signalled);
        assert!(took < Duration::from_secs(1), "{model}: {took:?}");
        refuses_newcomers(&program);
        let answer = String::from_utf8(read_all(&busy)).unwrap().to_ascii_lowercase();
        assert!(answer.contains("connection: close\r\n") && answer.ends_with("slow\n"), "{model}: {answer}");
        assert_eq!(program.end().0.code(), Some(0), "{model}");
    }
}

#[test]
fn second_signal_aborts_requests_in_flight() {
    for (model, again) in [("single", Signal::TERM), ("threads", Signal::INT), ("pool", Signal::TERM)] {
        let program = Program::serve(&format!("--model {model}"));
        let mut busy = served(&program);
        busy.write_all(get("/slow?ms=10000").as_bytes()).unwrap();
        let signalled = Instant::now();
        program.signal(Signal::TERM);
        // Two signals at once may be one to the kernel: the second comes when the first has shown.
        refuses_newcomers(&program);
        program.signal(again);
        assert_eq!(read_all(&busy), b"", "{model}");
        assert_eq!(program.end().0.code(), Some(0), "{model}");
        assert!(signalled.elapsed() < Duration::from_secs(5), "{model}: {:?}", signalled.elapsed());
    }
}

#[test]
fn address_of_another_machine_is_told_with_its_remedy() {
    // TEST-NET-1 (RFC 5737): no machine has it.
    let output = output("serve --bind 192.0.2.1 --port 0");
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("error: cannot listen on 192.0.2.1:0: "), "{said}");
    assert!(said.contains("127.0.0.1 serves this machine") && !said.contains("panicked"), "{said}");
}

/// Runs curl with these arguments, `{}` being the server, and this input. `None`, and said so, where there is no curl.
fn curl(program: &Program, arguments: &str, input: Vec<u8>) -> Option<(String, String)> {
    let base = format!("http://{}", program.address);
    let child = Command::new("curl")
        .args("--silent --show-error --verbose --max-time 20 --noproxy *".split(' '))
        .args(arguments.split(' ').map(|argument| argument.replace("{}", &base)))
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
    let feeder = thread::spawn(move || stdin.write_all(&input).is_ok());
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap();
    let log = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments}: {log}");
    Some((String::from_utf8(output.stdout).unwrap(), log))
}

#[test]
fn curl_is_served_under_each_model() {
    for model in MODELS {
        let program = Program::serve(&format!("--model {model}"));
        let arguments = "--write-out :%{num_connects}: {}/plaintext {}/no-content {}/plaintext";
        let Some((said, _)) = curl(&program, arguments, Vec::new()) else { return };
        assert_eq!(said, "Hello, World!:1::0:Hello, World!:0:", "{model}");

        let (said, _) = curl(&program, "--http1.0 {}/chunked", Vec::new()).unwrap();
        assert_eq!(said, "part 0\npart 1\npart 2\n", "{model}");

        let (said, _) = curl(&program, "--head {}/large?bytes=12345", Vec::new()).unwrap();
        assert!(said.contains("content-length: 12345\r\n"), "{model}: {said}");

        let upload = "-H Expect:100-continue --expect100-timeout 15 --data-binary @- {}/discard";
        let (said, log) = curl(&program, upload, vec![b'x'; 10 << 20]).unwrap();
        assert_eq!(said, "10485760", "{model}: {log}");
        assert!(log.contains("< HTTP/1.1 100 Continue"), "{model}: {log}");

        program.signal(Signal::TERM);
        assert_eq!(program.end().0.code(), Some(0), "{model}");
    }
}
