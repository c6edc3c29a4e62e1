//! PagerDuty, by its Events API v2: an incident is triggered, and resolved by the next good news of the service.

use http::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use crate::delivery::{Delivery, QueuedNotice};
use crate::http::NoticeClient;
use crate::incidents::key;
use crate::notice::truncated;
use config::notify::Secret;
use judgement::time::rfc3339;

/// PagerDuty's limit for a summary.
const SUMMARY: usize = 1024;

pub async fn send(
    client: &NoticeClient,
    url: &Secret<Url>,
    routing_key: &Secret<String>,
    message: &QueuedNotice,
) -> Delivery {
    let routing_key = routing_key.reveal();
    client.post(url.reveal(), HeaderMap::new(), event(routing_key, message).to_string(), &[routing_key]).await
}

fn event(routing_key: &str, message: &QueuedNotice) -> Value {
    let notice = message.notice.as_ref();
    let key = |kind: &str| key(&notice.service, kind);
    if let Some(kind) = message.ends {
        return json!({ "routing_key": routing_key, "event_action": "resolve", "dedup_key": key(kind) });
    }
    json!({
        "routing_key": routing_key,
        "event_action": "trigger",
        "dedup_key": key(notice.kind),
        "client": "Cutover",
        "payload": {
            "summary": truncated(&format!("{}: {}", notice.title(), notice.text), SUMMARY),
            "source": notice.service,
            "severity": notice.level_name(),
            "timestamp": rfc3339(notice.at),
            "component": notice.service,
            "class": notice.kind,
            "custom_details": notice,
        },
    })
}
