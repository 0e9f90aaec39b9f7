//! A connected socket that never waits, as a turn uses it.

use std::io::{self, IoSlice};
use std::net::Shutdown;

use anabranch_core::CloseKind;
use anabranch_core::drive::Wire;
use anabranch_std::host::{receive, reset, send, send_last};
use bytes::BytesMut;
use rustix::net::RecvFlags;
use socket2::Socket;

/// A socket during a turn.
#[derive(Debug)]
pub(crate) struct SocketWire<'a> {
    pub(crate) socket: &'a Socket,
}

impl Wire for SocketWire<'_> {
    fn read(&mut self, into: &mut BytesMut, max: usize) -> io::Result<usize> {
        receive(self.socket, into, max, RecvFlags::empty())
    }

    fn write(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        send(self.socket, slices)
    }

    fn write_last(&mut self, slices: &[IoSlice<'_>], end: CloseKind) -> io::Result<usize> {
        send_last(self.socket, slices, end)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.socket.shutdown(Shutdown::Write)
    }

    fn reset(&mut self) -> io::Result<()> {
        reset(self.socket)
    }
}
