//! Holds the conversations of `tests/transcripts/` with a server and writes what came into the files.
//!
//!     cargo run -p anabranch-tests --bin record              # every chapter
//!     cargo run -p anabranch-tests --bin record -- NAME ...  # these
//!
//! Read what it wrote before you keep it: a transcript is right because somebody judged it, not because it came.

use std::io;
use std::process::ExitCode;

use anabranch::demo::Demo;
use anabranch_core::http1::Settings;
use anabranch_std::{Config, Handle, Listener, Model, serve};
use anabranch_tests::transcripts::{Chapter, MODEL_SHOWN};

fn main() -> ExitCode {
    match record(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("record: {error}");
            ExitCode::FAILURE
        }
    }
}

fn record(mut names: Vec<String>) -> io::Result<()> {
    let known = Chapter::names();
    if let Some(unknown) = names.iter().find(|name| !known.contains(name)) {
        let known = known.join(", ");
        return Err(io::Error::other(format!("there is no chapter `{unknown}`; there are: {known}")));
    }
    if names.is_empty() {
        names = known;
    }
    for name in names {
        let chapter = Chapter::read(&name);
        let came = chapter.play(AT_ONCE, Server::start, |server| server.0.local_addrs()[0]);
        let others = chapter.differences(&came, "threads");
        others.iter().for_each(|difference| println!("{difference}"));
        println!("{name}: {} conversations, {} otherwise than before", came.len(), others.len());
        chapter.record(&came)?;
    }
    Ok(())
}

/// Conversations with one server at a time.
const AT_ONCE: usize = 8;

/// The demo application under the model that all others are compared with by way of the files.
struct Server(Handle);

impl Server {
    fn start(settings: &Settings) -> Self {
        let mut config = Config::new(Model::Threads);
        config.http = settings.clone();
        // Who records sees at once why nothing was recorded.
        let listener = Listener::bind("127.0.0.1:0").expect("a port of the loopback");
        Self(serve(&config, [listener], Demo::new(MODEL_SHOWN)).expect("a server"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.abort();
        self.0.wait();
    }
}
