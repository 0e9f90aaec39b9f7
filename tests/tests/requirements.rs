//! `docs/requirements.md` is true: every line says what becomes of its demand, every test it names exists and is run, and
//! its count is right.

use std::fs;
use std::path::{Path, PathBuf};

/// What becomes of a demand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Answer {
    Test,
    Application,
    NotApplicable,
}

#[test]
fn every_demand_has_an_answer_and_the_count_is_true() {
    let table = read("docs/requirements.md");
    let answers: Vec<Answer> = demands(&table)
        .map(|line| answer(line).unwrap_or_else(|| panic!("neither a test nor a reason: {line}")))
        .collect();
    assert!(answers.len() > 100, "the tables were not found");
    let count = |which| answers.iter().filter(|answer| **answer == which).count();
    let expected = format!(
        "Count: {} by tests, {} the application's duty, {} not applicable.",
        count(Answer::Test),
        count(Answer::Application),
        count(Answer::NotApplicable)
    );
    assert!(table.lines().any(|line| line == expected), "docs/requirements.md should say: {expected}");
}

#[test]
fn every_test_that_is_named_exists_and_is_run() {
    let table = read("docs/requirements.md");
    let mut missing = Vec::new();
    let mut named = 0;
    for (file, test) in table.lines().filter(|line| line.starts_with('|')).flat_map(references) {
        named += 1;
        if !is_run(file, test) {
            missing.push(format!("{file}::{test}"));
        }
    }
    assert!(named > 100, "no tests were found in the tables");
    assert!(missing.is_empty(), "named in docs/requirements.md, and not there:\n{}", missing.join("\n"));
}

#[test]
fn test_that_does_not_exist_is_found() {
    assert!(is_run("strictness.rs", "method_is_a_token"));
    assert!(!is_run("strictness.rs", "method_is_a_toke"));
    assert!(!is_run("strictness.rs", "assert_refused"), "a helper is no test");
    assert!(!is_run("no_such_file.rs", "method_is_a_token"));
    assert!(is_run("conformance/routes.rs", "json_is_json"));
    assert!(!is_run("conformance/routes.rs", "is_alphabets"), "a helper is no case");
    assert_eq!(answer("| 1 | MUST | a | because |"), None);
}

/// The lines of tables with a level in their second column.
fn demands(table: &str) -> impl Iterator<Item = &str> {
    const LEVELS: [&str; 4] = ["MUST", "SHOULD", "RECOMMENDED", "advice"];
    table.lines().filter(|line| {
        let level = line.split('|').nth(2).unwrap_or_default().trim();
        LEVELS.iter().any(|known| level.starts_with(known))
    })
}

fn answer(line: &str) -> Option<Answer> {
    let cell = line.trim_end().trim_end_matches('|').rsplit(" | ").next()?.trim();
    if cell.starts_with("Application") {
        Some(Answer::Application)
    } else if cell.starts_with("Not applicable: ") {
        Some(Answer::NotApplicable)
    } else {
        references(cell).next().map(|_| Answer::Test)
    }
}

/// Every `` `file.rs::test` `` of a line.
fn references(line: &str) -> impl Iterator<Item = (&str, &str)> {
    line.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs::").map(|_| code)).filter_map(
        |code| {
            let (file, test) = code.split_at(code.find("::")?);
            Some((file, &test[2..]))
        },
    )
}

/// Whether `file` has a test of this name that is run.
fn is_run(file: &str, test: &str) -> bool {
    let path = match file.split_once('/') {
        Some(("conformance", rest)) => format!("tests/src/conformance/{rest}"),
        Some(("src", rest)) => format!("core/src/{rest}"),
        _ => format!("core/tests/http/{file}"),
    };
    let Ok(code) = fs::read_to_string(root().join(&path)) else { return false };
    if file.starts_with("conformance/") {
        let module = file.trim_start_matches("conformance/").trim_end_matches(".rs");
        let list = read("tests/src/conformance/mod.rs");
        // A case is run when it stands in the list, under its module.
        let cases = list.split_once(&format!(" {module} {{")).and_then(|(_, rest)| rest.split_once('}'));
        return code.contains(&format!("pub(super) fn {test}(model: &Model)"))
            && cases.is_some_and(|(cases, _)| cases.split_whitespace().any(|case| case == test));
    }
    // Between `#[test]` and its function stand attributes at most.
    let Some(at) = code.find(&format!("fn {test}(")) else { return false };
    let before = &code[..at];
    before
        .rfind("#[test]")
        .is_some_and(|mark| !before[mark..].contains("\n}") && !before[mark..].contains("fn "))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace is above its member").to_path_buf()
}
