//! The core is pure: no clock, socket, thread, environment, global or output in it, outside its tests and its `testing`
//! module. Bindings know nothing of HTTP. Clippy's `disallowed-methods` says most of this too; this says it to everybody
//! who runs the tests, and for what clippy cannot name.

use std::fs;
use std::path::{Path, PathBuf};

/// What must not be written in the core, and why.
const IMPURE: &[(&str, &str)] = &[
    ("Instant::now", "time is an argument: Turn::now"),
    ("SystemTime::now", "the driver anchors Dates"),
    ("std::thread", "threads belong to bindings"),
    ("thread_local!", "no globals"),
    ("static mut", "no globals"),
    ("LazyLock", "no globals"),
    ("OnceLock", "no globals"),
    ("std::fs", "files belong to the application"),
    ("std::env", "configuration is an argument"),
    ("std::process", "the program decides"),
    ("std::os::", "descriptors belong to bindings"),
    ("TcpStream", "sockets belong to bindings"),
    ("TcpListener", "sockets belong to bindings"),
    ("UdpSocket", "sockets belong to bindings"),
    ("UnixStream", "sockets belong to bindings"),
    ("println!", "events and records, not logs"),
    ("print!", "events and records, not logs"),
    ("dbg!", "events and records, not logs"),
    ("unsafe ", "forbidden"),
];

/// What must not be written in a binding, and why.
const PROTOCOL: &[(&str, &str)] =
    &[("::http1", "bindings see only Flow"), ("httparse", "bindings see only Flow")];

#[test]
fn core_does_no_io_and_reads_no_clock() {
    assert_absent("core/src", IMPURE);
}

#[test]
fn bindings_know_nothing_of_http() {
    for binding in ["bind-std/src", "bind-mio/src"] {
        assert_absent(binding, PROTOCOL);
    }
}

#[test]
fn imports_in_core_point_downward() {
    for (module, above) in [
        // It shares the vocabulary of `flow` and knows nothing of the trait: `app` joins the two.
        ("core/src/http1", &["crate::app", "crate::drive", "crate::lifecycle", "impl Flow", "dyn Flow"][..]),
        ("core/src/lifecycle", &["crate::app", "crate::http1", "crate::etx"]),
        ("core/src/etx", &["crate::app", "crate::http1", "crate::lifecycle"]),
    ] {
        let above: Vec<_> = above.iter().map(|path| (*path, "imports point downward")).collect();
        assert_absent(module, &above);
    }
}

#[test]
fn file_that_breaks_the_rule_is_found() {
    let code = "fn f() {}\n// std::env is spoken of\nlet now = std::time::Instant::now();\n#[cfg(test)]\nmod tests { println!() }";
    let found: Vec<_> = breaches(code, IMPURE).collect();
    assert_eq!(found, [(3, "Instant::now", "time is an argument: Turn::now")]);
}

fn assert_absent(folder: &str, rules: &[(&'static str, &'static str)]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above its member");
    let mut files = Vec::new();
    collect(&root.join(folder), &mut files);
    assert!(!files.is_empty(), "{folder} has no source");
    let mut found = Vec::new();
    for file in files {
        let code = fs::read_to_string(&file).unwrap();
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        found
            .extend(breaches(&code, rules).map(|(line, what, why)| format!("{name}:{line}: {what} ({why})")));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

/// Rust files that are part of the library: not tests, not what is for tests only.
fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if name != "testing" && name != "tests" {
                collect(&path, files);
            }
        } else if name.ends_with(".rs") && name != "tests.rs" && name != "testing.rs" {
            files.push(path);
        }
    }
}

/// Lines of code that say what a rule forbids. Comments may speak of it; a file's tests, which come last, may do it.
fn breaches<'a>(
    code: &'a str,
    rules: &'a [(&'static str, &'static str)],
) -> impl Iterator<Item = (usize, &'static str, &'static str)> + 'a {
    let tests =
        code.find("\n#[cfg(test)]\nmod ").filter(|at| !code[*at..].starts_with("\n#[cfg(test)]\nmod tests;"));
    let code = &code[..tests.unwrap_or(code.len())];
    code.lines().enumerate().flat_map(move |(index, line)| {
        let line = line.split("//").next().unwrap_or_default();
        rules
            .iter()
            .filter(move |(what, _)| line.contains(what))
            .map(move |(what, why)| (index + 1, *what, *why))
    })
}
