//! Ceilings: counts do not jitter, so whatever passes one is a regression.

use std::process::ExitCode;

use crate::engine::EngineKind;
use crate::instr;
use crate::scenario::Scenario;

/// What each scenario may cost, in instructions a request: what was measured, and no more than 3 % above it. The compiler
/// and the processor's vector instructions have their part in it; a new compiler may move them.
const CEILINGS: [(&str, f64); 7] = [
    ("get", 1_890.0),
    ("again", 1_370.0),
    ("browser", 4_330.0),
    ("pipelined", 1_360.0),
    ("length-1k", 3_160.0),
    ("chunked-1k", 5_170.0),
    ("stream-64k", 76_500.0),
];

/// Bytes that a streamed echo of 64 KiB may copy between its read and its write: less than the body, so that none of it is.
const COPIED_CEILING: f64 = 4_096.0;

pub fn check() -> ExitCode {
    if !instr::is_available() {
        eprintln!("valgrind is not installed: nothing was checked");
        return ExitCode::from(2);
    }
    let mut passed = true;
    for scenario in Scenario::all() {
        let (_, ceiling) = CEILINGS
            .into_iter()
            .find(|(name, _)| *name == scenario.name)
            .expect("every scenario has a ceiling");
        match instr::instructions(&scenario, EngineKind::Ours) {
            Some(counted) => {
                let verdict = if counted <= ceiling { "ok" } else { "OVER" };
                passed &= counted <= ceiling;
                println!(
                    "{verdict:4}  {:<28} {counted:>9.0} instructions a request, at most {ceiling:.0}",
                    scenario.title
                );
            }
            None => {
                passed = false;
                println!("FAIL  {:<28} valgrind gave no count", scenario.title);
            }
        }
    }
    if let Some(scenario) = Scenario::all().into_iter().find(|scenario| scenario.name == "stream-64k") {
        let copied = instr::copied_bytes(&scenario, EngineKind::Ours);
        let is_within = copied.is_some_and(|copied| copied <= COPIED_CEILING);
        passed &= is_within;
        let (verdict, counted) = (if is_within { "ok" } else { "OVER" }, copied.unwrap_or(f64::NAN));
        println!(
            "{verdict:4}  {:<28} {counted:>9.0} bytes copied a request, at most {COPIED_CEILING:.0}",
            scenario.title
        );
    }
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
