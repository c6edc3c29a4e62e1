//! How long a request body may be, and whether there is one.
//!
//! A request whose Content-Length is too long is refused before anything is sent. A body without a length is counted as
//! it passes and cut off: the origin sees its connection end in the middle of the body, never the last chunk, so it
//! cannot mistake the part for the whole.

use std::time::Duration;

use http::Method;
use http::header::CONTENT_LENGTH;
use pingora_error::{Error, ErrorType, Result};
use pingora_proxy::Session;
use tokio::time::timeout;

/// The error that ends a request whose body is too long. The client is to blame.
pub const TOO_LARGE: ErrorType = ErrorType::Custom("BodyTooLarge");

/// How long the rest of a refused body is read and discarded.
const LINGER: Duration = Duration::from_secs(5);

/// How long a request that usually has no body may leave open whether it has one. Then it is forwarded with whatever
/// comes.
const UNDECIDED: Duration = Duration::from_secs(1);

/// Waits for the end of an HTTP/2 GET, HEAD, OPTIONS or DELETE without a length, or for the first piece of its body.
///
/// Some clients end an empty body with a frame of its own. Forwarded before that, such a GET would reach an HTTP/1.1
/// origin as a body in chunks, which some refuse. What is read here is repeated to the origin from pingora's retry
/// buffer, which a single frame cannot fill.
///
/// # Errors
/// The client has given up the request.
pub async fn decide_on_body(session: &mut Session) -> Result<()> {
    let head = session.req_header();
    let usually_none = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::DELETE);
    let open = usually_none && !head.headers.contains_key(CONTENT_LENGTH) && session.is_http2();
    let client = session.as_downstream_mut();
    if !open || client.is_body_empty() {
        return Ok(());
    }
    client.enable_retry_buffering();
    match timeout(UNDECIDED, client.read_request_body()).await {
        Ok(Err(e)) => Err(e.into_down()),
        Ok(Ok(_)) | Err(_) => Ok(()),
    }
}

pub fn too_large() -> Box<Error> {
    Error::new_down(TOO_LARGE)
}

/// Reads and discards the rest of a refused HTTP/2 body for a moment. Otherwise its stream would be reset after the
/// response, which is allowed (RFC 9113 8.1), but which some clients, such as curl, treat as a failure. HTTP/1
/// connections linger anyway.
pub async fn linger(session: &mut Session) {
    if session.is_http2() {
        session.as_downstream_mut().set_total_drain_timeout(Some(LINGER));
        // The client may be gone, or send forever: either way that was enough.
        let _ = session.as_downstream_mut().drain_request_body().await;
    }
}
