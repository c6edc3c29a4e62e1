//! TLS for clients: which certificate serves which name, and reloading of certificates.
//!
//! The files are checked every second, and those of a CA's certificates when there is a new one. If certificate and key do not match, for example while they are being written,
//! the last good pair stays in use. A handshake uses the configuration of the moment it began, so a reload breaks none.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
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
    /// For clients that ask for no name, or an unknown one: of a file, never of a CA.
    first: Option<Arc<CertifiedKey>>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let named = hello.server_name().and_then(|name| {
            let name = name.trim_end_matches('.').to_ascii_lowercase();
            // A wildcard stands for one label (RFC 6125 6.4.3).
            let parent = name.split_once('.').map(|(_, parent)| parent);
            self.exact.get(&name).or_else(|| parent.and_then(|parent| self.wildcard.get(parent))).cloned()
        });
        named.or_else(|| self.first.clone())
    }
}

/// The certificates that come from a CA: files of a folder, each with a chain and its key.
#[derive(Clone, Debug)]
pub struct IssuedCertificates {
    pub folder: PathBuf,
    /// Changes when there is another.
    pub changed: watch::Receiver<u64>,
}

/// A listener's files, read and kept up to date.
#[derive(Debug)]
pub struct CertificateWatcher {
    listener: TlsListener,
    issued: Option<IssuedCertificates>,
    tickets: Arc<dyn ProducesTickets>,
    looks: Vec<FileStamps>,
    config: watch::Sender<Arc<ServerConfig>>,
    counters: Arc<Counters>,
    warned: HashMap<std::path::PathBuf, i64>,
}

impl CertificateWatcher {
    /// `issued`: if the listener has certificates of a CA.
    ///
    /// # Errors
    /// A file cannot be read, contains no PEM, or certificate and key do not match; the error names the file.
    pub fn open(
        listener: &TlsListener,
        issued: Option<IssuedCertificates>,
        counters: Arc<Counters>,
    ) -> Result<(CertificateWatcher, CurrentTls), String> {
        // Kept across reloads, so that a new certificate does not end sessions.
        let tickets = ring::Ticketer::new().map_err(|e| format!("cannot create TLS session tickets: {e}"))?;
        let looks = looks(listener);
        let config = read(listener, issued.as_ref(), &tickets, &counters)?;
        let (sender, current) = watch::channel(config);
        let listener = listener.clone();
        let warned = HashMap::new();
        Ok((CertificateWatcher { listener, issued, tickets, looks, config: sender, counters, warned }, current))
    }

    /// Reloads the files whenever they change. Never returns.
    pub async fn keep(mut self) {
        let mut again = false;
        loop {
            self.warn_of_ends();
            let is_issued = tokio::select! {
                () = sleep(INTERVAL) => false,
                () = another(&mut self.issued) => true,
            };
            let now = looks(&self.listener);
            if now == self.looks && !again && !is_issued {
                continue;
            }
            let changed = now != self.looks;
            self.looks = now;
            match read(&self.listener, self.issued.as_ref(), &self.tickets, &self.counters) {
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

/// Waits until a CA has issued another certificate.
async fn another(issued: &mut Option<IssuedCertificates>) {
    let is_there = match issued {
        Some(issued) => issued.changed.changed().await.is_ok(),
        None => false,
    };
    if !is_there {
        // Nobody orders, or nobody does any more.
        std::future::pending().await
    }
}

/// Those of the names that none of a listener's own files is for. A file that cannot be read is for none.
pub fn without_file(listener: &TlsListener, names: Vec<String>) -> Vec<String> {
    let read = listener.certificates.iter().filter_map(|files| pair(files).ok());
    let of_files: HashSet<String> = read.flat_map(|read| read.names).collect();
    let has_file = |name: &String| {
        let parent = name.split_once('.').map(|(_, parent)| format!("*.{parent}"));
        of_files.contains(name) || parent.is_some_and(|parent| of_files.contains(&parent))
    };
    names.into_iter().filter(|name| !has_file(name)).collect()
}

/// The certificate of a file that has its key, too.
///
/// # Errors
/// As [`CertificateWatcher::open`].
pub fn issued(file: &Path) -> Result<CertificateInUse, String> {
    pair(&CertificateFiles { cert: file.to_owned(), key: file.to_owned() })
}

/// The files of a CA's certificates.
pub fn issued_files(folder: &Path) -> Vec<PathBuf> {
    let all = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut all: Vec<PathBuf> = all.filter(|path| path.extension().is_some_and(|end| end == "pem")).collect();
    all.sort();
    all
}

fn looks(listener: &TlsListener) -> Vec<FileStamps> {
    listener.certificates.iter().flat_map(|files| [FileStamps::at(&files.cert), FileStamps::at(&files.key)]).collect()
}

fn read(
    listener: &TlsListener,
    issued: Option<&IssuedCertificates>,
    tickets: &Arc<dyn ProducesTickets>,
    counters: &Counters,
) -> Result<Arc<ServerConfig>, String> {
    let (mut exact, mut wildcard, mut first) = (HashMap::new(), HashMap::new(), None);
    let mut ends = Vec::new();
    let mut take = |read: &CertificateInUse| {
        for name in &read.names {
            match name.strip_prefix("*.") {
                Some(parent) => wildcard.entry(parent.to_owned()).or_insert_with(|| read.key.clone()),
                None => exact.entry(name.clone()).or_insert_with(|| read.key.clone()),
            };
        }
    };
    for files in &listener.certificates {
        let read = pair(files)?;
        take(&read);
        ends.push((files.cert.clone(), read.end));
        first.get_or_insert(read.key);
    }
    for file in issued.map(|issued| issued_files(&issued.folder)).unwrap_or_default() {
        match self::issued(&file) {
            Ok(read) => {
                take(&read);
                ends.push((file, read.end));
            }
            // It is ordered again.
            Err(error) => tracing::warn!(error, "cannot use a certificate"),
        }
    }
    if first.is_none() && issued.is_none() {
        return Err("no certificates".to_owned());
    }
    // Stored only once all of them are valid.
    ends.into_iter().for_each(|(file, end)| counters.set_certificate_end(&file, end));
    let resolver = Arc::new(Certificates { exact, wildcard, first });
    let mut config = ServerConfig::builder().with_no_client_auth().with_cert_resolver(resolver);
    config.ticketer = tickets.clone();
    if listener.http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    Ok(Arc::new(config))
}

/// A certificate with its key, and what it says.
#[derive(Debug)]
pub struct CertificateInUse {
    pub key: Arc<CertifiedKey>,
    /// In lower case.
    pub names: Vec<String>,
    /// When it begins and ends, in seconds since 1970.
    pub begin: i64,
    pub end: i64,
}

fn pair(files: &CertificateFiles) -> Result<CertificateInUse, String> {
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
    let (begin, end) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
    Ok(CertificateInUse { key: Arc::new(certified), names: names.unwrap_or_default(), begin, end })
}
