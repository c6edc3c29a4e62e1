//! The admin listener: HTTP/1.1, with or without TLS, with a time limit for everything.
//!
//! `axum::serve` would wait forever for a request head and accept every connection, so slow clients could use up all
//! file descriptors.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::admin::authentication::Peer;
use crate::admin::places::{AdminPlace, AdminPlaces};
use memory::counters::Counters;
use relay::proxy::tls::CurrentTls;

/// The limit for a request's head, and for the silence before it.
const HEAD_TIME: Duration = Duration::from_secs(10);
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long a client may go without reading its response; after that the kernel resets the connection.
const WRITE_TIME: Duration = Duration::from_secs(30);
const HEAD_BYTES: usize = 32 << 10;
const HEAD_FIELDS: usize = 64;
/// When the listener leaves, a response that was begun has so long: a token that was taken away is of no use after a second.
const LEAVE_TIME: Duration = Duration::from_millis(500);
/// The pause after a failed accept, for example when file descriptors run out.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// Serves until its runtime ends or it is to leave: then it accepts no more, and ends each connection after its response,
/// or in the middle of one that takes long.
pub async fn serve(
    listener: TcpListener,
    tls: Option<CurrentTls>,
    app: Router,
    counters: Arc<Counters>,
    mut leaving: watch::Receiver<bool>,
) {
    let places = AdminPlaces::new(counters);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = leaving.changed() => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "cannot accept an admin connection");
                sleep(AFTER_ERROR).await;
                continue;
            }
        };
        let Some(place) = places.take(peer.ip()) else { continue };
        let _ = stream.set_nodelay(true);
        let _ = socket2::SockRef::from(&stream).set_tcp_user_timeout(Some(WRITE_TIME));
        let (tls, app, leaving) = (tls.clone(), app.clone(), leaving.clone());
        let number = place.number();
        let serving = tokio::spawn(connection(stream, Peer::new(peer, place), tls, (app, leaving)));
        AdminPlace::ends_by(&places, number, serving.abort_handle());
    }
}

/// What answers requests, and when it is to leave.
type Answering = (Router, watch::Receiver<bool>);

async fn connection(stream: TcpStream, peer: Peer, tls: Option<CurrentTls>, app: Answering) {
    let Some(tls) = tls else { return talk(stream, peer, app).await };
    // The certificate currently in force.
    let acceptor = TlsAcceptor::from(tls.borrow().clone());
    if let Ok(Ok(stream)) = timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        talk(stream, peer, app).await;
    }
}

/// Waits until the listener leaves.
async fn left(leaving: &mut watch::Receiver<bool>) {
    // If nobody is there to say so, it has left.
    let _ = leaving.wait_for(|leaving| *leaving).await;
}

async fn talk(stream: impl AsyncRead + AsyncWrite + Unpin, peer: Peer, (app, mut leaving): Answering) {
    let app = TowerToHyperService::new(app);
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        app.call(request)
    });
    // How a connection ends is its client's business.
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES)
        .max_headers(HEAD_FIELDS)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = left(&mut leaving) => {
            // A request that is on its way is answered.
            if timeout(LEAVE_TIME / 2, connection.as_mut()).await.is_err() {
                connection.as_mut().graceful_shutdown();
                let _ = timeout(LEAVE_TIME / 2, connection).await;
            }
        }
    }
}
