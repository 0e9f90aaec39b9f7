//! Example 07, both ways, under every model: over sockets, with tungstenite's own client at the other end.

use std::io::{Cursor, Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anabranch_core::CloseReason;
use anabranch_core::app::{Http, MemoryBudget};
use anabranch_core::lifecycle::EventKind;
use anabranch_core::testing::Rig;
use anabranch_examples::websocket::MAX_MESSAGE_BYTES;
use anabranch_std::{Events, Handle, Listener, Summary};
use socket2::SockRef;
use tungstenite::protocol::Role;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::{Error, Message, WebSocket, client};

#[expect(dead_code, reason = "the example's main")]
#[path = "../examples/07_websocket.rs"]
mod example;

macro_rules! model {
    ($module:ident $name:literal: $($case:ident)*) => {
        mod $module {
            $(#[test]
            fn $case() {
                super::$case($name);
            })*
        }
    };
}

macro_rules! under_every_model {
    ($($case:ident)*) => {
        model! { threads "threads": $($case)* }
        model! { reactor "reactor": $($case)* }
        model! { multi_reactor "multi-reactor": $($case)* }
        model! { staged "staged": $($case)* }
        model! { tokio "tokio": $($case)* }
    };
}

under_every_model! {
    frames_that_came_with_the_request_are_answered
    text_binary_and_empty_messages_come_back
    ping_is_answered_between_the_fragments_of_a_message
    messages_of_a_mebibyte_come_back_while_more_are_sent
    close_is_answered_and_the_connection_ends_in_order
    peer_that_breaks_the_protocol_is_told_how
    peer_that_is_gone_frees_what_it_held
    more_sockets_than_threads_are_served_by_futures_and_a_full_lane_says_so
    drain_is_told_and_ends_with_the_peers_close
    peer_that_does_not_close_in_a_drain_is_cut_off_at_the_end_of_its_grace
    requests_that_open_no_websocket_are_told_what_would
}

const WAYS: [&str; 2] = ["/thread", "/future"];
const PATIENCE: Duration = Duration::from_secs(20);
const OPENING: &str = "GET WAY HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                       Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
/// The threads of the example's lane.
const THREADS: usize = 64;

// ---- both ends ----

struct Server {
    handle: Handle,
    memory: MemoryBudget,
    closed: Events,
}

impl Server {
    fn start(model: &str) -> Self {
        let memory = MemoryBudget::new(64 << 20);
        let handle = example::serve(model, Listener::bind("127.0.0.1:0").unwrap(), &memory).unwrap();
        let closed = handle.events().only(|kind| matches!(kind, EventKind::Closed { .. }));
        Self { handle, memory, closed }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.handle.local_addrs()[0]).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// A WebSocket whose first messages are in one segment with its request.
    fn open_with(&self, way: &str, messages: impl IntoIterator<Item = Message>) -> WebSocket<TcpStream> {
        let mut stream = self.connect();
        let request = OPENING.replace("WAY", way).into_bytes();
        stream.write_all(&[request, frames(messages)].concat()).unwrap();
        let (head, behind) = read_head(&mut stream);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        WebSocket::from_partially_read(stream, behind, Role::Client, None)
    }

    fn open(&self, way: &str) -> WebSocket<TcpStream> {
        self.open_with(way, [])
    }

    /// Why the next connection that comes to its end does.
    fn next_close(&self) -> CloseReason {
        match self.closed.next_timeout(PATIENCE).expect("no connection is closed").kind {
            EventKind::Closed { reason, .. } => reason,
            other => panic!("{other}"),
        }
    }

    /// Nothing is held, by connections that are gone or threads that serve them.
    fn ends(&self) {
        self.handle.drain(PATIENCE);
        self.ended();
    }

    fn ended(&self) {
        let summary: Summary = self.handle.wait_timeout(PATIENCE).expect("the server does not end");
        assert_eq!((summary.left_behind, self.memory.held()), (0, 0));
        assert_eq!(summary.counters.closed, summary.counters.served);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.handle.abort();
    }
}

/// As a client sends them.
fn frames(messages: impl IntoIterator<Item = Message>) -> Vec<u8> {
    let mut socket = WebSocket::from_raw_socket(Cursor::new(Vec::new()), Role::Client, None);
    for message in messages {
        socket.write(message).unwrap();
    }
    socket.flush().unwrap();
    socket.into_inner().into_inner()
}

/// An answer's head, and what came behind it.
fn read_head(stream: &mut TcpStream) -> (String, Vec<u8>) {
    let (mut read, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut buffer).unwrap();
        assert_ne!(count, 0, "the end, behind {:?}", String::from_utf8_lossy(&read));
        read.extend(&buffer[..count]);
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            let behind = read.split_off(end + 4);
            return (String::from_utf8(read).unwrap(), behind);
        }
    }
}

#[track_caller]
fn assert_echoes(socket: &mut WebSocket<TcpStream>, message: impl Into<Message>) {
    let message = message.into();
    socket.send(message.clone()).unwrap();
    assert!(socket.read().unwrap() == message, "another message comes back");
}

/// Reads the server's close, which tungstenite answers, and the end.
#[track_caller]
fn assert_closes(socket: &mut WebSocket<TcpStream>, code: CloseCode) {
    let Message::Close(Some(frame)) = socket.read().unwrap() else { panic!("no close") };
    assert_eq!(frame.code, code);
    assert!(matches!(socket.read(), Err(Error::ConnectionClosed)), "no end");
}

/// Of a message in pieces.
fn fragment(data: &str, code: Data, is_last: bool) -> Message {
    Message::Frame(Frame::message(data.to_owned(), OpCode::Data(code), is_last))
}

// ---- messages ----

fn frames_that_came_with_the_request_are_answered(model: &str) {
    let server = Server::start(model);
    for way in WAYS {
        let first: [Message; 3] = ["at once".into(), Message::Ping("?".into()), vec![7; 3000].into()];
        let mut socket = server.open_with(way, first.clone());
        assert_eq!(socket.read().unwrap(), first[0], "{way}");
        assert_eq!(socket.read().unwrap(), Message::Pong("?".into()), "{way}");
        assert_eq!(socket.read().unwrap(), first[2], "{way}");
        assert_echoes(&mut socket, "later");
    }
    server.ends();
}

fn text_binary_and_empty_messages_come_back(model: &str) {
    let server = Server::start(model);
    for way in WAYS {
        let url = format!("ws://{}{way}", server.handle.local_addrs()[0]);
        let (mut socket, _) = client(url, server.connect()).unwrap();
        for text in ["hello", "", "żółw 🐢"] {
            assert_echoes(&mut socket, text);
        }
        for length in [0, 1, 125, 126, 65_535, 65_536] {
            assert_echoes(&mut socket, vec![0xfe; length]);
        }
    }
}

fn ping_is_answered_between_the_fragments_of_a_message(model: &str) {
    let server = Server::start(model);
    for way in WAYS {
        let mut socket = server.open_with(way, [fragment("one ", Data::Text, false)]);
        socket.send(fragment("mess", Data::Continue, false)).unwrap();
        socket.send(Message::Ping("still there?".into())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Pong("still there?".into()), "{way}");
        socket.send(fragment("age", Data::Continue, true)).unwrap();
        assert_eq!(socket.read().unwrap(), "one message".into(), "{way}");
    }
}

fn messages_of_a_mebibyte_come_back_while_more_are_sent(model: &str) {
    let server = Server::start(model);
    let messages: Vec<Message> = (0..6).map(|at| vec![at; 1024 * 1024].into()).collect();
    for way in WAYS {
        let mut socket = server.open(way);
        let mut writer = socket.get_ref().try_clone().unwrap();
        let sent = frames(messages.clone());
        let sends = thread::spawn(move || writer.write_all(&sent).unwrap());
        for message in &messages {
            assert!(socket.read().unwrap() == *message, "{way}: another message comes back");
        }
        sends.join().unwrap();
    }
}

/// Law 9: however the bytes of a request and its frames are cut.
#[test]
fn cuts_within_a_request_and_its_frames_change_nothing() {
    let http = Http::new(example::router().unwrap());
    let messages =
        ["hello".into(), fragment("in ", Data::Text, false), fragment("two", Data::Continue, true)];
    let sent = [OPENING.replace("WAY", "/future").into_bytes(), frames(messages)].concat();
    let play = |piece: usize| {
        let mut rig = Rig::connect(&http);
        rig.feed(&sent, piece);
        rig.written()
    };
    let whole = play(sent.len());
    let behind = whole.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(whole[behind..], *b"\x81\x05hello\x81\x06in two");
    for piece in 1..sent.len() {
        assert!(play(piece) == whole, "pieces of {piece} bytes are answered otherwise");
    }
}

// ---- ends ----

fn close_is_answered_and_the_connection_ends_in_order(model: &str) {
    let server = Server::start(model);
    for way in WAYS {
        let mut socket = server.open(way);
        assert_echoes(&mut socket, "hello");
        let bye = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
        socket.close(Some(bye.clone())).unwrap();
        assert_eq!(socket.read().unwrap(), Message::Close(Some(bye)), "{way}");
        assert!(matches!(socket.read(), Err(Error::ConnectionClosed)), "{way}");
        drop(socket);
        assert_eq!(server.next_close(), CloseReason::Finished, "{way}");
    }
    server.ends();
}

fn peer_that_breaks_the_protocol_is_told_how(model: &str) {
    let server = Server::start(model);
    let too_long = [&[0x82, 0xff][..], &(MAX_MESSAGE_BYTES as u64 + 1).to_be_bytes(), &[0; 4]].concat();
    for way in WAYS {
        for (frame, code) in [
            // Not masked.
            (&b"\x81\x02hi"[..], CloseCode::Protocol),
            (b"\x83\x80\0\0\0\0", CloseCode::Protocol),
            (b"\x81\x81\0\0\0\0\xff", CloseCode::Invalid),
            (&too_long, CloseCode::Size),
        ] {
            let mut socket = server.open(way);
            socket.get_mut().write_all(frame).unwrap();
            assert_closes(&mut socket, code);
        }
    }
    server.ends();
}

fn peer_that_is_gone_frees_what_it_held(model: &str) {
    let server = Server::start(model);
    for way in WAYS {
        // One that leaves without a word, and more that are lost within a message than the lane has threads.
        let mut socket = server.open(way);
        assert_echoes(&mut socket, "hello");
        drop(socket);
        assert_eq!(server.next_close(), CloseReason::PeerClosed, "{way}");
        for _ in 0..=THREADS {
            let mut socket = server.open(way);
            assert_echoes(&mut socket, "hello");
            assert_ne!(server.memory.held(), 0);
            socket.send(fragment("half of", Data::Text, false)).unwrap();
            SockRef::from(socket.get_ref()).set_linger(Some(Duration::ZERO)).unwrap();
            drop(socket);
            assert_eq!(server.next_close(), CloseReason::PeerReset, "{way}");
            assert_eq!(server.memory.held(), 0, "{way}");
        }
    }
    server.ends();
}

fn more_sockets_than_threads_are_served_by_futures_and_a_full_lane_says_so(model: &str) {
    let server = Server::start(model);
    let mut futures: Vec<_> = (0..=THREADS).map(|_| server.open("/future")).collect();
    let mut threads: Vec<_> = (0..THREADS).map(|_| server.open("/thread")).collect();
    for socket in futures.iter_mut().chain(&mut threads) {
        assert_echoes(socket, "hello");
    }
    // Of two more, the lane's queue has room for one.
    let (tell, heads) = mpsc::channel();
    let waiting = [(); 2].map(|()| {
        let mut stream = server.connect();
        stream.write_all(OPENING.replace("WAY", "/thread").as_bytes()).unwrap();
        let tell = tell.clone();
        thread::spawn(move || {
            tell.send(read_head(&mut stream).0).unwrap();
            stream
        })
    });
    let head = heads.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
    drop(threads.pop());
    let head = heads.recv_timeout(PATIENCE).unwrap();
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    drop(waiting.map(|thread| thread.join().unwrap()));
    drop((futures, threads));
    server.ends();
}

// ---- drains ----

fn drain_is_told_and_ends_with_the_peers_close(model: &str) {
    for way in WAYS {
        let server = Server::start(model);
        let mut sockets = [(); 2].map(|()| server.open(way));
        sockets.iter_mut().for_each(|socket| assert_echoes(socket, "hello"));
        server.handle.drain(PATIENCE);
        let [idle, busy] = &mut sockets;
        assert_closes(idle, CloseCode::Away);
        // One that still says something before it closes is listened to, and not answered.
        let mut frame = [0; 4];
        busy.get_mut().read_exact(&mut frame).unwrap();
        assert_eq!(frame, [0x88, 2, 0x03, 0xe9], "{way}: not a close with 1001");
        busy.get_mut().write_all(&frames(["one more".into(), Message::Close(None)])).unwrap();
        assert_eq!(busy.get_mut().read_to_end(&mut Vec::new()).unwrap(), 0, "{way}");
        drop(sockets);
        assert_eq!([server.next_close(), server.next_close()], [CloseReason::Drained; 2], "{way}");
        server.ended();
    }
}

fn peer_that_does_not_close_in_a_drain_is_cut_off_at_the_end_of_its_grace(model: &str) {
    for way in WAYS {
        let server = Server::start(model);
        let mut socket = server.open(way);
        assert_echoes(&mut socket, "hello");
        server.handle.drain(Duration::from_millis(200));
        let frame = socket.get_mut().read_exact(&mut [0; 4]);
        frame.unwrap_or_else(|error| panic!("{way}: no close: {error}"));
        server.ended();
        assert!(matches!(server.next_close(), CloseReason::Aborted(_)), "{way}");
        let end = socket.get_mut().read(&mut [0]).unwrap_err();
        assert_eq!(end.kind(), std::io::ErrorKind::ConnectionReset, "{way}");
    }
}

// ---- refusals ----

fn requests_that_open_no_websocket_are_told_what_would(model: &str) {
    let server = Server::start(model);
    for way in WAYS {
        let opening = OPENING.replace("WAY", way);
        for (request, status, field) in [
            (opening.replace("Upgrade: websocket\r\n", ""), "426", "upgrade: websocket"),
            (opening.replace("Version: 13", "Version: 8"), "426", "sec-websocket-version: 13"),
            (opening.replace("Key: dGhl", "Key: "), "400", "content-length: "),
            (opening.replace(way, "/elsewhere"), "404", "content-length: "),
        ] {
            let mut stream = server.connect();
            stream.write_all(request.as_bytes()).unwrap();
            let (head, _) = read_head(&mut stream);
            assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
            assert!(head.lines().any(|line| line.starts_with(field)), "{head}");
        }
    }
}
