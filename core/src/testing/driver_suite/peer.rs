//! The other end of a connection, as the suite uses it.

use std::io::{self, Read, Write};

/// The other end of a connection to a driver under test. Its calls block.
pub struct Peer {
    reader: Box<dyn Read + Send>,
    writer: Option<Box<dyn Write + Send>>,
    resets: Resets,
}

/// Whether a transport can end with a reset.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Resets {
    Known,
    Unknown,
}

impl Peer {
    /// A peer of two halves. Dropping `writer` must shut that half down, so that the driver reads the end of input while
    /// `reader` still reads. Nothing is known of resets: where one is due, any end will do.
    pub fn new(reader: impl Read + Send + 'static, writer: impl Write + Send + 'static) -> Self {
        Self { reader: Box::new(reader), writer: Some(Box::new(writer)), resets: Resets::Unknown }
    }

    /// Its reader tells a reset from an end, with [`io::ErrorKind::ConnectionReset`]: where one is due, it must come.
    #[must_use]
    pub fn that_knows_resets(mut self) -> Self {
        self.resets = Resets::Known;
        self
    }

    /// A peer on a TCP connection, which waits for no more bytes before it sends some.
    ///
    /// # Errors
    /// When the stream cannot be set so or cloned.
    #[expect(clippy::disallowed_types, reason = "the suite talks to drivers over real sockets")]
    pub fn tcp(stream: std::net::TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::new(stream.try_clone()?, TcpWriter(stream)).that_knows_resets())
    }

    /// Sends all of `bytes`.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), String> {
        let writer = self.writer.as_mut().ok_or("the peer has shut its half down already")?;
        let sent = writer.write_all(bytes).and_then(|()| writer.flush());
        sent.map_err(|error| format!("the peer could not send {} bytes: {error}", bytes.len()))
    }

    /// Reads as many bytes as `expected` has, which must be those.
    pub(super) fn expect(&mut self, expected: &[u8]) -> Result<(), String> {
        let mut buffer = vec![0; expected.len().min(64 * 1024)];
        let mut at = 0;
        while at < expected.len() {
            let most = buffer.len().min(expected.len() - at);
            let count = self.receive(&mut buffer[..most], at, expected.len())?;
            if buffer[..count] != expected[at..at + count] {
                let got = shown(&buffer[..count]);
                let wanted = shown(&expected[at..at + count]);
                return Err(format!("at byte {at} the peer read \"{got}\" instead of \"{wanted}\""));
            }
            at += count;
        }
        Ok(())
    }

    /// Reads at most `piece` bytes.
    pub(super) fn receive(&mut self, piece: &mut [u8], at: usize, of: usize) -> Result<usize, String> {
        match self.reader.read(piece) {
            Ok(0) => Err(format!("the peer read the end after {at} of {of} bytes")),
            Ok(count) => Ok(count),
            Err(error) => Err(format!("the peer could not read after {at} of {of} bytes: {error}")),
        }
    }

    /// Reads the orderly end.
    pub(super) fn expect_end(&mut self) -> Result<(), String> {
        match self.reader.read(&mut [0; 64]) {
            Ok(0) => Ok(()),
            Ok(count) => Err(format!("the peer read {count} bytes or more where the end was due")),
            Err(error) => Err(format!("the peer read an error where the orderly end was due: {error}")),
        }
    }

    /// Reads what comes, up to a reset.
    pub(super) fn expect_reset(&mut self) -> Result<(), String> {
        let mut buffer = [0; 4096];
        loop {
            match self.reader.read(&mut buffer) {
                Ok(0) if self.resets == Resets::Unknown => return Ok(()),
                Ok(0) => return Err("the peer read the orderly end where a reset was due".into()),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(_) if self.resets == Resets::Unknown => return Ok(()),
                Err(error) => return Err(format!("the peer read an error where a reset was due: {error}")),
            }
        }
    }

    /// Reads to the end, orderly or not.
    pub(super) fn read_out(&mut self) {
        let mut buffer = [0; 4096];
        while matches!(self.reader.read(&mut buffer), Ok(1..)) {}
    }

    /// Sends nothing more.
    pub(super) fn half_close(&mut self) {
        self.writer = None;
    }

    /// Both halves, for two threads.
    pub(super) fn split(mut self) -> (Self, Self) {
        let (reader, writer) = (Box::new(io::empty()), self.writer.take());
        let writer = Self { reader, writer, resets: self.resets };
        (self, writer)
    }
}

impl core::fmt::Debug for Peer {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Peer").field("half_closed", &self.writer.is_none()).finish_non_exhaustive()
    }
}

#[expect(clippy::disallowed_types, reason = "the suite talks to drivers over real sockets")]
struct TcpWriter(std::net::TcpStream);

impl Write for TcpWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Drop for TcpWriter {
    fn drop(&mut self) {
        // The driver may have closed the connection already: then there is nothing to shut.
        let _ = self.0.shutdown(std::net::Shutdown::Write);
    }
}

fn shown(bytes: &[u8]) -> String {
    let dots = if bytes.len() > 32 { "..." } else { "" };
    format!("{}{dots}", bytes[..bytes.len().min(32)].escape_ascii())
}
