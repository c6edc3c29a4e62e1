//! The one table of errors: whose failure each of pingora's errors is, and what the client is told.

use pingora_error::{Error, ErrorSource, ErrorType};

use memory::counters::{AttemptFailure, RefusalReason};

/// An origin that must speak HTTP/2 has agreed on something else.
pub const NO_HTTP2: ErrorType = ErrorType::Custom("NoHttp2");

/// What a 405 allows instead (RFC 9110 15.5.6). Which of them a resource has is for its origin to say.
pub const ALLOWED_METHODS: &str = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";

/// Who caused an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    Origin(AttemptFailure),
    /// The client hung up, or sent invalid HTTP.
    Client,
    /// Cutover itself.
    Proxy,
}

pub fn blame(error: &Error) -> Blame {
    use ErrorType as T;
    let failure = match *error.etype() {
        T::ConnectTimedout | T::TLSHandshakeTimedout | T::ReadTimedout | T::WriteTimedout => AttemptFailure::Timeout,
        T::ConnectRefused
        | T::ConnectNoRoute
        | T::ConnectError
        | T::BindError
        | T::SocketError
        | T::ConnectProxyFailure => AttemptFailure::Connect,
        T::TLSHandshakeFailure | T::InvalidCert | T::HandshakeError | T::TLSWantX509Lookup | NO_HTTP2 => {
            AttemptFailure::Tls
        }
        _ => AttemptFailure::Reset,
    };
    match error.esource() {
        ErrorSource::Upstream => Blame::Origin(failure),
        ErrorSource::Downstream => Blame::Client,
        ErrorSource::Internal | ErrorSource::Unset => Blame::Proxy,
    }
}

/// Whether the origin says that it has not processed the request (RFC 9113 6.8, 8.7); then any method may be sent
/// again. A GOAWAY at once ends only the streams after the last one that the origin has processed.
pub fn was_untouched(error: &Error) -> bool {
    if matches!(*error.etype(), ErrorType::H2Downgrade | NO_HTTP2) {
        return true;
    }
    let cause = error.root_cause().downcast_ref::<h2::Error>();
    cause.is_some_and(|cause| {
        let refused = cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM);
        cause.is_remote() && (refused || cause.is_go_away())
    })
}

/// The status and plain body of the response when an origin failed.
pub const fn answer_to_failure(failure: AttemptFailure) -> (u16, &'static str) {
    match failure {
        AttemptFailure::Timeout => (504, "504 the origin did not respond in time\n"),
        AttemptFailure::Connect => (502, "502 cannot connect to the origin\n"),
        AttemptFailure::Tls => (502, "502 TLS connection to the origin failed\n"),
        AttemptFailure::Reset | AttemptFailure::Truncated | AttemptFailure::Unavailable | AttemptFailure::Error => {
            (502, "502 the origin closed the connection or sent an invalid response\n")
        }
    }
}

pub const fn answer_to_refusal(refused: RefusalReason) -> (u16, &'static str) {
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
        RefusalReason::TooSlow => (408, "408 request timed out\n"),
        RefusalReason::Malformed => (400, "400 malformed HTTP request\n"),
        RefusalReason::Method => (405, "405 method not supported\n"),
        RefusalReason::Connections => (503, "503 too many connections\n"),
        // The connection ends without a response.
        RefusalReason::ResetFlood | RefusalReason::Handshake => (400, ""),
        RefusalReason::BadBody => (400, "400 request body is malformed or incomplete\n"),
        RefusalReason::BodyTooLarge => (413, "413 request body too large\n"),
    }
}
