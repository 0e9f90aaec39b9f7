//! `docs/guarantees.md` is true: each guarantee names a command and a fault, and each fault can be planted.

use std::collections::BTreeSet;
use std::fs;

use anabranch_tests::faults::{all, root};

#[test]
fn every_fault_can_be_planted() {
    for fault in all().unwrap() {
        let source = fs::read_to_string(root().join(&fault.file)).unwrap();
        let planted = fault.plant(&source).unwrap_or_else(|error| panic!("{error}"));
        assert_ne!(planted, source, "{}: changes nothing", fault.name);
    }
}

#[test]
fn every_guarantee_names_its_command_and_its_fault() {
    let table = fs::read_to_string(root().join("docs/guarantees.md")).unwrap();
    let faults = all().unwrap();
    let mut named = BTreeSet::new();
    for row in table.lines().filter(|line| line.starts_with("| ") && line.contains("../tests/faults/")) {
        let (_, link) = row.split_once("../tests/faults/").unwrap();
        let name = link.split(".fault").next().unwrap();
        let fault = faults.iter().find(|fault| fault.name == name);
        let fault = fault.unwrap_or_else(|| panic!("there is no fault `{name}`, named in: {row}"));
        assert!(row.contains(&format!("`{}`", fault.run)), "{name}: the row should name `{}`", fault.run);
        assert!(row.contains(&fault.what), "{name}: the row should say: {}", fault.what);
        named.insert(name.to_owned());
    }
    let unnamed: Vec<_> = faults.iter().filter(|fault| !named.contains(&fault.name)).collect();
    assert!(unnamed.is_empty(), "no row of docs/guarantees.md names: {unnamed:?}");
    assert!(named.len() >= 20, "the table was not found");
}
