//! A check's request to one address, over its own connection.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::timeout;

use memory::snapshot::Endpoint;
use memory::snapshot::health_check::HttpProbe;
use relay::origin::exchange::{self, ConnectionReuse, OriginRequest, OriginResponse};
use relay::origin::{Connector, OriginError};

/// This much of a body is read and searched.
const MOST_BODY: usize = 64 << 10;
/// The user agent, so that an origin's log tells checks from clients.
const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Why there is no complete response.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// In words, as what follows the address.
    pub why: String,
    /// An origin that is still starting may fail like this; waiting changes nothing about the others.
    pub may_pass: bool,
}

/// The words with which every refusal of a certificate begins.
const BAD_CERTIFICATE: &str = "invalid peer certificate";

/// Whether an origin that is still starting may fail like this.
fn may_pass(error: &OriginError) -> bool {
    match error {
        // One that has no certificate yet ends the handshake; another one's certificate will not become its own.
        OriginError::Tls(why) => !why.contains(BAD_CERTIFICATE),
        OriginError::NoHttp2 | OriginError::Invalid(_) => false,
        _ => true,
    }
}

/// Sends the request, or says why there is no complete response in time.
pub async fn ask(
    connector: &Connector,
    endpoint: &Endpoint,
    probe: &HttpProbe,
    patience: Duration,
) -> Result<OriginResponse, NoAnswer> {
    // One request per connection: finding an old one open does not show that a new one can be opened.
    let request = request(probe);
    let asked = exchange::exchange(connector, endpoint, &request, ConnectionReuse::Own, MOST_BODY);
    match timeout(patience, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(NoAnswer { why: error.as_predicate(), may_pass: may_pass(&error) }),
        Err(_) => Err(NoAnswer { why: format!("did not respond within {}", crate::millis(patience)), may_pass: true }),
    }
}

/// Whether an address passes, or why not, in words.
pub async fn probe(
    connector: &Connector,
    endpoint: &Endpoint,
    probe: &HttpProbe,
    patience: Duration,
) -> Result<(), String> {
    let answer = ask(connector, endpoint, probe, patience).await;
    let OriginResponse { status, body, .. } = answer.map_err(|none| none.why)?;
    let asked = format!("{} {}", probe.method, probe.path);
    if !probe.takes(status) {
        return Err(format!("returned {status} for {asked}"));
    }
    match &probe.body {
        Some(wanted) if memchr::memmem::find(&body, wanted.as_bytes()).is_none() => {
            Err(format!("returned {status} for {asked}, but the body does not contain the expected text"))
        }
        _ => Ok(()),
    }
}

fn request(probe: &HttpProbe) -> OriginRequest {
    let agent = (http::header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
    // The file's headers come last: they may set another user agent.
    let named = probe.headers.iter().any(|(name, _)| *name == http::header::USER_AGENT);
    let headers = Some(agent).filter(|_| !named).into_iter().chain(probe.headers.iter().cloned()).collect();
    OriginRequest { method: probe.method.clone(), target: probe.path.clone(), headers, body: Bytes::new() }
}
