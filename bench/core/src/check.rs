//! Ceilings: counts do not jitter, so whatever passes one is a regression.

use std::process::ExitCode;

use crate::engine::EngineKind;
use crate::instr;
use crate::scenario::Scenario;

/// What each scenario may cost, in instructions a request: what was measured, and no more than 3 % above it. The compiler
/// and the processor's vector instructions have their part in it; a new compiler may move them.
const CEILINGS: [(&str, f64); 6] = [
    ("get", 4_230.0),
    ("browser", 8_380.0),
    ("pipelined", 3_700.0),
    ("length-1k", 9_000.0),
    ("chunked-1k", 10_000.0),
    ("stream-64k", 30_000.0),
];

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
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
