//! A whole server: a function, a listener, one call.
//!
//! ```text
//! cargo run -p anabranch-examples --example 01_hello
//! curl -i http://127.0.0.1:8080/
//! ```

use anabranch_std::core::app::service_fn;
use anabranch_std::{Config, Listener, serve};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let hello = service_fn(|_request, _context| "hello\n");
    let listener = Listener::bind("127.0.0.1:8080")?;
    let handle = serve(&Config::default(), [listener], hello)?;
    println!("http://{}", handle.local_addrs()[0]);
    handle.wait();
    Ok(())
}
