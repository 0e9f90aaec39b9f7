//! What a request costs with no socket in sight: ours through the whole `Flow`, beside its peers, in one run.
//!
//! ```text
//!   scenario   the bytes, and the answers they must bring      engine/   ours, httparse, hyper, http-net
//!   time       nanoseconds, interleaved rounds                 alloc     allocations and their bytes
//!   instr      instructions, by valgrind                       idle      bytes an idle connection holds
//!   heads      heads that come byte by byte                    check     ceilings, for CI
//! ```

mod alloc;
mod check;
mod engine;
mod heads;
mod idle;
mod instr;
mod report;
mod scenario;
mod time;

use std::process::ExitCode;

use engine::EngineKind;
use scenario::Scenario;

#[global_allocator]
static ALLOCATOR: alloc::Counting = alloc::Counting;

const USAGE: &str = "core [--json] [--quick]     the tables; --quick leaves instructions out
core --check               our instructions against their ceilings (needs valgrind)
core --run ENGINE SCENARIO COUNT
                           COUNT conversations and nothing else, for a profiler:
                           valgrind --tool=callgrind target/release/core --run ours get 10000";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["--run", engine, scenario, count] => run(engine, scenario, count),
        ["--check"] => check::check(),
        _ if args.iter().all(|arg| matches!(*arg, "--json" | "--quick")) => {
            let report = report::measure(!args.contains(&"--quick"));
            if args.contains(&"--json") {
                report.print_json()
            } else {
                report.print_tables()
            }
            ExitCode::SUCCESS
        }
        _ => usage(),
    }
}

fn run(engine: &str, scenario: &str, count: &str) -> ExitCode {
    let kind = EngineKind::ALL.into_iter().find(|kind| kind.name() == engine);
    let scenario = Scenario::all().into_iter().find(|known| known.name == scenario);
    let (Some(kind), Some(scenario), Ok(count)) = (kind, scenario, count.parse()) else { return usage() };
    let mut engine = kind.start();
    for _ in 0..count {
        std::hint::black_box(engine.converse(std::hint::black_box(&scenario)));
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("{USAGE}");
    ExitCode::FAILURE
}
