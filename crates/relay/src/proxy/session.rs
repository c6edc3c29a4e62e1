//! Questions about a request's pingora session, and responses without an origin.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use pingora_error::Result;
use pingora_http::ResponseHeader;
use pingora_proxy::Session;

use crate::proxy::RequestContext;
use crate::proxy::error::ALLOWED_METHODS;
use memory::counters::{ClientConnection, ConnectionPhase};

pub fn peer_of(session: &Session) -> IpAddr {
    let peer = session.client_addr().and_then(|address| address.as_inet()).map(|address| address.ip());
    peer.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

/// What this request's connection knows about itself.
pub fn connection_of(session: &Session) -> Option<Arc<ClientConnection>> {
    let carried = session.digest()?.proxy_digest.as_ref()?.user_data.as_ref()?;
    carried.downcast_ref::<Arc<ClientConnection>>().cloned()
}

pub fn is_tls(session: &Session) -> bool {
    session.digest().is_some_and(|digest| digest.ssl_digest.is_some())
}

/// Whether the client has closed its side. It may still read; most have hung up.
pub fn is_gone(session: &Session) -> bool {
    session.as_downstream().as_http1().is_some_and(|http1| http1.is_half_closed())
}

/// Whether the head of a final response has been sent to the client; a 100 or 103 is not a final response.
pub fn has_answered(session: &Session) -> bool {
    session.response_written().is_some_and(|head| !head.status.is_informational())
}

/// The request is over: sets what its connection waits for next. `gone`: the client gave it up.
pub fn leave(session: &mut Session, ctx: &RequestContext, gone: bool) {
    let Some(connection) = &ctx.connection else { return };
    if session.is_http2() {
        connection.count_stream(gone && !has_answered(session));
    } else {
        // A body that is still arriving is not read to its end; the connection closes.
        let whole = session.as_downstream_mut().is_body_done();
        connection.enter(if whole { ConnectionPhase::Idle } else { ConnectionPhase::Leaving });
    }
}

/// Writes a plain response of Cutover's own, and closes the connection after it.
pub async fn answer(session: &mut Session, status: u16, text: &'static str) -> Result<()> {
    session.set_keepalive(None);
    let mut head = ResponseHeader::build(status, Some(5))?;
    head.insert_header(http::header::CONTENT_TYPE, "text/plain; charset=utf-8")?;
    head.insert_header(http::header::CONTENT_LENGTH, text.len())?;
    head.insert_header(http::header::CACHE_CONTROL, "no-store")?;
    if status == 405 {
        head.insert_header(http::header::ALLOW, ALLOWED_METHODS)?;
    }
    session.write_response_header(Box::new(head), false).await?;
    session.write_response_body(Some(Bytes::from_static(text.as_bytes())), true).await
}

/// Answers an OPTIONS request that is to go no further (RFC 9110 7.6.2, 9.3.7).
pub async fn answer_options(session: &mut Session) -> Result<()> {
    let mut head = ResponseHeader::build(200, Some(2))?;
    head.insert_header(http::header::ALLOW, ALLOWED_METHODS)?;
    head.insert_header(CONTENT_LENGTH, "0")?;
    session.write_response_header(Box::new(head), true).await
}

/// 308 keeps the method and the body (RFC 9110 15.4.9).
pub async fn send_away(session: &mut Session, location: String) -> Result<()> {
    let mut head = ResponseHeader::build(308, Some(2))?;
    head.insert_header(http::header::LOCATION, location)?;
    head.insert_header(CONTENT_LENGTH, "0")?;
    session.write_response_header(Box::new(head), true).await
}
