//! Answers as a strict client reads them. Each says which server gave it, as the default settings have it.

pub(crate) use anabranch_core::testing::Answer;

/// Reads all answers in `output`; `methods` are those of the requests, in order.
#[track_caller]
pub(crate) fn answers(output: &[u8], methods: &[&str]) -> Vec<Answer> {
    let all = anabranch_core::testing::answers(output, methods);
    assert!(all.iter().all(|answer| answer.status < 200 || answer.server.is_some()), "no server: {all:?}");
    all
}

/// Reads the one answer to a `GET` that `output` is.
#[track_caller]
pub(crate) fn one_answer(output: &[u8]) -> Answer {
    let mut all = answers(output, &[]);
    assert_eq!(all.len(), 1, "expected one answer: {all:?}");
    all.remove(0)
}
