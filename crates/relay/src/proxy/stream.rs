//! A client's connection as pingora reads and writes it, plain or TLS, with a write buffer and with limits that pingora
//! lacks.
//!
//! pingora parses heads itself, so this sees them only as bytes: how many arrive, and how long they take. It answers
//! requests that it refuses by itself, because pingora would either wait forever or answer in its own words.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use async_trait::async_trait;
use http::StatusCode;
use memchr::memchr;
use pingora_core::protocols::raw_connect::ProxyDigest;
use pingora_core::protocols::tls::SslDigest;
use pingora_core::protocols::{
    ALPN, GetProxyDigest, GetSocketDigest, GetTimingDigest, Peek, Shutdown, SocketDigest, Ssl, TimingDigest, UniqueID,
    UniqueIDType,
};
use pingora_http::ResponseHeader;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufWriter, ReadBuf};

use crate::proxy::error::{ALLOWED_METHODS, answer_to_refusal};
use crate::proxy::request_checks;
use crate::proxy::timeouts::{ClientTimeouts, LazyTimer};
use crate::proxy::transport::ClientTransport;
use config::ClientLimits;
use judgement::time::Millis;
use memory::clock;
use memory::counters::{ClientConnection, ConnectionPhase, Counters, RefusalReason};

/// A head and a body of 16 KiB go out with one system call.
const WRITE_BUFFER: usize = 18 * 1024;
/// The first bytes of HTTP/2, which a client sends before it waits for anything.
const PREFACE: usize = 24;

#[derive(Debug)]
pub struct ClientStream {
    io: BufWriter<ClientTransport>,
    connection: Arc<ClientConnection>,
    counters: Arc<Counters>,
    limits: ClientLimits,
    waiting: ClientTimeouts,
    /// Set while the client reads nothing of what is written.
    stuck_since: Option<Millis>,
    stuck: LazyTimer,
    /// Bytes of the head that is being read.
    head_bytes: usize,
    line_bytes: usize,
    line_ended: bool,
    /// What is wrong with the request line; the next read refuses it.
    bad_line: Option<RefusalReason>,
    /// Already refused: what pingora still writes is discarded.
    muted: bool,
    socket: Arc<SocketDigest>,
    tls: Option<Arc<SslDigest>>,
    /// Carries the [`ClientConnection`] to the requests, in the only custom field that pingora passes on.
    carrier: Arc<ProxyDigest>,
}

impl ClientStream {
    /// # Errors
    /// Cannot happen in practice: building pingora's carrier returns a `Result`.
    pub fn new(
        transport: ClientTransport,
        peer: SocketAddr,
        limits: ClientLimits,
        counters: Arc<Counters>,
    ) -> pingora_error::Result<ClientStream> {
        let socket = SocketDigest::from_raw_fd(transport.tcp().as_raw_fd());
        // Known from accept: saves the system call that would ask for it.
        let _ = socket.peer_addr.set(Some(peer.into()));
        let tls = transport.digest().map(Arc::new);
        let h2 = transport.selected() == Some(ALPN::H2);
        let phase = if h2 { ConnectionPhase::Preface } else { ConnectionPhase::Idle };
        let connection = Arc::new(ClientConnection::new(phase));
        let carrier =
            ProxyDigest::new(Box::new(ResponseHeader::build(200, Some(0))?), Some(Box::new(connection.clone())));
        Ok(ClientStream {
            io: BufWriter::with_capacity(WRITE_BUFFER, transport),
            connection,
            counters,
            limits,
            waiting: ClientTimeouts::new(limits, phase),
            stuck_since: None,
            stuck: LazyTimer::default(),
            head_bytes: 0,
            line_bytes: 0,
            line_ended: false,
            bad_line: None,
            muted: false,
            socket: Arc::new(socket),
            tls,
            carrier: Arc::new(carrier),
        })
    }

    /// Counts bytes of a head; the first ones begin a new head.
    fn note_head(&mut self, bytes: &[u8], phase: ConnectionPhase) {
        if phase == ConnectionPhase::Idle {
            self.connection.enter(ConnectionPhase::Head);
            self.waiting.head_begins();
            (self.head_bytes, self.line_bytes, self.line_ended) = (0, 0, false);
        }
        self.head_bytes += bytes.len();
        if !self.line_ended {
            let line = memchr(b'\n', bytes);
            self.line_ended = line.is_some();
            self.line_bytes += line.unwrap_or(bytes.len());
            self.bad_line = if self.line_bytes > self.limits.target_bytes {
                Some(RefusalReason::LongLine)
            } else if phase == ConnectionPhase::Idle {
                // In one piece, like nearly every line. One in two pieces is repaired by pingora, and then clean.
                request_checks::request_line(bytes).err()
            } else {
                None
            };
        }
    }

    /// Answers, and then ignores whatever is read or written.
    fn refuse(&mut self, reason: RefusalReason, cx: &mut Context<'_>) {
        self.counters.process.refuse(reason);
        // Rare, and the end of the connection, so an allocation does not matter.
        let answer = raw_refusal(reason);
        // It fits the buffer, or the client is gone.
        let _ = Pin::new(&mut self.io).poll_write(cx, answer.as_bytes());
        let _ = Pin::new(&mut self.io).poll_flush(cx);
        self.connection.enter(ConnectionPhase::Leaving);
        self.muted = true;
    }

    /// Bytes were received.
    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        let phase = self.connection.phase();
        match phase {
            ConnectionPhase::Idle | ConnectionPhase::Head => self.note_head(bytes, phase),
            ConnectionPhase::Preface => {
                self.head_bytes += bytes.len();
                if self.head_bytes >= PREFACE {
                    self.connection.enter(ConnectionPhase::Streams);
                }
            }
            ConnectionPhase::Body => {
                if self.waiting.received(phase, bytes.len()) {
                    return Err(self.too_late());
                }
            }
            ConnectionPhase::Answer
            | ConnectionPhase::Upgrading
            | ConnectionPhase::Tunnel
            | ConnectionPhase::Streams
            | ConnectionPhase::Leaving => {
                self.waiting.received(phase, bytes.len());
            }
        }
        Ok(())
    }

    fn too_late(&self) -> io::Error {
        self.connection.time_out();
        io::ErrorKind::TimedOut.into()
    }

    /// Nothing is coming: ready once that has lasted too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let phase = self.connection.phase();
        ready!(self.waiting.poll_too_late(phase, cx));
        Poll::Ready(match phase {
            // As if the client had closed the connection: no response is due.
            ConnectionPhase::Idle | ConnectionPhase::Leaving => Ok(()),
            ConnectionPhase::Head => {
                self.refuse(RefusalReason::TooSlow, cx);
                Ok(())
            }
            _ => Err(self.too_late()),
        })
    }

    /// A write makes no progress: ready once that has lasted too long.
    fn poll_stuck(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let now = clock::now();
        let since = *self.stuck_since.get_or_insert(now);
        ready!(self.stuck.poll(now, since.plus(self.limits.write_idle), cx));
        Poll::Ready(self.too_late())
    }

    fn written<T>(&mut self, written: Poll<io::Result<T>>, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        match written {
            Poll::Pending => self.poll_stuck(cx).map(Err),
            Poll::Ready(result) => {
                self.stuck_since = None;
                Poll::Ready(result)
            }
        }
    }

    /// What pingora writes before the proxy has seen the request is its own refusal; Cutover's is sent instead.
    fn intercept(&mut self, cx: &mut Context<'_>, buf: &[u8]) -> bool {
        if !self.muted && matches!(self.connection.phase(), ConnectionPhase::Idle | ConnectionPhase::Head) {
            let reason =
                if buf.starts_with(b"HTTP/1.1 405") { RefusalReason::Method } else { RefusalReason::Malformed };
            self.refuse(reason, cx);
        }
        self.muted
    }
}

/// A whole response, for a client whose request did not reach the proxy.
pub fn raw_refusal(reason: RefusalReason) -> String {
    let (status, text) = answer_to_refusal(reason);
    let words = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason()).unwrap_or("");
    let length = text.len();
    let allow = if status == 405 { format!("Allow: {ALLOWED_METHODS}\r\n") } else { String::new() };
    format!(
        "HTTP/1.1 {status} {words}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\n{allow}Connection: close\r\n\r\n{text}"
    )
}

impl AsyncRead for ClientStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        // pingora flushes only at the end of a response with a length. But when it turns to reading, it has nothing
        // more to write for now, so flushing here streams a response as it comes. The next write reports a failure.
        if !this.io.buffer().is_empty() {
            let _ = Pin::new(&mut this.io).poll_flush(cx);
        }
        match this.connection.phase() {
            ConnectionPhase::Leaving => return Poll::Ready(Ok(())),
            ConnectionPhase::Streams if this.connection.is_a_flood() => {
                this.counters.process.refuse(RefusalReason::ResetFlood);
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            // The head is not complete yet, or this would be another phase.
            ConnectionPhase::Head if this.head_bytes > this.limits.header_bytes => {
                this.refuse(RefusalReason::LargeHead, cx);
                return Poll::Ready(Ok(()));
            }
            _ => {}
        }
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(Ok(())) => {
                let came = match buf.filled().get(before..) {
                    Some(bytes) if !bytes.is_empty() => this.received(bytes),
                    _ => Ok(()),
                };
                // pingora would parse first, and repair a bad line or call a long one malformed.
                if let Some(reason) = this.bad_line.take() {
                    this.refuse(reason, cx);
                    buf.set_filled(before);
                }
                Poll::Ready(came)
            }
            Poll::Ready(error) => Poll::Ready(error),
            Poll::Pending => this.poll_silence(cx),
        }
    }
}

impl AsyncWrite for ClientStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.intercept(cx, buf) {
            return Poll::Ready(Ok(buf.len()));
        }
        this.waiting.sent(this.connection.phase());
        let written = Pin::new(&mut this.io).poll_write(cx, buf);
        this.written(written, cx)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = Pin::new(&mut this.io).poll_flush(cx);
        this.written(flushed, cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let shut = Pin::new(&mut this.io).poll_shutdown(cx);
        this.written(shut, cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        if this.intercept(cx, bufs.first().map_or(&[], |buf| buf)) {
            return Poll::Ready(Ok(bufs.iter().map(|buf| buf.len()).sum()));
        }
        this.waiting.sent(this.connection.phase());
        let written = Pin::new(&mut this.io).poll_write_vectored(cx, bufs);
        this.written(written, cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

impl Drop for ClientStream {
    /// Closing while the client is still sending resets the connection, and the reset may overtake the response. So
    /// such a connection is only half closed, and whatever still arrives is discarded for a while.
    fn drop(&mut self) {
        if !matches!(self.connection.phase(), ConnectionPhase::Body | ConnectionPhase::Leaving) {
            return;
        }
        self.io.get_ref().linger();
    }
}

#[async_trait]
impl Shutdown for ClientStream {
    async fn shutdown(&mut self) {
        let _ = AsyncWriteExt::shutdown(self).await;
    }
}

impl UniqueID for ClientStream {
    fn id(&self) -> UniqueIDType {
        self.io.get_ref().tcp().as_raw_fd()
    }
}

impl Ssl for ClientStream {
    fn get_ssl_digest(&self) -> Option<Arc<SslDigest>> {
        self.tls.clone()
    }

    fn selected_alpn_proto(&self) -> Option<ALPN> {
        self.io.get_ref().selected()
    }
}

impl Peek for ClientStream {}

impl GetTimingDigest for ClientStream {
    fn get_timing_digest(&self) -> Vec<Option<TimingDigest>> {
        Vec::new()
    }
}

impl GetProxyDigest for ClientStream {
    fn get_proxy_digest(&self) -> Option<Arc<ProxyDigest>> {
        Some(self.carrier.clone())
    }
}

impl GetSocketDigest for ClientStream {
    fn get_socket_digest(&self) -> Option<Arc<SocketDigest>> {
        Some(self.socket.clone())
    }
}
