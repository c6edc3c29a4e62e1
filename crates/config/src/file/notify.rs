//! `[[notify]]` as it is typed.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::file::At;

/// Where news are sent.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NotifyFile {
    /// What logs, metrics and `cutover notify test --name` call it.
    pub name: Option<At<String>>,
    /// "webhook", "slack", "pagerduty" or "email".
    pub kind: Option<At<String>>,
    /// Of a webhook, where to; of PagerDuty, another region's. Default of PagerDuty
    /// `https://events.pagerduty.com/v2/enqueue`.
    pub url: Option<At<String>>,
    /// A file with the URL, for one that is a secret, as Slack's is; relative to this file.
    pub url_file: Option<At<String>>,
    /// Of a webhook: a file with its secret, "whsec_" and base64; a line each, if there are several.
    pub secret_file: Option<At<String>>,
    /// Of PagerDuty: a file with the integration's key.
    pub routing_key_file: Option<At<String>>,
    /// Of e-mail: "smtps://mail.example.com:465", "starttls://mail.example.com:587" or, in the clear,
    /// "smtp://127.0.0.1:25".
    pub smtp: Option<At<String>>,
    /// Of e-mail: who logs in. Left out: nobody does.
    pub username: Option<At<String>>,
    /// Of e-mail: a file with the password.
    pub password_file: Option<At<String>>,
    /// Of e-mail: the sender.
    pub from: Option<At<String>>,
    /// Of e-mail: the receivers.
    pub to: Option<At<Vec<At<String>>>>,
    /// "info", "warning" (default) or "critical": this and above.
    pub level: Option<At<String>>,
    /// Left out: all.
    pub services: Option<At<Vec<At<String>>>>,
    /// Kinds of changes, as `cutover history` names them. Left out: all.
    pub kinds: Option<At<Vec<At<String>>>>,
}
