//! Peers whose threads block, as those of our models `threads` and `pool` do.

use std::io::{self, Read};
use std::sync::Arc;
use std::thread;

use super::Place;
use crate::load::HELLO;

pub(super) fn khttp(place: &Place) -> io::Result<()> {
    use khttp::{Headers, Method, Server};

    let mut app = Server::builder(place.address())?;
    app.thread_count(place.connections);
    app.route(Method::Get, "/plaintext", |_, response| {
        let mut headers = Headers::new();
        headers.add("content-type", b"text/plain");
        headers.add("server", b"khttp");
        response.ok(&headers, HELLO)
    });
    app.route(Method::Post, "/echo", |mut context, response| {
        let body = context.body().vec().unwrap_or_default();
        response.ok(Headers::empty(), body)
    });
    app.build().serve_threaded()
}

pub(super) fn astra(place: &Place) -> io::Result<()> {
    use astra::{Body, ResponseBuilder, Server};

    Server::bind(place.address()).max_workers(place.connections + 1).serve(
        |mut request: astra::Request, _| {
            let mut body = Vec::new();
            match request.uri().path() {
                "/plaintext" => body.extend_from_slice(HELLO.as_bytes()),
                _ => drop(request.body_mut().reader().read_to_end(&mut body)),
            }
            // Its bodies do not know their length: it would be chunked.
            let response = ResponseBuilder::new()
                .header("content-type", "text/plain")
                .header("server", "astra")
                .header("content-length", body.len());
            response.body(Body::new(body)).unwrap_or_default()
        },
    )
}

pub(super) fn tiny_http(place: &Place) -> io::Result<()> {
    let server = Arc::new(tiny_http::Server::http(place.address()).map_err(io::Error::other)?);
    let workers: Vec<_> = (0..place.connections)
        .map(|_| {
            let server = Arc::clone(&server);
            thread::spawn(move || {
                while let Ok(mut request) = server.recv() {
                    let mut body = Vec::new();
                    if request.url() == "/plaintext" {
                        body.extend_from_slice(HELLO.as_bytes());
                    } else {
                        let _ = request.as_reader().read_to_end(&mut body);
                    }
                    let _ = request.respond(tiny_http::Response::from_data(body));
                }
            })
        })
        .collect();
    for worker in workers {
        let _ = worker.join();
    }
    Ok(())
}
