//! Whether a server has read what was sent to it: the kernel knows, and tells whoever asks for its end of the connection.
//!
//! That makes a cut a cut: what is sent next comes by another read. The question is one datagram over `NETLINK_SOCK_DIAG`
//! (sock_diag(7)); where the kernel does not answer it, a cut is a write of its own and nothing more.

use std::net::{SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::thread;
use std::time::Instant;

use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

use super::play::PATIENCE;

/// What a connection's server was sent, and the way to ask how much of it was taken.
#[derive(Debug)]
pub(super) struct Taken {
    sent: u64,
    /// A socket to ask by, and the question.
    asking: Option<(OwnedFd, Vec<u8>)>,
}

/// What the kernel says of the server's end.
struct Said {
    is_open: bool,
    /// Bytes that came.
    received: u64,
    /// Of these, bytes that nobody has read.
    unread: u64,
}

impl Taken {
    pub(super) fn new(stream: &TcpStream) -> Self {
        let asking = match (stream.peer_addr(), stream.local_addr()) {
            (Ok(SocketAddr::V4(server)), Ok(SocketAddr::V4(client))) => socket_with(
                AddressFamily::NETLINK,
                SocketType::DGRAM,
                SocketFlags::CLOEXEC,
                Some(netlink::SOCK_DIAG),
            )
            .ok()
            .map(|socket| (socket, question(server, client))),
            _ => None,
        };
        Self { sent: 0, asking }
    }

    pub(super) fn sent(&mut self, count: usize) {
        self.sent += count as u64;
    }

    /// Waits until the server has read all that was sent, or has said its last.
    pub(super) fn wait(&self) {
        let since = Instant::now();
        while since.elapsed() < PATIENCE {
            match self.ask() {
                Some(said) if said.is_open && (said.received < self.sent || said.unread > 0) => {
                    thread::yield_now();
                }
                _ => return,
            }
        }
    }

    fn ask(&self) -> Option<Said> {
        let (socket, question) = self.asking.as_ref()?;
        send(socket, question, SendFlags::empty()).ok()?;
        let mut answer = [0; 4096];
        let (count, _) = recv(socket, &mut answer, RecvFlags::empty()).ok()?;
        read(&answer[..count])
    }
}

// linux/netlink.h, linux/inet_diag.h: sizes of what stands before what is looked for, and its numbers.
const HEADER: usize = 16;
const MESSAGE: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const TCP_ESTABLISHED: u8 = 1;
const TCP_CLOSE_WAIT: u8 = 8;
const TCP_NEW_SYN_RECV: u8 = 12;

/// `nlmsghdr` and `inet_diag_req_v2`, for the connection from `client` as `server` has it.
fn question(server: SocketAddrV4, client: SocketAddrV4) -> Vec<u8> {
    const LENGTH: u32 = 16 + 56;
    const NLM_F_REQUEST: u16 = 1;
    let mut bytes = Vec::new();
    bytes.extend(LENGTH.to_ne_bytes());
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(NLM_F_REQUEST.to_ne_bytes());
    bytes.extend([0; 8]);
    // AF_INET, IPPROTO_TCP, and what is to come with the answer; in any state.
    bytes.extend([2, 6, 1 << (INET_DIAG_INFO - 1), 0]);
    bytes.extend(u32::MAX.to_ne_bytes());
    bytes.extend(server.port().to_be_bytes());
    bytes.extend(client.port().to_be_bytes());
    for address in [server, client] {
        bytes.extend(address.ip().octets());
        bytes.extend([0; 12]);
    }
    // Any interface, no cookie.
    bytes.extend([0; 4]);
    bytes.extend([0xff; 8]);
    bytes
}

/// `nlmsghdr`, `inet_diag_msg`, and an attribute with `tcp_info`.
fn read(answer: &[u8]) -> Option<Said> {
    const STATE: usize = HEADER + 1;
    const UNREAD: usize = HEADER + 56;
    const RECEIVED: usize = 128;
    if u16_at(answer, 4)? != SOCK_DIAG_BY_FAMILY {
        return None;
    }
    // Where there is no such connection, the listener answers in its stead.
    let is_open = matches!(answer.get(STATE)?, &TCP_ESTABLISHED | &TCP_CLOSE_WAIT | &TCP_NEW_SYN_RECV);
    let unread = u32::from_ne_bytes(answer.get(UNREAD..UNREAD + 4)?.try_into().ok()?);
    let mut at = HEADER + MESSAGE;
    let mut received = 0;
    while let (Some(length), Some(kind)) = (u16_at(answer, at), u16_at(answer, at + 2)) {
        if kind == INET_DIAG_INFO {
            let from = at + 4 + RECEIVED;
            received = u64::from_ne_bytes(answer.get(from..from + 8)?.try_into().ok()?);
        }
        at += usize::from(length).max(4).next_multiple_of(4);
    }
    Some(Said { is_open, received, unread: unread.into() })
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}
