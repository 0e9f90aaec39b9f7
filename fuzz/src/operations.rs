//! Any sequence of a driver's calls: the rig holds the flow to its laws at each of them.

use std::time::Duration;

use anabranch_core::testing::Rig;
use anabranch_core::{AbortReason, ReadOperation, WriteOperation, WriteResult};
use arbitrary::{Arbitrary, Unstructured};

use crate::application::{Echo, http};
use crate::end::End;

#[derive(Arbitrary, Debug)]
enum Operation<'a> {
    Read(Piece<'a>),
    End(End),
    Write(u16),
    TakeOutput(u16),
    WriteFails,
    Advance(u16),
    Timeout,
    Run,
    RunJobs,
    LoseJobs,
    Drain,
    Abort,
}

/// Bytes, or something that gets further than bytes by chance would.
#[derive(Arbitrary, Debug)]
enum Piece<'a> {
    Bytes(&'a [u8]),
    Get(Path),
    GetOld(Path),
    Post(Path, u8),
    PostExpecting(Path, u8),
    PostChunked(Path),
    Chunk(u8),
    LastChunk,
    Upgrade,
    Connect,
    Data(u8),
    Message,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
struct Path(u8);

impl Path {
    const ALL: &'static [u8; 22] = b"ecfgjkasplmnohxzu/ECFG";

    fn letter(self) -> char {
        char::from(Self::ALL[usize::from(self.0) % Self::ALL.len()])
    }
}

impl Piece<'_> {
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Bytes(bytes) => bytes.to_vec(),
            Self::Get(path) => format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", path.letter()).into(),
            Self::GetOld(path) => format!("GET /{} HTTP/1.0\r\n\r\n", path.letter()).into(),
            Self::Post(path, length) => {
                format!("POST /{} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n", path.letter())
                    .into()
            }
            Self::PostExpecting(path, length) => format!(
                "POST /{} HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n",
                path.letter()
            )
            .into(),
            Self::PostChunked(path) => {
                format!("POST /{} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", path.letter())
                    .into()
            }
            Self::Chunk(length) => {
                let length = length % 40 + 1;
                format!("{length:x}\r\n{}\r\n", "x".repeat(usize::from(length))).into()
            }
            Self::LastChunk => b"0\r\n\r\n".to_vec(),
            Self::Upgrade => {
                b"GET /u HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: etx\r\n\r\n".to_vec()
            }
            Self::Connect => b"CONNECT etx:1 HTTP/1.1\r\nHost: etx:1\r\n\r\n".to_vec(),
            Self::Data(count) => vec![b'y'; usize::from(*count)],
            Self::Message => b"hello\x03".to_vec(),
        }
    }
}

/// Plays the operations as a driver would: what its own rules forbid is passed over.
pub fn check(data: &[u8]) {
    let mut input = Unstructured::new(data);
    let mut rig = Rig::connect(&http(Echo::Streamed));
    let mut in_flight = 0;
    let mut ended = false;
    while !input.is_empty()
        && let Ok(operation) = Operation::arbitrary(&mut input)
    {
        match operation {
            Operation::Read(piece) => {
                let bytes = piece.bytes();
                if !ended && !bytes.is_empty() && rig.next_read_operation() == ReadOperation::Read {
                    rig.read(bytes);
                }
            }
            Operation::End(end) if !ended => {
                ended = true;
                rig.close_input(end.into());
            }
            Operation::Write(max) if in_flight == 0 => drop(rig.write_at_most(usize::from(max))),
            Operation::TakeOutput(max) if in_flight == 0 && rig_writes(&rig) => {
                in_flight = rig.take_output(usize::from(max)).iter().map(|chunk| chunk.len()).sum();
            }
            Operation::TakeOutput(max) if in_flight > 0 => {
                let wrote = usize::from(max).clamp(1, in_flight);
                in_flight -= wrote;
                rig.report_write_result(WriteResult::Wrote(wrote));
            }
            Operation::WriteFails if in_flight > 0 || rig_writes(&rig) => {
                in_flight = 0;
                rig.report_write_result(WriteResult::Closed);
            }
            Operation::Advance(tenths) => rig.advance(Duration::from_millis(100 * u64::from(tenths % 1000))),
            Operation::Timeout => rig.handle_timeout(),
            Operation::Run => rig.run(),
            Operation::RunJobs => drop(rig.run_jobs()),
            Operation::LoseJobs => rig.lose_jobs(),
            Operation::Drain => rig.drain(),
            Operation::Abort => {
                in_flight = 0;
                rig.abort(AbortReason::Requested);
            }
            Operation::End(_) | Operation::Write(_) | Operation::TakeOutput(_) | Operation::WriteFails => {}
        }
        if rig.is_finished() {
            return;
        }
    }
}

fn rig_writes<F: anabranch_core::Flow>(rig: &Rig<F>) -> bool {
    rig.next_write_operation() == WriteOperation::Write
}
