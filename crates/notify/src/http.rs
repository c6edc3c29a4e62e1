//! HTTP requests to receivers: no redirects, a timeout for every wait, and no link-local addresses.

use std::error::Error;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER};
use http::{HeaderValue, StatusCode};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::delivery::Delivery;
use config::notify::{NoticeProxy, is_forbidden};
use judgement::printable::is_obeyed;
use judgement::time::Millis;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// From the first byte sent to the last one received.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a refusing response that are logged.
const MAX_SHOWN: usize = 200;

/// Resolves names by the system, without forbidden addresses.
struct AllowedAddresses;

impl Resolve for AllowedAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let allowed = allowed(name.as_str(), 0).await?;
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// The addresses of a name, without forbidden ones.
pub async fn allowed(name: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
    let found = tokio::net::lookup_host((name, port)).await.map_err(|error| format!("{name}: {error}"))?;
    let (forbidden, allowed): (Vec<_>, Vec<_>) = found.partition(|address| is_forbidden(address.ip()));
    match (forbidden.first(), allowed.is_empty()) {
        (Some(address), true) => {
            Err(format!("{name} resolves to {}, and link-local addresses are not allowed", address.ip()))
        }
        (None, true) => Err(format!("{name} has no addresses")),
        _ => Ok(allowed),
    }
}

/// The client of one sink; sinks share no connections.
#[derive(Debug)]
pub struct NoticeClient {
    client: Result<reqwest::Client, String>,
    /// Without a proxy, for loopback addresses, which a proxy would take for its own. `None`: the same.
    direct: Option<Result<reqwest::Client, String>>,
}

impl Default for NoticeClient {
    /// By the proxies of the environment.
    fn default() -> NoticeClient {
        NoticeClient::new(&NoticeProxy::FromEnvironment)
    }
}

impl NoticeClient {
    /// If TLS cannot be set up, every attempt reports why: the proxy runs without notices too.
    pub fn new(proxy: &NoticeProxy) -> NoticeClient {
        let built = |builder: reqwest::ClientBuilder| builder.build().map_err(|error| root_cause(&error));
        match proxy {
            NoticeProxy::None => NoticeClient { client: built(base().no_proxy()), direct: None },
            NoticeProxy::FromEnvironment => {
                NoticeClient { client: built(base()), direct: Some(built(base().no_proxy())) }
            }
            NoticeProxy::At(url) => {
                let proxy = reqwest::Proxy::all(url.reveal().as_str()).map_err(|error| root_cause(&error));
                NoticeClient { client: proxy.and_then(|proxy| built(base().no_proxy().proxy(proxy))), direct: None }
            }
        }
    }

    fn for_url(&self, url: &Url) -> &Result<reqwest::Client, String> {
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        self.direct.as_ref().filter(|_| is_loopback).unwrap_or(&self.client)
    }

    /// Asks once: with GET, or with POST if there is something to send. Returns the status and the body.
    ///
    /// # Errors
    /// Why there is no whole answer, without the URL; `timed out` after `patience`. A body of more than `most` bytes is
    /// refused.
    pub async fn ask(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Option<String>,
        patience: Duration,
        most: usize,
    ) -> Result<(StatusCode, Vec<u8>), String> {
        let mut response = self.answer(url, headers, body, patience).await?;
        let mut read = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(in_words)? {
            read.extend_from_slice(&chunk);
            if read.len() > most {
                return Err(format!("its answer is longer than {most} bytes"));
            }
        }
        Ok((response.status(), read))
    }

    /// Posts something once, and returns the status. What else is answered is not read.
    ///
    /// # Errors
    /// Why there is no answer, without the URL; `timed out` after `patience`.
    pub async fn status(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: String,
        patience: Duration,
    ) -> Result<StatusCode, String> {
        Ok(self.answer(url, headers, Some(body), patience).await?.status())
    }

    async fn answer(
        &self,
        url: &Url,
        headers: HeaderMap,
        body: Option<String>,
        patience: Duration,
    ) -> Result<reqwest::Response, String> {
        let client = self.for_url(url).as_ref().map_err(String::clone)?;
        let request = match body {
            Some(body) => client.post(url.clone()).body(body),
            None => client.get(url.clone()),
        };
        request.headers(headers).timeout(patience).send().await.map_err(in_words)
    }

    /// Makes one attempt. A response that contains one of the `secrets` is not shown.
    pub async fn post(&self, url: &Url, mut headers: HeaderMap, body: String, secrets: &[&str]) -> Delivery {
        let client = match self.for_url(url) {
            Ok(client) => client,
            Err(why) => return Delivery::Refused(why.clone()),
        };
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let response = match client.post(url.clone()).headers(headers).body(body).send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => {
                return Delivery::Again { why: "timed out".to_owned(), after: None };
            }
            // The URL may be a secret.
            Err(error) => return Delivery::Again { why: root_cause(&error.without_url()), after: None },
        };
        let status = response.status();
        if status.is_success() {
            return Delivery::Taken;
        }
        let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        let after = after.map(|seconds: u32| Millis::seconds(u64::from(seconds)));
        let why = format!("receiver returned {status}{}", excerpt(response, secrets).await);
        match status {
            _ if is_temporary(status) => Delivery::Again { why, after },
            _ if status.is_redirection() => Delivery::Refused(format!("{why} (redirects are not followed)")),
            _ => Delivery::Refused(why),
        }
    }
}

/// Whether a refusal may have passed the next time.
pub fn is_temporary(status: StatusCode) -> bool {
    matches!(status, StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS)
        || status.is_server_error()
}

fn in_words(error: reqwest::Error) -> String {
    if error.is_timeout() { "timed out".to_owned() } else { root_cause(&error.without_url()) }
}

fn base() -> reqwest::ClientBuilder {
    reqwest::Client::builder()
        .user_agent(concat!("cutover/", env!("CARGO_PKG_VERSION")))
        .redirect(reqwest::redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        .dns_resolver(Arc::new(AllowedAddresses))
}

/// The beginning of a response: Slack and PagerDuty say there what was wrong.
async fn excerpt(mut response: reqwest::Response, secrets: &[&str]) -> String {
    let mut text = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await
        && text.len() < MAX_SHOWN
    {
        text.extend_from_slice(&chunk);
    }
    let text = harmless(&text, secrets);
    if text.is_empty() { text } else { format!(": {text}") }
}

/// The beginning of a text of others, on one line; empty if it contains one of the `secrets`.
pub fn harmless(text: &[u8], secrets: &[&str]) -> String {
    let text: String =
        String::from_utf8_lossy(text).chars().filter(|c| !c.is_control() && !is_obeyed(*c)).take(MAX_SHOWN).collect();
    // Compared by its first bytes: a secret that is cut off at the end must be found too.
    let shows_a_secret = secrets.iter().any(|secret| text.contains(secret.get(..8).unwrap_or(secret)));
    if shows_a_secret { String::new() } else { text }
}

/// The root cause alone: what lies between says the same again.
pub fn root_cause(error: &(dyn Error + 'static)) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    match root.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
        Some(ErrorKind::ConnectionRefused) => "connection refused".to_owned(),
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::UnexpectedEof) => {
            "connection closed by the receiver".to_owned()
        }
        Some(ErrorKind::TimedOut) => "timed out".to_owned(),
        Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => "no route to host".to_owned(),
        _ => root.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_resolves_to_metadata_is_refused() {
        for name in ["169.254.169.254", "fe80::1", "fd00:ec2::254"] {
            let refused = allowed(name, 80).await.unwrap_err();
            assert!(refused.contains("link-local"), "{refused}");
        }
        assert!(!allowed("localhost", 80).await.unwrap().is_empty());
    }
}
