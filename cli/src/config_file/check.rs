//! Whether what a file says goes together, with the command line, which overrides it, and with the application's routes.

use std::collections::BTreeSet;

use anabranch_core::Lane;

use super::fault::Fault;
use super::nearest::nearest;
use super::read::{Pipeline, Reading, read};
use super::schema::KEYS;
use crate::args::ProtocolName;
use crate::carrier::Number;
use crate::demo::Demo;
use crate::models::ModelName;
use crate::protocols::is_stray;

/// What the command line says already.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandLine {
    /// Flags that were given, without their dashes.
    pub flags: BTreeSet<&'static str>,
    /// The model, where a flag names it.
    pub model: Option<ModelName>,
    /// And the protocol.
    pub protocol: Option<ProtocolName>,
}

/// Reads a file's text beside a command line. What a flag says is left out of the settings; a number that means nothing to
/// the model is a fault where the file names the model, and is set aside with a warning where a flag does. What means nothing to
/// the protocol is set aside with a warning in any case: one file may be for both. A lane that no route asks for is worth a
/// warning: its work may be another program's.
#[must_use]
pub fn check(text: &str, line: &CommandLine) -> Reading {
    let mut reading = read(text);
    numbers_for_the_model(&mut reading, line);
    settings_for_the_protocol(&mut reading, line);
    lanes_for_the_routes(&mut reading, Demo::new("").lanes());
    reading
}

fn numbers_for_the_model(reading: &mut Reading, line: &CommandLine) {
    let settings = &mut reading.settings;
    settings.flags.retain(|flag, _| !line.flags.contains(flag));
    let model = line.model.unwrap_or_else(|| settings.model());
    let strangers: Vec<&'static str> = settings
        .flags
        .keys()
        .copied()
        .filter(|flag| Number::of(flag).is_some_and(|number| !number.is_for(model)))
        .collect();
    for flag in strangers {
        // Both were just found.
        let (Some(setting), Some(number)) = (settings.flags.remove(flag), Number::of(flag)) else { continue };
        let what = format!(
            "`{}` is for model {}, and this is model {}",
            setting.key,
            number.for_models,
            model.name()
        );
        if line.model.is_some() {
            let remedy =
                format!("nothing: `--model {}` overrides the file, and this is set aside", model.name());
            reading.warnings.push(Fault::new(setting.span, what, remedy));
        } else {
            let least = number.models[0].name();
            let remedy = format!("leave it out, or choose another model: model = \"{least}\"");
            reading.faults.push(Fault::new(setting.span, what, remedy));
        }
    }
}

fn settings_for_the_protocol(reading: &mut Reading, line: &CommandLine) {
    let spoken = line.protocol.unwrap_or_else(|| reading.settings.protocol());
    let flags = &mut reading.settings.flags;
    let strays: Vec<&'static str> = flags.keys().copied().filter(|flag| is_stray(flag, spoken)).collect();
    for flag in strays {
        // It was just found.
        let Some(setting) = flags.remove(flag) else { continue };
        let what = format!("`{}` is for protocol http, and this is protocol {}", setting.key, spoken.name());
        let remedy = "leave it out, or choose the other protocol: protocol = \"http\"";
        reading.warnings.push(Fault::new(setting.span, what, remedy.to_owned()));
    }
}

/// `asked_for` are those that routes name.
fn lanes_for_the_routes(reading: &mut Reading, asked_for: &[Lane]) {
    let names = || asked_for.iter().map(|lane| lane.0).chain([Lane::DEFAULT.0]);
    for Pipeline { name, span, .. } in &reading.settings.pipelines {
        if names().any(|asked_for| asked_for == name) {
            continue;
        }
        let what = format!("no route asks for lane `{name}`: no work comes to its threads");
        let remedy = nearest(name, names()).map_or_else(
            || format!("leave it out, or name a lane that work comes to: {}", list(names())),
            |near| format!("`{near}`?"),
        );
        reading.warnings.push(Fault::new(span.clone(), what, remedy));
    }
}

fn list<'a>(names: impl Iterator<Item = &'a str>) -> String {
    names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

impl CommandLine {
    /// What these matches of `serve` say by flags, defaults aside.
    #[must_use]
    pub fn of(matches: &clap::ArgMatches, model: ModelName, protocol: ProtocolName) -> Self {
        let given = |flag: &str| {
            // The id of a flag is the name of its field.
            matches.value_source(&flag.replace('-', "_")) == Some(clap::parser::ValueSource::CommandLine)
        };
        let flags: BTreeSet<&'static str> =
            KEYS.iter().flat_map(|key| key.flags).copied().filter(|flag| given(flag)).collect();
        let model = flags.contains("model").then_some(model);
        let protocol = flags.contains("protocol").then_some(protocol);
        Self { flags, model, protocol }
    }
}
