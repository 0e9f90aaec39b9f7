//! A server in processes of its own, and what they have used so far.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, process, thread};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::servers::{Engine, Place};

/// Ended when it is dropped, whatever happens.
pub struct Server {
    children: Vec<Child>,
    place: Place,
    folder: PathBuf,
}

/// Of all its processes, since they began.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    /// User and system time together, to the nanosecond, of the threads that live.
    living: Duration,
    /// User and system time, in ticks of 10 ms, of all threads that there have been.
    user: Duration,
    system: Duration,
    /// Context switches, of all threads that live.
    switches: u64,
}

/// Between two readings.
#[derive(Clone, Copy)]
pub struct Used {
    pub cpu: Duration,
    /// Its user part: the kernel samples that, some hundred times a second.
    pub user: Duration,
    pub switches: u64,
}

const TICK: Duration = Duration::from_millis(10);

impl Server {
    /// One process, or several that share the port.
    pub fn start(engine: &Engine, threads: usize, connections: usize, processes: usize) -> io::Result<Self> {
        // Some peers cannot say which port they were given: one that was free a moment ago is named to all.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let place = Place { port, threads, connections };
        let folder = env::temp_dir().join(format!("bench-system-{}-{port}", process::id()));
        fs::create_dir_all(&folder)?;
        let mut server = Self { children: Vec::new(), place, folder };
        for number in 0..processes {
            let folder = server.folder.join(number.to_string());
            fs::create_dir_all(&folder)?;
            server.children.push(engine.command(&place, &folder)?.stdout(Stdio::null()).spawn()?);
        }
        server.await_listening(engine)?;
        Ok(server)
    }

    pub fn address(&self) -> SocketAddr {
        self.place.address()
    }

    fn await_listening(&mut self, engine: &Engine) -> io::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address()).is_err() {
            let ended = self.children.iter_mut().any(|child| matches!(child.try_wait(), Ok(Some(_))));
            if ended || begun.elapsed() > Duration::from_secs(10) {
                return Err(io::Error::other(format!("{} does not listen", engine.name)));
            }
            thread::sleep(Duration::from_millis(5));
        }
        // Several processes, or workers behind a first one: until all of them listen too.
        thread::sleep(Duration::from_millis(if self.children.len() > 1 { 300 } else { 50 }));
        Ok(())
    }

    /// Its processes, and those that they have started.
    pub fn pids(&self) -> Vec<u32> {
        let mut pids: Vec<u32> = self.children.iter().map(Child::id).collect();
        let mut at = 0;
        while at < pids.len() {
            let children = fs::read_to_string(format!("/proc/{0}/task/{0}/children", pids[at]));
            pids.extend(
                children.unwrap_or_default().split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()),
            );
            at += 1;
        }
        pids
    }

    pub fn usage(&self) -> io::Result<Usage> {
        let mut usage = Usage::default();
        for pid in self.pids() {
            usage.add(pid)?;
        }
        Ok(usage)
    }

    /// Bytes of memory that are its own: what the kernel keeps for its sockets is not among them.
    pub fn memory(&self) -> io::Result<u64> {
        let mut bytes = 0;
        for pid in self.pids() {
            let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
            bytes += rollup
                .lines()
                .filter(|line| line.starts_with("Private_Dirty:") || line.starts_with("Swap:"))
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum::<u64>()
                * 1024;
        }
        Ok(bytes)
    }
}

impl Usage {
    fn add(&mut self, pid: u32) -> io::Result<()> {
        let folder = format!("/proc/{pid}");
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The name in parentheses may hold anything; user and system time are the 12th and 13th fields behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| {
            fields.get(at).and_then(|field| field.parse().ok()).map_or(Duration::ZERO, |n: u32| TICK * n)
        };
        self.user += ticks(11);
        self.system += ticks(12);
        for task in fs::read_dir(format!("{folder}/task"))? {
            let task = task?.path();
            let status = fs::read_to_string(task.join("status")).unwrap_or_default();
            self.switches += status
                .lines()
                .filter(|line| line.contains("ctxt_switches"))
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum::<u64>();
            let ran = fs::read_to_string(task.join("schedstat")).unwrap_or_default();
            let nanos = ran.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
            self.living += Duration::from_nanos(nanos);
        }
        Ok(())
    }

    pub fn since(self, before: Self) -> Used {
        let (user, system) =
            (self.user.saturating_sub(before.user), self.system.saturating_sub(before.system));
        let (ticks, living) = (user + system, self.living.saturating_sub(before.living));
        // Threads that ended meanwhile took their nanoseconds with them; ticks are kept for them.
        let cpu = if living.abs_diff(ticks) <= 4 * TICK { living } else { ticks };
        let share = if ticks.is_zero() { 0.0 } else { user.as_secs_f64() / ticks.as_secs_f64() };
        let switches = self.switches.saturating_sub(before.switches);
        Used { cpu, user: cpu.mul_f64(share), switches }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Workers first: a first process that is killed leaves them behind.
        for pid in self.pids().into_iter().skip(self.children.len()) {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
            if let Some(pid) = pid {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// So many files may a process open.
pub fn open_files() -> usize {
    let limit = getrlimit(Resource::Nofile);
    limit.maximum.map_or(usize::MAX, |most| most as usize)
}

/// As many as may be.
pub fn open_more_files() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
}
