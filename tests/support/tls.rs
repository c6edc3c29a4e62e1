//! Certificates and clients for TLS and HTTP/2.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned};

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

/// Who signs certificates.
pub struct Authority {
    pub certificate: Certificate,
    issuer: rcgen::Issuer<'static, rcgen::KeyPair>,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        // Of its own: who has the same name as its issuer is self-signed to OpenSSL.
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        let made = params.self_signed(&key).unwrap();
        let certificate = Certificate { pem: made.pem(), key: key.serialize_pem(), der: made.der().clone() };
        Authority { certificate, issuer: rcgen::Issuer::new(params, key) }
    }

    /// A certificate for these names.
    pub fn sign(&self, names: &[&str]) -> Certificate {
        self.sign_with(names, |_| {})
    }

    /// One that ends then.
    pub fn sign_until(&self, names: &[&str], end: std::time::SystemTime) -> Certificate {
        self.sign_with(names, |params| params.not_after = end.into())
    }

    fn sign_with(&self, names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> Certificate {
        let names = names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(names).unwrap();
        change(&mut params);
        let made = params.signed_by(&key, &self.issuer).unwrap();
        Certificate { pem: made.pem(), key: key.serialize_pem(), der: made.der().clone() }
    }
}

/// What a server with this certificate shakes hands by; `clients`: who must have signed the client's.
pub fn serving(certificate: &Certificate, alpn: &[&str], clients: Option<&Authority>) -> Arc<ServerConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone()).with_safe_default_protocol_versions().unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.certificate.der.clone()).unwrap();
            let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            builder.with_client_cert_verifier(verifier.build().unwrap())
        }
    };
    let key = rustls::pki_types::pem::PemObject::from_pem_slice(certificate.key.as_bytes()).unwrap();
    let mut config = builder.with_single_cert(vec![certificate.der.clone()], key).unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
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
    ask(address, name, "/", config)
}

/// The same for another path.
pub fn ask(address: SocketAddr, name: &str, path: &str, config: &Arc<ClientConfig>) -> Result<Answer, String> {
    let mut stream = connect(address, name, config)?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n");
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
    pub headers: http::HeaderMap,
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

    /// Sends a request's head, and leaves body and answer to the caller.
    pub async fn open(
        &mut self,
        request: http::Request<()>,
        end: bool,
    ) -> Result<(h2::client::ResponseFuture, h2::SendStream<Bytes>), h2::Error> {
        self.send.clone().ready().await?.send_request(request, end)
    }

    /// Sends a request and reads the whole answer.
    pub async fn request(&mut self, request: http::Request<()>, body: &[Bytes]) -> Result<H2Answer, h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (answer, mut stream) = send.send_request(request, body.is_empty())?;
        for (at, part) in body.iter().enumerate() {
            stream.send_data(part.clone(), at + 1 == body.len())?;
        }
        let (parts, mut body) = answer.await?.into_parts();
        let mut got = H2Answer { status: parts.status.as_u16(), headers: parts.headers, ..H2Answer::default() };
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
