//! The configuration that a file amounts to, as a file: every key with its value, and whether that is the default.

use core::fmt::Write;

use anabranch_mio::{Ownership, Pinning};
use anabranch_std::LaneConfig;

use super::read::Settings;
use super::schema::{KEYS, Key, TABLES};
use super::value::{canonical, default_of, toml};
use crate::args::ProtocolName;
use crate::carrier::{Carrier, Number, Threads};
use crate::demo::Demo;
use crate::models::ModelName;
use crate::protocols::is_stray;

/// The configuration as TOML that, read again, amounts to the same and is shown the same. Keys that mean nothing to the model
/// or to the protocol are left out; a lane that a route asks for and nobody configured is told of in a comment.
#[must_use]
pub fn effective(settings: &Settings) -> String {
    let (model, protocol) = (settings.model(), settings.protocol());
    let mut out = String::new();
    for table in [""].iter().chain(TABLES).filter(|table| **table != "http") {
        let means_nothing =
            |flag| Number::of(flag).is_some_and(|number| !number.is_for(model)) || is_stray(flag, protocol);
        let keys = || KEYS.iter().filter(|key| key.table == *table && !means_nothing(key.flags[0]));
        if !table.is_empty() && keys().next().is_some() {
            let _ = writeln!(out, "\n[{table}]");
        }
        for key in keys() {
            let flag = key.flags[0];
            line(
                &mut out,
                key,
                settings.flags.get(flag).map(|setting| setting.text.as_str()),
                &default(flag, model, settings),
            );
        }
    }
    for pipeline in &settings.pipelines {
        let LaneConfig { threads, queue, .. } = LaneConfig::default();
        let _ = writeln!(out, "\n[http.pipelines.{}]", pipeline.name);
        for (name, value, default) in
            [("threads", pipeline.threads, threads), ("ring_buffer_size", pipeline.queue, queue)]
        {
            entry(&mut out, name, &value.unwrap_or(default).to_string(), &default.to_string());
        }
    }
    for lane in Demo::new(model.name()).lanes() {
        if protocol == ProtocolName::Http && settings.pipelines.iter().all(|pipeline| pipeline.name != lane.0)
        {
            let _ = writeln!(
                out,
                "\n# [http.pipelines.{lane}] is asked for: without it, its work runs on lane default"
            );
        }
    }
    out
}

fn line(out: &mut String, key: &Key, given: Option<&str>, default: &str) {
    let value = given.map_or_else(|| default.to_owned(), |given| canonical(key.kind, given));
    entry(out, key.name, &toml(key.kind, &value), &toml(key.kind, default));
}

/// Where comments begin, where they can.
const COMMENTS: usize = 40;

fn entry(out: &mut String, name: &str, value: &str, default: &str) {
    let text = format!("{name} = {value}");
    // Writing to a string does not fail.
    let _ =
        if value == default { writeln!(out, "{text:<COMMENTS$}# default") } else { writeln!(out, "{text}") };
}

/// What holds where nobody says anything: the flag's default, or what the model or the lane makes of none.
fn default(flag: &str, model: ModelName, settings: &Settings) -> String {
    if let Some(default) = default_of(flag) {
        return default;
    }
    let LaneConfig { threads, queue, .. } = LaneConfig::default();
    match flag {
        "lane-threads" => return threads.to_string(),
        "lane-queue" => return queue.to_string(),
        // A flag that is counted, and was not given.
        "verbose" => return "0".to_owned(),
        _ => {}
    }
    // The queue of a pool is as long as it has workers, unless it says otherwise.
    let workers = settings.flags.get("threads").and_then(|threads| threads.text.parse().ok());
    let carrier = Carrier::new(
        model,
        Threads { threads: if flag == "queue" { workers } else { None }, ..Threads::default() },
    );
    match (flag, carrier) {
        ("threads", Ok(carrier)) => carrier.threads().map_or_else(String::new, |threads| threads.to_string()),
        ("queue", Ok(Carrier::Std(anabranch_std::Model::Pool { queue, .. }))) => queue.to_string(),
        ("acceptors", Ok(Carrier::Mio(anabranch_mio::Model::Staged { acceptors, .. }))) => {
            acceptors.to_string()
        }
        ("ownership", Ok(Carrier::Mio(anabranch_mio::Model::Staged { ownership, .. }))) => match ownership {
            Ownership::Shared => "shared".to_owned(),
            _ => "pinned".to_owned(),
        },
        ("pin", Ok(Carrier::Mio(anabranch_mio::Model::MultiReactor { pinning, .. }))) => match pinning {
            Pinning::Pinned => "on".to_owned(),
            _ => "off".to_owned(),
        },
        _ => String::new(),
    }
}
