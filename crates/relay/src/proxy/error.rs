//! The one table of errors: what of pingora's errors is whose failure, and what the client hears.

use pingora_error::{Error, ErrorSource, ErrorType};

use memory::counters::{AttemptFailure, RefusalReason};

/// An origin that must speak HTTP/2 has agreed on something else.
pub const NO_HTTP2: ErrorType = ErrorType::Custom("NoHttp2");

/// Whose doing an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    Origin(AttemptFailure),
    /// The client hung up, or sent what is no HTTP.
    Client,
    /// Ours.
    House,
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
        ErrorSource::Internal | ErrorSource::Unset => Blame::House,
    }
}

/// Whether the origin says that it has not looked at the request (RFC 9113 6.8, 8.7): then any method may be sent again.
/// A GOAWAY ends at once only the streams beyond the last one that the origin has looked at.
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

/// The status and the plain body of an answer that no origin gave.
pub const fn answer_to_failure(failure: AttemptFailure) -> (u16, &'static str) {
    match failure {
        AttemptFailure::Timeout => (504, "504 the origin did not answer in time\n"),
        AttemptFailure::Connect => (502, "502 no connection to the origin\n"),
        AttemptFailure::Tls => (502, "502 no secure connection to the origin\n"),
        AttemptFailure::Reset | AttemptFailure::Truncated | AttemptFailure::Unavailable | AttemptFailure::Error => {
            (502, "502 the origin broke off or sent no HTTP\n")
        }
    }
}

pub const fn answer_to_refusal(refused: RefusalReason) -> (u16, &'static str) {
    match refused {
        RefusalReason::UnknownHost => (404, "404 no service has this host\n"),
        RefusalReason::BadHost => (400, "400 the request needs one valid Host\n"),
        RefusalReason::BadTarget => (400, "400 the request line names no path\n"),
        RefusalReason::BadPath => (400, "400 the path has a malformed escape\n"),
        RefusalReason::RequestLine => (400, "400 the first line is not a method, a target and HTTP/1.1\n"),
        RefusalReason::LongLine => (414, "414 the request line is too long\n"),
        RefusalReason::LargeHead => (431, "431 the header is too large\n"),
        RefusalReason::ManyFields => (431, "431 the header has too many fields\n"),
        RefusalReason::LineEnd => (400, "400 a header line does not end with CR LF\n"),
        RefusalReason::Field => (400, "400 a header line is not a name, a colon and a value\n"),
        RefusalReason::Underscore => (400, "400 a header name has an underscore\n"),
        RefusalReason::Length => (400, "400 Content-Length is not one plain number\n"),
        RefusalReason::Encoding => (400, "400 Transfer-Encoding is not exactly chunked\n"),
        RefusalReason::LengthAndEncoding => (400, "400 Content-Length and Transfer-Encoding exclude each other\n"),
        RefusalReason::Connection => (400, "400 Connection names what is not the connection's\n"),
        RefusalReason::Expectation => (417, "417 the only expectation is 100-continue\n"),
        RefusalReason::TooSlow => (408, "408 the request did not come in time\n"),
        RefusalReason::Malformed => (400, "400 this is no HTTP request\n"),
        RefusalReason::Method => (405, "405 CONNECT is not for this proxy\n"),
        RefusalReason::Connections => (503, "503 too many connections\n"),
        // Of these the client hears nothing: its connection ends.
        RefusalReason::ResetFlood | RefusalReason::Handshake => (400, ""),
        RefusalReason::BadBody => (400, "400 the body is not what its head says, or broke off\n"),
        RefusalReason::BodyTooLarge => (413, "413 the body is longer than this service takes\n"),
    }
}
