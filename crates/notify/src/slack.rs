//! Slack, by an incoming webhook: blocks, and a plain text where blocks cannot be shown.

use http::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use crate::delivery::{Delivery, QueuedNotice};
use crate::http::NoticeClient;
use crate::notice::{Notice, truncated};
use config::notify::Secret;

/// Slack's limits for a header, a section and a field. Slack counts characters; these are bytes, which is stricter.
const HEADER: usize = 150;
const SECTION: usize = 2900;
const FIELD: usize = 1900;

pub async fn send(client: &NoticeClient, url: &Secret<Url>, message: &QueuedNotice) -> Delivery {
    let url = url.reveal();
    // The path is the secret part.
    client.post(url, HeaderMap::new(), body(&message.notice).to_string(), &[url.path()]).await
}

fn body(notice: &Notice) -> Value {
    let mrkdwn = |text: String| json!({ "type": "mrkdwn", "text": text });
    let facts = notice.facts();
    let fields: Vec<Value> =
        facts.iter().map(|(name, value)| mrkdwn(truncated(&format!("*{name}*\n{}", escaped(value)), FIELD))).collect();
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": truncated(&notice.title(), HEADER) } }),
        json!({ "type": "section", "text": mrkdwn(truncated(&escaped(&notice.text), SECTION)) }),
        json!({ "type": "section", "fields": fields }),
    ];
    let account = notice.account();
    if !account.is_empty() {
        let lines: Vec<String> = account.iter().map(|line| format!("• {}", escaped(line))).collect();
        blocks.push(json!({ "type": "section", "text": mrkdwn(truncated(&lines.join("\n"), SECTION)) }));
    }
    if let Some(explain) = &notice.explain {
        blocks.push(json!({ "type": "context", "elements": [mrkdwn(format!("`{explain}`"))] }));
    }
    let text = truncated(&escaped(&format!("{}: {}", notice.title(), notice.text)), SECTION);
    json!({ "text": text, "blocks": blocks })
}

/// Escapes Slack's three special characters: text from outside must not become a link or mention everybody.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_calls_nobody() {
        let notice = Notice { text: "<!channel> & co".to_owned(), ..Notice::test() };
        let body = body(&notice);
        assert_eq!(body["blocks"][1]["text"]["text"], "&lt;!channel&gt; &amp; co");
        assert_eq!(body["text"], "info: test: test: &lt;!channel&gt; &amp; co");
    }
}
