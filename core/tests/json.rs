//! The JSON parser: what it takes and refuses, what it says of it, and that it is the same however the bytes are cut.

use std::borrow::Cow;

use anabranch_core::app::json::{Json, JsonEvent, JsonSink};
use anabranch_core::app::{BodyParser, ParseError};
use proptest::prelude::*;
use serde_json::Value;

/// Writes the events down.
#[derive(Default)]
struct Events(Vec<String>);

impl JsonSink for Events {
    type Output = Vec<String>;
    fn event(&mut self, event: JsonEvent<'_>) -> Result<(), Cow<'static, str>> {
        if event == JsonEvent::String("refuse me") {
            return Err("as it asks".into());
        }
        self.0.push(format!("{event:?}"));
        Ok(())
    }
    fn finish(self) -> Vec<String> {
        self.0
    }
}

/// Builds the value.
#[derive(Default)]
struct Build {
    open: Vec<(Value, String)>,
    name: String,
    built: Option<Value>,
}

impl Build {
    fn place(&mut self, value: Value) {
        let name = std::mem::take(&mut self.name);
        match self.open.last_mut() {
            None => self.built = Some(value),
            Some((Value::Array(items), _)) => items.push(value),
            Some((Value::Object(members), _)) => drop(members.insert(name, value)),
            Some(_) => unreachable!("only arrays and objects are open"),
        }
    }
}

impl JsonSink for Build {
    type Output = Value;
    fn event(&mut self, event: JsonEvent<'_>) -> Result<(), Cow<'static, str>> {
        match event {
            JsonEvent::ObjectStart => {
                self.open.push((Value::Object(Default::default()), std::mem::take(&mut self.name)));
            }
            JsonEvent::ArrayStart => {
                self.open.push((Value::Array(Vec::new()), std::mem::take(&mut self.name)));
            }
            JsonEvent::ObjectEnd | JsonEvent::ArrayEnd => {
                let (value, name) = self.open.pop().unwrap();
                self.name = name;
                self.place(value);
            }
            JsonEvent::Name(name) => name.clone_into(&mut self.name),
            JsonEvent::String(text) => self.place(text.into()),
            JsonEvent::Number(text) => {
                self.place(serde_json::from_str(text).map_err(|error| error.to_string())?);
            }
            JsonEvent::Bool(value) => self.place(value.into()),
            JsonEvent::Null => self.place(Value::Null),
        }
        Ok(())
    }
    fn finish(self) -> Value {
        self.built.unwrap()
    }
}

fn parse<S: JsonSink>(mut json: Json<S>, text: &[u8], cuts: &[usize]) -> Result<S::Output, ParseError> {
    let mut rest = text;
    for size in cuts.iter().copied().chain([usize::MAX]) {
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        if !chunk.is_empty() {
            json.feed(chunk)?;
        }
        rest = after;
    }
    json.finish()
}

/// What is said of this text, which is the same whole and byte by byte.
#[track_caller]
fn said_of(json: impl Fn() -> Json<Events>, text: impl AsRef<[u8]>) -> Result<String, String> {
    let text = text.as_ref();
    let whole = parse(json(), text, &[]);
    assert_eq!(parse(json(), text, &vec![1; text.len()]), whole, "{}", text.escape_ascii());
    whole.map(|events| events.join(" ")).map_err(|error| error.to_string())
}

fn events() -> Json<Events> {
    Json::new(Events::default())
}

#[test]
fn text_is_told_as_events_in_order() {
    for (text, told) in [
        ("null", "Null"),
        (" \t\r\n true\n", "Bool(true)"),
        ("false", "Bool(false)"),
        ("\"\"", r#"String("")"#),
        ("[]", "ArrayStart ArrayEnd"),
        ("{ }", "ObjectStart ObjectEnd"),
        ("0", r#"Number("0")"#),
        ("-0.50e+07", r#"Number("-0.50e+07")"#),
        ("123456789012345678901234567890", r#"Number("123456789012345678901234567890")"#),
        ("[1,-2 ,\n3]", r#"ArrayStart Number("1") Number("-2") Number("3") ArrayEnd"#),
        (
            r#"{"a":{"b":[{}]},"c":1E9,"":null}"#,
            r#"ObjectStart Name("a") ObjectStart Name("b") ArrayStart ObjectStart ObjectEnd ArrayEnd ObjectEnd Name("c") Number("1E9") Name("") Null ObjectEnd"#,
        ),
        (r#""\"\\\/\b\f\n\r\t\u00fcü\uD83D\uDE00😀""#, r#"String("\"\\/\u{8}\u{c}\n\r\tüü😀😀")"#),
        (r#""\u0000""#, r#"String("\0")"#),
    ] {
        assert_eq!(said_of(events, text).as_deref(), Ok(told), "{text}");
    }
}

#[test]
fn error_says_where_and_what() {
    for (text, error) in [
        (&b""[..], "at byte 0, line 1, column 1: expected a value, found the end"),
        (b" \n", "at byte 2, line 2, column 1: expected a value, found the end"),
        (b"\xEF\xBB\xBF1", "at byte 0, line 1, column 1: expected a value, found byte 0xef"),
        (b"[1,]", "at byte 3, line 1, column 4: expected a value, found ']'"),
        (b"[1 2]", "at byte 3, line 1, column 4: expected ',' or ']', found '2'"),
        (b"[1}", "at byte 2, line 1, column 3: expected ',' or ']', found '}'"),
        (b"[", "at byte 1, line 1, column 2: expected a value or ']', found the end"),
        (b"[,", "at byte 1, line 1, column 2: expected a value or ']', found ','"),
        (b"{\n\n  a", "at byte 5, line 3, column 3: expected a name in quotes or '}', found 'a'"),
        (b"{\"a\" 1}", "at byte 5, line 1, column 6: expected ':', found '1'"),
        (b"{\"a\":1,}", "at byte 7, line 1, column 8: expected a name in quotes, found '}'"),
        (b"{\"a\":1]", "at byte 6, line 1, column 7: expected ',' or '}', found ']'"),
        (b"1 1", "at byte 2, line 1, column 3: expected nothing behind the value, found '1'"),
        (b"1,", "at byte 1, line 1, column 2: expected nothing behind the value, found ','"),
        (b"]", "at byte 0, line 1, column 1: expected a value, found ']'"),
        (b"nulL", "at byte 3, line 1, column 4: expected null, found 'L'"),
        (b"tru", "at byte 3, line 1, column 4: expected true, found the end"),
        (b"truee", "at byte 4, line 1, column 5: expected nothing behind the value, found 'e'"),
        (b"01", "at byte 1, line 1, column 2: expected nothing behind the value, found '1'"),
        (b"-", "at byte 1, line 1, column 2: expected a digit, found the end"),
        (b"[-]", "at byte 2, line 1, column 3: expected a digit, found ']'"),
        (b"1.", "at byte 2, line 1, column 3: expected a digit, found the end"),
        (b"1.e5", "at byte 2, line 1, column 3: expected a digit, found 'e'"),
        (b"1e+ ", "at byte 3, line 1, column 4: expected a digit, found byte 0x20"),
        (b"+1", "at byte 0, line 1, column 1: expected a value, found '+'"),
        (b".5", "at byte 0, line 1, column 1: expected a value, found '.'"),
        (b"\"abc", "at byte 4, line 1, column 5: expected the string's end, found the end"),
        (b"\"a\nb\"", "at byte 2, line 1, column 3: a control character in a string is escaped"),
        (b"\"\\u12g4\"", "at byte 5, line 1, column 6: expected four hexadecimal digits behind \\u"),
        (b"\"\\ud800x\"", "at byte 7, line 1, column 8: a surrogate without its other half"),
        (b"\"\\ud800\\n\"", "at byte 8, line 1, column 9: a surrogate without its other half"),
        (b"\"\\ud800\\u0041\"", "at byte 12, line 1, column 13: a surrogate without its other half"),
        (b"\"\\udc00\"", "at byte 6, line 1, column 7: a surrogate without its other half"),
        (
            "\"ü😀\u{7f}\\x".as_bytes(),
            "at byte 9, line 1, column 6: no such escape: \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\uXXXX are those there are",
        ),
        (b"\"\xc3\"", "at byte 2, line 1, column 3: not UTF-8"),
        (b"\"\xc3a\"", "at byte 2, line 1, column 3: not UTF-8"),
        (b"[1", "at byte 2, line 1, column 3: expected ',' or ']', found the end"),
        (b"{\"a\":{}", "at byte 7, line 1, column 8: expected ',' or '}', found the end"),
        (b"\"a\xff", "at byte 2, line 1, column 3: not UTF-8"),
        (b"\"\xed\xa0\x80\"", "at byte 2, line 1, column 3: not UTF-8"),
        (b"\xff", "at byte 0, line 1, column 1: expected a value, found byte 0xff"),
        (b"// x", "at byte 0, line 1, column 1: expected a value, found '/'"),
        (b"[1,\n \"refuse me\"]", "at byte 5, line 2, column 2: as it asks"),
    ] {
        assert_eq!(said_of(events, text).unwrap_err(), error, "{}", text.escape_ascii());
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    assert!(said_of(events, nested(64)).is_ok());
    assert_eq!(
        said_of(events, nested(65)).unwrap_err(),
        "at byte 64, line 1, column 65: more than 64 arrays and objects within one another"
    );
    assert!(said_of(|| events().max_depth(1), r#"{"a":1}"#).is_ok());
    assert!(said_of(|| events().max_depth(1), r#"{"a":{}}"#).is_err());
    assert!(said_of(|| events().max_depth(0), "1").is_ok());
}

#[test]
fn strings_and_numbers_are_bounded_and_so_is_what_is_kept() {
    let short = || events().max_text_bytes(4);
    for text in [r#""abcd""#, r#""ab\n\t""#, r#"{"abcd":1234}"#, "1234", "\"\\ud83d\\ude00\""] {
        assert!(said_of(short, text).is_ok(), "{text}");
    }
    for (text, at) in
        [(r#" "abcde""#, 1), (r#"{"abcd\n":1}"#, 1), ("[1,12345", 3), ("\"a\\ud83d\\ude00\"", 0)]
    {
        let column = at + 1;
        let error = format!("at byte {at}, line 1, column {column}: a string or number of more than 4 bytes");
        assert_eq!(said_of(short, text).unwrap_err(), error);
    }
    let mut json = events().max_text_bytes(1000);
    assert_eq!(json.held_bytes(), 0);
    json.feed(b"[\"").unwrap();
    for _ in 0..1000 {
        json.feed(b"a").unwrap();
    }
    assert!((1000..3000).contains(&json.held_bytes()), "{}", json.held_bytes());
    assert!(json.feed(b"a").is_err());
}

/// Text that is nearly JSON.
fn nearly_json() -> impl Strategy<Value = Vec<u8>> {
    let pieces = [
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "\"",
        "\"a\"",
        "\"\":",
        "\\",
        "\\n",
        "\\u00e9",
        "\\ud83d\\ude00",
        "\\ud83d",
        "\\u12",
        "0",
        "1",
        "23",
        "-",
        ".",
        "e",
        "E+",
        "true",
        "false",
        "null",
        "nul",
        " ",
        "\n",
        "\t",
        "ü",
        "😀",
        "\u{1}",
        "[1,2]",
        "{\"a\":1}",
        "refuse me",
    ];
    let piece = prop_oneof![
        20 => prop::sample::select(pieces.to_vec()).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => any::<u8>().prop_map(|byte| vec![byte]),
    ];
    let soup = prop::collection::vec(piece, 0..20).prop_map(|pieces| pieces.concat());
    let spoilt = (value(), any::<prop::sample::Index>(), any::<u8>()).prop_map(|(value, at, byte)| {
        let mut text = value.to_string().into_bytes();
        let at = at.index(text.len());
        text[at] = byte;
        text
    });
    let cut_short = (value(), any::<prop::sample::Index>()).prop_map(|(value, at)| {
        let mut text = value.to_string().into_bytes();
        text.truncate(at.index(text.len()));
        text
    });
    prop_oneof![soup, spoilt, cut_short]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((any::<String>(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_said_does_not_depend_on_the_cuts(
        text in nearly_json(),
        cuts in prop::collection::vec(0usize..8, 0..40),
    ) {
        let json = || events().max_depth(3).max_text_bytes(6);
        prop_assert_eq!(parse(json(), &text, &cuts), parse(json(), &text, &[]));
        prop_assert_eq!(parse(events(), &text, &cuts), parse(events(), &text, &[]));
    }

    #[test]
    fn text_is_taken_where_serde_json_takes_it(text in nearly_json()) {
        let ours = parse(Json::new(Build::default()), &text, &[]);
        let theirs = serde_json::from_slice::<Value>(&text);
        match (ours, theirs) {
            (Ok(ours), Ok(theirs)) => prop_assert_eq!(ours, theirs),
            // The sink's refusal: the grammar has no largest number.
            (Err(ours), Err(_)) => prop_assert!(ours.offset() <= text.len() as u64),
            (ours, theirs) => prop_assert!(false, "{ours:?} beside {theirs:?}"),
        }
    }

    #[test]
    fn value_written_is_the_value_read(value in value(), cuts in prop::collection::vec(0usize..20, 0..40)) {
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let read = parse(Json::new(Build::default()), text.as_bytes(), &cuts);
            prop_assert_eq!(read.as_ref(), Ok(&serde_json::from_str::<Value>(&text).unwrap()));
        }
    }
}
