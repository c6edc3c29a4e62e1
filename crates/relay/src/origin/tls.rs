//! TLS towards origins: whom to trust, how to identify ourselves, and which sessions can be resumed.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::client::Resumption;
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use memory::snapshot::{ClientIdentity, OriginHttp2, OriginSettings};

/// Sessions to resume, for each configuration.
const SESSIONS: usize = 1024;

/// What two origins must have in common to share a configuration.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Terms {
    h2: OriginHttp2,
    authorities: Vec<Vec<u8>>,
    identity: Option<ClientIdentity>,
}

/// The configurations in use. They outlive a look-up of names, so that sessions can be resumed after it.
#[derive(Debug, Default)]
pub struct OriginTls {
    configs: Mutex<HashMap<Terms, Arc<ClientConfig>>>,
}

impl OriginTls {
    /// The configuration for an origin.
    pub fn config(&self, origin: &OriginSettings) -> Arc<ClientConfig> {
        let terms = Terms { h2: origin.h2, authorities: origin.authorities.clone(), identity: origin.identity.clone() };
        let mut configs = self.configs.lock();
        if let Some(config) = configs.get(&terms) {
            return config.clone();
        }
        // Those of earlier files, which no endpoint uses any more.
        configs.retain(|_, config| Arc::strong_count(config) > 1);
        let config = Arc::new(build(&terms));
        configs.insert(terms, config.clone());
        config
    }
}

fn build(terms: &Terms) -> ClientConfig {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    // The provider has cipher suites for both versions, so this cannot fail.
    let builder = builder.unwrap_or_else(|_| ClientConfig::builder());
    let builder = builder.with_root_certificates(roots(&terms.authorities));
    let mut config = match &terms.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain: Vec<_> = identity.chain.iter().cloned().map(CertificateDer::from).collect();
            let anonymous = builder.clone().with_no_client_auth();
            let key = PrivateKeyDer::try_from(identity.key.clone());
            // Checked when the file was read; an origin that asks for one refuses us without.
            key.ok().and_then(|key| builder.with_client_auth_cert(chain, key).ok()).unwrap_or(anonymous)
        }
    };
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    config.alpn_protocols = match terms.h2 {
        OriginHttp2::Never => vec![b"http/1.1".to_vec()],
        OriginHttp2::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        OriginHttp2::Only => vec![b"h2".to_vec()],
    };
    config
}

/// The CAs that the file names, or those that the system trusts.
fn roots(authorities: &[Vec<u8>]) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    if authorities.is_empty() {
        let native = rustls_native_certs::load_native_certs();
        if native.certs.is_empty() {
            tracing::warn!(errors = ?native.errors, "the system has no certificate authorities");
        }
        roots.add_parsable_certificates(native.certs);
    } else {
        roots.add_parsable_certificates(authorities.iter().cloned().map(CertificateDer::from));
    }
    roots
}
