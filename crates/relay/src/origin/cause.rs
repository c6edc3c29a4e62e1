//! Why a connection to an origin failed, in a few words. The framework's own text is a chain of contexts that says the
//! same thing three times and may quote the request.

use pingora_error::{Error, ErrorType};

/// What kind of failure it was: `connect`, `tls`, `timeout`, `reset` or `protocol`.
pub fn kind(error: &Error) -> &'static str {
    match error.etype() {
        ErrorType::ConnectRefused
        | ErrorType::ConnectError
        | ErrorType::ConnectNoRoute
        | ErrorType::SocketError
        | ErrorType::BindError => "connect",
        ErrorType::ConnectTimedout
        | ErrorType::ReadTimedout
        | ErrorType::WriteTimedout
        | ErrorType::TLSHandshakeTimedout => "timeout",
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => "tls",
        ErrorType::ConnectionClosed | ErrorType::ReadError | ErrorType::WriteError => "reset",
        error if *error == CUT_SHORT => "reset",
        _ => "protocol",
    }
}

/// A response that began and was cut off.
pub const CUT_SHORT: ErrorType = ErrorType::Custom("ResponseCutShort");

/// A predicate that follows a name: `green` `refused the connection`.
pub fn as_predicate(error: &Error) -> String {
    let words = match error.etype() {
        ErrorType::ConnectRefused => "refused the connection",
        ErrorType::ConnectTimedout => "did not accept a connection in time",
        ErrorType::ConnectNoRoute => "cannot be reached: no route to host",
        ErrorType::TLSHandshakeTimedout => "did not finish the TLS handshake in time",
        ErrorType::ConnectionClosed => "closed the connection without a response",
        // The framework's text would quote the head, and any secrets in it.
        ErrorType::InvalidHTTPHeader => "sent a response that is not valid HTTP",
        error if *error == CUT_SHORT => "closed the connection in the middle of its response",
        _ => return format!("gave no response: {}", cause(error)),
    };
    words.to_owned()
}

/// The cause alone, for a field of a log line: `connection refused`.
pub fn cause(error: &Error) -> String {
    let words = match error.etype() {
        ErrorType::ConnectRefused => "connection refused",
        ErrorType::ConnectTimedout => "connection timed out",
        ErrorType::ConnectNoRoute => "no route to host",
        ErrorType::ConnectError | ErrorType::SocketError | ErrorType::BindError => "cannot connect",
        ErrorType::TLSHandshakeTimedout => "TLS handshake timed out",
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert | ErrorType::HandshakeError => {
            return tls_cause(&error.to_string());
        }
        ErrorType::ReadTimedout => "timed out waiting for the response",
        ErrorType::WriteTimedout => "timed out sending the request",
        ErrorType::ConnectionClosed => "connection closed",
        ErrorType::ReadError | ErrorType::WriteError => "connection reset",
        ErrorType::H2Downgrade => "HTTP/2 was refused",
        ErrorType::H2Error | ErrorType::InvalidH2 => "HTTP/2 protocol error",
        ErrorType::H1Error | ErrorType::InvalidHTTPHeader => "invalid HTTP",
        other => other.as_str(),
    };
    words.to_owned()
}

/// What rustls says about the peer is in the middle of the framework's text.
fn tls_cause(text: &str) -> String {
    let detail = text.split("TLS connect() failed: ").nth(1).and_then(|rest| rest.split([',', '\n']).next());
    detail.map_or_else(|| "TLS handshake failed".to_owned(), |detail| format!("TLS handshake failed: {detail}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_is_short() {
        let refused = Error::explain(ErrorType::ConnectRefused, "Fail to connect to 10.0.0.1:80").into_up();
        assert_eq!((cause(&refused).as_str(), kind(&refused)), ("connection refused", "connect"));
        let text = "TLS connect() failed: invalid peer certificate: UnknownIssuer, SNI: shop.test, alpn: h2";
        let tls = Error::explain(ErrorType::TLSHandshakeFailure, text);
        assert_eq!(cause(&tls), "TLS handshake failed: invalid peer certificate: UnknownIssuer");
        let closed = Error::new(CUT_SHORT);
        assert_eq!(as_predicate(&closed), "closed the connection in the middle of its response");
    }
}
