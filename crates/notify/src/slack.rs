//! Slack, by an incoming webhook: blocks, and a text for where blocks are not shown.

use http::HeaderMap;
use serde_json::{Value, json};
use url::Url;

use crate::QueuedNotice;
use crate::http::NoticeClient;
use crate::notice::{Notice, cut};
use crate::sink::Delivery;
use config::notify::Secret;

/// What Slack takes in a header, a section and a field; in characters, and these are bytes.
const HEADER: usize = 150;
const SECTION: usize = 2900;
const FIELD: usize = 1900;

pub async fn send(client: &NoticeClient, url: &Secret<Url>, message: &QueuedNotice) -> Delivery {
    let url = url.reveal();
    // The path is the secret.
    client.post(url, HeaderMap::new(), body(&message.notice).to_string(), &[url.path()]).await
}

fn body(notice: &Notice) -> Value {
    let mrkdwn = |text: String| json!({ "type": "mrkdwn", "text": text });
    let facts = notice.facts();
    let fields: Vec<Value> =
        facts.iter().map(|(name, value)| mrkdwn(cut(&format!("*{name}*\n{}", escaped(value)), FIELD))).collect();
    let mut blocks = vec![
        json!({ "type": "header", "text": { "type": "plain_text", "text": cut(&notice.title(), HEADER) } }),
        json!({ "type": "section", "text": mrkdwn(cut(&escaped(&notice.text), SECTION)) }),
        json!({ "type": "section", "fields": fields }),
    ];
    let account = notice.account();
    if !account.is_empty() {
        let lines: Vec<String> = account.iter().map(|line| format!("• {}", escaped(line))).collect();
        blocks.push(json!({ "type": "section", "text": mrkdwn(cut(&lines.join("\n"), SECTION)) }));
    }
    if let Some(explain) = &notice.explain {
        blocks.push(json!({ "type": "context", "elements": [mrkdwn(format!("`{explain}`"))] }));
    }
    let text = cut(&escaped(&format!("{}: {}", notice.title(), notice.text)), SECTION);
    json!({ "text": text, "blocks": blocks })
}

/// Slack's three special letters: a name in the text must not become a link or call everybody.
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
