//! HTTP to a CA: every wait and every answer has an end, and what the CA says about waiting is heard.

use std::error::Error as StdError;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use parking_lot::Mutex;

use judgement::time::Millis;
use memory::clock;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(30);
/// Of one answer; a chain of certificates has some kilobytes.
const MOST: usize = 1 << 20;
/// Waits if a CA sends away without saying for how long.
const SENT_AWAY: Millis = Millis::seconds(3600);

/// How long the CA wants to see no order, if it said so.
pub type WantedRest = Arc<Mutex<Option<Millis>>>;

/// The way to a CA.
#[derive(Clone, Debug)]
pub struct CaClient {
    http: reqwest::Client,
    rest: WantedRest,
}

impl CaClient {
    /// `roots`: what the CA's own certificate is checked by, in DER; `None` for the system's.
    ///
    /// # Errors
    /// TLS cannot be set up.
    pub fn new(roots: Option<&[Vec<u8>]>) -> Result<CaClient, String> {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            .redirect(reqwest::redirect::Policy::none())
            .https_only(true)
            .referer(false);
        let builder = match roots {
            None => Ok(builder),
            Some(roots) => {
                let roots: Result<Vec<_>, _> = roots.iter().map(|der| reqwest::Certificate::from_der(der)).collect();
                roots.map(|roots| builder.tls_certs_only(roots))
            }
        };
        let http = builder.and_then(reqwest::ClientBuilder::build).map_err(|error| root_cause(&error))?;
        Ok(CaClient { http, rest: WantedRest::default() })
    }

    /// What the CA has said since the last look.
    pub fn take_rest(&self) -> Option<Millis> {
        self.rest.lock().take()
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let Ok(body) = body.collect().await;
        let place = parts.uri.to_string();
        let wrong = |why: String| Error::Other(format!("{place}: {why}").into());
        let asked = self.http.request(parts.method, &place).headers(parts.headers).body(body.to_bytes());
        let mut answer = asked.send().await.map_err(|error| wrong(root_cause(&error.without_url())))?;
        self.hear(answer.status(), answer.headers().get(RETRY_AFTER));
        let mut read = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| wrong(root_cause(&error.without_url())))? {
            read.extend_from_slice(&piece);
            if read.len() > MOST {
                return Err(wrong(format!("the answer is longer than {MOST} bytes")));
            }
        }
        // Whatever stands before a CA answers in HTML.
        let media = answer.headers().get(CONTENT_TYPE).and_then(|media| media.to_str().ok()).unwrap_or_default();
        if !answer.status().is_success() && !media.contains("json") {
            return Err(wrong(format!("HTTP status {}", answer.status())));
        }
        let mut response = Response::new(Full::new(Bytes::from(read)));
        *response.status_mut() = answer.status();
        *response.headers_mut() = std::mem::take(answer.headers_mut());
        Ok(BytesResponse::from(response))
    }

    fn hear(&self, status: StatusCode, wait: Option<&http::HeaderValue>) {
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            let wait = wait.and_then(|wait| wait.to_str().ok()).and_then(seconds).unwrap_or(SENT_AWAY);
            *self.rest.lock() = Some(wait);
        }
    }
}

/// What `Retry-After` says (RFC 9110 10.2.3).
fn seconds(text: &str) -> Option<Millis> {
    let text = text.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Millis::seconds(seconds));
    }
    let then = httpdate::parse_http_date(text).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    Some(Millis((then.as_millis() as u64).saturating_sub(clock::wall_millis())))
}

impl HttpClient for CaClient {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().ask(request))
    }
}

/// The last cause says what happened; those before it only say that something did.
fn root_cause(error: &dyn StdError) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
