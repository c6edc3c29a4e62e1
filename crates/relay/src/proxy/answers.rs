//! What clients are told when no origin's answer reaches them: the one table of statuses and texts.

use memory::counters::{AttemptFailure, RefusalReason};

/// What a 405 allows instead (RFC 9110 15.5.6). Which of them a resource has is for its origin to say.
pub const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// A status and a plain text.
pub type PlainAnswer = (u16, &'static str);

/// The client was too slow with its body.
pub const TOO_SLOW: PlainAnswer = (408, "408 request timed out\n");

/// The answer when an origin failed.
pub const fn to_failure(failure: AttemptFailure) -> PlainAnswer {
    match failure {
        AttemptFailure::Timeout => (504, "504 the origin did not respond in time\n"),
        AttemptFailure::Connect => (502, "502 cannot connect to the origin\n"),
        AttemptFailure::Busy | AttemptFailure::Held => (503, "503 the origin is busy\n"),
        AttemptFailure::Exhausted => (503, "503 out of resources, try again later\n"),
        AttemptFailure::Tls => (502, "502 TLS connection to the origin failed\n"),
        AttemptFailure::Reset
        | AttemptFailure::Stale
        | AttemptFailure::Truncated
        | AttemptFailure::Unavailable
        | AttemptFailure::Error
        | AttemptFailure::Reported => (502, "502 the origin closed the connection or sent an invalid response\n"),
    }
}

/// The answer to a request that is not forwarded.
pub const fn to_refusal(refused: RefusalReason) -> PlainAnswer {
    match refused {
        RefusalReason::UnknownHost => (404, "404 no service for this host\n"),
        RefusalReason::BadHost => (400, "400 request must have exactly one valid Host header\n"),
        RefusalReason::BadTarget => (400, "400 invalid request target\n"),
        RefusalReason::BadPath => (400, "400 malformed percent-encoding in the path\n"),
        RefusalReason::RequestLine => (400, "400 malformed request line\n"),
        RefusalReason::LongLine => (414, "414 request line too long\n"),
        RefusalReason::LargeHead => (431, "431 request header too large\n"),
        RefusalReason::ManyFields => (431, "431 too many request header fields\n"),
        RefusalReason::LineEnd => (400, "400 header line does not end with CR LF\n"),
        RefusalReason::Field => (400, "400 malformed header line\n"),
        RefusalReason::Underscore => (400, "400 header names must not contain underscores\n"),
        RefusalReason::Length => (400, "400 invalid Content-Length\n"),
        RefusalReason::Encoding => (400, "400 unsupported Transfer-Encoding\n"),
        RefusalReason::LengthAndEncoding => (400, "400 both Content-Length and Transfer-Encoding present\n"),
        RefusalReason::Connection => (400, "400 Connection names an end-to-end header\n"),
        RefusalReason::Expectation => (417, "417 unsupported Expect header\n"),
        RefusalReason::TooSlow => TOO_SLOW,
        RefusalReason::Method => (405, "405 method not supported\n"),
        RefusalReason::Requests => (503, "503 too many requests at once\n"),
        RefusalReason::Connections => (503, "503 too many connections\n"),
        // The connection ends without a response.
        RefusalReason::ResetFlood
        | RefusalReason::Handshake
        | RefusalReason::UnrecognizedName
        | RefusalReason::ProxyHeader
        | RefusalReason::UntrustedProxy => (400, ""),
        RefusalReason::BadBody => (400, "400 request body is malformed or incomplete\n"),
        RefusalReason::Held => (503, "503 the service is held, try again later\n"),
        // Its client has the auth service's own answer.
        RefusalReason::ForwardAuthDenied => (403, ""),
        RefusalReason::ForwardAuthFailed => (503, "503 cannot check whether this request is allowed\n"),
        RefusalReason::Maintenance => (503, "503 down for maintenance\n"),
        RefusalReason::RateLimited => (429, "429 too many requests\n"),
        RefusalReason::BodyTooLarge => (413, "413 request body too large\n"),
    }
}

/// The reason phrase of the statuses in this table (RFC 9110 15).
pub fn reason(status: u16) -> &'static [u8] {
    let known = http::StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    known.unwrap_or_default().as_bytes()
}
