//! Instructions: this program under valgrind, at two counts; the difference is what the conversations cost.

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
    // Both at once: two processes on a machine that has at least two cores.
    let (few, many) = std::thread::scope(|scope| {
        let few = scope.spawn(|| collected(scenario, engine, WARM));
        let many = collected(scenario, engine, WARM + COUNTED);
        (few.join().ok().flatten(), many)
    });
    Some((many?.checked_sub(few?)?) as f64 / (COUNTED * scenario.requests as u64) as f64)
}

fn collected(scenario: &Scenario, engine: EngineKind, count: u64) -> Option<u64> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().ok()?)
        .args(["--run", engine.name(), scenario.name, &count.to_string()])
        .output()
        .ok()?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, rest) = said.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}
