//! The one table of errors: what of pingora's errors is whose failure, and what the client hears.

use pingora_error::{Error, ErrorSource, ErrorType};

use crate::counters::Failure;
use crate::traffic::Refusal;

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
    let failure = match error.etype() {
        T::ConnectTimedout | T::TLSHandshakeTimedout | T::ReadTimedout | T::WriteTimedout => Failure::Timeout,
        T::ConnectRefused
        | T::ConnectNoRoute
        | T::ConnectError
        | T::BindError
        | T::SocketError
        | T::ConnectProxyFailure => Failure::Connect,
        T::TLSHandshakeFailure | T::InvalidCert | T::HandshakeError | T::TLSWantX509Lookup => Failure::Tls,
        _ => Failure::Reset,
    };
    match error.esource() {
        ErrorSource::Upstream => Blame::Origin(failure),
        ErrorSource::Downstream => Blame::Client,
        ErrorSource::Internal | ErrorSource::Unset => Blame::House,
    }
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

pub const ANSWER_TO_TOO_LARGE: (u16, &str) = (413, "413 the body is longer than this service takes\n");

pub const fn answer_to_refusal(refusal: Refusal) -> (u16, &'static str) {
    match refusal {
        Refusal::UnknownHost => (404, "404 no service has this host\n"),
        Refusal::BadHost => (400, "400 the request needs one valid Host\n"),
        Refusal::BadTarget => (400, "400 the request line names no path\n"),
        Refusal::BadPath => (400, "400 the path has a malformed escape\n"),
    }
}
