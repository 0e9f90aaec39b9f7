//! The models: whose threads poll the tasks. Everything else is the same for all of them.

use std::io;
use std::sync::Arc;

use anabranch_core::lifecycle::ListenerId;
use anabranch_std::Listener;
use anabranch_std::host::{Binding, Host, Tasks};

use crate::config::{Config, Model};
use crate::socket::{Door, SocketWire, TimerAlarm};

impl Binding for Model {
    fn start(&self, host: &Arc<Host>, config: &Config, listeners: Vec<Listener>) -> io::Result<()> {
        let tasks = Tasks::new(host, config.read_bytes);
        match *self {
            #[cfg(feature = "smol")]
            Self::Smol { threads } => {
                let executor = Arc::new(async_executor::Executor::new());
                accept(host, &tasks, &Smol(executor.clone()), listeners)?;
                for number in 1..=threads.get() {
                    let (executor, over) = (executor.clone(), tasks.over());
                    host.spawn(format_args!("smol{number}"), move || {
                        async_io::block_on(executor.run(over));
                    })?;
                }
                Ok(())
            }
            #[cfg(feature = "async-std")]
            Self::AsyncStd => {
                accept(host, &tasks, &AsyncStd, listeners)?;
                let over = tasks.over();
                host.spawn("async-std", move || async_std::task::block_on(over))
            }
        }
    }
}

/// Where tasks are given to.
trait Spawn: Clone + Send + Unpin + 'static {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static);
}

#[cfg(feature = "smol")]
#[derive(Clone)]
struct Smol(Arc<async_executor::Executor<'static>>);

#[cfg(feature = "smol")]
impl Spawn for Smol {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.0.spawn(task).detach();
    }
}

#[cfg(feature = "async-std")]
#[derive(Clone)]
struct AsyncStd;

#[cfg(feature = "async-std")]
impl Spawn for AsyncStd {
    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(async_std::task::spawn(task));
    }
}

/// Accepts from `listeners`, which are numbered in their order; what comes is carried by tasks of the same executor.
fn accept(
    host: &Arc<Host>,
    tasks: &Arc<Tasks>,
    executor: &impl Spawn,
    listeners: Vec<Listener>,
) -> io::Result<()> {
    for (number, listener) in listeners.into_iter().enumerate() {
        let (clock, carriers, spawner) = (host.clock(), tasks.clone(), executor.clone());
        let spawn = move |admitted| {
            spawner.spawn(carriers.carry(admitted, SocketWire::new, TimerAlarm::new(clock)));
        };
        executor.spawn(tasks.accept(ListenerId(number), Door::new(Arc::new(listener))?, spawn));
    }
    Ok(())
}
