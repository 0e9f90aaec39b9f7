//! Our models, each with the same service.

use std::io;
use std::num::NonZeroUsize;
use std::thread;
use std::time::Duration;

use anabranch_core::Lane;
use anabranch_core::app::{Context, Outcome, Request, Response, Service, service_fn};
use anabranch_mio::{Ownership, Pinning};
use anabranch_std::{Config, LaneConfig, ListenOptions, Listener, Model, Reuse};
use http::StatusCode;

use super::Place;
use crate::load::HELLO;
use crate::scenario::overload::{LANE_QUEUE, LANE_THREADS, WORK};

pub(super) fn threads(place: &Place) -> io::Result<()> {
    blocking(Model::Threads, place)
}

pub(super) fn pool(place: &Place) -> io::Result<()> {
    blocking(Model::Pool { workers: place.connections, queue: place.connections }, place)
}

pub(super) fn reactor(place: &Place) -> io::Result<()> {
    waiting(anabranch_mio::Model::Reactor, place)
}

pub(super) fn multi_reactor(place: &Place) -> io::Result<()> {
    let loops = count(place.threads);
    waiting(anabranch_mio::Model::MultiReactor { loops, pinning: Pinning::default() }, place)
}

pub(super) fn reactor_pool(place: &Place) -> io::Result<()> {
    waiting(anabranch_mio::Model::ReactorPool { workers: count(place.threads) }, place)
}

pub(super) fn staged(place: &Place) -> io::Result<()> {
    stages(Ownership::Pinned, place)
}

pub(super) fn staged_shared(place: &Place) -> io::Result<()> {
    stages(Ownership::Shared, place)
}

fn stages(ownership: Ownership, place: &Place) -> io::Result<()> {
    let (acceptors, network) = (count(1), count(place.threads));
    waiting(anabranch_mio::Model::Staged { acceptors, network, ownership }, place)
}

/// At least one.
fn count(threads: usize) -> NonZeroUsize {
    NonZeroUsize::new(threads).unwrap_or(NonZeroUsize::MIN)
}

fn waiting(model: anabranch_mio::Model, place: &Place) -> io::Result<()> {
    anabranch_mio::serve(&config(model), [listener(place)?], service())?.wait();
    Ok(())
}

fn blocking(model: Model, place: &Place) -> io::Result<()> {
    anabranch_std::serve(&config(model), [listener(place)?], service())?.wait();
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

fn listener(place: &Place) -> io::Result<Listener> {
    let mut options = ListenOptions::default();
    options.backlog = 4096;
    options.reuse_port = Reuse::Allowed;
    Ok(Listener::bind_with(place.address(), &options)?)
}

fn service() -> impl Service {
    service_fn(|request: &mut Request, _: &mut Context<'_>| -> Outcome {
        match request.path() {
            "/plaintext" => hello().into(),
            "/echo" => {
                Outcome::stream(|_, incoming, _| Response::typed("application/octet-stream", incoming))
            }
            "/deferred" => Outcome::defer(Lane::DEFAULT, |_| hello()),
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
