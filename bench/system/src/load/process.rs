//! A load in a process of its own, told what to do through its standard input.
//!
//! ```text
//!   bench ── spec ──► load        bench ── seconds ──► load
//!         ◄─ ready ──                   ◄─── done ────           … until the input ends
//! ```
//!
//! A process of its own has its own limit of open files, and its processor time is known apart.

use std::env;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use super::{Done, Load, Spec};

/// Ended when it is dropped, and its connections with it.
pub struct LoadProcess {
    child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

const READY: &str = "ready";

/// What the process does.
pub fn work() -> io::Result<()> {
    let mut lines = io::stdin().lock().lines();
    let mut told = || lines.next().transpose();
    let Some(spec) = told()? else { return Ok(()) };
    let mut load = Load::open(serde_json::from_str(&spec)?)?;
    let mut out = io::stdout().lock();
    writeln!(out, "{READY}")?;
    out.flush()?;
    while let Some(seconds) = told()? {
        let window = Duration::from_secs_f64(seconds.trim().parse().map_err(io::Error::other)?);
        let done = load.run(window)?;
        writeln!(out, "{}", serde_json::to_string(&done)?)?;
        out.flush()?;
    }
    Ok(())
}

impl LoadProcess {
    /// Starts it; [`await_ready`](Self::await_ready) says when all connections stand.
    pub fn start(spec: &Spec) -> io::Result<Self> {
        let mut child = Command::new(env::current_exe()?)
            .arg("--load")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(mut to), Some(from)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a load without pipes"));
        };
        writeln!(to, "{}", serde_json::to_string(spec)?)?;
        Ok(Self { child, to, from: BufReader::new(from) })
    }

    /// A load whose connections stand.
    pub fn ready(spec: &Spec) -> io::Result<Self> {
        let mut load = Self::start(spec)?;
        load.await_ready()?;
        Ok(load)
    }

    pub fn await_ready(&mut self) -> io::Result<()> {
        self.line().map(|_| ())
    }

    /// Asks for so long, and says what that came to.
    pub fn run(&mut self, window: Duration) -> io::Result<Done> {
        self.begin(window)?;
        self.done()
    }

    /// Begins to ask for so long.
    pub fn begin(&mut self, window: Duration) -> io::Result<()> {
        writeln!(self.to, "{}", window.as_secs_f64())
    }

    /// What it came to, once it is over.
    pub fn done(&mut self) -> io::Result<Done> {
        Ok(serde_json::from_str(&self.line()?)?)
    }

    fn line(&mut self) -> io::Result<String> {
        let mut line = String::new();
        if self.from.read_line(&mut line)? == 0 {
            return Err(io::Error::other("the load gave up"));
        }
        Ok(line)
    }
}

impl Drop for LoadProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
