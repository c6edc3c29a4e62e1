//! One request to one address, sent as the proxy sends its own: with the same names, certificates and HTTP version.
//! Redirects are not followed: the response is the origin's.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use crate::origin::{Connector, OriginError};
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
    /// As [`ConnectionReuse::Kept`], but no more of a body is read than is kept: a longer one ends its connection.
    Bounded,
}

/// Sends a request and reads the response: on a kept connection to its end, unless that is bounded. Keeps the first `most` bytes of the body.
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
) -> Result<OriginResponse, OriginError> {
    // If a request may change something, nobody knows whether it was carried out (RFC 9110 9.2.2).
    let may_repeat = matches!(connection, ConnectionReuse::Kept | ConnectionReuse::Bounded);
    let mut stale = if may_repeat && is_safe(request.method.as_str()) { 3 } else { 0 };
    loop {
        match once(connector, endpoint, request, connection, most).await {
            Err((true, error)) if stale > 0 && is_stale(&error) => stale -= 1,
            result => return result.map_err(|(_, error)| error),
        }
    }
}

fn is_stale(error: &OriginError) -> bool {
    matches!(error, OriginError::Closed | OriginError::Reset | OriginError::Untouched)
}

/// With an error: whether the connection was an old one that returned no head.
async fn once(
    connector: &Connector,
    endpoint: &Endpoint,
    request: &OriginRequest,
    connection: ConnectionReuse,
    most: usize,
) -> Result<OriginResponse, (bool, OriginError)> {
    let (keep, bounded) = (connection != ConnectionReuse::Own, connection == ConnectionReuse::Bounded);
    let kept = if keep { connector.kept(endpoint).await } else { None };
    let reused = kept.is_some();
    let mut connection = match kept {
        Some(connection) => connection,
        None => {
            let opened = connector.open(endpoint).await.map_err(|error| (false, error))?;
            if keep {
                connector.share(endpoint, &opened);
            }
            opened
        }
    };
    let request = whole(endpoint, request, connection.is_http2());
    let request = request.map_err(|_| (false, OriginError::Invalid(None)))?;
    let answer = connection.send(request).await.map_err(|error| (reused, error))?;
    // One byte more tells a body that is too long from one that is just as long.
    let enough = if bounded { most.saturating_add(1) } else { most };
    let answer = read(answer, most, enough, keep && !bounded).await.map_err(|error| (false, error))?;
    // A connection over HTTP/2 is shared, and only this stream of it is reset.
    if keep && !(bounded && answer.length > most as u64) {
        connector.keep(endpoint, connection);
    }
    Ok(answer)
}

/// The request as it is sent. In HTTP/2 the scheme and host are part of the target (RFC 9113 8.3.1), and there is no
/// `Host` beside them: nginx refuses a request that names its host twice.
fn whole(endpoint: &Endpoint, request: &OriginRequest, http2: bool) -> Result<Request<Full<Bytes>>, http::Error> {
    let mut target = Uri::builder().path_and_query(format!("{}{}", endpoint.base_path, request.target));
    let mut headers = HeaderMap::new();
    if http2 {
        let scheme = if endpoint.tls.is_some() { "https" } else { "http" };
        target = target.scheme(scheme).authority(&*endpoint.authority);
    } else {
        headers.insert(HOST, HeaderValue::from_str(&endpoint.authority)?);
    }
    for (name, value) in &request.headers {
        // Appended, so that both lines of a repeated name are sent.
        headers.append(name, value.clone());
    }
    let bodiless = matches!(request.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE);
    if !request.body.is_empty() || !bodiless {
        headers.insert(CONTENT_LENGTH, request.body.len().into());
    }
    let mut whole = Request::new(Full::new(request.body.clone()));
    *whole.method_mut() = request.method.clone();
    *whole.uri_mut() = target.build()?;
    *whole.headers_mut() = headers;
    Ok(whole)
}

/// Keeps the first `most` bytes of the body, and reads no more once it has `enough`, unless it reads the `whole` so that the
/// connection can be reused.
async fn read(
    answer: Response<Incoming>,
    most: usize,
    enough: usize,
    whole: bool,
) -> Result<OriginResponse, OriginError> {
    let (head, mut incoming) = answer.into_parts();
    let (mut body, mut length) = (Vec::new(), 0);
    while whole || length < enough as u64 {
        let Some(frame) = incoming.frame().await else { break };
        // Trailers are no part of it.
        let Ok(part) = frame.map_err(|error| OriginError::of_body(&error))?.into_data() else { continue };
        length += part.len() as u64;
        let room = most.saturating_sub(body.len());
        body.extend_from_slice(part.get(..room.min(part.len())).unwrap_or_default());
    }
    Ok(OriginResponse { status: head.status.as_u16(), headers: head.headers, body: Bytes::from(body), length })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use super::*;
    use judgement::time::Millis;
    use memory::snapshot::OriginHttp2;

    fn get(target: &str) -> OriginRequest {
        let (method, body) = (Method::GET, Bytes::new());
        OriginRequest { method, target: target.to_owned(), headers: Vec::new(), body }
    }

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
        let endpoint = Endpoint {
            http2: OriginHttp2::Only,
            base_path: "/base".into(),
            ..Endpoint::plain(address, "shop.example.com")
        };
        let connector = Connector::default();
        let asking = async {
            let answer = exchange(&connector, &endpoint, &get("/a?b=c"), ConnectionReuse::Own, 1024).await;
            answer.unwrap().status
        };
        let (seen, status) = tokio::join!(origin, asking);
        assert_eq!((seen.uri().to_string().as_str(), status), ("http://shop.example.com/base/a?b=c", 200));
        assert_eq!(seen.headers().get(http::header::HOST), None);
    }

    /// Answers the first request of every connection, closes at the second, and counts the heads received.
    async fn closes_at_the_second(connection: ConnectionReuse, method: Method) -> (bool, usize) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap(), "shop.example.com");
        let heads = Arc::new(AtomicUsize::new(0));
        let counted = heads.clone();
        let origin = tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                let mut bytes = [0; 4096];
                for turn in 0..2 {
                    if tcp.read(&mut bytes).await.unwrap_or(0) == 0 {
                        break;
                    }
                    counted.fetch_add(1, SeqCst);
                    if turn == 0 {
                        tcp.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                    }
                }
            }
        });
        let request = OriginRequest { method, ..get("/") };
        let connector = Connector::default();
        exchange(&connector, &endpoint, &request, connection, 1024).await.unwrap();
        let second = exchange(&connector, &endpoint, &request, connection, 1024).await;
        origin.abort();
        (second.is_ok(), heads.load(SeqCst))
    }

    #[tokio::test]
    async fn only_what_changes_nothing_is_sent_again_and_never_where_it_is_measured() {
        assert_eq!(closes_at_the_second(ConnectionReuse::Kept, Method::GET).await, (true, 3));
        assert_eq!(closes_at_the_second(ConnectionReuse::Kept, Method::POST).await, (false, 2));
        assert_eq!(closes_at_the_second(ConnectionReuse::Measured, Method::GET).await, (false, 2));
    }

    /// Answers every request with these bytes; closes then, or keeps the connection. Counts connections.
    async fn origin(answer: &'static [u8], keeps: bool) -> (Endpoint, Arc<AtomicUsize>, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap(), "shop.example.com");
        let connections = Arc::new(AtomicUsize::new(0));
        let counted = connections.clone();
        let task = tokio::spawn(async move {
            loop {
                let (mut tcp, _) = listener.accept().await.unwrap();
                counted.fetch_add(1, SeqCst);
                tokio::spawn(async move {
                    let mut bytes = [0; 4096];
                    while tcp.read(&mut bytes).await.unwrap_or(0) > 0 {
                        tcp.write_all(answer).await.unwrap();
                        if !keeps {
                            return;
                        }
                    }
                });
            }
        });
        (endpoint, connections, task)
    }

    async fn answered(answer: &'static [u8]) -> Result<(u16, Bytes, u64), OriginError> {
        let (endpoint, ..) = origin(answer, false).await;
        let connector = Connector::default();
        let answer = exchange(&connector, &endpoint, &get("/"), ConnectionReuse::Kept, 4).await?;
        Ok((answer.status, answer.body, answer.length))
    }

    #[tokio::test]
    async fn an_answer_is_whole_or_it_is_an_error() {
        let whole = Ok((200, Bytes::from_static(b"abcd"), 6));
        assert_eq!(answered(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nabcdef").await, whole);
        assert_eq!(answered(b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nabcdef").await, whole);
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n0\r\nX-T: 1\r\n\r\n";
        assert_eq!(answered(chunked).await, whole);
        let broken = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nsix\r\nabcdef\r\n0\r\n\r\n";
        assert_eq!(answered(broken).await, Err(OriginError::Invalid(None)));
        let short = answered(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabcdef").await;
        assert_eq!(short, Err(OriginError::CutShort));
        assert_eq!(answered(b"SSH-2.0-OpenSSH_9.9\r\n").await, Err(OriginError::Invalid(None)));
        assert_eq!(answered(b"HTTP/1.1 200").await, Err(OriginError::Closed));
        assert_eq!(answered(b"").await, Err(OriginError::Closed));
    }

    const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

    #[tokio::test]
    async fn a_connection_is_kept_where_it_may_be() {
        let (endpoint, connections, _) = origin(OK, true).await;
        let other = Endpoint { connection_key: endpoint.connection_key ^ 1, ..endpoint.clone() };
        let idle = memory::snapshot::OriginTimeouts { idle: Millis(0), ..endpoint.timeouts };
        let hasty = Endpoint { timeouts: idle, ..endpoint.clone() };
        let (roomy, narrow) = (Connector::default(), Connector::new(1));
        let asked = async |connector: &Connector, endpoint: &Endpoint, reuse| {
            exchange(connector, endpoint, &get("/"), reuse, 4).await.unwrap();
            connections.load(SeqCst)
        };
        assert_eq!(asked(&roomy, &endpoint, ConnectionReuse::Kept).await, 1);
        assert_eq!(asked(&roomy, &endpoint, ConnectionReuse::Measured).await, 1);
        assert_eq!(asked(&roomy, &endpoint, ConnectionReuse::Own).await, 2);
        assert_eq!(asked(&roomy, &other, ConnectionReuse::Kept).await, 3, "that of another key");
        assert_eq!(asked(&roomy, &endpoint, ConnectionReuse::Kept).await, 3);
        assert_eq!(asked(&roomy, &hasty, ConnectionReuse::Kept).await, 3);
        assert_eq!(asked(&roomy, &hasty, ConnectionReuse::Kept).await, 4, "idle for too long");
        assert_eq!(asked(&narrow, &endpoint, ConnectionReuse::Kept).await, 5);
        assert_eq!(asked(&narrow, &other, ConnectionReuse::Kept).await, 6);
        assert_eq!(asked(&narrow, &endpoint, ConnectionReuse::Kept).await, 7, "there was room for one");
    }

    #[tokio::test]
    async fn a_bounded_answer_keeps_its_connection_if_it_was_whole() {
        let (endpoint, connections, _) = origin(OK, true).await;
        let connector = Connector::default();
        let asked = async |most: usize| {
            let answer = exchange(&connector, &endpoint, &get("/"), ConnectionReuse::Bounded, most).await.unwrap();
            (answer.body.len(), answer.length > most as u64, connections.load(SeqCst))
        };
        assert_eq!(asked(2).await, (2, false, 1), "just as long");
        assert_eq!(asked(3).await, (2, false, 1));
        assert_eq!(asked(1).await, (1, true, 1), "longer");
        assert_eq!(asked(2).await, (2, false, 2), "its connection is gone");
    }

    #[tokio::test]
    async fn requests_at_the_same_time_share_a_connection_over_http_2() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = Endpoint::plain(listener.local_addr().unwrap(), "shop.example.com");
        let endpoint = Endpoint { http2: OriginHttp2::Only, ..endpoint };
        // Answers when there are three requests, all on the first connection.
        let origin = tokio::spawn(async move {
            let (tcp, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(tcp).await.unwrap();
            let mut held = Vec::new();
            while let Some(Ok((_, respond))) = connection.accept().await {
                held.push(respond);
                if held.len() >= 3 {
                    for mut respond in held.drain(..) {
                        respond.send_response(http::Response::new(()), true).unwrap();
                    }
                }
            }
        });
        let connector = Connector::default();
        let (request, reuse) = (get("/"), ConnectionReuse::Kept);
        let ask = || exchange(&connector, &endpoint, &request, reuse, 4);
        let later = async {
            while connector.kept(&endpoint).await.is_none() {
                tokio::task::yield_now().await;
            }
            tokio::join!(ask(), ask())
        };
        let (first, (second, third)) = tokio::join!(ask(), later);
        for answer in [first, second, third] {
            assert_eq!(answer.unwrap().status, 200);
        }
        drop(connector);
        tokio::time::timeout(std::time::Duration::from_secs(5), origin).await.unwrap().unwrap();
    }
}
