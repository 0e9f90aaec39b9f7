//! Our models, each with the same service.

use core::num::NonZeroUsize;
use std::io;
use std::thread;
use std::time::Duration;

use anabranch_async_std::Model as Async;
use anabranch_core::Lane;
use anabranch_core::app::{Context, Outcome, Request, Response, Service, service_fn};
use anabranch_mio::{Model as Mio, Ownership, Pinning};
use anabranch_std::host::Binding;
use anabranch_std::{Config, LaneConfig, ListenOptions, Listener, Model, Reuse};
use anabranch_tokio::Model as Tokio;
use http::StatusCode;

use super::Place;
use crate::load::HELLO;
use crate::scenario::overload::{LANE_QUEUE, LANE_THREADS, WORK};

pub(super) fn threads(place: &Place) -> io::Result<()> {
    serve(Model::Threads, place)
}

pub(super) fn pool(place: &Place) -> io::Result<()> {
    serve(Model::Pool { workers: place.connections, queue: place.connections }, place)
}

pub(super) fn reactor(place: &Place) -> io::Result<()> {
    serve(Mio::Reactor, place)
}

pub(super) fn multi_reactor(place: &Place) -> io::Result<()> {
    multi_reactor_of(place, service())
}

/// The same model with another service.
pub(super) fn multi_reactor_of(place: &Place, service: impl Service) -> io::Result<()> {
    serve_with(loops(place), listen_options(), place, service)
}

/// The same model with another listener.
pub(super) fn multi_reactor_deferring(place: &Place) -> io::Result<()> {
    let mut options = listen_options();
    options.defer_accept = Duration::from_secs(1);
    serve_with(loops(place), options, place, service())
}

fn loops(place: &Place) -> Mio {
    Mio::MultiReactor { loops: threads_of(place), pinning: Pinning::Free }
}

/// Its slow path is its only one: each request is handed to a worker, and the handler runs there.
pub(super) fn reactor_pool(place: &Place) -> io::Result<()> {
    let model = Mio::ReactorPool { workers: threads_of(place) };
    serve_with(model, listen_options(), place, service_with(|| hello().into()))
}

pub(super) fn staged(place: &Place) -> io::Result<()> {
    serve(stages(place, Ownership::Pinned), place)
}

pub(super) fn tokio(place: &Place) -> io::Result<()> {
    tokio_of(place, service())
}

/// The same model with another service.
pub(super) fn tokio_of(place: &Place, service: impl Service) -> io::Result<()> {
    serve_with(Tokio::Tokio { workers: threads_of(place) }, listen_options(), place, service)
}

pub(super) fn tokio_local(place: &Place) -> io::Result<()> {
    serve(Tokio::TokioLocal { threads: threads_of(place) }, place)
}

pub(super) fn smol(place: &Place) -> io::Result<()> {
    serve(Async::Smol { threads: threads_of(place) }, place)
}

/// Its executor is one for the process, and the environment says how many threads it has.
pub(super) fn async_std(place: &Place) -> io::Result<()> {
    serve(Async::AsyncStd, place)
}

pub(super) fn staged_shared(place: &Place) -> io::Result<()> {
    serve(stages(place, Ownership::Shared), place)
}

fn stages(place: &Place, ownership: Ownership) -> Mio {
    Mio::Staged { acceptors: NonZeroUsize::MIN, network: threads_of(place), ownership }
}

fn threads_of(place: &Place) -> NonZeroUsize {
    NonZeroUsize::new(place.threads).unwrap_or(NonZeroUsize::MIN)
}

fn serve(model: impl Binding, place: &Place) -> io::Result<()> {
    serve_with(model, listen_options(), place, service())
}

fn serve_with(
    model: impl Binding,
    options: ListenOptions,
    place: &Place,
    service: impl Service,
) -> io::Result<()> {
    let listener = Listener::bind_with(place.address(), &options)?;
    anabranch_std::serve(&config(model), [listener], service)?.wait();
    Ok(())
}

/// The same for every model. Limits and deadlines are those that `serve` has, except that as many may come as will.
fn config<M>(model: M) -> Config<M> {
    let mut config = Config::new(model);
    config.server.max_connections = 1 << 20;
    // Lanes of their own, so that what fills one holds nothing else up.
    config.lanes = vec![LaneConfig::default(), LaneConfig::new(WORK_LANE, LANE_THREADS, LANE_QUEUE)];
    config
}

const WORK_LANE: Lane = Lane("work");

fn listen_options() -> ListenOptions {
    let mut options = ListenOptions::default();
    options.backlog = 4096;
    options.reuse_port = Reuse::Allowed;
    options
}

fn service() -> impl Service {
    service_with(|| Outcome::defer(Lane::DEFAULT, |_| hello()))
}

/// The same, with another way of answering what belongs on the slow path.
fn service_with(slow: impl Fn() -> Outcome + Send + Sync + 'static) -> impl Service {
    service_fn(move |request: &mut Request, _: &mut Context<'_>| -> Outcome {
        match request.path() {
            "/plaintext" => hello().into(),
            "/echo" => {
                Outcome::stream(|_, incoming, _| Response::typed("application/octet-stream", incoming))
            }
            "/deferred" => slow(),
            "/work" => Outcome::defer(WORK_LANE, |_| {
                thread::sleep(Duration::from_micros(WORK));
                hello()
            }),
            _ => StatusCode::NOT_FOUND.into(),
        }
    })
}

fn hello() -> Response {
    Response::typed("text/plain", HELLO)
}
