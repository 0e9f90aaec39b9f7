//! The corpus that fuzzing keeps, replayed by a plain test: what was found once stays found.

use std::fs;
use std::path::Path;

use anabranch_core::http1::Limits;
use anabranch_fuzz::CHECKS;
use anabranch_fuzz::head::{Difference, LISTED, differences, tight};

fn replay(target: &str) {
    let (_, check) = CHECKS.iter().find(|(name, _)| *name == target).expect("the target is in the list");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let mut replayed = 0;
    for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("the folder can be read").path();
        let data = fs::read(&path).expect("the file can be read");
        println!("{}", path.display());
        check(&data);
        replayed += 1;
    }
    assert!(replayed > 0, "{} is empty", folder.display());
}

macro_rules! targets {
    ($($target:ident)*) => {
        $(#[test]
        fn $target() {
            replay(stringify!($target));
        })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$(stringify!($target)),*];
            assert!(CHECKS.iter().all(|(name, _)| replayed.contains(name)));
        }
    };
}

targets! { conversation operations head chunked etx duplex lifecycle }

#[test]
fn every_difference_from_http_net_that_is_listed_is_there() {
    for listed in LISTED {
        let found = differences(&listed.bytes(), &Limits::default());
        assert!(found.contains(&listed.difference), "{:?}, not {found:?}: {}", listed.difference, listed.why);
    }
}

/// Found by fuzzing: the oracle looked at path and query joined, and saw `%5c`.
#[test]
fn percent_that_a_path_ends_with_is_alone_whatever_begins_the_query() {
    let head = b"POST /%5?c HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_eq!(differences(head, &Limits::default()), [Difference::TargetBytes]);
}

/// What a fuzzer would try first, at every place of every example: a byte instead of it, a byte before it, nothing behind.
#[test]
fn no_byte_changed_in_an_example_shows_a_difference_that_is_not_listed() {
    const TELLING: &[u8] = b"\r\n\t \0\x7f\x80:;,/?#%*@[]\"|0a";
    let short = LISTED.iter().map(|listed| listed.bytes()).filter(|example| example.len() < 200);
    for example in short {
        for at in 0..example.len() {
            let (before, after) = (&example[..at], &example[at..]);
            for limits in [Limits::default(), tight()] {
                let _ = differences(before, &limits);
                for byte in TELLING {
                    let _ = differences(&[before, &[*byte], after].concat(), &limits);
                    let _ = differences(&[before, &[*byte], &after[1..]].concat(), &limits);
                }
            }
        }
    }
}

/// Every method that matters with any three of the field lines that do, in any order.
#[test]
fn no_three_field_lines_show_a_difference_that_is_not_listed() {
    const LINES: [&str; 15] = [
        "Host: a",
        "Host: b:1",
        "Host:",
        "Content-Length: 0",
        "Content-Length: 5",
        "content-length: x",
        "Transfer-Encoding: chunked",
        "Transfer-Encoding: gzip, chunked",
        "TRANSFER-ENCODING: gzip",
        "Connection: close, keep-alive",
        "Connection: keep-alive, Upgrade",
        "Upgrade: x, h2c",
        "Upgrade: ,",
        "Expect: 100-continue",
        "Expect: x",
    ];
    const REQUEST_LINES: [&str; 5] = [
        "POST / HTTP/1.1",
        "POST /?a HTTP/1.0",
        "GET http://c?d HTTP/1.2",
        "CONNECT a:1 HTTP/1.1",
        "OPTIONS * HTTP/1.1",
    ];
    for line in REQUEST_LINES {
        for (first, second) in LINES.iter().flat_map(|first| LINES.map(|second| (first, second))) {
            for third in LINES {
                let head = format!("{line}\r\n{first}\r\n{second}\r\n{third}\r\n\r\n");
                let _ = differences(head.as_bytes(), &Limits::default());
            }
        }
    }
}
