//! The program with a configuration file.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use rustix::process::Signal;

use crate::kit::{Program, anabranch, ask, output, read_all, stderr};

const CLOSING_STATUS: &str = "GET /status HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n";
const PLAINTEXT: &str = "GET /plaintext HTTP/1.1\r\nHost: demo\r\n\r\n";

/// A file of its own for each test.
fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, text).unwrap();
    path
}

fn check(path: &Path) -> Output {
    anabranch("check").arg(path).output().unwrap()
}

fn serve(path: &Path, flags: &str) -> Program {
    Program::serve(&format!("--config {} {flags}", path.display()))
}

#[test]
fn server_is_what_its_file_says() {
    let text = "[limits]\nmax_requests = 1\n[http]\nport = 1\naccept_threads = 1\nnetwork_threads = 1\n\
                request_timeout_sec = 1\n[http.pipelines.commit_status]\nthreads = 1\n[logging]\nverbose = 1\naccess_log = true\n\
                [commit]\nmin_request_id_length = 20\n";
    let program = serve(&file("says.toml", text), "");
    assert!(program.line.contains("(model staged, "), "{}", program.line);
    let answer = ask(&program, PLAINTEXT);
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("Hello, World!"), "{answer}");
    assert!(answer.to_ascii_lowercase().contains("connection: close"), "{answer}");
    let mut half = program.connect();
    half.write_all(b"GET / HT").unwrap();
    let answer = String::from_utf8(read_all(&half)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    program.signal(Signal::TERM);
    let (status, errors) = program.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(errors.starts_with("warning: ") && errors.contains("[commit] is WeaselDB's own"), "{errors}");
    assert!(errors.contains("GET /plaintext HTTP/1.1") && errors.contains("reason="), "{errors}");
}

#[test]
fn flags_override_the_file() {
    let text = "model = \"staged\"\nport = 1\nacceptors = 1\n[limits]\nmax_requests = 1\n[logging]\naccess_log = true\n";
    let program = serve(&file("over.toml", text), "--model threads --max-requests off --access-log=false");
    assert!(program.line.contains("(model threads, "), "{}", program.line);
    let mut stream = program.connect();
    for _ in 0..2 {
        stream.write_all(PLAINTEXT.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"Hello, World!") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            answer.push(byte[0]);
        }
    }
    drop(stream);
    program.signal(Signal::TERM);
    let (status, errors) = program.end();
    assert_eq!(status.code(), Some(0), "{errors}");
    assert!(errors.contains("`acceptors` is for model staged") && !errors.contains("plaintext"), "{errors}");
}

#[test]
fn lane_that_no_route_asks_for_is_told_by_check_and_by_serve() {
    let path = file("lane.toml", "[http.pipelines.commit_statsu]\nthreads = 1\n");
    let checked = check(&path);
    let said = stderr(&checked);
    assert_eq!(checked.status.code(), Some(0), "{said}");
    assert!(
        said.starts_with("warning: ") && said.contains("no route asks for lane `commit_statsu`"),
        "{said}"
    );
    assert!(said.contains("lane.toml:1:17: ") && said.contains("remedy: `commit_status`?"), "{said}");
    let program = serve(&path, "");
    assert!(ask(&program, CLOSING_STATUS).starts_with("HTTP/1.1 200 "));
    program.signal(Signal::TERM);
    assert_eq!(program.end().1, said);
}

#[test]
#[cfg(target_os = "linux")]
fn work_of_a_lane_runs_apart_where_it_is_configured_and_else_on_the_default_one() {
    let apart = "[http.pipelines.commit_status]\nthreads = 1\n";
    // As the kernel cuts them: fifteen letters.
    for (name, text, thread) in
        [("apart.toml", apart, "anabranch-commi"), ("none.toml", "", "anabranch-defau")]
    {
        let program = serve(&file(name, text), "");
        assert!(ask(&program, CLOSING_STATUS).starts_with("HTTP/1.1 200 "));
        let tasks = fs::read_dir(format!("/proc/{}/task", program.child.id())).unwrap();
        let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
        let lanes: Vec<String> = names.map(|name| name.trim_end().to_owned()).collect();
        let lanes: Vec<_> =
            lanes.iter().filter(|name| name.ends_with("commi") || name.ends_with("defau")).collect();
        // Threads of a lane start when there is work for them.
        assert_eq!(lanes, [thread]);
        program.signal(Signal::TERM);
        assert_eq!(program.end().0.code(), Some(0));
    }
}

#[test]
fn faults_are_all_told_and_nothing_is_printed_or_served() {
    let path = file("faults.toml", "port = 70000\n\n[limits]\nmax_feilds = 3\n");
    let named = path.display();
    for output in [check(&path), anabranch("serve --config").arg(&path).output().unwrap()] {
        let said = stderr(&output);
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(1), &b""[..]), "{said}");
        for says in [
            "error: the configuration has 2 faults".to_owned(),
            format!("{named}:1:8: "),
            format!("{named}:4:1: "),
        ] {
            assert!(said.contains(&says), "{says}: {said}");
        }
        assert!(said.contains("0..=65535") && said.contains("remedy: `max_fields`?"), "{said}");
    }
}

#[test]
fn check_prints_a_file_that_it_prints_again_and_that_serves() {
    let path = file("short.toml", "model = \"pool\"\n[limits]\nmax_fields = 7\n");
    let first = check(&path);
    assert_eq!((first.status.code(), stderr(&first).as_str()), (Some(0), ""));
    let printed = String::from_utf8(first.stdout).unwrap();
    assert!(printed.contains("\nmax_fields = 7\n") && printed.contains("# default"), "{printed}");
    let again = file("again.toml", &printed);
    assert_eq!(String::from_utf8(check(&again).stdout).unwrap(), printed);
    let program = serve(&again, "");
    assert!(program.line.contains("(model pool, "), "{}", program.line);
    let fields = "a: b\r\n".repeat(8);
    let answer = ask(&program, &format!("GET /plaintext HTTP/1.1\r\nHost: demo\r\n{fields}\r\n"));
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    program.signal(Signal::TERM);
    assert_eq!(program.end().0.code(), Some(0));
}

#[test]
fn file_that_cannot_be_read_is_told_with_its_remedy() {
    let long = file("long.toml", &"# long\n".repeat(200_000));
    let bytes = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bytes.toml");
    fs::write(&bytes, b"port = 1\n\xff\n").unwrap();
    for (arguments, code, says) in [
        ("check nowhere.toml".to_owned(), 1, "cannot read nowhere.toml"),
        ("serve --config nowhere.toml".to_owned(), 1, "cannot read nowhere.toml"),
        (format!("check {}", long.display()), 1, "longer than 1048576 bytes"),
        (format!("check {}", bytes.display()), 1, "not UTF-8 from line 2"),
        ("check".to_owned(), 2, "<FILE>"),
        ("serve --config".to_owned(), 2, "--config <FILE>"),
    ] {
        let output = output(&arguments);
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments}: {said}");
        assert!(said.contains(says) && !said.contains("panicked"), "{arguments}: {said}");
    }
}

#[test]
fn help_teaches_the_file() {
    for (arguments, says) in
        [("serve --help", "Flags override the file"), ("check --help", "docs/operate.md")]
    {
        let output = Command::new(env!("CARGO_BIN_EXE_anabranch"))
            .args(arguments.split(' '))
            .stdin(Stdio::null())
            .output()
            .unwrap();
        assert!(String::from_utf8(output.stdout).unwrap().contains(says), "{arguments}");
    }
}
