//! Pebble, the test CA of Let's Encrypt, with a DNS that knows every name as this host.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use config::acme::{AcmeChallenge, AcmeSettings};
use judgement::time::Millis;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::tls::{self, Authority};
use super::{SOON, wait_until};

/// What the CA is like.
pub struct PebbleTerms {
    /// Where it looks for answers: the ports 80 and 443 of every name.
    pub http: SocketAddr,
    pub tls: SocketAddr,
    /// Nonces that it refuses, in percent.
    pub bad_nonces: u32,
    /// How long certificates are valid, in seconds.
    pub validity: u64,
    /// Whether an account needs another one: `kid-1`, with [`EAB_KEY`].
    pub eab: bool,
}

pub const EAB_KEY: &str = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";

impl Default for PebbleTerms {
    fn default() -> PebbleTerms {
        PebbleTerms { http: free_address(), tls: free_address(), bad_nonces: 0, validity: 90 * 86_400, eab: false }
    }
}

pub struct Pebble {
    children: Vec<Child>,
    pub directory: SocketAddr,
    management: SocketAddr,
    authority: Authority,
    _dir: tempfile::TempDir,
}

/// One that nobody listens on just now.
pub fn free_address() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

impl Pebble {
    pub fn start(terms: &PebbleTerms) -> Pebble {
        let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new());
        authority.sign(&["localhost", "127.0.0.1"]).write(dir.path(), "pebble");
        let [directory, management, dns, dns_management] = [(); 4].map(|()| free_address());
        let file = |name: &str| dir.path().join(name).display().to_string();
        let words = serde_json::json!({ "pebble": {
            "listenAddress": directory.to_string(),
            "managementListenAddress": management.to_string(),
            "certificate": file("pebble.pem"),
            "privateKey": file("pebble.key"),
            "httpPort": terms.http.port(),
            "tlsPort": terms.tls.port(),
            "externalAccountBindingRequired": terms.eab,
            "externalAccountMACKeys": { "kid-1": EAB_KEY },
            "certificateValidityPeriod": terms.validity,
        }});
        std::fs::write(file("pebble.json"), words.to_string()).unwrap();
        let mut names = Command::new("pebble-challtestsrv");
        names.args(["-defaultIPv6", "", "-http01", "", "-https01", "", "-tlsalpn01", ""]);
        names.args(["-dns01", &dns.to_string(), "-management", &dns_management.to_string()]);
        let mut ca = Command::new("pebble");
        ca.args(["-strict", "-config", &file("pebble.json"), "-dnsserver", &dns.to_string()]);
        ca.env("PEBBLE_VA_NOSLEEP", "1").env("PEBBLE_AUTHZREUSE", "0");
        ca.env("PEBBLE_WFE_NONCEREJECT", terms.bad_nonces.to_string());
        let children = [names, ca].map(|mut command| {
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        });
        let pebble = Pebble { children: children.into(), directory, management, authority, _dir: dir };
        for address in [directory, management, dns_management] {
            wait_until("pebble listens", SOON, || TcpStream::connect(address).is_ok());
        }
        pebble
    }

    /// What is to be in the file, for these names.
    pub fn settings(
        &self,
        folder: &std::path::Path,
        names: Option<&[&str]>,
        challenges: &[AcmeChallenge],
    ) -> AcmeSettings {
        AcmeSettings {
            email: Some("ops@shop.test".to_owned()),
            directory: format!("https://{}/dir", self.directory).parse().unwrap(),
            directory_roots: Some(vec![self.authority.certificate.der.to_vec()]),
            names: names.map(|names| names.iter().map(|name| (*name).to_owned()).collect()),
            challenges: challenges.to_vec(),
            eab: None,
            on_demand: Vec::new(),
            folder: folder.join("cutover.db.acme").join("pebble"),
            first_retry: Millis(500),
        }
    }

    /// Its directory behind a front that knows when certificates are to be renewed, which Debian's Pebble does not: a window
    /// from 1970 to this second of it. How often it was asked is counted.
    pub fn with_renewal_info(&self, end: u64) -> (SocketAddr, Arc<AtomicU64>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (address, asked) = (listener.local_addr().unwrap(), Arc::new(AtomicU64::new(0)));
        let directory =
            tls::ask(self.directory, "localhost", "/dir", &tls::trusting(&[&self.authority.certificate], &[]));
        let directory = directory.unwrap().body.replace("https://localhost/", &format!("https://{}/", self.directory));
        let mut directory: serde_json::Value = serde_json::from_str(&directory).unwrap();
        directory["renewalInfo"] = format!("https://{address}/renewal-info").into();
        let until = judgement::time::rfc3339(end * 1000);
        let window = serde_json::json!({ "suggestedWindow": { "start": "1970-01-02T00:00:00Z", "end": until } });
        let config = tls::serving(&self.authority.sign(&["localhost", "127.0.0.1"]), &[], None);
        let counted = asked.clone();
        std::thread::spawn(move || {
            while let Ok((tcp, _)) = listener.accept() {
                let mut stream = rustls::StreamOwned::new(rustls::ServerConnection::new(config.clone()).unwrap(), tcp);
                let mut line = String::new();
                let Ok(_) = BufReader::new(&mut stream).read_line(&mut line) else { continue };
                let body = if line.contains("/renewal-info/") {
                    counted.fetch_add(1, SeqCst);
                    // An identifier has two parts (RFC 9773 4.1).
                    assert_eq!(
                        line.split('/').nth(2).unwrap().split(' ').next().unwrap().split('.').count(),
                        2,
                        "{line}"
                    );
                    window.to_string()
                } else {
                    directory.to_string()
                };
                let head =
                    "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nRetry-After: 21600\r\nConnection: close";
                let _ = write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        });
        (address, asked)
    }

    /// A client that trusts what this CA has signed, and no other.
    pub fn trusting(&self, alpn: &[&str]) -> Arc<ClientConfig> {
        let asked =
            tls::ask(self.management, "localhost", "/roots/0", &tls::trusting(&[&self.authority.certificate], &[]));
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(asked.unwrap().body.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
        let mut config = builder.with_root_certificates(roots).with_no_client_auth();
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        Arc::new(config)
    }
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
