//! The client of a conversation: does what its steps say, waits for nothing but what they name, and writes down what comes.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use super::answers::Answers;
use super::conversation::{Act, Awaited, Conversation};
use super::taken::Taken;

/// Longer than anything takes on a machine that is busy with other things.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// What came of a conversation.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Came {
    /// Of each step, in lines.
    pub(super) steps: Vec<Vec<String>>,
    /// How it ended.
    pub(super) end: String,
}

/// How a conversation ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// In order, by the server.
    Closed,
    /// By a reset.
    Reset,
    /// By the client, which left.
    Left,
    /// Not at all: nothing came for so long.
    Silent,
}

/// Holds it with the server there.
pub(super) fn play(conversation: &Conversation, address: SocketAddr) -> Came {
    let mut client = Client::connect(conversation, address);
    let mut steps = Vec::new();
    let mut end = None;
    for step in &conversation.steps {
        if end.is_none() {
            end = client.act(&step.act);
        }
        steps.push(client.answers.lines());
    }
    let end = end.unwrap_or_else(|| client.rest());
    // What is on its way to who has left is nobody's.
    if end != End::Left {
        client.answers.end();
        // There is a step: the file is not read otherwise.
        steps.last_mut().expect("a step").extend(client.answers.lines());
    }
    let end = match end {
        End::Closed => "closed",
        End::Reset => "reset",
        End::Left => "left",
        End::Silent => "silent",
    };
    Came { steps, end: end.to_owned() }
}

struct Client {
    stream: TcpStream,
    taken: Taken,
    answers: Answers,
    is_bytewise: bool,
}

impl Client {
    fn connect(conversation: &Conversation, address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the server accepts");
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        let ground = &conversation.ground;
        let taken = Taken::new(&stream);
        Self { stream, taken, answers: Answers::new(ground.is_joined), is_bytewise: ground.is_bytewise }
    }

    fn act(&mut self, act: &Act) -> Option<End> {
        match act {
            Act::Send(bytes) if self.is_bytewise => {
                for byte in bytes {
                    self.send(&[*byte]);
                    self.taken.wait();
                }
            }
            Act::Send(bytes) => self.send(bytes),
            Act::Cut => self.taken.wait(),
            Act::Await(awaited) => return self.wait(*awaited),
            // Where the server was quicker to end, reading tells.
            Act::HalfClose => drop(self.stream.shutdown(Shutdown::Write)),
            Act::Leave => {
                rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO)).unwrap();
                return Some(End::Left);
            }
        }
        None
    }

    /// A server that has heard enough may close meanwhile; reading tells.
    fn send(&mut self, bytes: &[u8]) {
        if self.stream.write_all(bytes).is_ok() {
            self.taken.sent(bytes.len());
        }
    }

    fn wait(&mut self, mut awaited: Awaited) -> Option<End> {
        while !self.answers.reach(&mut awaited) {
            if let Some(end) = self.receive() {
                return Some(end);
            }
        }
        None
    }

    fn rest(&mut self) -> End {
        loop {
            if let Some(end) = self.receive() {
                return end;
            }
        }
    }

    fn receive(&mut self) -> Option<End> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer) {
            Ok(0) => Some(End::Closed),
            Ok(count) => {
                self.answers.receive(&buffer[..count]);
                None
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Some(End::Silent)
            }
            // The process was stopped and continued: it reads again.
            Err(error) if error.kind() == ErrorKind::Interrupted => None,
            Err(_) => Some(End::Reset),
        }
    }
}
