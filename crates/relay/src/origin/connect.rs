//! Opens connections to origins.

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::origin::OriginError;
use crate::transport::Transport;
use memory::snapshot::{Endpoint, OriginHttp2};

/// Which versions of HTTP a connection may be for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpVersions {
    /// What the origin's settings say.
    AsSet,
    /// For an upgrade, which HTTP/2 does not have.
    Http1,
}

/// An open connection, and whether it is for HTTP/2.
#[derive(Debug)]
pub struct OpenConnection {
    pub transport: Transport,
    pub http2: bool,
}

/// Connects to an endpoint, within the times that it allows for TCP and for TLS.
///
/// # Errors
/// There is no connection, or it is not for HTTP/2 although it must be.
pub async fn connect(endpoint: &Endpoint, versions: HttpVersions) -> Result<OpenConnection, OriginError> {
    let times = &endpoint.timeouts;
    let tcp = timeout(times.connect.as_duration(), TcpStream::connect(endpoint.address)).await;
    let tcp = tcp
        .map_err(|_| OriginError::ConnectTimeout)?
        .map_err(|error| OriginError::of_connect(&error, endpoint.address.ip()))?;
    // Requests are written whole, so waiting for more to send would only delay them.
    let _ = tcp.set_nodelay(true);
    let only_http2 = versions == HttpVersions::AsSet && endpoint.http2 == OriginHttp2::Only;
    let Some(tls) = &endpoint.tls else {
        return Ok(OpenConnection { transport: Transport::Plain(tcp), http2: only_http2 });
    };
    let connector = TlsConnector::from(tls.config.clone());
    let handshake = match versions {
        HttpVersions::AsSet => connector.connect(tls.name.clone(), tcp),
        HttpVersions::Http1 => connector.with_alpn(vec![b"http/1.1".to_vec()]).connect(tls.name.clone(), tcp),
    };
    let stream = timeout(times.tls.as_duration(), handshake).await.map_err(|_| OriginError::TlsTimeout)?;
    let stream = stream.map_err(|error| OriginError::Tls(error.to_string()))?;
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    // An origin that takes no part in the negotiation speaks HTTP/1.1.
    if only_http2 && !http2 {
        return Err(OriginError::NoHttp2);
    }
    Ok(OpenConnection { transport: Transport::Tls(Box::new(stream.into())), http2 })
}
