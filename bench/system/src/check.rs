//! What the figures have to be, and whether they are.

use crate::metric::{self, Metric};
use crate::report::{PEERS, Report};
use crate::servers::Kind;

/// One demand on one figure of one server.
#[derive(Clone)]
struct Target {
    scenario: &'static str,
    server: &'static str,
    metric: Metric,
    bound: Bound,
}

#[derive(Clone, Copy)]
enum Bound {
    /// At most, or at least, that many times what another has.
    Most(f64, Of),
    Least(f64, Of),
    /// At most what another has, and that much more.
    Plus(f64, Of),
}

#[derive(Clone, Copy)]
enum Of {
    Number,
    BestPeer,
    BestBlockingPeer,
    Server(&'static str),
}

use Bound::{Least, Most, Plus};
use Of::{BestBlockingPeer, BestPeer, Number, Server};

const fn target(scenario: &'static str, server: &'static str, metric: Metric, bound: Bound) -> Target {
    Target { scenario, server, metric, bound }
}

const RAW: Of = Server("raw");

static TARGETS: &[Target] = &[
    target("get", "threads", metric::REQUESTS, Least(1.0, BestBlockingPeer)),
    target("get", "multi-reactor", metric::REQUESTS, Least(0.97, BestPeer)),
    target("get", "multi-reactor", metric::USER, Most(0.42, Server("hyper"))),
    target("get", "multi-reactor", metric::USER, Most(1.0, Server("may-minihttp"))),
    target("get", "multi-reactor", metric::CALLS, Most(2.15, Number)),
    target("get-512", "multi-reactor", metric::REQUESTS, Least(0.97, BestPeer)),
    target("get-512", "multi-reactor", metric::USER, Most(0.42, Server("hyper"))),
    target("get-512", "multi-reactor", metric::USER, Most(1.0, Server("may-minihttp"))),
    target("get-512", "multi-reactor", metric::CALLS, Most(2.15, Number)),
    target("pipelined", "multi-reactor", metric::CPU, Plus(0.15, RAW)),
    target("pipelined", "multi-reactor", metric::CALLS, Most(2.15 / 16.0, Number)),
    target("echo", "multi-reactor", metric::CPU, Most(1.0, BestPeer)),
    target("echo", "multi-reactor", metric::CPU, Most(1.08, RAW)),
    target("stream", "multi-reactor", metric::CPU, Most(1.0, BestPeer)),
    target("stream", "multi-reactor", metric::CPU, Most(1.08, RAW)),
    target("close", "multi-reactor", metric::CPU, Most(1.0, RAW)),
    target("close", "multi-reactor-deferring", metric::CPU, Most(1.0, RAW)),
    target("close", "multi-reactor", metric::CALLS, Most(6.5, Number)),
    target("rate", "multi-reactor", metric::P50, Most(1.0, BestPeer)),
    target("rate", "multi-reactor", metric::P99, Most(1.0, BestPeer)),
    target("idle", "multi-reactor", metric::CONNECTION, Most(400.0, Number)),
    target("held", "multi-reactor", metric::LOST, Most(0.0, Number)),
    target("held", "multi-reactor", metric::CPU, Most(1.2, RAW)),
    target("held", "reactor-pool", metric::LOST, Most(0.0, Number)),
    target("held", "reactor-pool", metric::CPU, Most(1.2, RAW)),
    target("deferred", "reactor-pool", metric::CPU, Most(10.0, Number)),
    target("deferred", "reactor-pool", metric::SWITCHES, Most(0.3, Number)),
    target("deferred", "staged", metric::CPU, Most(10.0, Number)),
    target("deferred", "staged", metric::SWITCHES, Most(0.3, Number)),
    target("overload", "staged", metric::P99_RATIO, Most(2.0, Number)),
    target("overload", "staged", metric::REFUSED_P99, Most(10_000.0, Number)),
    target("overload", "staged", metric::ERRORS, Most(0.0, Number)),
    target("overload", "staged", metric::GROWTH, Most(1.0, Number)),
    target("get", "reactor", metric::REQUESTS, Least(1.0, Server("nginx-1"))),
    target("get", "reactor", metric::REQUESTS, Least(1.0, Server("hyper-local"))),
    target("get", "tokio", metric::REQUESTS, Least(0.97, Server("hyper"))),
    target("get", "tokio", metric::USER, Most(0.8, Server("hyper"))),
    target("pipelined", "tokio", metric::REQUESTS, Least(1.15, Server("hyper"))),
    target("idle", "tokio", metric::CONNECTION, Most(2048.0, Number)),
    target("get", "tokio-tower", metric::USER, Most(0.8, Server("axum"))),
    target("pipelined", "tokio-tower", metric::REQUESTS, Least(2.0, Server("axum"))),
    target("idle", "tokio-tower", metric::CONNECTION, Most(1.0 / 3.0, Server("axum"))),
    target("get", "smol", metric::CPU, Most(1.3, Server("tokio"))),
    target("get", "async-std", metric::CPU, Most(1.3, Server("tokio"))),
];

/// For each of these models.
static HOSTILE: &[&str] = &["reactor", "multi-reactor", "reactor-pool", "staged"];

/// Prints each target with whether it is met; says whether none was missed.
pub fn print(report: &Report) -> bool {
    let mut missed = 0;
    println!("\n| scenario | server | figure | is | bound | |");
    println!("|---|---|---|---|---|---|");
    let hostile = HOSTILE.iter().flat_map(|server| {
        [
            target("hostile", server, metric::HALF, Most(2048.0, Number)),
            target("hostile", server, metric::UNREAD, Most(65_536.0, Number)),
            target("hostile", server, metric::CUT_OFF, Least(1.0, Number)),
            target("hostile", server, metric::P99_RATIO, Most(2.0, Number)),
        ]
    });
    for target in TARGETS.iter().cloned().chain(hostile) {
        let Target { scenario, server, metric, bound } = target;
        let (factor, of, sign) = match bound {
            Most(factor, of) => (factor, of, "at most"),
            Least(factor, of) => (factor, of, "at least"),
            Plus(more, of) => (more, of, "at most"),
        };
        let (other, called) = match of {
            Number => (None, ""),
            BestPeer => (report.best_peer(scenario, PEERS, metric), "best peer"),
            BestBlockingPeer => (report.best_peer(scenario, &[Kind::Blocking], metric), "best blocking peer"),
            Server(name) => (Some(name), ""),
        };
        let own = report.value(scenario, server, metric);
        let compared = match (bound, other) {
            (_, None) => matches!(of, Number).then_some(own).flatten(),
            (Plus(..), Some(other)) => {
                report.compare(scenario, (server, other), metric, |own, other| own - other)
            }
            (_, Some(other)) => report.compare(scenario, (server, other), metric, |own, other| own / other),
        };
        let verdict = match compared {
            None => "not measured",
            Some(is) if (sign == "at least" && is >= factor) || (sign == "at most" && is <= factor) => "met",
            Some(_) => {
                missed += 1;
                "**missed**"
            }
        };
        let show = |value: Option<f64>| value.map_or_else(|| "-".into(), |value| metric.show(value));
        let (is, bound) = match (bound, other) {
            (_, None) => (String::new(), format!("{sign} {}", metric.show(factor))),
            (Plus(..), Some(other)) => (
                format!(" = {other} {:+.2}", compared.unwrap_or_default()),
                format!("{sign} {factor} above {other}"),
            ),
            (_, Some(other)) => (
                format!(" = {:.2} × {other}", compared.unwrap_or_default()),
                format!("{sign} {factor} × {}", if called.is_empty() { other } else { called }),
            ),
        };
        println!("| {scenario} | {server} | {} | {}{is} | {bound} | {verdict} |", metric.title, show(own));
    }
    missed == 0
}
