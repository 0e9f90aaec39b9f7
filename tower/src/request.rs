//! From a head of core's to an `http::Request`.

use anabranch_core::ConnectionInfo;
use anabranch_core::app::{Outcome, Request, Response};
use anabranch_core::http1::RequestHead;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use crate::body::RequestBody;
use crate::service::Attach;

/// Makes the request that a tower service is called with. What core's handlers attached goes along.
///
/// Target and values are slices of one copy of the head: whoever keeps one of them keeps that, and nothing of the driver's.
pub(crate) fn http_request(
    request: &mut Request,
    body: RequestBody,
    headers: HeaderMap,
    connection: &ConnectionInfo,
    attach: &Attach,
) -> Result<http::Request<RequestBody>, Unfit> {
    let mut built = http::Request::new(body);
    *built.method_mut() = request.method().clone();
    *built.version_mut() = request.version();
    *built.headers_mut() = headers;
    *built.extensions_mut() = core::mem::take(request.extensions_mut());
    *built.uri_mut() = fill(request.head(), built.headers_mut())?;
    attach(connection, built.extensions_mut());
    Ok(built)
}

/// Puts the field lines into `headers`; gives the target.
fn fill(head: &RequestHead, headers: &mut HeaderMap) -> Result<Uri, Unfit> {
    let shared = head.share();
    let target = Uri::from_maybe_shared(shared.target()).map_err(|_| Unfit::Target)?;
    let lines = shared.fields();
    headers.try_reserve(lines.len()).map_err(|_| Unfit::TooManyFields)?;
    for (name, value) in lines {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| Unfit::Field)?;
        let value = HeaderValue::from_maybe_shared(value).map_err(|_| Unfit::Field)?;
        headers.try_append(name, value).map_err(|_| Unfit::TooManyFields)?;
    }
    Ok(target)
}

/// Why `http` cannot hold a request that core let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Unfit {
    Target,
    Field,
    TooManyFields,
}

impl From<Unfit> for Outcome {
    fn from(unfit: Unfit) -> Self {
        let (status, text) = match unfit {
            Unfit::Target => (StatusCode::BAD_REQUEST, "400: the request target is no URI\n"),
            Unfit::Field => (StatusCode::BAD_REQUEST, "400: a field cannot be represented\n"),
            Unfit::TooManyFields => {
                (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "431: more fields than a header map can hold\n")
            }
        };
        Response::text(text).with_status(status).into()
    }
}
