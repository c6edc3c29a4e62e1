//! A check's request to one address, over its own connection.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderValue;
use tokio::time::timeout;

use memory::snapshot::Endpoint;
use memory::snapshot::health_check::HttpProbe;
use relay::origin::Connector;
use relay::origin::exchange::{self, ConnectionReuse, OriginRequest, OriginResponse};

/// This much of a body is read and searched.
const MOST_BODY: usize = 64 << 10;
/// The user agent, so that an origin's log tells checks from clients.
const USER_AGENT: &str = concat!("cutover/", env!("CARGO_PKG_VERSION"), " (health check)");

/// Sends the request, or says in words why there is no complete response in time.
pub async fn ask(
    connector: &Connector,
    endpoint: &Endpoint,
    probe: &HttpProbe,
    patience: Duration,
) -> Result<OriginResponse, String> {
    // One request per connection: finding an old one open does not show that a new one can be opened.
    let request = request(probe);
    let asked = exchange::exchange(connector, endpoint, &request, ConnectionReuse::Own, MOST_BODY);
    match timeout(patience, asked).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.as_predicate()),
        Err(_) => Err(format!("did not respond within {}", crate::millis(patience))),
    }
}

/// Whether an address passes, or why not, in words.
pub async fn probe(
    connector: &Connector,
    endpoint: &Endpoint,
    probe: &HttpProbe,
    patience: Duration,
) -> Result<(), String> {
    let OriginResponse { status, body, .. } = ask(connector, endpoint, probe, patience).await?;
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
