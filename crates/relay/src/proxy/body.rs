//! How long a request body may be.
//!
//! A request whose Content-Length is too long is refused before anything is sent. A body without a length is counted as
//! it passes and cut off: the origin sees its connection end in the middle of the body, never the last chunk, so it
//! cannot mistake the part for the whole.

use std::time::Duration;

use pingora_error::{Error, ErrorType};
use pingora_proxy::Session;

/// The error that ends a request whose body is too long. The client is to blame.
pub const TOO_LARGE: ErrorType = ErrorType::Custom("BodyTooLarge");

/// How long the rest of a refused body is read and discarded.
const LINGER: Duration = Duration::from_secs(5);

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
