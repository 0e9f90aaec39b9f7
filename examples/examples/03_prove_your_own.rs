//! A service and a flow of one's own, and the properties that hold them: copy the tests.
//!
//! ```text
//! cargo test -p anabranch-examples --example 03_prove_your_own
//! cargo run -p anabranch-examples --example 03_prove_your_own
//! curl -d shout http://127.0.0.1:8080/upper
//! ```
//!
//! What you depend on for it:
//!
//! ```text
//! [dev-dependencies]
//! anabranch-core = { version = "0.1", features = ["strategies"] }
//! proptest = "1"
//! ```

use anabranch_std::core::app::{Context, Outcome, Request, Response, Service, service_fn};
use anabranch_std::{Config, Listener, serve};
use http::StatusCode;

/// What is sent to `/upper` comes back in capitals.
fn upper() -> impl Service {
    service_fn(|request: &mut Request, _: &mut Context<'_>| match request.path() {
        "/upper" => Outcome::collect(1 << 20, |_, body, _| Response::ok(body.to_ascii_uppercase())),
        _ => StatusCode::NOT_FOUND.into(),
    })
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let handle = serve(&Config::default(), [Listener::bind("127.0.0.1:8080")?], upper())?;
    println!("http://{}/upper", handle.local_addrs()[0]);
    handle.wait();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use anabranch_core::Protocol;
    use anabranch_core::app::Settings;
    use anabranch_core::testing::strategies::{bytes_of, conversation, cuts, message, mutated, steps};
    use anabranch_core::testing::{Ending, Message, Rig, check_drain, check_end, check_service, check_steps};
    use anabranch_examples::ticker::Ticker;
    use http::Method;
    use proptest::prelude::*;

    use super::*;

    /// Requests to where there is something, and to where there is nothing.
    fn messages() -> impl Strategy<Value = Vec<Message>> {
        let routes = prop_oneof![4 => Just("/upper"), 1 => Just("/nowhere")];
        conversation(message(routes.prop_map(String::from)), 1..4)
    }

    proptest! {
        /// What each request means is what comes back, and law 9: however the bytes are cut.
        #[test]
        fn bodies_come_back_in_capitals(messages in messages(), cuts in cuts()) {
            let input = bytes_of(&messages);
            let answers = check_service(&Arc::new(upper()), &Settings::default(), input, Ending::Eof, &cuts);
            for (message, answer) in messages.iter().zip(answers) {
                if message.target == "/upper" && message.method != Method::HEAD {
                    prop_assert_eq!(answer.body, message.data().to_ascii_uppercase());
                }
            }
        }

        /// Peers that are broken, or mean harm, are answered in order too.
        #[test]
        fn broken_requests_are_the_same_however_they_are_cut(input in mutated(messages()), cuts in cuts()) {
            check_service(&Arc::new(upper()), &Settings::default(), input, Ending::Eof, &cuts);
        }

        /// A protocol of one's own: whatever happens, in whatever order, it keeps the laws of a flow and ends.
        #[test]
        fn ticker_keeps_the_laws(
            steps in steps(prop::collection::vec(any::<u8>(), 0..20), 0..30),
        ) {
            let ticker = Ticker { period: Duration::from_secs(1) };
            let mut rig = Rig::connect(&ticker as &dyn Protocol);
            check_steps(&mut rig, &steps);
            check_end(&mut rig);
        }
    }

    /// Law 7: what comes after a drain is not begun.
    #[test]
    fn ticker_drains() {
        check_drain(|| Rig::connect(&Ticker { period: Duration::from_secs(1) }), "", "anything");
    }
}
