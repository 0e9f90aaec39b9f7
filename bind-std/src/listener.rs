//! Listening sockets, and errors that say what to do about them.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener, ToSocketAddrs};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixListener;
use std::time::Duration;

#[cfg(any(target_os = "linux", target_os = "android"))]
use rustix::net::{SocketFlags, acceptfrom_with};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use crate::defer_accept::defer_accept;

/// A socket that listens: bound here, or taken over from whoever bound it.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    local: Option<SocketAddr>,
    /// How it was bound, if others may be bound like it.
    sharing: Option<ListenOptions>,
    /// The kernel keeps connections to itself until they have sent something.
    defers: bool,
}

/// How a socket is bound.
///
/// ```
/// use anabranch_std::ListenOptions;
///
/// let mut options = ListenOptions::default();
/// options.backlog = 128;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ListenOptions {
    /// Connections the kernel keeps waiting until they are accepted (listen(2)); it may have a lower bound of its own,
    /// `net.core.somaxconn`. Default 1,024.
    pub backlog: u32,
    /// Whether an address still held by closed connections may be bound again (SO_REUSEADDR): a server that is restarted
    /// needs that. Default [`Reuse::Allowed`].
    pub reuse_address: Reuse,
    /// Whether several sockets may be bound to one address and have its connections shared out by the kernel
    /// (SO_REUSEPORT). Each of them must say so. Default [`Reuse::Forbidden`].
    pub reuse_port: Reuse,
    /// Whether a socket bound to an IPv6 address takes IPv4 connections too, where the address is the unspecified one.
    /// Default [`DualStack::Allowed`].
    pub dual_stack: DualStack,
    /// How long a connection is left to the kernel while its client has sent nothing (TCP_DEFER_ACCEPT, Linux only;
    /// elsewhere this does nothing): in seconds, rounded up, and only roughly kept. Default zero: not at all.
    ///
    /// Where most connections serve one request this saves the server a fifth of its work, since it hears of a connection
    /// and of its request at once. Meanwhile a silent connection is none of the server's: neither limits nor deadlines nor a
    /// drain know of it. Not for protocols where the server speaks first: their clients would wait for as long.
    pub defer_accept: Duration,
}

/// Whether an address may be used more than once.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Reuse {
    /// It may.
    Allowed,
    /// It may not.
    Forbidden,
}

/// Whether IPv4 comes in through an IPv6 socket.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DualStack {
    /// It does.
    Allowed,
    /// It does not.
    Forbidden,
}

impl Default for ListenOptions {
    fn default() -> Self {
        Self {
            backlog: 1_024,
            reuse_address: Reuse::Allowed,
            reuse_port: Reuse::Forbidden,
            dual_stack: DualStack::Allowed,
            defer_accept: Duration::ZERO,
        }
    }
}

impl Listener {
    /// Listens on the first address of `addresses` that can be had, with [`ListenOptions::default`].
    ///
    /// # Errors
    /// See [`ListenError`]: of the last address tried.
    pub fn bind(addresses: impl ToSocketAddrs) -> Result<Self, ListenError> {
        Self::bind_with(addresses, &ListenOptions::default())
    }

    /// Listens on the first address of `addresses` that can be had. Port 0 lets the kernel choose:
    /// [`local_addr`](Self::local_addr) says which it was.
    ///
    /// # Errors
    /// See [`ListenError`]: of the last address tried.
    pub fn bind_with(addresses: impl ToSocketAddrs, options: &ListenOptions) -> Result<Self, ListenError> {
        let addresses = addresses.to_socket_addrs().map_err(|source| ListenError {
            step: Step::Resolve,
            address: None,
            source,
        })?;
        let mut last = None;
        for address in addresses {
            match bind(address, options) {
                Ok(socket) => {
                    let failed = |source| ListenError { step: Step::Listen, address: Some(address), source };
                    let mut listener = Self::new(socket).map_err(failed)?;
                    listener.defers = defer_accept(&listener.socket, options.defer_accept).map_err(failed)?;
                    listener.sharing = (options.reuse_port == Reuse::Allowed).then(|| options.clone());
                    return Ok(listener);
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ListenError {
            step: Step::Resolve,
            address: None,
            source: io::Error::new(ErrorKind::NotFound, "the name has no address"),
        }))
    }

    /// Takes over a listener that was bound elsewhere: by hand, or by a service manager.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub fn from_std(listener: TcpListener) -> io::Result<Self> {
        Self::new(listener.into())
    }

    /// Takes over a listener of the local machine's own sockets. Its connections have no addresses.
    ///
    /// # Errors
    /// When the socket cannot be made non-blocking.
    pub fn from_unix(listener: UnixListener) -> io::Result<Self> {
        Self::new(listener.into())
    }

    fn new(socket: Socket) -> io::Result<Self> {
        // A connection may be gone between the poll that showed it and the accept.
        socket.set_nonblocking(true)?;
        bound_unsent(&socket);
        let local = socket.local_addr()?.as_socket();
        if local.is_some() {
            // An answer goes out in one piece: Nagle's algorithm has nothing to gain. On Linux, accepted sockets inherit it.
            let _ = socket.set_tcp_nodelay(true);
        }
        Ok(Self { socket, local, sharing: None, defers: false })
    }

    /// Where it listens; `None` for a socket that has no such address.
    #[must_use]
    pub const fn local_addr(&self) -> Option<SocketAddr> {
        self.local
    }

    /// Another socket that listens on the same address, for the kernel to share its connections out.
    ///
    /// # Errors
    /// `Unsupported` unless this one was bound with [`ListenOptions::reuse_port`]; otherwise as
    /// [`bind_with`](Self::bind_with).
    pub fn sibling(&self) -> io::Result<Self> {
        let (Some(address), Some(options)) = (self.local, self.sharing.as_ref()) else {
            return Err(ErrorKind::Unsupported.into());
        };
        Ok(Self::bind_with(address, options)?)
    }

    /// Whether the kernel shares its connections out among several sockets.
    #[must_use]
    pub const fn is_shared(&self) -> bool {
        self.sharing.is_some()
    }

    /// The next connection, if one waits, with no delay of small segments: a socket that blocks or not, as `blocking` says.
    ///
    /// # Errors
    /// `WouldBlock` when none waits; for the rest see
    /// [`AcceptErrorKind`](anabranch_core::lifecycle::AcceptErrorKind).
    pub fn accept(&self, blocking: Blocking) -> io::Result<Connection> {
        let (socket, peer) = accept(&self.socket, blocking)?;
        let mut local = None;
        if let Some(listening) = self.local {
            // Only a socket that listens everywhere has to be asked where a connection came in.
            local = if listening.ip().is_unspecified() {
                socket.local_addr().ok().and_then(|address| address.as_socket())
            } else {
                Some(listening)
            };
        }
        Ok(Connection { socket, local, peer, has_input: self.defers })
    }
}

/// Bounds what the kernel takes of a connection's output before it can be sent. Accepted sockets inherit it.
///
/// Left to itself the kernel takes megabytes, and says that it would take more only once a third of them is gone: a peer
/// that reads steadily but slowly would look, for all of that time, like one that takes nothing, and be cut off by the
/// write-stall deadline. It is memory saved for each such peer besides.
fn bound_unsent(socket: &Socket) {
    // Not for sockets of the local machine, whose buffers are small.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let _ = socket.set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let _ = socket;
}

/// No slower over loopback than without a bound (16 KiB is); half of it is what a slow peer must take to be noticed.
#[cfg(any(target_os = "linux", target_os = "android"))]
const MAX_UNSENT_BYTES: u32 = 64 * 1024;

/// A connection that was accepted.
#[derive(Debug)]
pub struct Connection {
    /// Its socket.
    pub socket: Socket,
    /// Where it came in.
    pub local: Option<SocketAddr>,
    /// Where it came from.
    pub peer: Option<SocketAddr>,
    /// Its peer has sent something, as far as is known: reading is not for nothing. So it is where connections are
    /// [accepted no sooner](ListenOptions::defer_accept).
    pub has_input: bool,
}

/// Whether calls on a socket wait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Blocking {
    /// They do.
    Yes,
    /// They say `WouldBlock`.
    No,
}

/// One system call where there is accept4(2).
fn accept(listener: &Socket, blocking: Blocking) -> io::Result<(Socket, Option<SocketAddr>)> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    {
        let mut flags = SocketFlags::CLOEXEC;
        flags.set(SocketFlags::NONBLOCK, blocking == Blocking::No);
        let (socket, peer) = acceptfrom_with(listener, flags)?;
        Ok((socket.into(), peer.and_then(|peer| SocketAddr::try_from(peer).ok())))
    }
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    {
        let (socket, peer) = listener.accept()?;
        socket.set_nonblocking(blocking == Blocking::No)?;
        let _ = socket.set_tcp_nodelay(true);
        Ok((socket, peer.as_socket()))
    }
}

impl AsRawFd for Listener {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn bind(address: SocketAddr, options: &ListenOptions) -> Result<Socket, ListenError> {
    let failed = |step| move |source| ListenError { step, address: Some(address), source };
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP)).map_err(failed(Step::Open))?;
    let set = || {
        if options.reuse_address == Reuse::Allowed {
            socket.set_reuse_address(true)?;
        }
        if options.reuse_port == Reuse::Allowed {
            socket.set_reuse_port(true)?;
        }
        if address.is_ipv6() {
            socket.set_only_v6(options.dual_stack == DualStack::Forbidden)?;
        }
        Ok(())
    };
    set().map_err(failed(Step::Open))?;
    socket.bind(&SockAddr::from(address)).map_err(failed(Step::Bind))?;
    let backlog = i32::try_from(options.backlog).unwrap_or(i32::MAX);
    socket.listen(backlog).map_err(failed(Step::Listen))?;
    Ok(socket)
}

/// Why a socket could not be made to listen: what, where, and the remedy.
#[derive(thiserror::Error)]
pub struct ListenError {
    step: Step,
    address: Option<SocketAddr>,
    source: io::Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    Resolve,
    Open,
    Bind,
    Listen,
}

impl ListenError {
    /// The address that was wanted, once it was known.
    #[must_use]
    pub const fn address(&self) -> Option<SocketAddr> {
        self.address
    }

    /// The system's kind of error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.source.kind()
    }

    /// What to do about it, where that is known.
    #[must_use]
    pub fn remedy(&self) -> Option<String> {
        let port = self.address.map_or(0, |address| address.port());
        Some(match (self.step, self.source.kind()) {
            (Step::Bind | Step::Listen, ErrorKind::AddrInUse) => format!(
                "another program listens there (`ss -ltnp 'sport = :{port}'` shows which): stop it, or choose another \
                 port; port 0 picks a free one"
            ),
            (Step::Bind, ErrorKind::PermissionDenied) if port < 1024 => {
                "ports below 1024 are for the privileged: choose one from 1024 on, or grant CAP_NET_BIND_SERVICE".into()
            }
            (Step::Bind, ErrorKind::AddrNotAvailable) => {
                "this machine has no such address (`ip address` shows those it has); 127.0.0.1 serves this machine \
                 only, 0.0.0.0 all of its addresses"
                    .into()
            }
            (Step::Resolve, _) => "give an address as 127.0.0.1:8080 or [::1]:8080".into(),
            (Step::Open, _) if matches!(self.source.raw_os_error(), Some(23 | 24)) => {
                "too many files are open: raise the limit (`ulimit -n`)".into()
            }
            _ => return None,
        })
    }
}

/// What `main` shows of an error that it returns: for people, as [`Display`](fmt::Display) is.
impl fmt::Debug for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.step {
            Step::Resolve => "cannot find the address to listen on",
            Step::Open => "cannot open a socket",
            Step::Bind | Step::Listen => "cannot listen",
        };
        f.write_str(what)?;
        if let Some(address) = self.address {
            write!(f, " on {address}")?;
        }
        write!(f, ": {}", self.source)?;
        self.remedy().map_or(Ok(()), |remedy| write!(f, "; {remedy}"))
    }
}

impl From<ListenError> for io::Error {
    fn from(error: ListenError) -> Self {
        Self::new(error.kind(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_in_use_is_named_with_its_remedy() {
        let first = Listener::bind("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let error = Listener::bind(address).unwrap_err();
        assert_eq!((error.kind(), error.address()), (ErrorKind::AddrInUse, Some(address)));
        let text = error.to_string();
        assert!(text.contains(&address.to_string()) && text.contains("choose another port"), "{text}");
        let error = io::Error::from(error);
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
        // As `main` shows it.
        let shown = format!("{error:?}");
        assert!(shown.contains("cannot listen on") && shown.contains("port 0 picks a free one"), "{shown}");
    }

    #[test]
    fn address_of_another_machine_is_told_from_a_name_that_is_none() {
        let text = Listener::bind("192.0.2.1:0").unwrap_err().to_string();
        assert!(text.starts_with("cannot listen on 192.0.2.1:0: "), "{text}");
        assert!(text.contains("no such address"), "{text}");
        let text = Listener::bind("not an address").unwrap_err().to_string();
        assert!(text.starts_with("cannot find the address"), "{text}");
    }

    #[test]
    fn shared_port_takes_two_listeners_that_both_say_so() {
        let options = ListenOptions { reuse_port: Reuse::Allowed, ..ListenOptions::default() };
        let first = Listener::bind_with("127.0.0.1:0", &options).unwrap();
        let second = Listener::bind_with(first.local_addr().unwrap(), &options).unwrap();
        assert_eq!(first.local_addr(), second.local_addr());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn deferred_connection_is_accepted_with_its_first_bytes() {
        use std::io::Write;
        use std::net::TcpStream;
        use std::os::fd::BorrowedFd;

        let options = ListenOptions { defer_accept: Duration::from_millis(1), ..ListenOptions::default() };
        let listener = Listener::bind_with("127.0.0.1:0", &options).unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(listener.accept(Blocking::No).unwrap_err().kind(), ErrorKind::WouldBlock);
        client.write_all(b"a").unwrap();
        let fd: BorrowedFd<'_> = listener.as_fd();
        let mut fds = [rustix::event::PollFd::from_borrowed_fd(fd, rustix::event::PollFlags::IN)];
        assert_eq!(rustix::event::poll(&mut fds, None).unwrap(), 1);
        assert!(listener.accept(Blocking::No).unwrap().has_input);
    }

    #[test]
    fn privileged_port_is_explained() {
        let error = ListenError {
            step: Step::Bind,
            address: Some(([127, 0, 0, 1], 80).into()),
            source: io::Error::from(ErrorKind::PermissionDenied),
        };
        assert!(error.remedy().unwrap().contains("CAP_NET_BIND_SERVICE"));
    }
}
