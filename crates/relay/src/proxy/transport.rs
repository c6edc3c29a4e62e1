//! What carries a client's bytes: TCP, or TLS over it.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use pingora_core::protocols::ALPN;
use pingora_core::protocols::tls::SslDigest;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

/// How long to keep reading from a client that is still sending after Cutover has closed, so that it sees the response
/// and not a reset.
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 8 << 20;

#[derive(Debug)]
pub enum ClientTransport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl ClientTransport {
    pub fn tcp(&self) -> &TcpStream {
        match self {
            ClientTransport::Plain(tcp) => tcp,
            ClientTransport::Tls(tls) => tls.get_ref().0,
        }
    }

    /// What was negotiated in the handshake; `None` without TLS.
    pub fn selected(&self) -> Option<ALPN> {
        let ClientTransport::Tls(tls) = self else { return None };
        match tls.get_ref().1.alpn_protocol() {
            Some(b"h2") => Some(ALPN::H2),
            _ => Some(ALPN::H1),
        }
    }

    /// Version and cipher, for pingora and the access log.
    pub fn digest(&self) -> Option<SslDigest> {
        let ClientTransport::Tls(tls) = self else { return None };
        let session = tls.get_ref().1;
        let version = match session.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3",
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2",
            _ => "TLS",
        };
        let cipher = session.negotiated_cipher_suite().and_then(|suite| suite.suite().as_str()).unwrap_or("");
        Some(SslDigest::new(cipher, version, None, None, Vec::new()))
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

impl AsyncRead for ClientTransport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            ClientTransport::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            ClientTransport::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for ClientTransport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut *self {
            ClientTransport::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            ClientTransport::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            ClientTransport::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            ClientTransport::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut *self {
            ClientTransport::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            ClientTransport::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut *self {
            ClientTransport::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            ClientTransport::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            ClientTransport::Plain(tcp) => tcp.is_write_vectored(),
            ClientTransport::Tls(tls) => tls.is_write_vectored(),
        }
    }
}
