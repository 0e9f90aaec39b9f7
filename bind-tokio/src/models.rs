//! The models: whose threads poll the tasks. Everything else is the same for all of them.

use std::io;
use std::sync::Arc;

use anabranch_core::lifecycle::ListenerId;
use anabranch_std::Listener;
use anabranch_std::host::{Binding, Host, Tasks};
use tokio::runtime::{Builder, Handle, Runtime};

use crate::alarm::SleepAlarm;
use crate::config::{Config, Model};
use crate::socket::{Door, SocketWire};

impl Binding for Model {
    fn start(&self, host: &Arc<Host>, config: &Config, listeners: Vec<Listener>) -> io::Result<()> {
        let tasks = Tasks::new(host, config.read_bytes);
        let own = |listeners: Vec<Listener>| listeners.into_iter().map(Arc::new).collect();
        match *self {
            Self::Tokio { workers } => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(workers.get()).thread_name(format!("{}-worker", config.name));
                let runtime = builder.thread_stack_size(config.stack_bytes).enable_all().build()?;
                accept(host, &tasks, runtime.handle(), own(listeners))?;
                host.spawn("tokio", keep(runtime, &tasks, config))
            }
            Self::TokioLocal { threads } => {
                let shared_out = Host::share_out(listeners, threads.get())?;
                for (number, listeners) in shared_out.into_iter().enumerate() {
                    let runtime = Builder::new_current_thread().enable_all().build()?;
                    accept(host, &tasks, runtime.handle(), listeners)?;
                    host.spawn(format_args!("local{}", number + 1), keep(runtime, &tasks, config))?;
                }
                Ok(())
            }
            Self::Current => {
                let runtime = Handle::try_current().map_err(|_| {
                    io::Error::other(
                        "`Model::Current` needs a tokio runtime: call `serve` from within one, or take `Model::tokio()`",
                    )
                })?;
                accept(host, &tasks, &runtime, own(listeners))
            }
        }
    }
}

/// Accepts from `listeners`, which are numbered in their order, in tasks of `runtime`; what comes is carried by tasks of it.
fn accept(
    host: &Arc<Host>,
    tasks: &Arc<Tasks>,
    runtime: &Handle,
    listeners: Vec<Arc<Listener>>,
) -> io::Result<()> {
    // What is made here registers with that runtime.
    let _inside = runtime.enter();
    for (number, listener) in listeners.into_iter().enumerate() {
        let (clock, carriers, spawner) = (host.clock(), tasks.clone(), runtime.clone());
        let spawn = move |admitted| {
            spawner.spawn(carriers.carry(admitted, SocketWire::new, SleepAlarm::new(clock)));
        };
        runtime.spawn(tasks.accept(ListenerId(number), Door::new(listener)?, spawn));
    }
    Ok(())
}

/// The life of a thread that has a runtime: until the server is over.
fn keep(runtime: Runtime, tasks: &Arc<Tasks>, config: &Config) -> impl FnOnce() + Send + use<> {
    let (over, patience) = (tasks.over(), config.patience);
    move || {
        runtime.block_on(over);
        // What handlers gave to `spawn_blocking` may still run.
        runtime.shutdown_timeout(patience);
    }
}
