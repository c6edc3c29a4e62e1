//! Certificates and clients for TLS and HTTP/2.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use super::client::Answer;

/// A certificate and its key.
pub struct Certificate {
    pub pem: String,
    pub key: String,
    pub der: CertificateDer<'static>,
}

impl Certificate {
    /// Signed by itself, for these names.
    pub fn of(names: &[&str]) -> Certificate {
        let made = rcgen::generate_simple_self_signed(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        let made = made.unwrap();
        Certificate { pem: made.cert.pem(), key: made.signing_key.serialize_pem(), der: made.cert.der().clone() }
    }

    /// Writes `NAME.pem` and `NAME.key`.
    pub fn write(&self, folder: &Path, name: &str) {
        std::fs::write(folder.join(format!("{name}.pem")), &self.pem).unwrap();
        std::fs::write(folder.join(format!("{name}.key")), &self.key).unwrap();
    }
}

/// A client that trusts these certificates and no other.
pub fn trusting(certificates: &[&Certificate], alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    certificates.iter().for_each(|certificate| roots.add(certificate.der.clone()).unwrap());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// A connection of HTTP/1.1 over TLS; an error is what the handshake said.
pub fn connect(
    address: SocketAddr,
    name: &str,
    config: &Arc<ClientConfig>,
) -> Result<StreamOwned<ClientConnection, TcpStream>, String> {
    let tcp = TcpStream::connect(address).map_err(|e| e.to_string())?;
    tcp.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let session = ClientConnection::new(config.clone(), name).unwrap();
    let mut stream = StreamOwned::new(session, tcp);
    stream.conn.complete_io(&mut stream.sock).map_err(|e| e.to_string())?;
    Ok(stream)
}

/// One GET over TLS, on a connection of its own.
pub fn get(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Result<Answer, String> {
    let mut stream = connect(address, name, config)?;
    let request = format!("GET / HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).map_err(|e| e.to_string())?;
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => {}
        Err(e) => return Err(e.to_string()),
    }
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").ok_or_else(|| format!("no answer: {text:?}"))?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or("no status")?;
    Ok(Answer { status, head: head.to_owned(), body: body.to_owned(), truncated: false })
}

/// An HTTP/2 connection over TLS.
#[derive(Clone)]
pub struct H2 {
    send: h2::client::SendRequest<Bytes>,
}

/// What came over HTTP/2.
#[derive(Debug, Default)]
pub struct H2Answer {
    pub status: u16,
    pub body: Vec<u8>,
    pub trailers: Option<http::HeaderMap>,
}

impl H2 {
    pub async fn connect(address: SocketAddr, name: &str, config: &Arc<ClientConfig>) -> Result<H2, String> {
        let tcp = tokio::net::TcpStream::connect(address).await.map_err(|e| e.to_string())?;
        tcp.set_nodelay(true).map_err(|e| e.to_string())?;
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let tls = tokio_rustls::TlsConnector::from(config.clone()).connect(name, tcp).await;
        let (send, connection) =
            h2::client::handshake(tls.map_err(|e| e.to_string())?).await.map_err(|e| e.to_string())?;
        tokio::spawn(async move {
            let _ = connection.await;
        });
        Ok(H2 { send })
    }

    /// Sends a request and reads the whole answer.
    pub async fn request(&mut self, request: http::Request<()>, body: &[Bytes]) -> Result<H2Answer, h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (answer, mut stream) = send.send_request(request, body.is_empty())?;
        for (at, part) in body.iter().enumerate() {
            stream.send_data(part.clone(), at + 1 == body.len())?;
        }
        let (parts, mut body) = answer.await?.into_parts();
        let mut got = H2Answer { status: parts.status.as_u16(), ..H2Answer::default() };
        while let Some(chunk) = body.data().await {
            let chunk = chunk?;
            got.body.extend_from_slice(&chunk);
            let _ = body.flow_control().release_capacity(chunk.len());
        }
        got.trailers = body.trailers().await?;
        Ok(got)
    }

    pub async fn get(&mut self, url: &str) -> Result<H2Answer, h2::Error> {
        self.request(http::Request::get(url).body(()).unwrap(), &[]).await
    }
}
