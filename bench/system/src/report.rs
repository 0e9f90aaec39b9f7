//! Medians of all turns, and how they compare.

use std::time::Duration;

use crate::engine::Engine;
use crate::load::Done;
use crate::process::Usage;
use crate::scenario::Scenario;

/// One turn.
#[derive(Clone, Copy)]
pub struct Measured {
    requests_a_second: f64,
    cpu_micros: f64,
    user_micros: f64,
    switches: f64,
    errors: u64,
}

impl Measured {
    pub fn new(done: &Done, used: Usage, window: Duration) -> Self {
        let requests = done.requests.max(1) as f64;
        let micros = |time: Duration| time.as_secs_f64() * 1e6 / requests;
        Self {
            requests_a_second: done.requests as f64 / window.as_secs_f64(),
            cpu_micros: micros(used.user + used.system),
            user_micros: micros(used.user),
            switches: used.switches as f64 / requests,
            errors: done.errors,
        }
    }
}

/// All turns of one engine in one scenario.
struct Row {
    scenario: (&'static str, &'static str),
    engine: Engine,
    turns: Vec<Measured>,
}

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub fn add(&mut self, scenario: &Scenario, engine: Engine, turn: Measured) {
        let row = self.rows.iter_mut().find(|row| row.scenario.0 == scenario.name && row.engine == engine);
        match row {
            Some(row) => row.turns.push(turn),
            None => {
                self.rows.push(Row { scenario: (scenario.name, scenario.title), engine, turns: vec![turn] });
            }
        }
    }

    pub fn print(&self) {
        let mut titles: Vec<_> = self.rows.iter().map(|row| row.scenario.1).collect();
        titles.dedup();
        for title in titles {
            let rows: Vec<_> = self.rows.iter().filter(|row| row.scenario.1 == title).collect();
            let best = rows
                .iter()
                .filter(|row| row.engine.is_blocking_peer())
                .map(|row| row.median(|turn| turn.requests_a_second))
                .fold(0.0, f64::max);
            println!(
                "\n| {title} | requests/s | of the best blocking peer | CPU us | user us | switches | errors |"
            );
            println!("|---|--:|--:|--:|--:|--:|--:|");
            for row in rows {
                let requests = row.median(|turn| turn.requests_a_second);
                let ratio = if best > 0.0 { format!("{:.2}", requests / best) } else { "-".into() };
                println!(
                    "| {} | {requests:.0} | {ratio} | {:.2} | {:.2} | {:.2} | {} |",
                    row.engine.name(),
                    row.median(|turn| turn.cpu_micros),
                    row.median(|turn| turn.user_micros),
                    row.median(|turn| turn.switches),
                    row.turns.iter().map(|turn| turn.errors).sum::<u64>(),
                );
            }
        }
    }

    pub fn print_json(&self) {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                serde_json::json!({
                    "scenario": row.scenario.0,
                    "engine": row.engine.name(),
                    "turns": row.turns.len(),
                    "requests_a_second": row.median(|turn| turn.requests_a_second),
                    "cpu_us": row.median(|turn| turn.cpu_micros),
                    "user_us": row.median(|turn| turn.user_micros),
                    "context_switches": row.median(|turn| turn.switches),
                    "errors": row.turns.iter().map(|turn| turn.errors).sum::<u64>(),
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
    }
}

impl Row {
    fn median(&self, of: impl Fn(&Measured) -> f64) -> f64 {
        let mut values: Vec<f64> = self.turns.iter().map(of).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    }
}
