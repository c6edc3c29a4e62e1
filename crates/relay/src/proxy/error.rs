//! The one table of errors: what of pingora's errors is whose failure, and what the client hears.

use pingora_error::{Error, ErrorSource, ErrorType};

use memory::counters::{Failure, Refused};

/// An origin that must speak HTTP/2 has agreed on something else.
pub const NO_HTTP2: ErrorType = ErrorType::Custom("NoHttp2");

/// Whose doing an error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    Origin(Failure),
    /// The client hung up, or sent what is no HTTP.
    Client,
    /// Ours.
    House,
}

pub fn blame(error: &Error) -> Blame {
    use ErrorType as T;
    let failure = match *error.etype() {
        T::ConnectTimedout | T::TLSHandshakeTimedout | T::ReadTimedout | T::WriteTimedout => Failure::Timeout,
        T::ConnectRefused
        | T::ConnectNoRoute
        | T::ConnectError
        | T::BindError
        | T::SocketError
        | T::ConnectProxyFailure => Failure::Connect,
        T::TLSHandshakeFailure | T::InvalidCert | T::HandshakeError | T::TLSWantX509Lookup | NO_HTTP2 => Failure::Tls,
        _ => Failure::Reset,
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
pub const fn answer_to_failure(failure: Failure) -> (u16, &'static str) {
    match failure {
        Failure::Timeout => (504, "504 the origin did not answer in time\n"),
        Failure::Connect => (502, "502 no connection to the origin\n"),
        Failure::Tls => (502, "502 no secure connection to the origin\n"),
        Failure::Reset | Failure::Truncated | Failure::Unavailable | Failure::Error => {
            (502, "502 the origin broke off or sent no HTTP\n")
        }
    }
}

pub const fn answer_to_refusal(refused: Refused) -> (u16, &'static str) {
    match refused {
        Refused::UnknownHost => (404, "404 no service has this host\n"),
        Refused::BadHost => (400, "400 the request needs one valid Host\n"),
        Refused::BadTarget => (400, "400 the request line names no path\n"),
        Refused::BadPath => (400, "400 the path has a malformed escape\n"),
        Refused::RequestLine => (400, "400 the first line is not a method, a target and HTTP/1.1\n"),
        Refused::LongLine => (414, "414 the request line is too long\n"),
        Refused::LargeHead => (431, "431 the header is too large\n"),
        Refused::ManyFields => (431, "431 the header has too many fields\n"),
        Refused::LineEnd => (400, "400 a header line does not end with CR LF\n"),
        Refused::Field => (400, "400 a header line is not a name, a colon and a value\n"),
        Refused::Underscore => (400, "400 a header name has an underscore\n"),
        Refused::Length => (400, "400 Content-Length is not one plain number\n"),
        Refused::Encoding => (400, "400 Transfer-Encoding is not exactly chunked\n"),
        Refused::LengthAndEncoding => (400, "400 Content-Length and Transfer-Encoding exclude each other\n"),
        Refused::Connection => (400, "400 Connection names what is not the connection's\n"),
        Refused::Expectation => (417, "417 the only expectation is 100-continue\n"),
        Refused::TooSlow => (408, "408 the request did not come in time\n"),
        Refused::Malformed => (400, "400 this is no HTTP request\n"),
        Refused::Method => (405, "405 CONNECT is not for this proxy\n"),
        Refused::Connections => (503, "503 too many connections\n"),
        // Of these the client hears nothing: its connection ends.
        Refused::ResetFlood | Refused::Handshake => (400, ""),
        Refused::BadBody => (400, "400 the body is not what its head says, or broke off\n"),
        Refused::BodyTooLarge => (413, "413 the body is longer than this service takes\n"),
    }
}
