//! Instructions and copied bytes: this program under valgrind, at two counts; the difference is what the conversations
//! cost.
//!
//! Copied is what goes through `memcpy`, `memmove` and their like, as dhat intercepts them: copies of a few bytes that the
//! compiler wrote out are not seen. One copy of the input is not counted: it is the read itself, from where the scenario
//! has it to the engine's buffer, as a kernel would do it.

use std::process::Command;

use crate::engine::EngineKind;
use crate::scenario::Scenario;

const WARM: u64 = 50;
const COUNTED: u64 = 400;

/// Whether valgrind is installed.
pub fn is_available() -> bool {
    Command::new("valgrind").arg("--version").output().is_ok_and(|output| output.status.success())
}

/// Instructions a request, or `None` where valgrind gives no count.
pub fn instructions(scenario: &Scenario, engine: EngineKind) -> Option<f64> {
    let tool = ["--tool=callgrind", "--callgrind-out-file=/dev/null"];
    difference(scenario, |count| said(&tool, "Collected :", scenario, engine, count))
}

/// Bytes copied a request between the read and what is written, or `None` where valgrind gives no count.
pub fn copied_bytes(scenario: &Scenario, engine: EngineKind) -> Option<f64> {
    if engine == EngineKind::Httparse {
        // It reads where the bytes lie.
        return None;
    }
    let tool = ["--tool=dhat", "--mode=copy", "--dhat-out-file=/dev/null"];
    let copied = difference(scenario, |count| said(&tool, "Total:", scenario, engine, count))?;
    Some((copied - scenario.input().len() as f64 / scenario.requests as f64).max(0.0))
}

/// What a request costs, by two counts.
fn difference(scenario: &Scenario, count: impl Fn(u64) -> Option<u64> + Sync) -> Option<f64> {
    // Both at once: two processes on a machine that has at least two cores.
    let (few, many) = std::thread::scope(|scope| {
        let few = scope.spawn(|| count(WARM));
        let many = count(WARM + COUNTED);
        (few.join().ok().flatten(), many)
    });
    Some((many?.checked_sub(few?)?) as f64 / (COUNTED * scenario.requests as u64) as f64)
}

/// The number that stands behind `label` in what valgrind says.
fn said(tool: &[&str], label: &str, scenario: &Scenario, engine: EngineKind, count: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(tool)
        .arg(std::env::current_exe().ok()?)
        .args(["--run", engine.name(), scenario.name, &count.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, rest) = said.split_once(label)?;
    rest.split_whitespace().next()?.replace(',', "").parse().ok()
}
