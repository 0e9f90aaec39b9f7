//! Whether what a file says goes together, with the command line, which overrides it, and with the application's routes.

use std::collections::BTreeSet;

use anabranch_core::Lane;
use clap::ValueEnum;

use super::fault::Fault;
use super::nearest::nearest;
use super::read::{Pipeline, Reading, read};
use super::schema::KEYS;
use crate::carrier::Number;
use crate::demo::Demo;
use crate::models::ModelName;

/// What the command line says already.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct CommandLine {
    /// Flags that were given, without their dashes.
    pub flags: BTreeSet<&'static str>,
    /// The model, where a flag names it.
    pub model: Option<ModelName>,
}

/// Reads a file's text beside a command line. What a flag says is left out of the settings; a number that means nothing to
/// the model is a fault where the file names the model, and is set aside with a warning where a flag does. A lane that no
/// route asks for is worth a warning: its work may be another program's.
#[must_use]
pub fn check(text: &str, line: &CommandLine) -> Reading {
    let mut reading = read(text);
    numbers_for_the_model(&mut reading, line);
    lanes_for_the_routes(&mut reading, Demo::new("").lanes());
    reading
}

fn numbers_for_the_model(reading: &mut Reading, line: &CommandLine) {
    let settings = &mut reading.settings;
    settings.flags.retain(|flag, _| !line.flags.contains(flag));
    let named = settings.flags.get("model").and_then(|model| ModelName::from_str(&model.text, false).ok());
    let model = line.model.or(named).unwrap_or(ModelName::Threads);
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
    pub fn of(matches: &clap::ArgMatches, model: ModelName) -> Self {
        let given = |flag: &str| {
            // The id of a flag is the name of its field.
            matches.value_source(&flag.replace('-', "_")) == Some(clap::parser::ValueSource::CommandLine)
        };
        let flags: BTreeSet<&'static str> =
            KEYS.iter().flat_map(|key| key.flags).copied().filter(|flag| given(flag)).collect();
        let model = flags.contains("model").then_some(model);
        Self { flags, model }
    }
}
