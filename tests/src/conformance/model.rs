//! What is tested: how a server of a model is started, and what is the model's nature.

use std::sync::Arc;

use anabranch::demo::Demo;
use anabranch_core::app::{Http, Service};
use anabranch_core::http1::Settings;
use anabranch_std::host::Binding;
use anabranch_std::{Config, ListenOptions, Listener, Reuse, serve};

use super::server::{Running, Server};
use crate::poll_server::PollServer;
use crate::task_server::TaskServer;

/// A model under test.
pub(super) struct Model {
    pub(super) name: &'static str,
    subject: Subject,
}

/// How a model's servers are made, and what its nature is.
pub(super) struct Subject {
    start: Start,
    at_a_time: Option<usize>,
    stops: Stops,
}

/// Starts a server of a service with these settings.
type Start = Box<dyn Fn(Arc<dyn Service>, Settings) -> Box<dyn Running>>;

/// How much of a server's life a model sees to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Stops {
    /// All: it closes its listeners, keeps the grace time, and says when it is done.
    Server,
    /// Its connections drain and abort; there is no more to it.
    Connections,
}

impl Subject {
    /// A model of a binding.
    pub(super) fn of<M: Binding + Clone + 'static>(model: M) -> Self {
        Self::new(Stops::Server, move |service, settings| {
            let mut config = Config::new(model.clone());
            config.http = settings;
            let mut options = ListenOptions::default();
            options.reuse_port = Reuse::Allowed;
            let listener = Listener::bind_with("127.0.0.1:0", &options).unwrap();
            Box::new(serve(&config, [listener], service).unwrap())
        })
    }

    /// The tiny loop over poll(2).
    pub(super) fn poll_loop() -> Self {
        Self::new(Stops::Connections, |service, settings| {
            let http = Http::new(service).with_settings(settings);
            Box::new(PollServer::start(Arc::new(http)).unwrap())
        })
    }

    /// The tiny task driver.
    pub(super) fn tasks() -> Self {
        Self::new(Stops::Connections, |service, settings| {
            let server = TaskServer::start(Arc::new(Http::new(service).with_settings(settings)));
            let address = server.listen().unwrap();
            Box::new((server, address))
        })
    }

    fn new(stops: Stops, start: impl Fn(Arc<dyn Service>, Settings) -> Box<dyn Running> + 'static) -> Self {
        Self { start: Box::new(start), at_a_time: None, stops }
    }

    /// Its nature: so many connections are carried at a time, and others wait.
    pub(super) fn at_a_time(mut self, count: usize) -> Self {
        self.at_a_time = Some(count);
        self
    }
}

impl Model {
    pub(super) fn new(name: &'static str, subject: Subject) -> Self {
        Self { name, subject }
    }

    /// A server with default settings.
    pub(super) fn serve(&self) -> Server {
        self.serve_with(|_| {})
    }

    /// A server with settings changed.
    pub(super) fn serve_with(&self, change: impl FnOnce(&mut Settings)) -> Server {
        self.serve_service(Demo::new(self.name), change)
    }

    /// A server of another service than the demo application, with settings changed.
    pub(super) fn serve_service(&self, service: impl Service, change: impl FnOnce(&mut Settings)) -> Server {
        let mut settings = Settings::default();
        change(&mut settings);
        Server::new((self.subject.start)(Arc::new(service), settings))
    }

    /// How many connections are carried at a time; `None`: as many as come.
    pub(super) fn at_a_time(&self) -> Option<usize> {
        self.subject.at_a_time
    }

    pub(super) fn stops(&self) -> Stops {
        self.subject.stops
    }
}
