//! `POST /commit` and `GET /status`: a list of operations, parsed as it comes and counted, and what was counted so far.
//!
//! ```text
//!   /commit body ──► Json ──► Operations ──► Commit ──┐  lane commit_status
//!   /status ──────────────────────────────────────────┴──► Ledger ──► JSON
//! ```

use std::borrow::Cow;
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anabranch_core::Lane;
use anabranch_core::app::json::{Json, JsonEvent, JsonSink};
use anabranch_core::app::{Endpoint, Response, RouterBuilder};
use http::Method;

/// Both routes share the threads of this lane.
const LANE: Lane = Lane("commit_status");

/// The server's own limit for bodies stands before this one: operations are counted, not kept.
const MAX_COMMIT_BYTES: usize = 1 << 30;

/// Adds both routes.
pub(super) fn routes(router: RouterBuilder, model: &str) -> RouterBuilder {
    let ledger = Arc::new(Ledger::default());
    // Names of models hold no control characters.
    let model = model.replace('\\', "\\\\").replace('"', "\\\"");
    let status = {
        let ledger = Arc::clone(&ledger);
        Endpoint::on_lane(LANE, move |_| json(ledger.status(&model)))
    };
    let operations = || Json::new(Operations::default());
    let commit = Endpoint::parsed_on_lane(LANE, MAX_COMMIT_BYTES, operations, move |_, commit: Commit| {
        ledger.add(commit);
        json(format_args!(r#"{{"put":{},"delete":{}}}"#, commit.puts, commit.deletes))
    });
    router.route(Method::GET, "/status", status).route(
        Method::POST,
        "/commit",
        commit.consumes("application/json"),
    )
}

fn json(text: impl Display) -> Response {
    Response::typed("application/json", text.to_string())
}

/// How many operations of each kind one commit had.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Commit {
    puts: u64,
    deletes: u64,
}

/// What was committed so far.
#[derive(Default)]
struct Ledger {
    commits: AtomicU64,
    puts: AtomicU64,
    deletes: AtomicU64,
}

impl Ledger {
    fn add(&self, commit: Commit) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.puts.fetch_add(commit.puts, Ordering::Relaxed);
        self.deletes.fetch_add(commit.deletes, Ordering::Relaxed);
    }

    fn status(&self, model: &str) -> String {
        let [commits, puts, deletes] =
            [&self.commits, &self.puts, &self.deletes].map(|count| count.load(Ordering::Relaxed));
        let operations = puts + deletes;
        format!(
            r#"{{"model":"{model}","commits":{commits},"operations":{operations},"put":{puts},"delete":{deletes}}}"#
        )
    }
}

/// Takes a list of operations: `{"op":"put","key":"k","value":"v"}` or `{"op":"delete","key":"k"}`, members in any order.
#[derive(Default)]
struct Operations {
    commit: Commit,
    at: At,
    operation: Operation,
}

/// Where in the list the next event stands.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Start,
    List,
    Operation,
    Op,
    Key,
    Value,
}

/// One operation, as far as it has come.
#[derive(Default)]
struct Operation {
    kind: Option<Kind>,
    has_key: bool,
    has_value: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Put,
    Delete,
}

type Refusal = Cow<'static, str>;

impl JsonSink for Operations {
    type Output = Commit;

    fn event(&mut self, event: JsonEvent<'_>) -> Result<(), Refusal> {
        self.at = match (self.at, event) {
            (At::Start, JsonEvent::ArrayStart) => At::List,
            // Nothing comes behind the list: the parser sees to that.
            (At::List, JsonEvent::ArrayEnd) => At::List,
            (At::List, JsonEvent::ObjectStart) => {
                self.operation = Operation::default();
                At::Operation
            }
            (At::Operation, JsonEvent::Name(name)) => self.operation.member(name)?,
            (At::Operation, JsonEvent::ObjectEnd) => {
                match self.operation.finish()? {
                    Kind::Put => self.commit.puts += 1,
                    Kind::Delete => self.commit.deletes += 1,
                }
                At::List
            }
            (At::Op, JsonEvent::String(kind)) => {
                self.operation.kind = Some(match kind {
                    "put" => Kind::Put,
                    "delete" => Kind::Delete,
                    _ => return Err(r#""op" is "put" or "delete""#.into()),
                });
                At::Operation
            }
            (At::Key | At::Value, JsonEvent::String(_)) => At::Operation,
            (At::Start, _) => return Err("expected a list of operations".into()),
            (At::List | At::Operation, _) => return Err("expected an operation, which is an object".into()),
            (At::Op | At::Key | At::Value, _) => return Err("expected a string".into()),
        };
        Ok(())
    }

    fn finish(self) -> Commit {
        self.commit
    }
}

impl Operation {
    /// Takes a member's name; says whose value comes.
    fn member(&mut self, name: &str) -> Result<At, Refusal> {
        let (at, twice) = match name {
            "op" => (At::Op, self.kind.is_some()),
            "key" => (At::Key, std::mem::replace(&mut self.has_key, true)),
            "value" => (At::Value, std::mem::replace(&mut self.has_value, true)),
            _ => return Err(r#"an operation has "op", "key" and "value", nothing else"#.into()),
        };
        if twice { Err(format!("{name:?} stands here twice").into()) } else { Ok(at) }
    }

    fn finish(&self) -> Result<Kind, Refusal> {
        match (self.kind, self.has_key, self.has_value) {
            (None, ..) => Err(r#"an operation needs "op""#.into()),
            (_, false, _) => Err(r#"an operation needs "key""#.into()),
            (Some(Kind::Put), _, false) => Err(r#"a put needs "value""#.into()),
            (Some(Kind::Delete), _, true) => Err(r#"a delete has no "value""#.into()),
            (Some(kind), ..) => Ok(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use anabranch_core::app::BodyParser;

    use super::*;

    fn commit(text: &str) -> Result<Commit, String> {
        let mut json = Json::new(Operations::default());
        let fed = json.feed(text.as_bytes());
        fed.and_then(|()| json.finish()).map_err(|error| error.to_string())
    }

    #[test]
    fn operations_are_counted_by_their_kind() {
        assert_eq!(commit("[]"), Ok(Commit { puts: 0, deletes: 0 }));
        let text = r#"[{"op":"put","key":"k","value":""}, {"key":"k","op":"delete"}, {"value":"v","key":"","op":"put"}]"#;
        assert_eq!(commit(text), Ok(Commit { puts: 2, deletes: 1 }));
    }

    #[test]
    fn what_is_no_operation_is_told_with_its_place() {
        for (text, error) in [
            ("{}", "at byte 0, line 1, column 1: expected a list of operations"),
            ("[1]", "at byte 1, line 1, column 2: expected an operation, which is an object"),
            ("[[]]", "at byte 1, line 1, column 2: expected an operation, which is an object"),
            ("[{}]", r#"at byte 2, line 1, column 3: an operation needs "op""#),
            (r#"[{"op":"get"}]"#, r#"at byte 7, line 1, column 8: "op" is "put" or "delete""#),
            (r#"[{"op":1}]"#, "at byte 7, line 1, column 8: expected a string"),
            (r#"[{"op":"put","op":"put"}]"#, r#"at byte 13, line 1, column 14: "op" stands here twice"#),
            (r#"[{"key":"a","key":"b"}]"#, r#"at byte 12, line 1, column 13: "key" stands here twice"#),
            (r#"[{"op":"put"}]"#, r#"at byte 12, line 1, column 13: an operation needs "key""#),
            (r#"[{"op":"put","key":"k"}]"#, r#"at byte 22, line 1, column 23: a put needs "value""#),
            (
                r#"[{"op":"delete","key":"k","value":"v"}]"#,
                r#"at byte 37, line 1, column 38: a delete has no "value""#,
            ),
            (
                "[\n{\"os\":1}]",
                r#"at byte 3, line 2, column 2: an operation has "op", "key" and "value", nothing else"#,
            ),
        ] {
            assert_eq!(commit(text), Err(error.to_owned()), "{text}");
        }
    }
}
