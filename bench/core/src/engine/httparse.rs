//! The parser alone, on the same bytes: what everything else is measured against. It answers nothing.

use std::hint::black_box;

use super::Engine;
use crate::scenario::Scenario;

pub struct Parser;

impl Engine for Parser {
    fn converse(&mut self, scenario: &Scenario) -> usize {
        let mut left = scenario.input();
        while !left.is_empty() {
            let mut headers = [httparse::EMPTY_HEADER; 32];
            let mut request = httparse::Request::new(&mut headers);
            let Ok(httparse::Status::Complete(len)) = request.parse(black_box(left)) else {
                panic!("the scenario's heads are whole")
            };
            black_box(&request);
            left = &left[len..];
        }
        0
    }

    fn transcript(&mut self, _: &Scenario) -> Vec<u8> {
        Vec::new()
    }
}
