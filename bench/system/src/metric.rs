//! What is measured, and how figures of several turns become one.

/// One kind of figure.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub key: &'static str,
    pub title: &'static str,
    decimals: usize,
    pub better: Better,
    over_turns: OverTurns,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Better {
    More,
    Less,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum OverTurns {
    Median,
    /// For what the kernel samples: turns together are one long turn.
    Mean,
    Sum,
}

use Better::{Less, More};
use OverTurns::{Mean, Median, Sum};

const fn metric(
    key: &'static str,
    title: &'static str,
    decimals: usize,
    better: Better,
    over_turns: OverTurns,
) -> Metric {
    Metric { key, title, decimals, better, over_turns }
}

pub const REQUESTS: Metric = metric("requests_a_second", "requests/s", 0, More, Median);
pub const CPU: Metric = metric("cpu_us", "CPU us", 2, Less, Median);
pub const USER: Metric = metric("user_us", "user us", 2, Less, Mean);
pub const KERNEL: Metric = metric("kernel_us", "kernel us", 2, Less, Mean);
pub const SWITCHES: Metric = metric("context_switches", "switches", 2, Less, Median);
pub const CALLS: Metric = metric("system_calls", "system calls", 2, Less, Median);
pub const MEMORY: Metric = metric("memory_mib", "MiB", 1, Less, Median);
pub const CLIENT: Metric = metric("client_cpu_us", "client CPU us", 2, Less, Median);
pub const CLIENT_BUSY: Metric = metric("client_busy", "client busy", 2, Less, Median);
pub const ERRORS: Metric = metric("errors", "errors", 0, Less, Sum);

pub const P50: Metric = metric("p50_us", "p50 us", 0, Less, Median);
pub const P99: Metric = metric("p99_us", "p99 us", 0, Less, Median);
pub const P999: Metric = metric("p999_us", "p99.9 us", 0, Less, Median);
pub const LAG: Metric = metric("client_lag_p99_us", "client's own lag, p99 us", 0, Less, Median);

pub const CONNECTION: Metric = metric("connection_bytes", "user bytes a connection", 0, Less, Median);
pub const LOST: Metric = metric("lost", "lost", 0, Less, Sum);

pub const P99_ALONE: Metric = metric("p99_alone_us", "fast p99 us, alone", 0, Less, Median);
pub const P99_ELSEWHERE: Metric = metric("p99_elsewhere_us", "beside another's load", 0, Less, Median);
pub const P99_BESIDE: Metric = metric("p99_beside_us", "beside", 0, Less, Median);
pub const P99_RATIO: Metric = metric("p99_ratio", "ratio", 2, Less, Median);
pub const SERVED: Metric = metric("served_a_second", "slow/s served", 0, More, Median);
pub const REFUSED: Metric = metric("refused_a_second", "slow/s refused", 0, Less, Median);
pub const REFUSED_P99: Metric = metric("refused_p99_us", "503 p99 us", 0, Less, Median);
pub const GROWTH: Metric = metric("growth_mib", "MiB grown meanwhile", 2, Less, Median);

pub const HALF: Metric = metric("half_head_bytes", "bytes a half head, beyond those sent", 0, Less, Median);
pub const UNREAD: Metric = metric("unread_bytes", "bytes an unread connection", 0, Less, Median);
pub const CUT_OFF: Metric = metric("cut_off_share", "of them cut off", 2, More, Median);

impl Metric {
    pub fn over_turns(&self, mut values: Vec<f64>) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        values.sort_by(f64::total_cmp);
        Some(match self.over_turns {
            Median => values[values.len() / 2],
            Mean => values.iter().sum::<f64>() / values.len() as f64,
            Sum => values.iter().sum(),
        })
    }

    /// Whether a single turn says little.
    pub fn is_sampled(&self) -> bool {
        self.over_turns == Mean
    }

    pub fn show(&self, value: f64) -> String {
        format!("{value:.*}", self.decimals)
    }
}

/// What one turn of one server came to.
pub type Turn = Vec<(Metric, f64)>;
