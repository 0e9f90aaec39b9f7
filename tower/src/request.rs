//! From a head of core's to an `http::Request`.

use anabranch_core::ConnectionInfo;
use anabranch_core::app::{Request, Response};
use anabranch_core::http1::RequestHead;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};

use crate::body::RequestBody;
use crate::service::Attach;

/// Makes the request that a tower service is called with; or says what it is answered with, should `http` not be able to hold
/// it. What core's handlers attached goes along.
///
/// Target and values are slices of one copy of the head: whoever keeps one of them keeps that, and nothing of the driver's.
pub(crate) fn http_request(
    request: &mut Request,
    body: RequestBody,
    headers: HeaderMap,
    connection: &ConnectionInfo,
    attach: &Attach,
) -> Result<http::Request<RequestBody>, Response> {
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
fn fill(head: &RequestHead, headers: &mut HeaderMap) -> Result<Uri, Response> {
    let shared = head.share();
    let target = Uri::from_maybe_shared(shared.target())
        .map_err(|_| refused(StatusCode::BAD_REQUEST, "400: the request target is no URI\n"))?;
    let too_many = |_| {
        refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, "431: more fields than a header map can hold\n")
    };
    let lines = shared.fields();
    headers.try_reserve(lines.len()).map_err(too_many)?;
    for (name, value) in lines {
        // Core lets through less than `http` does.
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_maybe_shared(value))
        else {
            return Err(refused(StatusCode::BAD_REQUEST, "400: a field cannot be represented\n"));
        };
        headers.try_append(name, value).map_err(too_many)?;
    }
    Ok(target)
}

fn refused(status: StatusCode, text: &'static str) -> Response {
    Response::text(text).with_status(status)
}
