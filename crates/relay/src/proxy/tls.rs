//! TLS for clients: which certificate serves which name, and reloading of certificates.
//!
//! The files are checked every second. If certificate and key do not match, for example while they are being written,
//! the last good pair stays in use. A handshake uses the configuration of the moment it began, so a reload breaks none.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use tokio::sync::watch;
use tokio::time::sleep;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use config::check::in_words;
use config::watch::FileStamps;
use config::{CertificateFiles, TlsListener};
use memory::clock;
use memory::counters::Counters;

/// How often the files are looked at.
const INTERVAL: Duration = Duration::from_secs(1);
/// Days before expiry at which a warning is logged.
const WARNINGS: [i64; 3] = [21, 7, 1];
const DAY: i64 = 86_400;

/// The configuration of a listener's handshakes, which changes at a reload.
pub type CurrentTls = watch::Receiver<Arc<ServerConfig>>;

/// The certificates of one listener, by the names in them.
#[derive(Debug)]
struct Certificates {
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// "example.com" for "*.example.com".
    wildcard: HashMap<String, Arc<CertifiedKey>>,
    first: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            // A wildcard stands for one label (RFC 6125 6.4.3).
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.exact.get(&name).or_else(|| parent.and_then(|parent| self.wildcard.get(parent))).cloned()
        });
        Some(named.unwrap_or_else(|| self.first.clone()))
    }
}

/// A listener's files, read and kept up to date.
#[derive(Debug)]
pub struct CertificateWatcher {
    listener: TlsListener,
    tickets: Arc<dyn ProducesTickets>,
    looks: Vec<FileStamps>,
    config: watch::Sender<Arc<ServerConfig>>,
    counters: Arc<Counters>,
    warned: HashMap<std::path::PathBuf, i64>,
}

impl CertificateWatcher {
    /// # Errors
    /// A file cannot be read, contains no PEM, or certificate and key do not match; the error names the file.
    pub fn open(listener: &TlsListener, counters: Arc<Counters>) -> Result<(CertificateWatcher, CurrentTls), String> {
        // Kept across reloads, so that a new certificate does not end sessions.
        let tickets = ring::Ticketer::new().map_err(|e| format!("cannot create TLS session tickets: {e}"))?;
        let looks = looks(listener);
        let config = read(listener, &tickets, &counters)?;
        let (sender, current) = watch::channel(config);
        let listener = listener.clone();
        Ok((CertificateWatcher { listener, tickets, looks, config: sender, counters, warned: HashMap::new() }, current))
    }

    /// Reloads the files whenever they change. Never returns.
    pub async fn keep(mut self) {
        let mut again = false;
        loop {
            self.warn_of_ends();
            sleep(INTERVAL).await;
            let now = looks(&self.listener);
            if now == self.looks && !again {
                continue;
            }
            let changed = now != self.looks;
            self.looks = now;
            match read(&self.listener, &self.tickets, &self.counters) {
                Ok(config) => {
                    again = false;
                    self.config.send_replace(config);
                    tracing::info!(listener = %self.listener.listen, "certificates reloaded");
                }
                Err(error) => {
                    // Perhaps only one of the two files is new: try again at the next check.
                    again = true;
                    if changed {
                        tracing::error!(listener = %self.listener.listen, error, "cannot reload certificates; keeping the last good ones");
                    }
                }
            }
        }
    }

    fn warn_of_ends(&mut self) {
        let now = (clock::wall_millis() / 1000) as i64;
        for files in &self.listener.certificates {
            let Some(end) = self.counters.certificate_end(&files.cert) else { continue };
            let days = (end - now).div_euclid(DAY);
            let Some(step) = WARNINGS.iter().rev().find(|step| days < **step) else { continue };
            if self.warned.insert(files.cert.clone(), *step) != Some(*step) {
                let cert_file = files.cert.display();
                if days < 0 {
                    tracing::error!(%cert_file, "certificate has expired");
                } else {
                    tracing::warn!(%cert_file, days, "certificate expires soon");
                }
            }
        }
    }
}

/// Checks a listener's certificates without using them.
///
/// # Errors
/// As [`CertificateWatcher::open`].
pub fn check(listener: &TlsListener) -> Result<(), String> {
    listener.certificates.iter().try_for_each(|files| pair(files).map(drop))
}

fn looks(listener: &TlsListener) -> Vec<FileStamps> {
    listener.certificates.iter().flat_map(|files| [FileStamps::at(&files.cert), FileStamps::at(&files.key)]).collect()
}

fn read(
    listener: &TlsListener,
    tickets: &Arc<dyn ProducesTickets>,
    counters: &Counters,
) -> Result<Arc<ServerConfig>, String> {
    let (mut exact, mut wildcard, mut first) = (HashMap::new(), HashMap::new(), None);
    let mut ends = Vec::new();
    for files in &listener.certificates {
        let (key, names, end) = pair(files)?;
        ends.push((&files.cert, end));
        for name in names {
            match name.strip_prefix("*.") {
                Some(parent) => wildcard.entry(parent.to_owned()).or_insert_with(|| key.clone()),
                None => exact.entry(name).or_insert_with(|| key.clone()),
            };
        }
        first.get_or_insert(key);
    }
    let first = first.ok_or("no certificates")?;
    // Stored only once all of them are valid.
    ends.into_iter().for_each(|(file, end)| counters.set_certificate_end(file, end));
    let resolver = Arc::new(Certificates { exact, wildcard, first });
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
    config.ticketer = tickets.clone();
    if listener.http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Arc::new(config))
}

/// A certificate with its key, its names in lower case, and when it expires, in seconds since 1970.
fn pair(files: &CertificateFiles) -> Result<(Arc<CertifiedKey>, Vec<String>, i64), String> {
    let of = |path: &Path, why: String| format!("{}: {why}", path.display());
    let chain: Result<Vec<CertificateDer<'static>>, _> =
        CertificateDer::pem_file_iter(&files.cert).and_then(|certificates| certificates.collect());
    let chain = chain.map_err(|e| of(&files.cert, in_words(&e)))?;
    let leaf = chain.first().ok_or_else(|| of(&files.cert, "no certificate in the file".to_owned()))?.clone();
    let key = PrivateKeyDer::from_pem_file(&files.key).map_err(|e| of(&files.key, in_words(&e)))?;
    let key =
        ring::sign::any_supported_type(&key).map_err(|e| of(&files.key, format!("unsupported private key: {e}")))?;
    let certified = CertifiedKey::new(chain, key);
    certified.keys_match().map_err(|e| match e {
        rustls::Error::InconsistentKeys(_) => {
            of(&files.key, format!("private key does not match {}", files.cert.display()))
        }
        other => of(&files.cert, format!("unusable certificate: {other}")),
    })?;
    let (_, parsed) =
        X509Certificate::from_der(&leaf).map_err(|e| of(&files.cert, format!("invalid certificate: {e}")))?;
    let names = parsed.subject_alternative_name().ok().flatten().map(|extension| {
        let names = extension.value.general_names.iter();
        names
            .filter_map(|name| match name {
                GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
                _ => None,
            })
            .collect()
    });
    Ok((Arc::new(certified), names.unwrap_or_default(), parsed.validity().not_after.timestamp()))
}
