//! A client's HTTP/1 connection: one request after another.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use http1::{encode, parse_request};
use tokio::io::{AsyncRead, ReadBuf};

use crate::head;
use crate::proxy::access_line;
use crate::proxy::answers::{self, ALLOWED_METHODS};
use crate::proxy::buffers::MessageBuffers;
use crate::proxy::client_http2;
use crate::proxy::context::{ClientConnection, ClientSource};
use crate::proxy::exchange::{AfterRequest, exchange};
use crate::proxy::side::{Channel, ExchangeSide};
use crate::proxy::timer::LazyTimer;
use crate::proxy::worker::{RegisteredConnection, Worker};
use crate::transport::Transport;
use memory::clock;
use memory::counters::RefusalReason;

/// The first bytes of an HTTP/2 connection (RFC 9113 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How the wait for a request has ended.
enum NextRequest {
    Whole,
    /// HTTP/2, without having agreed on it.
    Http2,
    Refused(RefusalReason),
    /// The client has left.
    Over,
}

/// Serves a connection until it ends. `http2`: it may turn out to be one.
pub async fn serve(
    worker: Rc<Worker>,
    registered: RegisteredConnection,
    mut transport: Transport,
    source: ClientSource,
    http2: bool,
) {
    let connection = Rc::new(ClientConnection::new(&worker, source, &transport));
    let mut timer = LazyTimer::default();
    loop {
        let Some((buffers, came)) = idle(&worker, &registered, &mut transport, &mut timer).await else {
            return close(transport).await;
        };
        let mut side = ExchangeSide::with_input(Channel::Http1(transport), buffers, came);
        loop {
            let is_first = connection.requests.get() == 0;
            // The last of a connection on the heap, so that its other requests have no room for it.
            match next_request(&worker, &mut side, &mut timer, http2 && is_first).await {
                NextRequest::Whole => {}
                NextRequest::Http2 => return Box::pin(upgrade(worker, registered, side, connection)).await,
                NextRequest::Refused(why) => return Box::pin(refuse(&worker, &connection, side, why)).await,
                NextRequest::Over => return,
            }
            match exchange(&worker, &connection, &mut side, &mut timer).await {
                AfterRequest::Keep => side.next_message(),
                AfterRequest::Close => return Box::pin(end(&worker, side, false)).await,
                AfterRequest::Linger => return Box::pin(end(&worker, side, true)).await,
                AfterRequest::CutOff => return,
            }
            if !side.has_more() {
                break;
            }
        }
        let ExchangeSide { channel: Channel::Http1(kept), buffers, .. } = side else { return };
        worker.client_buffers.give_back(buffers);
        transport = kept;
    }
}

/// Waits for the first bytes of a request, without holding a buffer; `None` if there will be none.
async fn idle(
    worker: &Worker,
    registered: &RegisteredConnection,
    transport: &mut Transport,
    timer: &mut LazyTimer,
) -> Option<(Box<MessageBuffers>, usize)> {
    let deadline = clock::now().plus(worker.proxy.limits.keep_alive);
    poll_fn(|cx| {
        registered.watch(cx);
        let mut buffers = worker.client_buffers.take();
        let mut room = ReadBuf::new(&mut buffers.input);
        let read = Pin::new(&mut *transport).poll_read(cx, &mut room);
        let came = room.filled().len();
        match read {
            Poll::Ready(Ok(())) if came > 0 => return Poll::Ready(Some((buffers, came))),
            Poll::Ready(_) => {}
            Poll::Pending => {
                worker.client_buffers.give_back(buffers);
                let over = worker.connections.is_closing() || timer.poll(clock::now(), deadline, cx).is_ready();
                return if over { Poll::Ready(None) } else { Poll::Pending };
            }
        }
        worker.client_buffers.give_back(buffers);
        Poll::Ready(None)
    })
    .await
}

/// Reads a head to its end.
async fn next_request(worker: &Worker, side: &mut ExchangeSide, timer: &mut LazyTimer, http2: bool) -> NextRequest {
    let deadline = clock::now().plus(worker.proxy.limits.header_time);
    loop {
        let begins_http2 = http2 && side.head().is_empty() && PREFACE.starts_with(first(side.partial_head()));
        if begins_http2 && side.partial_head().len() >= PREFACE.len() {
            return NextRequest::Http2;
        }
        if !begins_http2 {
            match side.parse(|bytes, head| parse_request(bytes, head, &worker.head_limits)) {
                Ok(true) => return NextRequest::Whole,
                Ok(false) => {}
                Err(refused) => return NextRequest::Refused(head::refusal(refused)),
            }
        }
        let read = poll_fn(|cx| match side.poll_fill(cx) {
            Poll::Ready(read) => Poll::Ready(Some(read)),
            Poll::Pending => timer.poll(clock::now(), deadline, cx).map(|()| None),
        });
        match read.await {
            None => return NextRequest::Refused(RefusalReason::TooSlow),
            Some(Ok(1..)) => {}
            Some(Ok(0) | Err(_)) => return NextRequest::Over,
        }
    }
}

fn first(bytes: &[u8]) -> &[u8] {
    bytes.get(..PREFACE.len()).unwrap_or(bytes)
}

async fn upgrade(
    worker: Rc<Worker>,
    registered: RegisteredConnection,
    side: ExchangeSide,
    connection: Rc<ClientConnection>,
) {
    let prefix = side.partial_head().to_vec();
    let ExchangeSide { channel: Channel::Http1(transport), buffers, .. } = side else { return };
    worker.client_buffers.give_back(buffers);
    client_http2::serve(worker, registered, transport, prefix, connection).await;
}

/// Answers a request whose head was not accepted. What it says beyond its first line is not known.
async fn refuse(worker: &Worker, connection: &ClientConnection, mut side: ExchangeSide, refused: RefusalReason) {
    let (status, _) = answers::to_refusal(refused);
    worker.proxy.counters.process.refuse(refused);
    if let Some(log) = &worker.proxy.access {
        let line = side.partial_head().split(|byte| *byte == b'\n').find(|line| line.trim_ascii() != b"");
        access_line::record_unread(log, connection, refused, status, line.unwrap_or_default());
    }
    side.output().extend_from_slice(&raw_refusal(refused, &worker.date()));
    end(worker, side, true).await;
}

/// A whole response, for a client whose request was not read. `date`: now.
pub fn raw_refusal(refused: RefusalReason, date: &[u8]) -> Vec<u8> {
    let (status, text) = answers::to_refusal(refused);
    let mut out = Vec::new();
    encode::status_line(&mut out, status, answers::reason(status));
    encode::field(&mut out, "Date", date);
    encode::field(&mut out, "Content-Type", b"text/plain; charset=utf-8");
    encode::content_length(&mut out, text.len() as u64);
    encode::field(&mut out, "Cache-Control", b"no-store");
    if status == 405 {
        encode::field(&mut out, "Allow", ALLOWED_METHODS.as_bytes());
    }
    encode::field(&mut out, "Connection", b"close");
    encode::end_of_fields(&mut out);
    out.extend_from_slice(text.as_bytes());
    out
}

/// Ends a connection, with what waits to be written. `sending`: the client may still be sending.
async fn end(worker: &Worker, mut side: ExchangeSide, sending: bool) {
    let patience = worker.proxy.limits.write_idle.as_duration();
    // If the client does not take it, there is nobody else to tell.
    let _ = tokio::time::timeout(patience, poll_fn(|cx| side.poll_flush(cx))).await;
    let lingers = sending || side.has_more();
    let ExchangeSide { channel: Channel::Http1(transport), buffers, .. } = side else { return };
    worker.client_buffers.give_back(buffers);
    // Closing while the client is still sending resets the connection, and the reset may overtake the response.
    if lingers {
        transport.linger();
    } else {
        close(transport).await;
    }
}

/// Says goodbye in TLS; TCP does so by itself.
async fn close(mut transport: Transport) {
    if transport.is_tls() {
        // If it cannot be written at once, the client is not waiting for it.
        poll_fn(|cx: &mut Context<'_>| {
            let _ = tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut transport), cx);
            Poll::Ready(())
        })
        .await;
    }
}
