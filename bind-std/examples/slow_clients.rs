//! How long a well-behaved client waits while others are silent, slow or gone, under each model: the figures behind the
//! table of models.
//!
//! ```text
//!   silent   connects and sends nothing           ends at deadlines.first_byte
//!   slow     sends a head a byte at a time        ends at deadlines.head, and deadlines.linger for it to read the 408
//!   gone     asks for much and takes none of it   ends at deadlines.write_stall
//! ```

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anabranch_std::core::app::{Outcome, Response, service_fn};
use anabranch_std::{Config, Listener, Model, serve};

/// Each deadline that such a client runs into. Short, that the example is; the figures are so many of it.
const DEADLINE: Duration = Duration::from_millis(500);

/// Much more than the sockets hold between them.
const MUCH: usize = 32 * 1024 * 1024;

#[derive(Clone, Copy)]
enum Client {
    Silent,
    Slow,
    Gone,
}

fn main() -> std::io::Result<()> {
    println!("deadlines of {DEADLINE:?}; how long one GET waited for its answer\n");
    println!("{:22} {:>10} {:>10} {:>10}", "", "silent", "slow", "gone");
    let pool = Model::Pool { workers: 2, queue: 2 };
    for (model, name) in [(Model::Single, "single"), (Model::Threads, "threads"), (pool, "pool of 2")] {
        for count in [1, 2, 4] {
            print!("{:22}", format!("{name}, {count} such"));
            for client in [Client::Silent, Client::Slow, Client::Gone] {
                let waited = measure(model, client, count)?;
                print!(" {:>7} ms", waited.as_millis());
            }
            println!();
        }
    }
    Ok(())
}

fn measure(model: Model, client: Client, count: usize) -> std::io::Result<Duration> {
    let mut config = Config::new(model);
    config.http.deadlines.first_byte = Some(DEADLINE);
    config.http.deadlines.head = Some(DEADLINE);
    config.http.deadlines.write_stall = Some(DEADLINE);
    config.http.deadlines.linger = Some(DEADLINE);
    let service = service_fn(|request, _| -> Outcome {
        let body = if request.path() == "/much" { vec![b'.'; MUCH] } else { b"hello\n".to_vec() };
        Response::ok(body).into()
    });
    let handle = serve(&config, [Listener::bind("127.0.0.1:0")?], service)?;
    let address = handle.local_addrs()[0];

    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..count).map(|_| start(client, address, over.clone())).collect();
    thread::sleep(Duration::from_millis(50));
    let started = Instant::now();
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let waited = started.elapsed();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");

    over.store(true, Ordering::Relaxed);
    for client in clients {
        // It ends when the server closes it, or when it is told.
        let _ = client.join();
    }
    handle.abort();
    handle.wait();
    Ok(waited)
}

/// A client of that kind, connected when this returns.
fn start(client: Client, address: SocketAddr, over: Arc<AtomicBool>) -> thread::JoinHandle<()> {
    let stream = TcpStream::connect(address);
    thread::spawn(move || {
        let Ok(mut stream) = stream else { return };
        let head =
            b"GET /much HTTP/1.1\r\nHost: here\r\nX-Slow: ".iter().copied().chain(std::iter::repeat(b'x'));
        match client {
            Client::Silent => {}
            Client::Slow => {
                for byte in head {
                    if over.load(Ordering::Relaxed) || stream.write_all(&[byte]).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(20));
                }
            }
            Client::Gone => {
                let _ = stream.write_all(b"GET /much HTTP/1.1\r\nHost: here\r\n\r\n");
            }
        }
        while !over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(10));
        }
    })
}
