//! What carries a connection's bytes: TCP, or TLS over it.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsStream;

/// How long to keep reading from a client that is still sending after Cutover has closed, so that it sees the response
/// and not a reset.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 8 << 20;

/// A connection with a client or an origin.
#[derive(Debug)]
pub enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Transport {
    pub fn tcp(&self) -> &TcpStream {
        match self {
            Transport::Plain(tcp) => tcp,
            Transport::Tls(tls) => tls.get_ref().0,
        }
    }

    pub fn is_tls(&self) -> bool {
        matches!(self, Transport::Tls(_))
    }

    /// The TLS version, as the access log names it; `None` without TLS.
    pub fn tls_version(&self) -> Option<&'static str> {
        let Transport::Tls(tls) = self else { return None };
        Some(match tls.get_ref().1.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLS",
        })
    }

    /// Whether TLS has negotiated HTTP/2.
    pub fn speaks_http2(&self) -> bool {
        let Transport::Tls(tls) = self else { return false };
        tls.get_ref().1.alpn_protocol() == Some(b"h2")
    }

    /// Whether the other end has closed its side, although bytes that it sent before may not have been read. `half_close`:
    /// both sides must be closed.
    pub fn has_hung_up(&self, cx: &mut Context<'_>, half_close: bool) -> bool {
        match pin!(self.tcp().ready(Interest::READABLE | Interest::WRITABLE)).poll(cx) {
            Poll::Ready(Ok(state)) if half_close => state.is_write_closed(),
            Poll::Ready(Ok(state)) => state.is_read_closed(),
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        }
    }

    /// Closes Cutover's side, and reads on for a while: the caller is about to drop this, and closing while the client
    /// is still sending would reset the connection.
    pub fn linger(&self) {
        let spare = socket2::SockRef::from(self.tcp()).try_clone();
        let Ok(tcp) = spare.and_then(|socket| TcpStream::from_std(socket.into())) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(timeout(LINGER, discard(tcp)));
    }
}

async fn discard(mut tcp: TcpStream) {
    // The client may be gone already.
    let _ = tcp.shutdown().await;
    let mut sink = [0; 4096];
    let mut left = LINGER_BYTES;
    while let Ok(got @ 1..) = tcp.read(&mut sink).await {
        left = left.saturating_sub(got);
        if left == 0 {
            return;
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Transport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Transport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            Transport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Transport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }
}
