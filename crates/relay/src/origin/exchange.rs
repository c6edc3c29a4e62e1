//! One request to one address, sent as the proxy sends its own: with the same names, certificates and HTTP version.
//! Redirects are not followed: the response is the origin's.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_error::{Error, ErrorType, OrErr};
use pingora_http::RequestHeader;

use crate::origin::cause::CUT_SHORT;
use judgement::traffic::retry::is_safe;
use memory::snapshot::Endpoint;

/// The request to send.
#[derive(Clone, Debug)]
pub struct OriginRequest {
    pub method: Method,
    /// Appended to the origin's base path, with its query.
    pub target: String,
    /// `Host` is the endpoint's; a `Content-Length` is added if there is a body.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub body: Bytes,
}

/// The response.
#[derive(Clone, Debug)]
pub struct OriginResponse {
    pub status: u16,
    pub headers: HeaderMap,
    /// The beginning of the body.
    pub body: Bytes,
    /// The size of the body as far as it was read, in bytes.
    pub length: u64,
}

/// What happens to the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionReuse {
    /// Open a new one and close it afterwards: whether it can be opened is part of the question.
    Own,
    /// Use an open one, if there is any, and keep it for the next request. If it turns out to have been closed, a
    /// request that changes nothing is sent again on another.
    Kept,
    /// The same without a second attempt, for measurements.
    Measured,
}

/// Sends a request and reads the response: on a kept connection to its end. Keeps the first `most` bytes of the body.
/// Only connecting has a time limit, the endpoint's: the caller limits the whole.
///
/// # Errors
/// There was no complete response.
pub async fn exchange(
    connector: &Connector,
    endpoint: &Endpoint,
    request: &OriginRequest,
    connection: ConnectionReuse,
    most: usize,
) -> pingora_error::Result<OriginResponse> {
    // If a request may change something, nobody knows whether it was carried out (RFC 9110 9.2.2).
    let mut stale = if connection == ConnectionReuse::Kept && is_safe(request.method.as_str()) { 3 } else { 0 };
    loop {
        match once(connector, endpoint, request, connection, most).await {
            Err((true, error)) if stale > 0 && is_stale(&error) => stale -= 1,
            result => return result.map_err(|(_, error)| error),
        }
    }
}

fn is_stale(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::ConnectionClosed | ErrorType::WriteError | ErrorType::ReadError)
}

/// With an error: whether the connection was an old one that returned no head.
async fn once(
    connector: &Connector,
    endpoint: &Endpoint,
    request: &OriginRequest,
    connection: ConnectionReuse,
    most: usize,
) -> Result<OriginResponse, (bool, Box<Error>)> {
    let mut head = head(endpoint, request).map_err(|error| (false, error))?;
    let mut peer = endpoint.peer.clone();
    let keep = connection != ConnectionReuse::Own;
    if !keep {
        peer.options.max_h2_streams = 1;
    }
    let (mut session, reused) = connector.get_http_session(&peer).await.map_err(|error| (false, error))?;
    if session.as_http2().is_some() {
        to_h2(&mut head, endpoint).map_err(|error| (false, error))?;
    } else if peer.options.alpn.get_min_http_version() == 2 {
        let error = Error::e_explain(ErrorType::H2Error, "the origin does not speak HTTP/2");
        return error.map_err(|error| (false, error));
    }
    ask(&mut session, head, &request.body).await.map_err(|error| (reused, error))?;
    let result = read(&mut session, most, keep).await;
    match (&result, keep) {
        (Ok(_), true) => {
            let idle = peer.options.idle_timeout;
            connector.release_http_session(session, &peer, idle).await;
        }
        _ => session.shutdown().await,
    }
    result.map_err(|mut error| {
        if is_stale(&error) {
            error.etype = CUT_SHORT;
        }
        (false, error)
    })
}

fn head(endpoint: &Endpoint, request: &OriginRequest) -> pingora_error::Result<RequestHeader> {
    let path = format!("{}{}", endpoint.base_path, request.target);
    let mut head = RequestHeader::build(request.method.clone(), path.as_bytes(), None)?;
    head.insert_header(http::header::HOST, endpoint.authority.clone())?;
    for (name, value) in &request.headers {
        // Appended, so that both lines of a repeated name are sent.
        head.append_header(name.clone(), value.clone())?;
    }
    let bodiless = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if !request.body.is_empty() || !bodiless {
        head.insert_header(http::header::CONTENT_LENGTH, request.body.len())?;
    }
    Ok(head)
}

/// In HTTP/2 the scheme and host are part of the target (RFC 9113 8.3.1). pingora would put them there but leave `Host`
/// beside them, and nginx refuses a request that names its host twice.
fn to_h2(head: &mut RequestHeader, endpoint: &Endpoint) -> pingora_error::Result<()> {
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let uri = Uri::builder()
        .scheme(if endpoint.peer.is_tls() { "https" } else { "http" })
        .authority(endpoint.authority.as_bytes())
        .path_and_query(path)
        .build();
    let uri = uri.or_err(ErrorType::InvalidHTTPHeader, "not a valid target for HTTP/2")?;
    head.set_uri(uri);
    head.remove_header(&http::header::HOST);
    head.set_version(http::Version::HTTP_2);
    Ok(())
}

/// Up to the first byte of the response.
async fn ask(session: &mut HttpSession, head: RequestHeader, body: &Bytes) -> pingora_error::Result<()> {
    session.write_request_header(Box::new(head)).await?;
    if !body.is_empty() {
        session.write_request_body(body.clone(), true).await?;
    }
    session.finish_request_body().await?;
    loop {
        session.read_response_header().await?;
        match session.response_header().map(|head| head.status.as_u16()) {
            // More of it comes.
            Some(100 | 102..=199) => {}
            Some(_) => return Ok(()),
            None => return Error::e_explain(ErrorType::ReadError, "no response head"),
        }
    }
}

/// `whole`: read to the end, beyond what is kept, so that the connection can be reused.
async fn read(session: &mut HttpSession, most: usize, whole: bool) -> pingora_error::Result<OriginResponse> {
    let Some(head) = session.response_header() else {
        return Error::e_explain(ErrorType::ReadError, "no response head");
    };
    let (status, headers) = (head.status.as_u16(), head.headers.clone());
    let (mut body, mut length) = (Vec::new(), 0);
    while whole || body.len() < most {
        let Some(part) = session.read_response_body().await? else { break };
        length += part.len() as u64;
        let room = most.saturating_sub(body.len());
        body.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
    }
    Ok(OriginResponse { status, headers, body: Bytes::from(body), length })
}

#[cfg(test)]
mod tests {
    use pingora_core::protocols::ALPN;
    use pingora_core::upstreams::peer::HttpPeer;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn over_http_2_the_target_has_scheme_and_host() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let origin = async {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(tcp).await.unwrap();
            let (request, mut respond) = connection.accept().await.unwrap().unwrap();
            respond.send_response(http::Response::new(()), true).unwrap();
            connection.graceful_shutdown();
            while connection.accept().await.is_some() {}
            request
        };
        let mut peer = HttpPeer::new(address, false, String::new());
        peer.options.alpn = ALPN::H2;
        let authority = HeaderValue::from_static("shop.example.com");
        let endpoint = Endpoint { peer, authority, base_path: "/base".into(), rest: Default::default() };
        let (method, body) = (Method::GET, Bytes::new());
        let request = OriginRequest { method, target: "/a?b=c".to_owned(), headers: Vec::new(), body };
        let connector = Connector::new(None);
        let asking = async {
            let answer = exchange(&connector, &endpoint, &request, ConnectionReuse::Own, 1024).await;
            answer.unwrap().status
        };
        let (seen, status) = tokio::join!(origin, asking);
        assert_eq!((seen.uri().to_string().as_str(), status), ("http://shop.example.com/base/a?b=c", 200));
        assert_eq!(seen.headers().get(http::header::HOST), None);
    }

    /// Answers the first request of every connection, closes at the second, and counts the heads received.
    async fn closes_at_the_second(connection: ConnectionReuse, method: Method) -> (bool, usize) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = HttpPeer::new(listener.local_addr().unwrap(), false, String::new());
        let heads = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = heads.clone();
        let origin = tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 4096];
                for turn in 0..2 {
                    if tcp.read(&mut bytes).await.unwrap_or(0) == 0 {
                        break;
                    }
                    counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    if turn == 0 {
                        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                    }
                }
            }
        });
        let authority = HeaderValue::from_static("shop.example.com");
        let endpoint = Endpoint { peer, authority, base_path: "".into(), rest: Default::default() };
        let request = OriginRequest { method, target: "/".to_owned(), headers: Vec::new(), body: Bytes::new() };
        let connector = Connector::new(None);
        exchange(&connector, &endpoint, &request, connection, 1024).await.unwrap();
        let second = exchange(&connector, &endpoint, &request, connection, 1024).await;
        origin.abort();
        (second.is_ok(), heads.load(std::sync::atomic::Ordering::SeqCst))
    }

    #[tokio::test]
    async fn only_what_changes_nothing_is_sent_again_and_never_where_it_is_measured() {
        assert_eq!(closes_at_the_second(ConnectionReuse::Kept, Method::GET).await, (true, 3));
        assert_eq!(closes_at_the_second(ConnectionReuse::Kept, Method::POST).await, (false, 2));
        assert_eq!(closes_at_the_second(ConnectionReuse::Measured, Method::GET).await, (false, 2));
    }
}
