//! The load: one thread, many connections, every answer looked at.
//!
//! ```text
//!   connect ─► each asks once ─► ready ─┬─ closed: ask, answer, ask …            (how much)
//!                                       └─ rate: ask when it is time, latency     (how long)
//!                                                from the time that was meant
//! ```

mod client;
mod process;
mod source;
mod spec;

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::thread;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    ClockId, Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, clock_gettime, timerfd_create,
    timerfd_settime,
};

use self::client::{Asked, Client, Status, Turn};
pub use self::process::{LoadProcess, work};
pub use self::spec::{Ask, Done, HELLO, Pace, Quantiles, Spec};

/// Connections, and the thread that serves them.
pub struct Load {
    spec: Spec,
    poll: OwnedFd,
    asked: Asked,
    clients: Vec<Client>,
    buffer: Vec<u8>,
    /// Active connections that wait for something to ask, where the pace is given.
    idle: VecDeque<usize>,
}

/// Long enough for any answer: a server that takes longer is stuck, which is an error.
const PATIENCE: Duration = Duration::from_secs(3);
/// Connections that are made at a time where there are many: fewer than any server lets wait to be accepted.
const OPENING: usize = 64;
/// Up to so many are made one by one, and ask a little later: tiny-http loses its way among many that come at once, astra
/// loses a request that is there before the connection was looked at.
const MANY: usize = 1024;
/// What is no connection.
const TICK: u64 = u64::MAX;
const BUFFER_BYTES: usize = 256 * 1024;

#[derive(Default)]
struct Tally {
    done: Done,
    latency: Option<Latency>,
    /// Active connections that were answered, or are new, and may ask again.
    free: Vec<usize>,
}

struct Latency {
    answered: Histogram<u64>,
    refused: Histogram<u64>,
    lag: Histogram<u64>,
}

impl Load {
    /// Opens every connection, and has each ask once.
    pub fn open(spec: Spec) -> io::Result<Self> {
        // Requests go out when they are meant to, not up to 50 us later.
        let _ = rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1));
        let mut load = Self {
            poll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            asked: Asked::new(spec.ask),
            clients: Vec::with_capacity(spec.connections),
            buffer: vec![0; BUFFER_BYTES],
            idle: VecDeque::new(),
            spec,
        };
        if load.spec.ask == Ask::Close {
            for id in 0..load.spec.connections {
                load.clients.push(Client::connect(&load.spec, &load.poll, id)?);
            }
            load.idle = (0..load.spec.active).collect();
            return Ok(load);
        }
        let mut tally = Tally::default();
        let hostile = load.spec.ask.is_hostile();
        let few = load.spec.connections <= MANY;
        let mut answered = 0;
        let mut last = Instant::now();
        while answered < load.spec.connections {
            while load.clients.len() < load.spec.connections
                && load.clients.len() < answered + if few { 1 } else { OPENING }
            {
                let mut client = Client::connect(&load.spec, &load.poll, load.clients.len())?;
                if few {
                    thread::sleep(Duration::from_millis(1));
                }
                client.ask(&load.asked, None)?;
                load.clients.push(client);
            }
            tally.free.clear();
            let before = answered;
            load.wait(Duration::from_millis(20), &mut tally)?;
            answered += if hostile { load.clients.len() - answered } else { tally.free.len() };
            if answered > before {
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
                return Err(io::Error::other(format!(
                    "{answered} of {} connections were answered, then none for {PATIENCE:?}",
                    load.spec.connections
                )));
            }
        }
        if tally.done.errors > 0 {
            return Err(io::Error::other(format!("{} wrong answers or lost connections", tally.done.errors)));
        }
        if hostile {
            // Until the server takes no more.
            load.run(Duration::from_millis(200))?;
        }
        load.idle = (0..load.spec.active).collect();
        Ok(load)
    }

    /// Asks for so long.
    pub fn run(&mut self, window: Duration) -> io::Result<Done> {
        let mut tally = Tally::default();
        let (begun, cpu) = (Instant::now(), cpu_time());
        match self.spec.pace {
            Pace::Closed => self.run_closed(begun + window, &mut tally)?,
            Pace::Rate(rate) => self.run_at_rate(begun, window, rate, &mut tally)?,
        }
        let mut done = tally.done;
        done.seconds = begun.elapsed().as_secs_f64();
        if done.requests + done.refused == 0 && self.spec.active > 0 && !self.spec.ask.is_hostile() {
            return Err(io::Error::other("no request was answered"));
        }
        done.cpu_micros = (cpu_time() - cpu).as_secs_f64() * 1e6;
        if let Some(latency) = &tally.latency {
            done.latency = quantiles(&latency.answered);
            done.refused_latency = quantiles(&latency.refused);
            done.lag = quantiles(&latency.lag);
        }
        Ok(done)
    }

    fn run_closed(&mut self, end: Instant, tally: &mut Tally) -> io::Result<()> {
        let hostile = self.spec.ask.is_hostile();
        tally.free.extend(self.idle.drain(..));
        let mut last = Instant::now();
        loop {
            let now = Instant::now();
            if now >= end {
                // What is still under way goes on in the next stretch.
                self.idle.extend(tally.free.drain(..));
                return Ok(());
            }
            if !tally.free.is_empty() {
                last = now;
            } else if now - last > PATIENCE && !hostile {
                tally.done.errors += 1;
                return Ok(());
            }
            for id in std::mem::take(&mut tally.free) {
                self.ask(id, None, tally)?;
            }
            self.wait(end - now, tally)?;
        }
    }

    fn run_at_rate(
        &mut self,
        begun: Instant,
        window: Duration,
        rate: u32,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let histogram = || Histogram::new_with_bounds(100, 60_000_000_000, 3).map_err(io::Error::other);
        tally.latency = Some(Latency { answered: histogram()?, refused: histogram()?, lag: histogram()? });
        let interval = Duration::from_secs(1) / rate;
        let ticks = self.tick(interval)?;
        let total = (window.as_secs_f64() * f64::from(rate)) as u32;
        let (mut next, mut waiting) = (0, VecDeque::new());
        loop {
            // It goes on only once it was read.
            let _ = rustix::io::read(&ticks, &mut [0; 8]);
            let now = Instant::now();
            while next < total && begun + interval * next <= now {
                waiting.push_back(begun + interval * next);
                next += 1;
            }
            while let (Some(meant), Some(id)) = (waiting.front().copied(), self.idle.front().copied()) {
                waiting.pop_front();
                self.idle.pop_front();
                if let Some(latency) = &mut tally.latency {
                    latency.lag.saturating_record((now - meant).as_nanos() as u64);
                }
                self.ask(id, Some(meant), tally)?;
            }
            let under_way = self.spec.active - self.idle.len();
            if next == total && waiting.is_empty() && under_way == 0 {
                return Ok(());
            }
            if now > begun + window + PATIENCE {
                tally.done.errors += (waiting.len() + under_way) as u64;
                return Ok(());
            }
            let until = if next < total { begun + interval * next } else { begun + window + PATIENCE };
            self.wait(until.saturating_duration_since(Instant::now()), tally)?;
            self.idle.extend(tally.free.drain(..));
        }
    }

    /// A timer that wakes the thread once an interval: epoll's own timeout is told in milliseconds.
    fn tick(&self, interval: Duration) -> io::Result<OwnedFd> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let ticks = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        let interval = timespec(interval);
        let every = Itimerspec { it_interval: interval, it_value: interval };
        timerfd_settime(&ticks, TimerfdTimerFlags::empty(), &every)?;
        epoll::add(&self.poll, &ticks, EventData::new_u64(TICK), EventFlags::IN | EventFlags::ET)?;
        Ok(ticks)
    }

    fn ask(&mut self, id: usize, meant: Option<Instant>, tally: &mut Tally) -> io::Result<()> {
        if self.clients[id].ask(&self.asked, meant).is_err() {
            self.replace(id, tally)?;
        }
        Ok(())
    }

    /// Serves what is ready, or becomes so within `patience`.
    fn wait(&mut self, patience: Duration, tally: &mut Tally) -> io::Result<()> {
        let timeout = timespec(patience);
        let mut events = [MaybeUninit::<epoll::Event>::uninit(); 256];
        let events = match epoll::wait(&self.poll, &mut events[..], Some(&timeout)) {
            Ok((events, _)) => events,
            Err(rustix::io::Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in events {
            let (data, flags) = (event.data.u64(), event.flags);
            if data == TICK {
                continue;
            }
            let id = data as usize;
            if self.serve(id, flags, tally).is_err() {
                tally.done.errors += 1;
                self.replace(id, tally)?;
            }
        }
        Ok(())
    }

    fn serve(&mut self, id: usize, flags: EventFlags, tally: &mut Tally) -> io::Result<()> {
        let client = &mut self.clients[id];
        client.send(&self.asked)?;
        if self.spec.ask.is_hostile() {
            let over = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            if flags.intersects(over) && client.meant.is_none() {
                // Its mark that it was counted.
                client.meant = Some(Instant::now());
                tally.done.cut_off += 1;
            }
            return Ok(());
        }
        let Tally { done, latency, .. } = tally;
        let before = client.owed;
        let turn = client.receive(&mut self.asked, &mut self.buffer, |status, meant| {
            match status {
                Status::Ok => done.requests += 1,
                Status::Refused => done.refused += 1,
                Status::Wrong => done.errors += 1,
            }
            if let (Some(meant), Some(latency)) = (meant, latency.as_mut()) {
                let histogram = match status {
                    Status::Refused => &mut latency.refused,
                    Status::Ok | Status::Wrong => &mut latency.answered,
                };
                histogram.saturating_record(meant.elapsed().as_nanos() as u64);
            }
        })?;
        let answered = before > 0 && client.owed == 0;
        match turn {
            Turn::Goes if answered && self.spec.ask != Ask::Close => tally.free.push(id),
            Turn::Goes => {}
            Turn::Ended if self.spec.ask == Ask::Close && client.owed == 0 => {
                self.clients[id] = Client::connect(&self.spec, &self.poll, id)?;
                tally.free.push(id);
            }
            Turn::Ended => return Err(ErrorKind::UnexpectedEof.into()),
        }
        Ok(())
    }

    /// A connection in the place of one that broke.
    fn replace(&mut self, id: usize, tally: &mut Tally) -> io::Result<()> {
        self.clients[id] = Client::connect(&self.spec, &self.poll, id)?;
        if id < self.spec.active {
            tally.free.push(id);
        }
        Ok(())
    }
}

fn timespec(time: Duration) -> Timespec {
    Timespec { tv_sec: time.as_secs() as i64, tv_nsec: i64::from(time.subsec_nanos()) }
}

fn quantiles(histogram: &Histogram<u64>) -> Quantiles {
    let micros = |quantile| histogram.value_at_quantile(quantile) as f64 / 1e3;
    if histogram.is_empty() {
        return Quantiles::default();
    }
    Quantiles { p50: micros(0.5), p99: micros(0.99), p999: micros(0.999), max: micros(1.0) }
}

/// What this process has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
