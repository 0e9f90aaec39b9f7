//! How many system calls a server makes: counted by `perf`, else by `strace`, in a turn of its own, for both slow it down.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, process, thread};

use rustix::process::{Pid, Signal, kill_process};

/// What counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Counter {
    Perf,
    Strace,
}

/// A count that is under way.
pub struct Counting {
    counter: Counter,
    child: Child,
    file: PathBuf,
}

const EVENT: &str = "raw_syscalls:sys_enter";

impl Counter {
    /// One that works here.
    pub fn find() -> Option<Self> {
        [Self::Perf, Self::Strace].into_iter().find(|counter| counter.works())
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Perf => "perf stat -e raw_syscalls:sys_enter",
            Self::Strace => "strace -c -f",
        }
    }

    fn works(self) -> bool {
        let mut command = match self {
            Self::Perf => {
                let mut perf = Command::new("perf");
                perf.args(["stat", "-x,", "-e", EVENT, "--", "true"]);
                perf
            }
            Self::Strace => {
                let mut strace = Command::new("strace");
                strace.args(["-c", "-f", "true"]);
                strace
            }
        };
        command.stdin(Stdio::null()).output().is_ok_and(|output| {
            output.status.success() && !output.stderr.is_empty() && !contains(&output.stderr, "<not")
        })
    }

    /// Begins to count what these processes do.
    pub fn begin(self, pids: &[u32]) -> io::Result<Counting> {
        let file = env::temp_dir().join(format!("bench-system-calls-{}", process::id()));
        let _ = fs::remove_file(&file);
        let pids: Vec<_> = pids.iter().map(ToString::to_string).collect();
        let mut command = match self {
            Self::Perf => {
                let mut perf = Command::new("perf");
                perf.args(["stat", "-x,", "-e", EVENT, "-p", &pids.join(","), "-o"]).arg(&file);
                perf
            }
            Self::Strace => {
                let mut strace = Command::new("strace");
                strace.args(["-c", "-f", "-o"]).arg(&file);
                for pid in &pids {
                    strace.args(["-p", pid]);
                }
                strace
            }
        };
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
        // Until it is attached.
        thread::sleep(Duration::from_millis(400));
        Ok(Counting { counter: self, child, file })
    }
}

impl Counting {
    /// What was counted.
    pub fn end(mut self) -> io::Result<u64> {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            kill_process(pid, Signal::INT)?;
        }
        self.child.wait()?;
        let count = read(self.counter, &self.file);
        let _ = fs::remove_file(&self.file);
        count?.ok_or_else(|| io::Error::other(format!("{} counted nothing", self.counter.name())))
    }
}

fn read(counter: Counter, file: &Path) -> io::Result<Option<u64>> {
    let text = fs::read_to_string(file)?;
    Ok(match counter {
        // count,unit,event,…
        Counter::Perf => text
            .lines()
            .find(|line| line.contains(EVENT))
            .and_then(|line| line.split(',').next()?.trim().parse().ok()),
        // % time, seconds, usecs/call, calls, errors, `total`
        Counter::Strace => text
            .lines()
            .find(|line| line.trim_end().ends_with("total"))
            .and_then(|line| line.split_whitespace().nth(3)?.parse().ok()),
    })
}

fn contains(text: &[u8], what: &str) -> bool {
    memchr::memmem::find(text, what.as_bytes()).is_some()
}
