//! What a request costs over loopback: our models and their peers, in one run, taking turns.
//!
//! ```text
//!   for each scenario, for each round, for each server in turn:
//!       load (a process of its own, one thread) ══ loopback ══ server (another) ─► requests, processor time, memory …
//! ```

mod check;
mod load;
mod metric;
mod process;
mod report;
mod scenario;
mod servers;
mod syscalls;

use std::io;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use crate::metric::Turn;
use crate::report::Report;
use crate::scenario::{Scenario, Setting};
use crate::servers::{ENGINES, Engine, Place};
use crate::syscalls::Counter;

/// Measures HTTP servers over loopback, side by side: each is a process of its own, and they take turns.
///
/// Absolute figures say little on a shared machine: compare within one run, and processor time rather than requests a second.
#[derive(Parser)]
#[command(max_term_width = 110, after_help = HELP)]
struct Arguments {
    /// Scenarios to measure, by name [default: all]
    #[arg(long, value_delimiter = ',', value_name = "SCENARIO,..")]
    only: Vec<String>,
    /// Servers to measure, by name [default: all]
    #[arg(long, value_delimiter = ',', value_name = "SERVER,..")]
    servers: Vec<String>,
    /// How often each server has its turn; medians are reported
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Seconds each turn lasts, behind a warm-up of a fifth of that
    #[arg(long, default_value_t = 2.0)]
    seconds: f64,
    /// One short turn each, with fewer connections, no system calls counted, and nobody waited for who is cut off late:
    /// to see that all of it works
    #[arg(long)]
    quick: bool,
    /// Say of each target whether it is met; exit code 1 if one is missed
    #[arg(long)]
    check: bool,
    /// Run servers and loads on these processors only, as in 0,1
    #[arg(long, value_delimiter = ',', value_name = "CPU,..")]
    cores: Vec<usize>,
    /// Loops, or workers of a runtime, of each server
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Connections of scenario `idle`
    #[arg(long, default_value_t = 10_000)]
    idle: usize,
    /// Connections of scenario `held`
    #[arg(long, default_value_t = 100_000)]
    held: usize,
    /// So many of them ask
    #[arg(long, default_value_t = 10_000)]
    active: usize,
    /// Half heads of scenario `hostile`
    #[arg(long, default_value_t = 1_000)]
    hostile: usize,
    /// Requests a second of scenario `rate`
    #[arg(long, default_value_t = 20_000)]
    rate: u32,
    /// Count no system calls
    #[arg(long)]
    no_system_calls: bool,
    /// Say what there is to measure, and nothing else
    #[arg(long)]
    list: bool,
    /// For programs
    #[arg(long)]
    json: bool,
    /// Serve as this server and do nothing else: what the processes that are measured do
    #[arg(long, hide = true, num_args = 4, value_names = ["SERVER", "PORT", "THREADS", "CONNECTIONS"])]
    serve: Vec<String>,
    /// Make a load as standard input says: what the processes that ask do
    #[arg(long, hide = true)]
    load: bool,
}

const HELP: &str = "\
Begin with:
  system --list                               scenarios and servers, a line each
  system --quick                              everything once, in some two minutes
  system --only get,close --servers multi-reactor,hyper,nginx,raw
  system --cores 0,1 --check                  all of it on two processors, and the targets

How to read it:
  CPU us         processor time of the server for each request; user us is its part outside the kernel
  switches       context switches of the server for each request
  system calls   counted by perf or strace in a turn of its own, which is not timed
  client busy    of one processor: near 1, the load is the bottleneck and requests/s says little
  ÷ best peer    the figure divided by that of the peer that is best in it, round by round; ÷ raw by that of the
                 limit, epoll loops that parse nothing
  errors         wrong answers, broken connections: a server that has any is not to be compared";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    process::open_more_files();
    let done = if let [server, numbers @ ..] = &arguments.serve[..] {
        serve(server, numbers).map(|()| true)
    } else if arguments.load {
        load::work().map(|()| true)
    } else if arguments.list {
        list(&arguments);
        Ok(true)
    } else {
        measure(&arguments)
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(server: &str, numbers: &[String]) -> io::Result<()> {
    let numbers: Vec<usize> =
        numbers.iter().map(|number| number.parse()).collect::<Result<_, _>>().map_err(io::Error::other)?;
    let &[port, threads, connections] = &numbers[..] else { return Err(io::ErrorKind::InvalidInput.into()) };
    let port = u16::try_from(port).map_err(io::Error::other)?;
    Engine::named(server)?.serve(&Place { port, threads, connections })
}

fn list(arguments: &Arguments) {
    println!("scenarios");
    for scenario in scenario::all(&arguments.setting()) {
        println!("  {:<14}{}", scenario.name, scenario.title);
    }
    println!("servers");
    for engine in ENGINES {
        println!("  {:<14}{}", engine.name, engine.about);
    }
}

/// Says whether no target was missed.
fn measure(arguments: &Arguments) -> io::Result<bool> {
    pin(&arguments.cores)?;
    let mut setting = arguments.setting();
    if !arguments.quick && !arguments.no_system_calls {
        setting.counter = Counter::find();
        match setting.counter {
            Some(counter) => eprintln!("system calls are counted by: {}", counter.name()),
            None => eprintln!("!!!! SKIPPED: system calls, for neither perf nor strace works here !!!!"),
        }
    }
    let engines = engines(&arguments.servers)?;
    let rounds = if arguments.quick { 1 } else { arguments.rounds };
    let mut report = Report::default();
    for scenario in scenarios(&setting, &arguments.only)? {
        let engines: Vec<_> = engines.iter().copied().filter(|engine| scenario.takes(engine)).collect();
        for round in 0..rounds {
            for turn in 0..engines.len() {
                // Whoever comes first in one round comes later in the next: a machine that slows down slows all of them.
                let engine = engines[(turn + round) % engines.len()];
                eprintln!("{}: round {} of {rounds}: {}", scenario.name, round + 1, engine.name);
                match attempt(|| scenario.measure(engine, &setting)) {
                    Ok(turn) => report.add(&scenario, engine, round, turn),
                    Err(error) => fail(&mut report, &scenario, engine, &error),
                }
            }
        }
        for engine in engines.iter().filter(|_| setting.counter.is_some()) {
            match attempt(|| scenario.count(engine, &setting)) {
                Ok(turn) => report.add_counted(&scenario, engine, turn),
                Err(error) => fail(&mut report, &scenario, engine, &error),
            }
        }
        if !arguments.json {
            report.print(&scenario);
        }
    }
    if arguments.json {
        report.print_json();
    }
    Ok(!arguments.check || check::print(&report))
}

/// Some peers lose connections now and then: one failure says nothing yet.
fn attempt(mut measure: impl FnMut() -> io::Result<Turn>) -> io::Result<Turn> {
    const ATTEMPTS: usize = 3;
    for _ in 1..ATTEMPTS {
        match measure() {
            Ok(turn) => return Ok(turn),
            Err(error) => eprintln!("once more: {error}"),
        }
    }
    measure()
}

fn fail(report: &mut Report, scenario: &Scenario, engine: &'static Engine, error: &io::Error) {
    eprintln!("!!!! {}: {}: {error} !!!!", scenario.name, engine.name);
    report.add_failure(scenario, engine, error.to_string());
}

/// Everything that is started later is held to these processors too.
fn pin(cores: &[usize]) -> io::Result<()> {
    if cores.is_empty() {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    for core in cores {
        set.set(*core);
    }
    rustix::thread::sched_setaffinity(None, &set)?;
    Ok(())
}

fn engines(wanted: &[String]) -> io::Result<Vec<&'static Engine>> {
    let named = wanted.iter().map(|name| Engine::named(name)).collect::<io::Result<Vec<_>>>()?;
    let engines = if wanted.is_empty() { ENGINES.iter().collect() } else { named };
    Ok(engines
        .into_iter()
        .filter(|engine| match engine.is_missing() {
            Some(why) => {
                eprintln!("!!!! SKIPPED: {}: {why} !!!!", engine.name);
                false
            }
            None => true,
        })
        .collect())
}

fn scenarios(setting: &Setting, wanted: &[String]) -> io::Result<Vec<Scenario>> {
    let all = scenario::all(setting);
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

impl Arguments {
    fn setting(&self) -> Setting {
        let fewer = |number: usize| if self.quick { (number / 10).max(1) } else { number };
        Setting {
            threads: self.threads,
            window: Duration::from_secs_f64(if self.quick { 0.2 } else { self.seconds }),
            idle: fewer(self.idle),
            held: fewer(self.held),
            active: fewer(self.active),
            hostile: fewer(self.hostile),
            cut_off_within: Duration::from_secs(if self.quick { 1 } else { 13 }),
            rate: self.rate,
            counter: None,
        }
    }
}
