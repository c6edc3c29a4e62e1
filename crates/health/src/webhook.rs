//! Calls the webhook of a check that goes down: one JSON object, with a few attempts, and nothing waits for it.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use serde::Serialize;
use tokio::time::sleep;
use url::Url;

use judgement::traffic::Environment;
use memory::shares::Shares;
use memory::snapshot::secret_url::SecretUrl;
use notify::{Delivery, NoticeClient};

/// The most calls at once of one service; further ones are dropped and logged, because their receivers are too slow.
const AT_ONCE_EACH: usize = 16;
/// The most calls at once of all services.
const AT_ONCE: usize = 256;
/// The pauses before the second and third attempts.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];

/// The body of the call.
#[derive(Clone, Debug, Serialize)]
pub struct WebhookCall {
    pub event: &'static str,
    pub service: String,
    pub environment: Environment,
    pub check: String,
    pub up: bool,
    /// It goes down and up again and again: no call follows until it has been steady for a while.
    pub flapping: bool,
    pub why: String,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// Makes the calls.
#[derive(Debug)]
pub struct WebhookCaller {
    client: Arc<NoticeClient>,
    permits: Arc<Shares>,
}

impl WebhookCaller {
    pub fn new() -> WebhookCaller {
        WebhookCaller {
            client: Arc::new(NoticeClient::default()),
            permits: Arc::new(Shares::new(AT_ONCE_EACH, AT_ONCE)),
        }
    }

    /// Starts a call.
    pub fn call(&self, to: SecretUrl, call: WebhookCall) {
        let WebhookCall { service, environment, check, .. } = &call;
        let Some(permit) = self.permits.try_acquire(service) else {
            tracing::warn!(service, %environment, check, "too many webhook calls in progress; this one is dropped");
            return;
        };
        let client = self.client.clone();
        tokio::spawn(async move {
            let WebhookCall { service, environment, check, .. } = &call;
            if let Err(why) = send(&client, &to, &call).await {
                let why = to.scrub(&why);
                tracing::warn!(service, %environment, check, why, "cannot call the webhook of a health check");
            }
            drop(permit);
        });
    }
}

async fn send(client: &NoticeClient, to: &SecretUrl, call: &WebhookCall) -> Result<(), String> {
    let url = Url::parse(to.reveal()).map_err(|error| error.to_string())?;
    let body = serde_json::to_string(call).map_err(|error| error.to_string())?;
    let mut pauses = PAUSES.iter();
    loop {
        match client.post(&url, HeaderMap::new(), body.clone(), &[]).await {
            Delivery::Taken => return Ok(()),
            Delivery::Refused(why) => return Err(why),
            Delivery::Again { why, .. } => match pauses.next() {
                Some(pause) => sleep(*pause).await,
                None => return Err(why),
            },
        }
    }
}
