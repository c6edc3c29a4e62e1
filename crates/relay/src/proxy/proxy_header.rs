//! The header of the PROXY protocol, by which a load balancer says whose connection it passes on.
//!
//! It is looked at in the socket, and taken out when it is whole, so that nothing of what follows it is read: TLS and HTTP
//! find the connection as if it had come from the client itself.

mod parse;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use tokio::io::{AsyncReadExt, Interest};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::proxy::context::ClientSource;
use crate::proxy::worker::{RegisteredConnection, Worker};
use config::ProxyProtocol;
use memory::clock;
use memory::counters::RefusalReason;
pub use parse::{FirstBytes, LONGEST_HEADER, ProxiedClient, ProxyHeader, ProxyHeaderError, parse};

/// How a connection has begun.
enum Beginning {
    Header(ProxyHeader),
    /// With something else.
    Other,
    Invalid(ProxyHeaderError),
    /// It was closed.
    Closed,
    Slow,
}

/// Whether a connection may go on without the header that its listener requires, because nobody but trusted proxies may send
/// one; otherwise it is to be closed.
pub fn admits_untrusted(worker: &Worker, peer: SocketAddr, protocol: ProxyProtocol) -> bool {
    if protocol == ProxyProtocol::Required {
        refuse(worker, peer, RefusalReason::UntrustedProxy, "the peer is not in `trusted_proxies`");
        return false;
    }
    true
}

/// Takes the header off a trusted proxy's connection; `None` if the connection is to be closed.
pub async fn take(
    worker: &Worker,
    registered: &RegisteredConnection,
    tcp: &mut TcpStream,
    peer: SocketAddr,
    protocol: ProxyProtocol,
) -> Option<ClientSource> {
    // A little more than a packet, for the short time before the connection has a buffer of its own.
    let mut buffer = vec![0; LONGEST_HEADER];
    let mut came = 0;
    let closing = poll_fn(|cx| {
        registered.watch(cx);
        if worker.connections.is_closing() { Poll::Ready(()) } else { Poll::Pending }
    });
    let beginning = tokio::select! {
        biased;
        read = look(tcp, &mut buffer, &mut came) => read.unwrap_or(Beginning::Closed),
        () = closing => Beginning::Closed,
        () = sleep(worker.proxy.limits.header_time.as_duration()) => Beginning::Slow,
    };
    let why = match beginning {
        Beginning::Header(header) => {
            tcp.read_exact(buffer.get_mut(..header.length)?).await.ok()?;
            let address = match header.client {
                ProxiedClient::At(address) => address,
                ProxiedClient::Sender | ProxiedClient::Unnamed => peer.ip(),
            };
            let unnamed = header.client == ProxiedClient::Unnamed;
            return Some(ClientSource { address, over_tls: header.over_tls, unnamed });
        }
        Beginning::Other if protocol == ProxyProtocol::Optional => return Some(ClientSource::peer(peer.ip())),
        // A probe of the port, or a connection in reserve.
        Beginning::Closed | Beginning::Slow if came == 0 => return None,
        Beginning::Slow => {
            refuse(worker, peer, RefusalReason::TooSlow, "the header took too long");
            return None;
        }
        Beginning::Other => "no header".to_owned(),
        Beginning::Closed => "closed within the header".to_owned(),
        Beginning::Invalid(error) => error.to_string(),
    };
    refuse(worker, peer, RefusalReason::ProxyHeader, &why);
    None
}

/// Looks at the first bytes until they say what they are. `came`: how many there are.
async fn look(tcp: &TcpStream, buffer: &mut [u8], came: &mut usize) -> io::Result<Beginning> {
    loop {
        let ready = tcp.ready(Interest::READABLE).await?;
        *came = tcp.peek(buffer).await?;
        match parse(buffer.get(..*came).unwrap_or_default()) {
            Ok(FirstBytes::Header(header)) => return Ok(Beginning::Header(header)),
            Ok(FirstBytes::Other) => return Ok(Beginning::Other),
            Err(error) => return Ok(Beginning::Invalid(error)),
            Ok(FirstBytes::Partial) if *came == 0 || ready.is_read_closed() => return Ok(Beginning::Closed),
            // What was only looked at keeps the socket readable: it is to be so again when more comes.
            Ok(FirstBytes::Partial) => {
                let _ = tcp.try_io(Interest::READABLE, || Err::<(), _>(io::ErrorKind::WouldBlock.into()));
            }
        }
    }
}

fn refuse(worker: &Worker, peer: SocketAddr, reason: RefusalReason, why: &str) {
    worker.proxy.counters.process.refuse(reason);
    if let Some(unsaid) = worker.refusal_notices.take(clock::now()) {
        tracing::warn!(%peer, reason = reason.name(), why, unsaid, "connection closed: PROXY protocol");
    }
}
