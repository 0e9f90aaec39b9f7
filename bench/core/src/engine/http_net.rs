//! http-net: sans-IO as ours, with a response built for each request.

use http_net::{DateCache, Response, ServerConn, ServerEvent};

use super::{Engine, Sink};
use crate::scenario::{HELLO, Scenario};

pub struct HttpNet {
    connection: ServerConn,
    dates: DateCache,
    out: Vec<u8>,
    body: Vec<u8>,
}

enum Route {
    Plain,
    Echo,
    Missing,
}

impl HttpNet {
    pub fn new() -> Self {
        Self { connection: ServerConn::new(), dates: DateCache::new(), out: Vec::new(), body: Vec::new() }
    }

    fn exchange(&mut self, mut input: &[u8], sink: &mut Sink) {
        let Self { connection, dates, out, body } = self;
        let mut route = Route::Missing;
        loop {
            match connection.poll().expect("the scenarios are well-formed") {
                ServerEvent::Request(head) => {
                    route = match head.path() {
                        "/plaintext" => Route::Plain,
                        "/collect" | "/stream" => Route::Echo,
                        _ => Route::Missing,
                    };
                }
                ServerEvent::Body(data) => body.extend_from_slice(data),
                ServerEvent::RequestEnd => {
                    let response = match route {
                        Route::Plain => {
                            Response::new(200).header("content-type", "text/plain").body(HELLO.as_bytes())
                        }
                        Route::Echo => Response::new(200)
                            .header("content-type", "application/octet-stream")
                            .body(std::mem::take(body)),
                        Route::Missing => Response::new(404),
                    };
                    let response = response.header("server", "http-net");
                    connection
                        .respond_with_date(&response, dates.update(784_111_777), out)
                        .expect("the answers are well-formed");
                }
                ServerEvent::NeedInput => {
                    if input.is_empty() {
                        break;
                    }
                    let taken = connection.feed(input);
                    input = &input[taken..];
                }
                _ => unreachable!("nothing else happens in the scenarios"),
            }
        }
        sink.write(out);
        out.clear();
    }
}

impl Engine for HttpNet {
    fn converse(&mut self, scenario: &Scenario) -> usize {
        let mut sink = Sink::default();
        self.exchange(scenario.input(), &mut sink);
        sink.take_count()
    }

    fn transcript(&mut self, scenario: &Scenario) -> Vec<u8> {
        let mut sink = Sink::keeping();
        self.exchange(scenario.input(), &mut sink);
        sink.take_kept()
    }
}
