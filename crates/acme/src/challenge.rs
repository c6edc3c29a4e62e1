//! The answer to a challenge over TLS: a handshake whose certificate says what the CA wants to read (RFC 8737).

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::{CertifiedKey, SingleCertAndKey};

/// The protocol of the challenge, and of nothing else.
const PROTOCOL: &[u8] = b"acme-tls/1";

/// `digest`: the SHA-256 of the key authorization.
pub fn handshake(name: &str, digest: &[u8]) -> Result<Arc<ServerConfig>, String> {
    let made = CertificateParams::new(vec![name.to_owned()]).and_then(|mut params| {
        params.custom_extensions = vec![CustomExtension::new_acme_identifier(digest)];
        let key = KeyPair::generate()?;
        Ok((params.self_signed(&key)?, key))
    });
    let (certificate, key) = made.map_err(|error| format!("cannot make the certificate of a challenge: {error}"))?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = any_supported_type(&key).map_err(|error| format!("cannot use the key of a challenge: {error}"))?;
    // As it is: its critical extension is none that a certificate for clients may have.
    let certified = CertifiedKey::new(vec![certificate.der().clone()], key);
    let resolver = Arc::new(SingleCertAndKey::from(certified));
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
    config.alpn_protocols = vec![PROTOCOL.to_vec()];
    Ok(Arc::new(config))
}
