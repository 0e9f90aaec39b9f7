//! Bindings of tasks over sockets that make trouble: whole ones, as a program of yours may have its own.

use std::io;
use std::sync::Arc;

use anabranch_async_std as smol;
use anabranch_core::lifecycle::ListenerId;
use anabranch_core::testing::MeanWire;
use anabranch_std::host::{Binding, Host, Tasks};
use anabranch_std::{Config, Listener};
use anabranch_tokio::{Door, SleepAlarm, SocketWire};
use async_executor::Executor;
use tokio::runtime::Builder;

/// Tasks of a tokio runtime, over sockets that give and take a byte at a time.
pub(crate) struct Tokio(pub(crate) fn() -> Builder);

impl Binding for Tokio {
    fn start(&self, host: &Arc<Host>, config: &Config<Self>, listeners: Vec<Listener>) -> io::Result<()> {
        let (tasks, clock) = (Tasks::new(host, config.read_bytes), host.clock());
        let runtime = self.0().worker_threads(2).enable_all().build()?;
        let inside = runtime.enter();
        for (number, listener) in listeners.into_iter().enumerate() {
            let (carriers, spawner) = (tasks.clone(), runtime.handle().clone());
            let wire = |connection| SocketWire::new(connection).map(MeanWire::new);
            let spawn = move |admitted| {
                spawner.spawn(carriers.carry(admitted, wire, SleepAlarm::new(clock)));
            };
            runtime.spawn(tasks.accept(ListenerId(number), Door::new(Arc::new(listener))?, spawn));
        }
        drop(inside);
        let over = tasks.over();
        host.spawn("mean", move || runtime.block_on(over))
    }
}

/// Tasks of an executor with two threads, over sockets that async-io watches.
pub(crate) struct Smol;

impl Binding for Smol {
    fn start(&self, host: &Arc<Host>, config: &Config<Self>, listeners: Vec<Listener>) -> io::Result<()> {
        let (tasks, clock) = (Tasks::new(host, config.read_bytes), host.clock());
        let executor = Arc::new(Executor::new());
        for (number, listener) in listeners.into_iter().enumerate() {
            let (carriers, spawner) = (tasks.clone(), executor.clone());
            let wire = |connection| smol::SocketWire::new(connection).map(MeanWire::new);
            let spawn = move |admitted| {
                spawner.spawn(carriers.carry(admitted, wire, smol::TimerAlarm::new(clock))).detach();
            };
            let door = smol::Door::new(Arc::new(listener))?;
            executor.spawn(tasks.accept(ListenerId(number), door, spawn)).detach();
        }
        for number in 1..=2 {
            let (executor, over) = (executor.clone(), tasks.over());
            host.spawn(format_args!("mean{number}"), move || async_io::block_on(executor.run(over)))?;
        }
        Ok(())
    }
}
