//! A value of a file as the text of its flag, which is judged by the flag's own parser: one rule, and one text, for both.

use core::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser};
use toml::de::DeValue;

use super::nearest::nearest;
use super::read::a;
use super::schema::{Key, Kind};
use crate::args::Arguments;
use crate::units::{Bound, Count, Delay, Size};

/// Why a value cannot be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// What is wrong.
    pub what: String,
    /// What to write.
    pub remedy: String,
}

/// The value as it would follow the flag.
///
/// # Errors
/// When it is not of the key's type.
pub fn flag_text(key: &Key, value: &DeValue<'_>) -> Result<String, Refused> {
    match (key.kind, value) {
        (Kind::SecondsOrOff, DeValue::Integer(integer)) => {
            let text = decimal(integer).ok_or_else(|| wrong(key, "too large to be counted"))?;
            if text.starts_with('-') { Ok(text) } else { Ok(format!("{text}s")) }
        }
        (
            Kind::Count
            | Kind::CountOrOff
            | Kind::Size
            | Kind::SizeOrOff
            | Kind::Port
            // A time without its unit is told so by its parser.
            | Kind::Delay
            | Kind::TimeOrOff,
            DeValue::Integer(integer),
        ) => decimal(integer).ok_or_else(|| wrong(key, "too large to be counted")),
        (Kind::Verbosity, DeValue::Integer(integer)) => match decimal(integer).as_deref() {
            Some(level @ ("0" | "1" | "2")) => Ok(level.to_owned()),
            _ => Err(wrong(key, "not 0, 1 or 2")),
        },
        (Kind::Switch, DeValue::Boolean(on)) => Ok(on.to_string()),
        (Kind::CountOrOff | Kind::SecondsOrOff, DeValue::String(text)) if text == "off" => Ok("off".to_owned()),
        (
            Kind::Size | Kind::SizeOrOff | Kind::Delay | Kind::TimeOrOff | Kind::Choice | Kind::Address,
            DeValue::String(text),
        ) => Ok(text.clone().into_owned()),
        _ => Err(wrong_type(key, value)),
    }
}

/// Why the flag would refuse the text, if it would.
#[must_use]
pub fn refusal(key: &Key, text: &str) -> Option<Refused> {
    if key.kind == Kind::Verbosity {
        return None;
    }
    if text.len() > 1 && text.starts_with('-') && text[1..].bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(wrong(key, &format!("{text} is less than nothing")));
    }
    let words = ["anabranch".to_owned(), "serve".to_owned(), format!("--{}={text}", key.flags[0])];
    let error = Arguments::try_parse_from(words).err()?;
    let known = match error.get(ContextKind::ValidValue) {
        Some(ContextValue::Strings(known)) => known.as_slice(),
        _ => &[],
    };
    if error.kind() == ErrorKind::InvalidValue && !known.is_empty() {
        let what = format!("`{}` cannot be {text:?}", key.name);
        let near = nearest(text, known.iter().map(String::as_str))
            .map(|near| format!("{near:?}? "))
            .unwrap_or_default();
        return Some(Refused { what, remedy: format!("{near}There are {}", quoted(known)) });
    }
    let why = error.source().map_or_else(|| "not understood".to_owned(), ToString::to_string);
    Some(wrong(key, &why))
}

/// The flag's own default, as `--help` shows it; none where it depends on the machine or the model.
#[must_use]
pub fn default_of(flag: &str) -> Option<String> {
    let mut command = Arguments::command();
    let serve = command.find_subcommand_mut("serve")?;
    let flag = serve.get_arguments().find(|argument| argument.get_long() == Some(flag))?;
    match flag.get_default_values() {
        [value] => value.to_str().map(str::to_owned),
        _ => None,
    }
}

/// The value in one way of writing it, so that two that are the same look the same.
#[must_use]
pub fn canonical(kind: Kind, text: &str) -> String {
    let same = match kind {
        Kind::Count | Kind::CountOrOff => text.parse::<Bound<Count>>().map(|count| count.to_string()),
        Kind::Size | Kind::SizeOrOff => text.parse::<Bound<Size>>().map(|size| size.to_string()),
        Kind::Delay | Kind::TimeOrOff | Kind::SecondsOrOff => {
            text.parse::<Bound<Delay>>().map(|time| time.to_string())
        }
        Kind::Choice | Kind::Address | Kind::Port | Kind::Switch | Kind::Verbosity => return text.to_owned(),
    };
    same.unwrap_or_else(|_| text.to_owned())
}

/// A flag's text as TOML.
#[must_use]
pub fn toml(kind: Kind, text: &str) -> String {
    let plain = match kind {
        Kind::Count | Kind::CountOrOff | Kind::Size | Kind::SizeOrOff => {
            text.bytes().all(|byte| byte.is_ascii_digit())
        }
        Kind::Port | Kind::Switch | Kind::Verbosity => true,
        Kind::Delay | Kind::TimeOrOff | Kind::SecondsOrOff | Kind::Choice | Kind::Address => false,
    };
    // Flags' texts hold letters, digits, dots and colons: nothing that TOML would have escaped.
    if plain { text.to_owned() } else { format!("\"{text}\"") }
}

fn wrong(key: &Key, why: &str) -> Refused {
    Refused { what: format!("`{}`: {why}", key.name), remedy: remedy(key) }
}

fn wrong_type(key: &Key, value: &DeValue<'_>) -> Refused {
    let what = format!("`{}` cannot be {}", key.name, a(value.type_str()));
    let bare = value.as_str().map(str::trim).filter(|text| {
        key.kind == Kind::Switch && ["true", "false"].contains(text)
            || !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
    });
    match bare {
        Some(text) => Refused { what, remedy: format!("without the quotes: {} = {text}", key.name) },
        None => Refused { what, remedy: remedy(key) },
    }
}

fn remedy(key: &Key) -> String {
    let like = if key.kind == Kind::Choice { choices(key.flags[0]) } else { key.kind.like().to_owned() };
    match default_of(key.flags[0]) {
        Some(default) if key.flags.len() == 1 && key.kind != Kind::SecondsOrOff => {
            let default = toml(key.kind, &default);
            format!("{like}; the default is {default}")
        }
        _ => like,
    }
}

fn choices(flag: &str) -> String {
    let mut command = Arguments::command();
    let known = command.find_subcommand_mut("serve").and_then(|serve| {
        let flag = serve.get_arguments().find(|argument| argument.get_long() == Some(flag))?;
        Some(flag.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect::<Vec<_>>())
    });
    format!("one of {}", quoted(&known.unwrap_or_default()))
}

fn quoted(words: &[String]) -> String {
    words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ")
}

fn decimal(integer: &toml::de::DeInteger<'_>) -> Option<String> {
    i128::from_str_radix(integer.as_str(), integer.radix()).ok().map(|number| number.to_string())
}
