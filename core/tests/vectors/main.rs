//! Vectors: conversations as text files, each held in every way it can be cut.
//!
//! ```text
//!   *.txt ──► Vector ──┬──► telling   http1::Connection     events ──┐
//!                      └──► talking   the whole Flow        bytes  ──┴──► as the file has it? or a report to read
//!
//!   input    whole · at every point in two · byte by byte · with a further request behind it
//!   output   all a write · 7 bytes · 1 byte
//! ```
//!
//! How a file is written stands in `README.md` beside the files. `VECTORS=write cargo test -p anabranch-core --test vectors`
//! writes into them what comes out, for a person to read and judge: a vector is right because it was read.

mod application;
mod holding;
mod report;
mod talking;
mod telling;
mod text;
mod vector;

use std::fs;
use std::path::PathBuf;

use vector::Vector;

/// One test a file, so that what fails is named.
macro_rules! files {
    ($($test:ident = $name:literal;)*) => {
        const FILES: &[&str] = &[$($name),*];
        $(#[test] fn $test() { hold_file($name); })*
    };
}

files! {
    request_lines_hold = "request-lines";
    fields_hold = "fields";
    hosts_and_targets_hold = "hosts-and-targets";
    framing_holds = "framing";
    chunks_hold = "chunks";
    trailers_hold = "trailers";
    persistence_holds = "persistence";
    expectations_hold = "expectations";
    upgrades_and_tunnels_hold = "upgrades";
    pipelining_holds = "pipelining";
    limits_hold = "limits";
    deadlines_hold = "deadlines";
    smuggling_is_refused = "smuggling";
    ends_hold = "ends";
    drains_hold = "drains";
    slow_peers_and_handlers_hold = "slow";
    overload_holds = "overload";
}

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "vectors"].iter().collect()
}

fn hold_file(name: &str) {
    let path = folder().join(name).with_extension("txt");
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let (preface, vectors) = vector::read(name, &text);
    if std::env::var_os("VECTORS").is_some_and(|value| value == "write") {
        let written: String = vectors.iter().map(holding::written).collect();
        fs::write(&path, preface + &written).expect("the file can be written");
        return;
    }
    let reports: Vec<String> = vectors.iter().filter_map(|vector| holding::hold(vector).err()).collect();
    let (count, all) = (reports.len(), vectors.len());
    assert!(
        reports.is_empty(),
        "{count} of {all} vectors in {name}.txt do not hold\n\n{}",
        reports.join("\n")
    );
}

#[test]
fn every_file_is_held() {
    let mut names: Vec<String> = fs::read_dir(folder())
        .expect("the folder is there")
        .filter_map(|entry| {
            let path = entry.expect("an entry").path();
            let is_vectors = path.extension().is_some_and(|extension| extension == "txt");
            is_vectors.then(|| path.file_stem().expect("a name").to_string_lossy().into_owned())
        })
        .collect();
    let mut held = FILES.to_vec();
    names.sort_unstable();
    held.sort_unstable();
    assert_eq!(names, held);
}

#[test]
fn nothing_smuggled_is_told_as_a_request() {
    let text = fs::read_to_string(folder().join("smuggling.txt")).expect("the file is there");
    let is_told =
        |line: &str| line.starts_with("~ ") && line.contains(" GET /smuggled ") && !line.contains(" data ");
    assert_eq!(text.lines().find(|line| is_told(line)), None);
}

#[test]
fn titles_are_told_apart() {
    let mut titles: Vec<String> = Vec::new();
    for name in FILES {
        let text = fs::read_to_string(folder().join(name).with_extension("txt")).expect("the file is there");
        titles.extend(vector::read(name, &text).1.into_iter().map(|vector: Vector| vector.title));
    }
    let count = titles.len();
    titles.sort_unstable();
    titles.dedup();
    assert_eq!(titles.len(), count);
}
