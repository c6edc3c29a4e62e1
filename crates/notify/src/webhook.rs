//! The generic webhook, signed according to Standard Webhooks: <https://www.standardwebhooks.com>.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::header::InvalidHeaderValue;
use http::{HeaderMap, HeaderValue};
use serde::Serialize;
use sha2::Sha256;
use url::Url;

use crate::delivery::{Delivery, QueuedNotice};
use crate::http::NoticeClient;
use crate::notice::Notice;
use config::notify::Secret;
use judgement::time::rfc3339;
use memory::clock;

#[derive(Serialize)]
struct Body<'a> {
    /// `cutover.rollback`
    r#type: String,
    timestamp: String,
    data: &'a Notice,
}

pub async fn send(
    client: &NoticeClient,
    url: &Secret<Url>,
    keys: &Secret<Vec<Vec<u8>>>,
    message: &QueuedNotice,
) -> Delivery {
    let notice = message.notice.as_ref();
    let body = body(notice);
    match signed(keys.reveal(), &notice.id, &body) {
        Ok(headers) => client.post(url.reveal(), headers, body, &[]).await,
        Err(error) => Delivery::Refused(error.to_string()),
    }
}

/// The headers that sign a body, for one attempt to send it. `id`: the same for every attempt.
///
/// # Errors
/// The id cannot be in a header.
pub fn signed(keys: &[Vec<u8>], id: &str, body: &str) -> Result<HeaderMap, InvalidHeaderValue> {
    // The time of this attempt, because receivers refuse old timestamps.
    let timestamp = clock::wall_millis() / 1000;
    let signatures: Vec<String> = keys.iter().filter_map(|key| signature(key, id, timestamp, body)).collect();
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("webhook-id", id),
        ("webhook-timestamp", &timestamp.to_string()),
        ("webhook-signature", &signatures.join(" ")),
    ] {
        headers.insert(name, HeaderValue::from_str(value)?);
    }
    Ok(headers)
}

fn body(notice: &Notice) -> String {
    let body = Body { r#type: format!("cutover.{}", notice.kind), timestamp: rfc3339(notice.at), data: notice };
    // Strings and finite numbers only, so this cannot fail.
    serde_json::to_string(&body).unwrap_or_default()
}

/// `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body`.
fn signature(key: &[u8], id: &str, timestamp: u64, body: &str) -> Option<String> {
    // HMAC accepts keys of any length.
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(format!("{id}.{timestamp}.{body}").as_bytes());
    Some(format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification's own libraries.
    #[test]
    fn signs_as_the_specification_does() {
        let key = BASE64_STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let body = r#"{"test": 2432232314}"#;
        let signature = signature(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body).unwrap();
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
