//! What the tests of HTTP share: a site with something of everything, a reader of answers, a recorder of requests, and a
//! way to hold one conversation in every way it can be cut.

mod answer;
mod converse;
mod recorder;
mod site;

pub(crate) use answer::{Answer, answers, one_answer};
pub(crate) use converse::{Conversation, Held};
pub(crate) use recorder::Recorder;
pub(crate) use site::{Parts, Site, http, http_with, lines};

use anabranch_core::Flow;
use anabranch_core::app::{Http, Service};
use anabranch_core::testing::Rig;

/// A rig around a connection of whichever service.
pub(crate) type SiteRig = Rig<Box<dyn Flow>>;

/// A rig around a connection of the site.
pub(crate) fn site() -> SiteRig {
    Rig::connect(&http())
}

/// A rig around a connection of `service`, with settings of its own.
pub(crate) fn rig<S: Service>(service: S) -> SiteRig {
    Rig::connect(&Http::new(service))
}

/// A head without a body.
pub(crate) fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")
}

/// A request with a body of known length.
pub(crate) fn post(target: &str, body: &str) -> String {
    format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// A request with a chunked body.
pub(crate) fn post_chunked(target: &str, chunks: &[&str]) -> String {
    let mut request = format!("POST {target} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    for chunk in chunks {
        request += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
    }
    request + "0\r\n\r\n"
}
