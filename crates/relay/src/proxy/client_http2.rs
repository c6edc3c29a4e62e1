//! A client's HTTP/2 connection: every stream is a request, served as one of HTTP/1 is.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::{Builder, Connection, SendResponse};
use http::Request;
use http1::parse_request;
use judgement::traffic::head::HttpVersion;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;

use crate::head;
use crate::proxy::access_line;
use crate::proxy::answers;
use crate::proxy::context::ClientConnection;
use crate::proxy::exchange::{AfterRequest, exchange};
use crate::proxy::side::{Channel, ExchangeSide, Http2ClientStream};
use crate::proxy::timer::{HeldClock, LazyTimer};
use crate::proxy::worker::{RegisteredConnection, Worker};
use crate::transport::Transport;
use judgement::time::Millis;
use memory::clock;
use memory::counters::RefusalReason;

/// Requests at once on a connection.
const STREAMS: u32 = 128;
/// What a client may send of one body before the origin has taken it: 40 MB/s over 50 ms.
const STREAM_WINDOW: u32 = 2 << 20;
/// The same for all bodies of a connection: so much that origins which do not read hold up nobody else.
const CONNECTION_WINDOW: u32 = 16 << 20;
/// What is kept of a response that is not written yet, for each stream.
const SEND_BUFFER: usize = 32 << 10;
/// So many times the longest head is read to be refused in our words, counted and logged. What is longer h2 refuses, which
/// does neither.
const ROOM: u32 = 2;
/// How long the rest of a body is read and discarded after an early response. Otherwise its stream would be reset, which is
/// allowed (RFC 9113 8.1), but which some clients, such as curl, treat as a failure. HTTP/1 connections linger.
const LINGER: Duration = Duration::from_secs(5);
/// How long a client may take to acknowledge that a connection ends.
const GOODBYE: Millis = Millis::seconds(5);
/// Streams given up before their response, after which a connection is examined.
const MANY_RESETS: u32 = 500;

/// Serves a connection until it ends. `prefix`: what has been read of it.
pub async fn serve(
    worker: Rc<Worker>,
    registered: RegisteredConnection,
    transport: Transport,
    prefix: Vec<u8>,
    client: Rc<ClientConnection>,
) {
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(u32::try_from(worker.proxy.limits.header_bytes).unwrap_or(u32::MAX).saturating_mul(ROOM));
    let handshake = builder.handshake(Prefixed { prefix, at: 0, transport });
    let Ok(Ok(connection)) = timeout(worker.proxy.limits.header_time.as_duration(), handshake).await else { return };
    let streams = Rc::new(Cell::new(0));
    let mut served = ServedConnection {
        worker,
        registered,
        connection,
        client,
        streams,
        timer: LazyTimer::default(),
        idle_since: clock::now(),
        leaving: false,
    };
    while let Some((request, respond)) = poll_fn(|cx| served.poll_request(cx)).await {
        served.begin(request, respond);
    }
}

struct ServedConnection {
    worker: Rc<Worker>,
    registered: RegisteredConnection,
    connection: Connection<Prefixed, Bytes>,
    client: Rc<ClientConnection>,
    /// Requests in flight.
    streams: Rc<Cell<u32>>,
    timer: LazyTimer,
    idle_since: Millis,
    /// The client has been told to go.
    leaving: bool,
}

impl ServedConnection {
    /// The next request; `None` at the end of the connection.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<(Request<RecvStream>, SendResponse<Bytes>)>> {
        self.registered.watch(cx);
        let (worker, requests) = (&self.worker, self.client.requests.get());
        if worker.connections.is_leaving() || requests >= worker.proxy.limits.requests {
            self.leave();
        }
        if self.client.given_up.get() > MANY_RESETS && self.client.given_up.get() > requests / 2 {
            self.worker.proxy.counters.process.refuse(RefusalReason::ResetFlood);
            return Poll::Ready(None);
        }
        match self.connection.poll_accept(cx) {
            Poll::Ready(Some(Ok(request))) => return Poll::Ready(Some(request)),
            Poll::Ready(None | Some(Err(_))) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        let now = clock::now();
        if self.streams.get() > 0 {
            self.idle_since = now;
            return Poll::Pending;
        }
        let patience = if self.leaving { GOODBYE } else { self.worker.proxy.limits.keep_alive };
        if self.timer.poll(now, self.idle_since.plus(patience), cx).is_pending() {
            return Poll::Pending;
        }
        if self.leaving {
            return Poll::Ready(None);
        }
        self.idle_since = now;
        self.leave();
        // Writes it, and has this task woken for what comes of it.
        self.poll_request(cx)
    }

    /// Tells the client to send its next requests on another connection.
    fn leave(&mut self) {
        if !std::mem::replace(&mut self.leaving, true) {
            self.connection.graceful_shutdown();
        }
    }

    fn begin(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        self.streams.set(self.streams.get() + 1);
        let stream = OpenStream(self.streams.clone());
        let serving = serve_request(self.worker.clone(), self.client.clone(), stream, request, respond);
        tokio::task::spawn_local(HeldClock::new(serving));
    }
}

/// A request in flight, until this is dropped.
struct OpenStream(Rc<Cell<u32>>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

async fn serve_request(
    worker: Rc<Worker>,
    client: Rc<ClientConnection>,
    _open: OpenStream,
    request: Request<RecvStream>,
    respond: SendResponse<Bytes>,
) {
    let Some(mut side) = take_request(&worker, &client, request, respond) else { return };
    let mut timer = worker.timers.take();
    if exchange(&worker, &client, &mut side, &mut timer).await == AfterRequest::Linger {
        // The client may be gone, or send for ever: either way that was enough.
        let _ = Box::pin(timeout(LINGER, discard(&mut side))).await;
    }
    worker.timers.give_back(timer);
    worker.client_buffers.give_back(side.buffers);
}

/// The stream of a request, with its head read; `None` if it was refused.
fn take_request(
    worker: &Worker,
    client: &ClientConnection,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) -> Option<ExchangeSide> {
    let (parts, body) = request.into_parts();
    let mut buffers = worker.client_buffers.take();
    // What will be written there is not there yet.
    let mut text = std::mem::take(&mut buffers.output);
    if let Err(refused) = head::from_http2_request(&mut text, &parts) {
        refuse(worker, client, &mut respond, refused, &text);
        return None;
    }
    let mut side = ExchangeSide::new(Channel::Http2Client(Http2ClientStream { body, respond, send: None }), buffers);
    let taken = side.take_head(&text, |bytes, head| parse_request(bytes, head, &worker.head_limits));
    if let Err(refused) = taken {
        if let Channel::Http2Client(stream) = &mut side.channel {
            refuse(worker, client, &mut stream.respond, head::refusal(refused), &text);
        }
        return None;
    }
    side.buffers.head.set_version(HttpVersion::Http2);
    text.clear();
    side.buffers.output = text;
    Some(side)
}

/// Reads the rest of a body, for nobody.
async fn discard(side: &mut ExchangeSide) {
    while let Ok(()) = poll_fn(|cx| side.poll_more(cx)).await {
        if side.has_come() {
            return;
        }
        side.consume(side.piece().len());
    }
}

/// Answers a request whose head was not accepted.
fn refuse(
    worker: &Worker,
    client: &ClientConnection,
    respond: &mut SendResponse<Bytes>,
    refused: RefusalReason,
    text: &[u8],
) {
    worker.proxy.counters.process.refuse(refused);
    client.requests.set(client.requests.get() + 1);
    let (status, words) = answers::to_refusal(refused);
    if let Some(log) = &worker.proxy.access {
        access_line::record_unread(log, client, refused, status, text);
    }
    let response = http::Response::builder()
        .status(status)
        .header(http::header::DATE, &worker.date()[..])
        .header(http::header::CONTENT_TYPE, "text/plain; charset=utf-8")
        .header(http::header::CONTENT_LENGTH, words.len())
        .header(http::header::CACHE_CONTROL, "no-store");
    let Ok(response) = response.body(()) else { return };
    // The client may be gone, and there is nobody else to tell.
    if let Ok(mut send) = respond.send_response(response, false) {
        let _ = send.send_data(Bytes::from_static(words.as_bytes()), true);
    }
}

/// A connection whose first bytes have been read.
struct Prefixed {
    prefix: Vec<u8>,
    at: usize,
    transport: Transport,
}

impl AsyncRead for Prefixed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let left = this.prefix.get(this.at..).unwrap_or_default();
        if left.is_empty() {
            return Pin::new(&mut this.transport).poll_read(cx, buf);
        }
        let taken = left.len().min(buf.remaining());
        buf.put_slice(left.get(..taken).unwrap_or_default());
        this.at += taken;
        if this.at == this.prefix.len() {
            (this.prefix, this.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Prefixed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.transport).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.transport).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
