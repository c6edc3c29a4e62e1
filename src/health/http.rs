//! One request to one address, over a connection of its own, made as the proxy makes its connections: the same names,
//! certificates and version of HTTP. No redirect is followed: the answer is the origin's own.

use std::time::Duration;

use pingora_core::connectors::http::Connector;
use pingora_error::{Error, ErrorType};
use pingora_http::RequestHeader;
use tokio::time::timeout;

use crate::snapshot::Endpoint;
use crate::snapshot::check::HttpProbe;

/// So much of a body is read, and looked through.
const MOST_BODY: usize = 64 << 10;
/// Who asks, so that an origin's log tells checks from clients.
const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"), " (health check)");

/// What an address answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    /// The first part of it.
    pub body: Vec<u8>,
}

/// Asks, and says in words why there is no whole answer in time.
pub async fn ask(
    connector: &Connector,
    endpoint: &Endpoint,
    probe: &HttpProbe,
    patience: Duration,
) -> Result<Answer, String> {
    match timeout(patience, exchange(connector, endpoint, probe)).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(in_words(&error)),
        Err(_) => Err(format!("gives no answer within {} ms", patience.as_millis())),
    }
}

/// Whether an address passes, or in words why not.
pub async fn probe(
    connector: &Connector,
    endpoint: &Endpoint,
    probe: &HttpProbe,
    patience: Duration,
) -> Result<(), String> {
    let Answer { status, body } = ask(connector, endpoint, probe, patience).await?;
    let asked = format!("{} {}", probe.method, probe.path);
    if !probe.takes(status) {
        return Err(format!("answers {status} to {asked}"));
    }
    match &probe.body {
        Some(wanted) if memchr::memmem::find(&body, wanted.as_bytes()).is_none() => {
            Err(format!("answers {status} to {asked}, and the body lacks what the check looks for"))
        }
        _ => Ok(()),
    }
}

async fn exchange(connector: &Connector, endpoint: &Endpoint, probe: &HttpProbe) -> pingora_error::Result<Answer> {
    let path = format!("{}{}", endpoint.base_path, probe.path);
    let mut head = RequestHeader::build(probe.method.clone(), path.as_bytes(), None)?;
    head.insert_header(http::header::HOST, endpoint.authority.clone())?;
    head.insert_header(http::header::USER_AGENT, USER_AGENT)?;
    for (name, value) in &probe.headers {
        head.insert_header(name.clone(), value.clone())?;
    }
    // One request a connection: a check that finds an old one open has not seen that a new one can be made.
    let mut peer = endpoint.peer.clone();
    peer.options.max_h2_streams = 1;
    let (mut session, _) = connector.get_http_session(&peer).await?;
    let wants_h2 = peer.options.alpn.get_min_http_version() == 2;
    if session.as_http2().is_some() {
        head.set_version(http::Version::HTTP_2);
    } else if wants_h2 {
        return Error::e_explain(ErrorType::H2Error, "the origin speaks no HTTP/2");
    }
    session.write_request_header(Box::new(head)).await?;
    session.finish_request_body().await?;
    let status = loop {
        session.read_response_header().await?;
        match session.response_header().map(|head| head.status.as_u16()) {
            // More of it comes.
            Some(100 | 102..=199) => {}
            Some(status) => break status,
            None => return Error::e_explain(ErrorType::ReadError, "no head"),
        }
    };
    let mut body = Vec::new();
    while body.len() < MOST_BODY
        && let Some(part) = session.read_response_body().await?
    {
        body.extend_from_slice(&part);
    }
    body.truncate(MOST_BODY);
    session.shutdown().await;
    Ok(Answer { status, body })
}

fn in_words(error: &Error) -> String {
    let words = match error.etype() {
        ErrorType::ConnectRefused => "refuses connections",
        ErrorType::ConnectTimedout => "takes no connection in time",
        ErrorType::ConnectNoRoute => "cannot be reached: no route",
        ErrorType::TLSHandshakeTimedout => "does not finish the TLS handshake in time",
        ErrorType::ReadTimedout => "stops in the middle of its answer",
        ErrorType::ConnectionClosed => "closes the connection without an answer",
        _ => return format!("gives no answer: {error}"),
    };
    words.to_owned()
}
