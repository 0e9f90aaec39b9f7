//! One table a scenario: figures over all turns, and how they compare.

use crate::metric::{Better, Metric, Turn};
use crate::scenario::Scenario;
use crate::servers::{Engine, Kind};

/// All turns of one server in one scenario.
struct Row {
    scenario: &'static str,
    engine: &'static Engine,
    /// Each with the round that it belongs to.
    turns: Vec<(usize, Turn)>,
    /// What was counted in a turn of its own.
    counted: Turn,
    /// Why there is less than there should be.
    failed: Vec<String>,
}

/// Whom a server is compared with, besides the limit.
pub const PEERS: &[Kind] = &[Kind::Blocking, Kind::Events];

#[derive(Default)]
pub struct Report {
    rows: Vec<Row>,
}

impl Report {
    pub fn add(&mut self, scenario: &Scenario, engine: &'static Engine, round: usize, turn: Turn) {
        self.row(scenario, engine).turns.push((round, turn));
    }

    pub fn add_counted(&mut self, scenario: &Scenario, engine: &'static Engine, turn: Turn) {
        self.row(scenario, engine).counted = turn;
    }

    pub fn add_failure(&mut self, scenario: &Scenario, engine: &'static Engine, why: String) {
        self.row(scenario, engine).failed.push(why);
    }

    fn row(&mut self, scenario: &Scenario, engine: &'static Engine) -> &mut Row {
        let found =
            self.rows.iter().position(|row| row.scenario == scenario.name && row.engine.name == engine.name);
        let at = found.unwrap_or_else(|| {
            let (turns, counted, failed) = (Vec::new(), Turn::new(), Vec::new());
            self.rows.push(Row { scenario: scenario.name, engine, turns, counted, failed });
            self.rows.len() - 1
        });
        &mut self.rows[at]
    }

    /// One figure, if it was measured.
    pub fn value(&self, scenario: &str, engine: &str, metric: Metric) -> Option<f64> {
        self.of(scenario).find(|row| row.engine.name == engine)?.value(metric)
    }

    /// The peer of such a kind that has the best figure.
    pub fn best_peer(&self, scenario: &str, kinds: &[Kind], metric: Metric) -> Option<&'static str> {
        let values = self
            .of(scenario)
            .filter(|row| kinds.contains(&row.engine.kind))
            .filter_map(|row| Some((row.engine.name, row.value(metric)?)));
        let best = match metric.better {
            Better::More => values.max_by(|one, other| one.1.total_cmp(&other.1)),
            Better::Less => values.min_by(|one, other| one.1.total_cmp(&other.1)),
        };
        best.map(|(name, _)| name)
    }

    /// How a figure of one server stands to that of another: compared round by round, so that a machine that is slower in
    /// one round than in the next is so for both.
    pub fn compare(
        &self,
        scenario: &str,
        (own, other): (&str, &str),
        metric: Metric,
        how: impl Fn(f64, f64) -> f64,
    ) -> Option<f64> {
        let row = |name| self.of(scenario).find(|row| row.engine.name == name);
        let (own, other) = (row(own)?, row(other)?);
        let rounds: Vec<f64> = own
            .turns
            .iter()
            .filter_map(|(round, turn)| {
                let (_, others) = other.turns.iter().find(|(of, _)| of == round)?;
                Some(how(figure(turn, metric)?, figure(others, metric)?))
            })
            .collect();
        if metric.is_sampled() || rounds.is_empty() {
            return Some(how(own.value(metric)?, other.value(metric)?));
        }
        metric.over_turns(rounds)
    }

    fn of<'a>(&'a self, scenario: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.scenario == scenario)
    }

    /// The table of one scenario, as Markdown.
    pub fn print(&self, scenario: &Scenario) {
        let metrics = self.metrics(scenario.name);
        if metrics.is_empty() {
            return;
        }
        let mut titles: Vec<String> = metrics.iter().map(|metric| metric.title.to_owned()).collect();
        for metric in scenario.compared {
            titles.extend([format!("{} ÷ best peer", metric.title), String::from("÷ raw")]);
        }
        println!("\n| {} | {} |", scenario.title, titles.join(" | "));
        println!("|---|{}", "--:|".repeat(titles.len()));
        for row in self.of(scenario.name) {
            let shown =
                |value: Option<f64>, show: &dyn Fn(f64) -> String| value.map_or_else(|| "-".into(), show);
            let mut cells: Vec<String> =
                metrics.iter().map(|metric| shown(row.value(*metric), &|value| metric.show(value))).collect();
            for metric in scenario.compared {
                for other in [self.best_peer(scenario.name, PEERS, *metric), Some("raw")] {
                    let ratio = other.and_then(|other| {
                        self.compare(scenario.name, (row.engine.name, other), *metric, |own, other| {
                            own / other
                        })
                    });
                    cells
                        .push(shown(ratio.filter(|ratio| ratio.is_finite()), &|ratio| format!("{ratio:.2}")));
                }
            }
            println!("| {} | {} |", row.engine.name, cells.join(" | "));
        }
        for row in self.of(scenario.name).filter(|row| !row.failed.is_empty()) {
            println!("\n{}: {} turns failed: {}", row.engine.name, row.failed.len(), row.failed[0]);
        }
    }

    /// Those that were measured, in the order in which a turn has them.
    fn metrics(&self, scenario: &str) -> Vec<Metric> {
        let mut metrics: Vec<Metric> = Vec::new();
        for row in self.of(scenario) {
            for (metric, _) in row.turns.iter().flat_map(|(_, turn)| turn).chain(&row.counted) {
                if !metrics.contains(metric) {
                    metrics.push(*metric);
                }
            }
        }
        metrics
    }

    pub fn print_json(&self) {
        let rows: Vec<_> = self
            .rows
            .iter()
            .map(|row| {
                let figures: serde_json::Map<_, _> = self
                    .metrics(row.scenario)
                    .into_iter()
                    .filter_map(|metric| Some((metric.key.to_owned(), row.value(metric)?.into())))
                    .collect();
                serde_json::json!({
                    "scenario": row.scenario,
                    "server": row.engine.name,
                    "turns": row.turns.len(),
                    "failed": row.failed,
                    "figures": figures,
                })
            })
            .collect();
        println!("{}", serde_json::Value::from(rows));
    }
}

impl Row {
    fn value(&self, metric: Metric) -> Option<f64> {
        let turns = self.turns.iter().map(|(_, turn)| turn).chain([&self.counted]);
        metric.over_turns(turns.filter_map(|turn| figure(turn, metric)).collect())
    }
}

fn figure(turn: &Turn, metric: Metric) -> Option<f64> {
    turn.iter().find(|(of, _)| *of == metric).map(|(_, value)| *value)
}
