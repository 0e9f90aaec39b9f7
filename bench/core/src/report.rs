//! All figures of one run, as tables and as JSON.

use crate::alloc::{Allocated, counted};
use crate::engine::{Engine, EngineKind};
use crate::heads::{Trickle, trickles};
use crate::idle::{Idle, idle};
use crate::instr;
use crate::scenario::Scenario;
use crate::time::nanoseconds;

/// Conversations over which allocations are counted, after as many to warm up.
const COUNTED: usize = 1000;

pub struct Report {
    rows: Vec<Row>,
    idle: Vec<Idle>,
    trickles: Vec<Trickle>,
}

/// One engine in one scenario; figures are per request.
struct Row {
    scenario: &'static str,
    title: &'static str,
    engine: EngineKind,
    nanoseconds: f64,
    instructions: Option<f64>,
    allocations: f64,
    allocated_bytes: f64,
    copied_bytes: Option<f64>,
}

/// Whether instructions are counted decides how long it takes: some ten seconds without.
pub fn measure(with_instructions: bool) -> Report {
    let with_instructions = with_instructions && instr::is_available();
    let mut rows = Vec::new();
    for scenario in Scenario::all() {
        let engines: Vec<_> = EngineKind::ALL.into_iter().filter(|kind| scenario.suits(*kind)).collect();
        engines.iter().for_each(|kind| verify(*kind, &scenario));
        let times = nanoseconds(&scenario, &engines);
        for (engine, nanoseconds) in engines.into_iter().zip(times) {
            let allocated = allocations(engine, &scenario);
            let requests = (COUNTED * scenario.requests) as f64;
            rows.push(Row {
                scenario: scenario.name,
                title: scenario.title,
                engine,
                nanoseconds,
                instructions: if with_instructions { instr::instructions(&scenario, engine) } else { None },
                allocations: allocated.calls as f64 / requests,
                allocated_bytes: allocated.bytes as f64 / requests,
                copied_bytes: if with_instructions { instr::copied_bytes(&scenario, engine) } else { None },
            });
        }
    }
    Report { rows, idle: idle(), trickles: trickles() }
}

/// Every answer is whole and right, or its cost means nothing.
fn verify(kind: EngineKind, scenario: &Scenario) {
    if kind == EngineKind::Httparse {
        return;
    }
    let mut engine = kind.start();
    for _ in 0..3 {
        let mut left = &engine.transcript(scenario)[..];
        for _ in 0..scenario.requests {
            let at = left
                .windows(4)
                .position(|window| window == b"\r\n\r\n")
                .unwrap_or_else(|| panic!("{kind:?} does not answer {}", scenario.name));
            let (head, rest) = left.split_at(at + 4);
            let head = String::from_utf8_lossy(head).to_ascii_lowercase();
            for part in ["http/1.1 200 ok\r\n", "\r\ndate: ", "\r\nserver: ", "\r\ncontent-type: "] {
                if kind == EngineKind::Axum && part.contains("server") {
                    // It names itself as little as hyper does.
                    continue;
                }
                assert!(head.contains(part), "{kind:?} answers {} without {part:?}: {head}", scenario.name);
            }
            let body =
                if head.contains("chunked") { joined(rest) } else { rest[..scenario.answer.len()].to_vec() };
            assert!(body == scenario.answer, "{kind:?} answers {} with another body", scenario.name);
            left = if head.contains("chunked") { &[] } else { &rest[scenario.answer.len()..] };
        }
        assert!(left.is_empty(), "{kind:?} says more than it was asked in {}", scenario.name);
    }
}

/// The data of a chunked body.
fn joined(mut chunks: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let end = chunks.iter().position(|byte| *byte == b'\r').expect("a chunk has a size line");
        let size = std::str::from_utf8(&chunks[..end]).expect("a size is text");
        let size = usize::from_str_radix(size, 16).expect("a size is hexadecimal");
        if size == 0 {
            return data;
        }
        data.extend_from_slice(&chunks[end + 2..end + 2 + size]);
        chunks = &chunks[end + 4 + size..];
    }
}

fn allocations(kind: EngineKind, scenario: &Scenario) -> Allocated {
    let mut engine = kind.start();
    let converse = |engine: &mut dyn Engine| {
        for _ in 0..COUNTED {
            engine.converse(scenario);
        }
    };
    converse(&mut *engine);
    counted(|| converse(&mut *engine))
}

impl Report {
    pub fn print_tables(&self) {
        println!(
            "| per request | engine | ns | × httparse | instructions | × httparse | allocations | bytes | copied |"
        );
        println!("|---|---|--:|--:|--:|--:|--:|--:|--:|");
        for row in &self.rows {
            let parser = self.parser(row);
            println!(
                "| {} | {} | {:.0} | {} | {} | {} | {:.2} | {:.0} | {} |",
                row.title,
                row.engine.name(),
                row.nanoseconds,
                ratio(Some(row.nanoseconds), parser.map(|parser| parser.nanoseconds)),
                row.instructions.map_or(String::from("-"), |count| format!("{count:.0}")),
                ratio(row.instructions, parser.and_then(|parser| parser.instructions)),
                row.allocations,
                row.allocated_bytes,
                row.copied_bytes.map_or(String::from("-"), |count| format!("{count:.0}")),
            );
        }
        println!("\n| ours, as a part of | time: http-net | hyper | instructions: http-net | hyper |");
        println!("|---|--:|--:|--:|--:|");
        for ours in self.rows.iter().filter(|row| row.engine == EngineKind::Ours) {
            let peer = |kind| self.row(ours.scenario, kind);
            let time = |kind| ratio(Some(ours.nanoseconds), peer(kind).map(|row| row.nanoseconds));
            let instructions = |kind| ratio(ours.instructions, peer(kind).and_then(|row| row.instructions));
            println!(
                "| {} | {} | {} | {} | {} |",
                ours.title,
                time(EngineKind::HttpNet),
                time(EngineKind::Hyper),
                instructions(EngineKind::HttpNet),
                instructions(EngineKind::Hyper),
            );
        }
        println!("\n| an idle keep-alive connection | bytes |\n|---|--:|");
        for idle in &self.idle {
            println!("| {} | {:.0} |", idle.engine, idle.bytes);
        }
        println!("\n| a head that comes byte by byte | ns a byte |\n|---|--:|");
        for trickle in &self.trickles {
            println!("| {} bytes | {:.0} |", trickle.head_bytes, trickle.nanoseconds);
        }
    }

    pub fn print_json(&self) {
        let rows: Vec<String> = self
            .rows
            .iter()
            .map(|row| {
                format!(
                    r#"{{"scenario":"{}","engine":"{}","ns":{:.1},"instructions":{},"allocations":{:.3},"allocated_bytes":{:.1},"copied_bytes":{}}}"#,
                    row.scenario,
                    row.engine.name(),
                    row.nanoseconds,
                    row.instructions.map_or(String::from("null"), |count| format!("{count:.1}")),
                    row.allocations,
                    row.allocated_bytes,
                    row.copied_bytes.map_or(String::from("null"), |count| format!("{count:.1}")),
                )
            })
            .collect();
        let idle: Vec<String> = self
            .idle
            .iter()
            .map(|idle| format!(r#"{{"engine":"{}","bytes":{:.1}}}"#, idle.engine, idle.bytes))
            .collect();
        let trickles: Vec<String> = self
            .trickles
            .iter()
            .map(|trickle| {
                format!(r#"{{"head_bytes":{},"ns_a_byte":{:.1}}}"#, trickle.head_bytes, trickle.nanoseconds)
            })
            .collect();
        println!(
            r#"{{"requests":[{}],"idle":[{}],"byte_by_byte":[{}]}}"#,
            rows.join(","),
            idle.join(","),
            trickles.join(",")
        );
    }

    fn row(&self, scenario: &str, engine: EngineKind) -> Option<&Row> {
        self.rows.iter().find(|row| row.scenario == scenario && row.engine == engine)
    }

    fn parser(&self, row: &Row) -> Option<&Row> {
        self.row(row.scenario, EngineKind::Httparse)
    }
}

fn ratio(ours: Option<f64>, theirs: Option<f64>) -> String {
    match (ours, theirs) {
        (Some(ours), Some(theirs)) if theirs > 0.0 => format!("{:.2}", ours / theirs),
        _ => String::from("-"),
    }
}
