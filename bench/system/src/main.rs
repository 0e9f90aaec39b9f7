//! What a request costs over loopback: our models and their peers, in one run, taking turns.
//!
//! ```text
//!   for each scenario, for each round, for each engine in turn:
//!       load (this process, one thread) ══ loopback ══ server (a process of its own) ─► requests, processor time, switches
//! ```

mod engine;
mod load;
mod process;
mod raw;
mod report;
mod scenario;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::engine::Engine;
use crate::process::{Server, Usage};
use crate::report::{Measured, Report};
use crate::scenario::Scenario;

/// Measures HTTP servers over loopback, side by side: each engine is a process of its own, and they take turns.
///
/// Absolute figures say little on a shared machine: compare within one run, and processor time rather than requests a second.
#[derive(Parser)]
struct Arguments {
    /// Engines to measure, by name [default: all].
    #[arg(long, value_delimiter = ',')]
    only: Vec<Engine>,
    /// Scenarios to measure, by name [default: all].
    #[arg(long, value_delimiter = ',')]
    scenario: Vec<String>,
    /// How often each engine has its turn; medians are reported.
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds each turn lasts.
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// Three short turns each: to see that all of it works.
    #[arg(long)]
    quick: bool,
    /// For programs.
    #[arg(long)]
    json: bool,
    /// Serve as this engine on this port and nothing else: what the processes that are measured do.
    #[arg(long, hide = true, num_args = 2, value_names = ["ENGINE", "PORT"])]
    serve: Vec<String>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match &arguments.serve[..] {
        [engine, port] => serve(engine, port),
        _ => measure(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(engine: &str, port: &str) -> io::Result<()> {
    let engine: Engine = clap::ValueEnum::from_str(engine, false).map_err(io::Error::other)?;
    engine.serve(port.parse().map_err(io::Error::other)?)
}

fn measure(arguments: &Arguments) -> io::Result<()> {
    let (rounds, seconds) = if arguments.quick { (3, 0.3) } else { (arguments.rounds, arguments.seconds) };
    let window = Duration::from_secs_f64(seconds);
    let mut report = Report::default();
    for scenario in scenarios(&arguments.scenario)? {
        let engines: Vec<Engine> = Engine::all()
            .filter(|engine| arguments.only.is_empty() || arguments.only.contains(engine))
            .collect();
        for round in 0..rounds {
            for turn in 0..engines.len() {
                // Whoever comes first in one round comes last in the next: a machine that slows down slows all of them.
                let engine = engines[(turn + round) % engines.len()];
                eprintln!("{}: round {} of {rounds}: {}", scenario.name, round + 1, engine.name());
                report.add(&scenario, engine, measure_one(&scenario, engine, window)?);
            }
        }
    }
    if arguments.json {
        report.print_json()
    } else {
        report.print()
    }
    Ok(())
}

fn scenarios(wanted: &[String]) -> io::Result<Vec<Scenario>> {
    let all = Scenario::all();
    if let Some(unknown) = wanted.iter().find(|name| !all.iter().any(|scenario| scenario.name == **name)) {
        let names: Vec<_> = all.iter().map(|scenario| scenario.name).collect();
        return Err(io::Error::other(format!(
            "there is no scenario `{unknown}`; there are: {}",
            names.join(", ")
        )));
    }
    Ok(all
        .into_iter()
        .filter(|scenario| wanted.is_empty() || wanted.iter().any(|name| name == scenario.name))
        .collect())
}

/// One turn: a fresh server, a warm-up, a window.
fn measure_one(scenario: &Scenario, engine: Engine, window: Duration) -> io::Result<Measured> {
    let server = Server::start(engine)?;
    let mut load = load::Load::connect(server.address(), scenario)?;
    load.run(window / 5)?;
    let before = server.usage()?;
    let done = load.run(window)?;
    let used = server.usage()? - before;
    Ok(Measured::new(&done, used, window))
}

impl std::ops::Sub for Usage {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            user: self.user - before.user,
            system: self.system - before.system,
            switches: self.switches.saturating_sub(before.switches),
        }
    }
}
