//! The recorded conversations of `tests/transcripts/`: each model gives them back to the byte (law 10).

use anabranch::demo::Demo;

use super::model::Model;
use super::server::Server;
use crate::transcripts::{Chapter, MODEL_SHOWN};

/// A case a chapter.
macro_rules! chapters {
    ($($chapter:ident)*) => {
        const CHAPTERS: &[&str] = &[$(stringify!($chapter)),*];
        $(
            pub(super) fn $chapter(model: &Model) {
                hold(model, stringify!($chapter));
            }
        )*
    };
}

chapters! { routes methods bodies persistence pipelining expectations refusals limits deadlines ends }

/// Conversations with one server at a time, where the model carries so many.
const AT_ONCE: usize = 8;

fn hold(model: &Model, name: &str) {
    let chapter = Chapter::read(name);
    let serve = |settings: &_| {
        model.serve_service(Demo::new(MODEL_SHOWN), |changed| Clone::clone_from(changed, settings))
    };
    let at_once = model.at_a_time().unwrap_or(AT_ONCE).min(AT_ONCE);
    let came = chapter.play(at_once, serve, Server::address);
    let differences = chapter.differences(&came, model.name);
    let (count, all) = (differences.len(), came.len());
    let report: String = differences.iter().map(|difference| format!("\n{difference}")).collect();
    assert!(differences.is_empty(), "{count} of {all} conversations are otherwise than recorded\n{report}");
}

#[test]
fn every_chapter_is_held() {
    let mut held = CHAPTERS.to_vec();
    held.sort_unstable();
    assert_eq!(Chapter::names(), held);
}
