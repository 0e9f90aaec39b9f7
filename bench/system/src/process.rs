//! A server in a process of its own, and what it has used so far.

use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use crate::engine::Engine;

/// Ended when it is dropped, whatever happens.
pub struct Server {
    child: Child,
    address: SocketAddr,
}

/// Since the process began.
#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub user: Duration,
    pub system: Duration,
    /// Context switches, of all its threads that live.
    pub switches: u64,
}

impl Server {
    pub fn start(engine: Engine) -> io::Result<Self> {
        // Some peers cannot say which port they were given: one that was free a moment ago is named to all.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let child = Command::new(env::current_exe()?)
            .args(["--serve", &engine.name(), &port.to_string()])
            .stdout(Stdio::null())
            .spawn()?;
        let server = Self { child, address: (Ipv4Addr::LOCALHOST, port).into() };
        server.await_listening(engine)?;
        Ok(server)
    }

    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    fn await_listening(&self, engine: Engine) -> io::Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            if begun.elapsed() > Duration::from_secs(10) {
                return Err(io::Error::other(format!("{} does not listen after 10 s", engine.name())));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// As `/proc` has it: processor time in ticks of 10 ms.
    pub fn usage(&self) -> io::Result<Usage> {
        let folder = format!("/proc/{}", self.child.id());
        let stat = fs::read_to_string(format!("{folder}/stat"))?;
        // The name in parentheses may hold anything; user and system time are the 12th and 13th fields behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| {
            let count = fields.get(at).and_then(|field| field.parse().ok()).unwrap_or(0_u64);
            Duration::from_millis(10 * count)
        };
        let mut switches = 0;
        for task in fs::read_dir(format!("{folder}/task"))? {
            let status = fs::read_to_string(task?.path().join("status")).unwrap_or_default();
            switches += status
                .lines()
                .filter(|line| line.contains("ctxt_switches"))
                .filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok())
                .sum::<u64>();
        }
        Ok(Usage { user: ticks(11), system: ticks(12), switches })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
