//! How much of a body a client may send.
//!
//! A Content-Length says it beforehand: such a request never leaves the house. A body without one is counted as it goes
//! by, and cut off: the origin sees its connection end in mid-body, never the last chunk, so it cannot take a part for
//! the whole.

use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use pingora_error::{Error, ErrorType};

/// The error that ends a request with too long a body. It is the client's doing.
pub const TOO_LARGE: ErrorType = ErrorType::Custom("BodyTooLarge");

pub fn too_large() -> Box<Error> {
    Error::new_down(TOO_LARGE)
}

/// The length that the head announces. pingora refuses what is no length.
pub fn announced(headers: &HeaderMap) -> u64 {
    let length = headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    length.map_or(0, |length| length.trim().parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_read_or_too_long_to_be() {
        let announced = |value: Option<&str>| {
            let mut headers = HeaderMap::new();
            value.map(|value| headers.insert(CONTENT_LENGTH, value.parse().unwrap()));
            super::announced(&headers)
        };
        assert_eq!(announced(None), 0);
        assert_eq!(announced(Some("10485760")), 10_485_760);
        assert_eq!(announced(Some("99999999999999999999999")), u64::MAX);
    }
}
