//! A house that speaks TLS and HTTP/2 to its clients, in front of what a routing file says.

use std::path::PathBuf;
use std::sync::Arc;

use config::{CertificateFiles, MainConfig, ProxyProtocol, TlsListener};
use judgement::traffic::Environment;
use memory::counters::AttemptFailure;

use super::client::get;
use super::h2::H2Origin;
use super::house::House;
use super::tls::{Authority, H2, trusting};
use super::{SOON, wait_until};

/// A service whose environments have these lines; the rest follows.
pub fn routing(blue: &str, green: &str, rest: &str) -> String {
    format!("[service.shop]\n{rest}\n[service.shop.blue]\n{blue}\n[service.shop.green]\n{green}\n")
}

/// An environment's lines.
pub fn at(origin: &H2Origin, more: &str) -> String {
    format!("url = \"{}\"\n{more}", origin.url())
}

pub const NOBODY: &str = "url = \"http://127.0.0.1:1\"";

/// A house that speaks TLS and HTTP/2 to its clients, with these files beside its routing file.
pub struct Front {
    pub house: House,
    pub clients: Arc<rustls::ClientConfig>,
}

impl Front {
    pub fn start(routing: &str, files: &[(&str, &str)]) -> Front {
        Front::with(routing, files, |_| {})
    }

    pub fn with(routing: &str, files: &[(&str, &str)], change: impl FnOnce(&mut MainConfig)) -> Front {
        let authority = Authority::new();
        let certificate = authority.sign(&["shop.test", "*.shop.test"]);
        let house = House::with("", "", |settings| {
            let dir = settings.state.parent().unwrap().to_owned();
            certificate.write(&dir, "front");
            authority.certificate.write(&dir, "front-ca");
            files.iter().for_each(|(name, text)| std::fs::write(dir.join(name), text).unwrap());
            std::fs::write(&settings.routing, routing).unwrap();
            let files = CertificateFiles { cert: dir.join("front.pem"), key: dir.join("front.key") };
            let listen = "127.0.0.1:0".parse().unwrap();
            settings.tls = vec![TlsListener {
                listen,
                proxy_protocol: ProxyProtocol::Off,
                http2: true,
                certificates: vec![files],
                acme: false,
            }];
            change(settings);
        });
        Front { house, clients: trusting(&[&authority.certificate], &["h2"]) }
    }

    pub fn tls_port(&self) -> u16 {
        self.house.running.tls_addresses[0].port()
    }

    /// Who signed the certificate that clients are shown.
    pub fn ca_file(&self) -> PathBuf {
        self.house.dir.path().join("front-ca.pem")
    }

    pub async fn client(&self) -> H2 {
        H2::connect(self.house.running.tls_addresses[0], "shop.test", &self.clients).await.unwrap()
    }

    /// One GET over HTTP/1.1 in the clear: status and body.
    pub fn get(&self) -> (u16, String) {
        let answer = get(self.house.address(), "/", &[]);
        (answer.status, answer.body)
    }

    /// Waits until so many failures are counted, all of this kind.
    #[track_caller]
    pub fn wait_for_failures(&self, side: Environment, failure: AttemptFailure, count: u64) {
        let mut wanted = [0; AttemptFailure::ALL.len()];
        wanted[failure as usize] = count;
        wait_until("the failures are counted", SOON, || self.house.seen(side).failures == wanted);
    }

    /// Writes the routing file anew, and waits until it is in force.
    pub fn route(&self, routing: &str) {
        let before = self.house.running.published.load().generation;
        std::fs::write(self.house.routing_path(), routing).unwrap();
        self.house.running.reload();
        wait_until("it is in force", SOON, || self.house.running.published.load().generation > before);
    }
}

pub fn block_on<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(SOON, work).await.expect("it ends") })
}
