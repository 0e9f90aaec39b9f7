//! What a router answers on our models is what `axum::serve` makes of it, but for a few fields, of which each is told here.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anabranch_tests::axum_app::app;
use anabranch_tests::axum_app::conversation::{CONVERSATION, masked, on_the_wire};

/// Where the two say different things of the same, and why neither is wrong.
const DIFFERENT: &[(&str, &str)] = &[
    // The length of nothing is not the length that a 200 would have (RFC 9110 §8.6).
    ("GET /not-modified", "content-length"),
    // What GET would be framed by may be told to HEAD (RFC 9112 §6.1).
    ("HEAD /parts", "transfer-encoding"),
];

#[test]
fn answers_are_those_of_axum_serve() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_io().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    runtime.spawn(async { axum::serve(listener, app()).await });
    for (request, answer) in CONVERSATION {
        let theirs = Answer::read(&ask(address, request));
        let ours = Answer::read(answer);
        let request = request.split(" HTTP/").next().unwrap();
        assert_eq!(ours.status, theirs.status, "{request}");
        assert_eq!(ours.body, theirs.body, "{request}");
        for name in ours.fields.keys().chain(theirs.fields.keys()) {
            let differs = ours.fields.get(name) != theirs.fields.get(name);
            assert_eq!(
                differs,
                DIFFERENT.contains(&(request, name)),
                "{request}: {name}: {ours:?} {theirs:?}"
            );
        }
    }
}

/// What comes back for `request` alone on a connection.
fn ask(address: SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let last = if request.contains("Connection: close") {
        request.to_owned()
    } else {
        request.replacen("Host: a\n", "Host: a\nConnection: close\n", 1)
    };
    stream.write_all(on_the_wire(&last).as_bytes()).unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).unwrap();
    masked(&received)
}

#[derive(Debug)]
struct Answer {
    status: String,
    /// By name, without what is said of the connection.
    fields: BTreeMap<String, Vec<String>>,
    body: String,
}

impl Answer {
    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\n\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().to_owned();
        let mut fields = BTreeMap::<_, Vec<_>>::new();
        for line in lines {
            let (name, value) = line.split_once(": ").unwrap();
            if name != "connection" {
                fields.entry(name.to_owned()).or_default().push(value.to_owned());
            }
        }
        Self { status, fields, body: body.to_owned() }
    }
}
