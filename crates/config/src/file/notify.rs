//! `[[notify]]` as it is typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::values::Word;
use crate::file::{At, OneOrMany};
use judgement::rollout::{AnnouncementLevel, ChangeKind};

/// A receiver of notices.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(extend("required" = ["name", "kind"]))]
pub struct NotifyFile {
    /// The name in logs, metrics and `cutover notify test --name`. Up to 64 letters, digits, `-`, `_` and `.`.
    pub name: Option<At<String>>,
    /// The kind of receiver.
    pub kind: Option<At<Word<NotifyKind>>>,
    /// For "webhook": the URL. For "pagerduty": another region's URL instead of
    /// `https://events.pagerduty.com/v2/enqueue`. For "slack" only from the environment, because it is a secret:
    /// "${SLACK_URL}".
    pub url: Option<At<String>>,
    /// Except for "email": the HTTP proxy that leads to the receiver, such as `http://proxy.example.com:3128`, or "none".
    /// Default: what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say.
    pub proxy: Option<At<String>>,
    /// A file that contains the URL, if the URL is a secret, such as Slack's. Relative to this file.
    pub url_file: Option<At<String>>,
    /// For "webhook": a file that contains its secret, "whsec_" and base64. Several lines are several secrets. Relative
    /// to this file.
    pub secret_file: Option<At<String>>,
    /// For "pagerduty": a file that contains the integration key. Relative to this file.
    pub routing_key_file: Option<At<String>>,
    /// For "email": "smtps://mail.example.com:465", "starttls://mail.example.com:587" or, without TLS,
    /// "smtp://127.0.0.1:25".
    pub smtp: Option<At<String>>,
    /// For "email": the user name. Default: no login.
    pub username: Option<At<String>>,
    /// For "email": a file that contains the password. Relative to this file.
    pub password_file: Option<At<String>>,
    /// For "email": the sender.
    pub from: Option<At<String>>,
    /// For "email": the recipients, up to 50.
    pub to: Option<At<OneOrMany<String, true>>>,
    /// The lowest level that is sent.
    #[schemars(extend("default" = "warning"))]
    pub level: Option<At<Word<AnnouncementLevel>>>,
    /// Only changes to these services. Default: all.
    pub services: Option<OneOrMany<String>>,
    /// Only these kinds of changes, as `cutover history` names them. Default: all.
    pub kinds: Option<OneOrMany<Word<ChangeKind>>>,
}

/// The kind of a receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyKind {
    Webhook,
    Slack,
    PagerDuty,
    Email,
}

impl NotifyKind {
    pub const fn name(self) -> &'static str {
        match self {
            NotifyKind::Webhook => "webhook",
            NotifyKind::Slack => "slack",
            NotifyKind::PagerDuty => "pagerduty",
            NotifyKind::Email => "email",
        }
    }
}
