//! Why an origin gave no answer, or none that could be used, in a few words and by kind.

use std::error::Error;
use std::io;
use std::net::IpAddr;

use http1::Refused;
use memory::counters::AttemptFailure;

/// What went wrong with an origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OriginError {
    /// Nothing listens at the address.
    Refused,
    NoRoute,
    /// Any other reason why no connection could be made.
    Connect,
    /// This process has no descriptor, port or memory left for it.
    Exhausted,
    ConnectTimeout,
    TlsTimeout,
    /// It has as many requests as it takes at once.
    Busy,
    /// The same, while clients held most of its places.
    Held,
    /// With the words of the TLS library.
    Tls(String),
    /// It must speak HTTP/2, and has agreed on something else.
    NoHttp2,
    /// Too slow: with its answer's first byte, or between two.
    ResponseTimeout,
    /// It did not read the request.
    SendTimeout,
    /// It closed the connection before its answer.
    Closed,
    /// The connection failed before the answer.
    Reset,
    /// The answer began and was cut off.
    CutShort,
    /// A part of HTTP/2 failed.
    Http2,
    /// It says that it has not processed the request (RFC 9113 6.8, 8.7): any method may be sent again.
    Untouched,
    /// Not an answer that a client could use; what is wrong with its text, if that is it.
    Invalid(Option<Refused>),
}

impl OriginError {
    /// Of an attempt to open a connection to `address`.
    pub fn of_connect(error: &io::Error, address: IpAddr) -> OriginError {
        match error.kind() {
            io::ErrorKind::ConnectionRefused => OriginError::Refused,
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => OriginError::NoRoute,
            io::ErrorKind::TimedOut => OriginError::ConnectTimeout,
            _ if is_our_want(error, address) => OriginError::Exhausted,
            _ => OriginError::Connect,
        }
    }

    /// Of an HTTP/2 connection or stream. A GOAWAY at once ends only the streams after the last one that the origin has
    /// processed.
    pub fn of_http2(error: &h2::Error) -> OriginError {
        let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
        if error.is_remote() && (refused || error.is_go_away()) {
            OriginError::Untouched
        } else if error.is_io() {
            OriginError::Reset
        } else {
            OriginError::Http2
        }
    }

    /// Of a single request, before the head of its response.
    pub fn of_exchange(error: &hyper::Error) -> OriginError {
        if let Some(error) = source::<h2::Error>(error) {
            OriginError::of_http2(error)
        } else if let Some(error) = source::<io::Error>(error) {
            if error.kind() == io::ErrorKind::UnexpectedEof { OriginError::Closed } else { OriginError::Reset }
        } else if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
            OriginError::Closed
        } else {
            OriginError::Invalid(None)
        }
    }

    /// Of a single request, in the middle of its response.
    pub fn of_body(error: &hyper::Error) -> OriginError {
        match source::<io::Error>(error).map(io::Error::kind) {
            // Chunks that are none.
            Some(io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) => OriginError::Invalid(None),
            _ => OriginError::CutShort,
        }
    }

    /// As it is counted.
    pub fn failure(&self) -> AttemptFailure {
        match self {
            OriginError::ConnectTimeout
            | OriginError::TlsTimeout
            | OriginError::ResponseTimeout
            | OriginError::SendTimeout => AttemptFailure::Timeout,
            OriginError::Busy => AttemptFailure::Busy,
            OriginError::Held => AttemptFailure::Held,
            OriginError::Exhausted => AttemptFailure::Exhausted,
            OriginError::Refused | OriginError::NoRoute | OriginError::Connect => AttemptFailure::Connect,
            OriginError::Tls(_) | OriginError::NoHttp2 => AttemptFailure::Tls,
            OriginError::Closed
            | OriginError::Reset
            | OriginError::CutShort
            | OriginError::Http2
            | OriginError::Untouched
            | OriginError::Invalid(_) => AttemptFailure::Reset,
        }
    }

    /// What kind of failure it was: `connect`, `tls`, `timeout`, `reset` or `protocol`.
    pub fn kind(&self) -> &'static str {
        match self {
            OriginError::Http2 | OriginError::Untouched | OriginError::Invalid(_) | OriginError::NoHttp2 => "protocol",
            other => other.failure().name(),
        }
    }

    /// A predicate that follows a name: `green` `refused the connection`.
    pub fn as_predicate(&self) -> String {
        let words = match self {
            OriginError::Refused => "refused the connection",
            OriginError::ConnectTimeout => "did not accept a connection in time",
            OriginError::NoRoute => "cannot be reached: no route to host",
            OriginError::TlsTimeout => "did not finish the TLS handshake in time",
            OriginError::Closed => "closed the connection without a response",
            OriginError::Invalid(_) => "sent a response that is not valid HTTP",
            OriginError::CutShort => "closed the connection in the middle of its response",
            OriginError::NoHttp2 => "does not speak HTTP/2",
            other => return format!("gave no response: {}", other.cause()),
        };
        words.to_owned()
    }

    /// The cause alone, for a field of a log line: `connection refused`.
    pub fn cause(&self) -> String {
        let words = match self {
            OriginError::Refused => "connection refused",
            OriginError::ConnectTimeout => "connection timed out",
            OriginError::NoRoute => "no route to host",
            OriginError::Connect => "cannot connect",
            OriginError::Exhausted => "this process has no descriptors, ports or memory left",
            OriginError::TlsTimeout => "TLS handshake timed out",
            OriginError::Busy | OriginError::Held => "too many requests at once",
            OriginError::Tls(why) => return format!("TLS handshake failed: {why}"),
            OriginError::ResponseTimeout => "timed out waiting for the response",
            OriginError::SendTimeout => "timed out sending the request",
            OriginError::Closed => "connection closed",
            OriginError::Reset => "connection reset",
            OriginError::CutShort => "response cut short",
            OriginError::NoHttp2 => "HTTP/2 was refused",
            OriginError::Http2 | OriginError::Untouched => "HTTP/2 protocol error",
            OriginError::Invalid(Some(refused)) => return format!("invalid HTTP: {refused}"),
            OriginError::Invalid(None) => "invalid HTTP",
        };
        words.to_owned()
    }
}

/// Whether a connection failed for what this process lacks, before anything was sent: socket(2), connect(2).
fn is_our_want(error: &io::Error, address: IpAddr) -> bool {
    match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM | libc::EAGAIN) => true,
        // No port is left. Over IPv6 it also means that this host has no such address to connect from, which is no want that passes.
        Some(libc::EADDRNOTAVAIL) => address.is_ipv4(),
        _ => false,
    }
}

/// What an error comes from, if it is of that type.
fn source<E: Error + 'static>(error: &hyper::Error) -> Option<&E> {
    let mut next = error.source();
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_short() {
        let refused = OriginError::of_connect(&io::ErrorKind::ConnectionRefused.into(), [192, 0, 2, 1].into());
        assert_eq!((refused.cause().as_str(), refused.kind()), ("connection refused", "connect"));
        let tls = OriginError::Tls("invalid peer certificate: UnknownIssuer".to_owned());
        assert_eq!(tls.cause(), "TLS handshake failed: invalid peer certificate: UnknownIssuer");
        assert_eq!((tls.kind(), OriginError::ResponseTimeout.kind()), ("tls", "timeout"));
        assert_eq!(OriginError::CutShort.as_predicate(), "closed the connection in the middle of its response");
        assert_eq!(OriginError::Reset.as_predicate(), "gave no response: connection reset");
    }

    #[test]
    fn what_this_process_lacks_is_told_from_an_address_that_cannot_be_reached() {
        let of = |code, address: &str| {
            OriginError::of_connect(&io::Error::from_raw_os_error(code), address.parse().unwrap())
        };
        assert_eq!(of(libc::EMFILE, "2001:db8::1"), OriginError::Exhausted);
        assert_eq!(of(libc::EADDRNOTAVAIL, "192.0.2.1"), OriginError::Exhausted);
        assert_eq!(of(libc::EADDRNOTAVAIL, "::1"), OriginError::Connect, "a host without IPv6");
        assert_eq!(of(libc::EACCES, "192.0.2.1"), OriginError::Connect);
    }
}
