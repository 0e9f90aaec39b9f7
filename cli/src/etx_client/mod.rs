//! Concurrent ETX-ack clients that show a model's nature: each sends its messages one after another, and the report says
//! who waited for whom.

use core::net::SocketAddr;
use core::time::Duration;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::ExitCode;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::Instant;

use anabranch_core::etx::{ACK, ETX, GOODBYE};

use crate::args::EtxClientArguments;
use crate::open_files::{self, TooFewFiles};

mod report;

pub use report::{Report, Run};

/// A client only waits: a small stack is plenty, and there may be thousands.
const STACK_BYTES: usize = 128 * 1024;

/// Why the clients could not be run.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Not one client got an answer.
    #[error(
        "no client was answered at {address}: {cause}\n  \
         remedy: start a server there first: anabranch serve --protocol etx --etx-delay 500ms"
    )]
    NobodyAnswered {
        /// Where.
        address: SocketAddr,
        /// What the first client met.
        cause: String,
    },
    /// Too many clients for the process.
    #[error("{0}")]
    TooFewFiles(#[from] TooFewFiles),
    /// A thread could not be started.
    #[error("cannot start a thread for every client: {0}\n  remedy: fewer clients, or a higher `ulimit -u`")]
    Thread(io::Error),
    /// The report could not be written.
    #[error("{0}")]
    Output(String),
}

/// Runs the clients and prints the report. The exit code is 0 when every message of every client was answered.
///
/// # Errors
/// When the clients could not be run, or nobody answered.
pub fn run(arguments: &EtxClientArguments) -> Result<ExitCode, ClientError> {
    open_files::make_room("etx-client", arguments.clients.0, 1)?;
    let runs = run_clients(*arguments)?;
    if runs.iter().all(|run| run.answers.is_empty()) {
        let cause = runs.iter().find_map(|run| run.failure.clone()).unwrap_or_default();
        return Err(ClientError::NobodyAnswered { address: arguments.addr, cause });
    }
    let report = Report::new(runs, arguments.messages.as_usize(), arguments.delay.map(|delay| delay.0));
    crate::print(&report.to_string()).map_err(ClientError::Output)?;
    Ok(if report.is_complete() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Starts every client, lets them go at the same moment, and waits for all.
fn run_clients(arguments: EtxClientArguments) -> Result<Vec<Run>, ClientError> {
    let count = arguments.clients.as_usize();
    let gate = Arc::new(Barrier::new(count + 1));
    let epoch = Instant::now();
    let mut clients = Vec::with_capacity(count);
    for number in 1..=count {
        let gate = gate.clone();
        let client = move || {
            gate.wait();
            talk(number, arguments, epoch)
        };
        let builder = thread::Builder::new().name(format!("client-{number}")).stack_size(STACK_BYTES);
        // Those already started wait at the gate for ever; the process ends with this error.
        clients.push(builder.spawn(client).map_err(ClientError::Thread)?);
    }
    gate.wait();
    let lost = |number| Run { number, failure: Some("the client failed".into()), ..Run::default() };
    Ok(clients
        .into_iter()
        .enumerate()
        .map(|(index, client)| client.join().unwrap_or_else(|_| lost(index + 1)))
        .collect())
}

fn talk(number: usize, arguments: EtxClientArguments, epoch: Instant) -> Run {
    let mut run = Run { number, started: epoch.elapsed(), ..Run::default() };
    if let Err(error) = exchange(&mut run, arguments, epoch) {
        run.failure = Some(match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => "no answer within --timeout".to_owned(),
            _ => error.to_string(),
        });
    }
    run
}

fn exchange(run: &mut Run, arguments: EtxClientArguments, epoch: Instant) -> io::Result<()> {
    let timeout = arguments.timeout.duration();
    let stream = match timeout {
        Some(timeout) => TcpStream::connect_timeout(&arguments.addr, timeout)?,
        None => TcpStream::connect(arguments.addr)?,
    };
    stream.set_nodelay(true)?;
    stream.set_read_timeout(timeout)?;
    run.connected = Some(epoch.elapsed());
    let mut answers = BufReader::new(&stream);
    for message in 1..=arguments.messages.as_usize() {
        let mut bytes = if message == arguments.messages.as_usize() {
            GOODBYE.to_vec()
        } else {
            format!("message {message} of client {}", run.number).into_bytes()
        };
        bytes.push(ETX);
        (&stream).write_all(&bytes)?;
        let mut answer = Vec::new();
        answers.read_until(ETX, &mut answer)?;
        if answer != ACK {
            return Err(unexpected(&answer));
        }
        run.answers.push(epoch.elapsed());
    }
    Ok(())
}

fn unexpected(answer: &[u8]) -> io::Error {
    match answer {
        [] => io::Error::other("the server closed the connection"),
        [text @ .., ETX] => {
            io::Error::other(format!("the server answered {:?}", String::from_utf8_lossy(text)))
        }
        text => io::Error::other(format!("the server was cut off after {:?}", String::from_utf8_lossy(text))),
    }
}

/// Seconds with as many places as tell something.
fn seconds(time: Duration) -> String {
    format!("{:.3}s", time.as_secs_f64())
}
