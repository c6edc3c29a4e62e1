//! `[[notify]]`. Secrets are read here, so that a missing or broken one is reported with the rest of the file.

use std::net::IpAddr;
use std::ops::Range;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lettre::message::Mailbox;
use url::{Host, Url};

use crate::check::files::why_unreadable;
use crate::check::{PLAIN_NAME, is_plain_name, word};
use crate::file::{At, NotifyFile, NotifyKind};
use crate::notify::{EmailChannel, NoticeProxy, NotifyChannel, Secret, Sink, SmtpSecurity, is_forbidden};
use crate::read::SourceFile;
use judgement::rollout::AnnouncementLevel;

/// Each has its own queue and task.
const MOST_SINKS: usize = 32;
/// One message goes to all of them; longer lists belong on the mail server.
const MOST_RECEIVERS: usize = 50;
/// A secret is one line, or a few.
const LARGEST_SECRET: u64 = 4096;
/// The size of a webhook's key in bytes, as Standard Webhooks defines it.
const KEY_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

const PAGERDUTY: &str = "https://events.pagerduty.com/v2/enqueue";

/// Checks every receiver. `base`: the folder that paths are relative to.
pub fn check(source: &mut SourceFile, typed: &[At<NotifyFile>], base: &Path) -> Vec<Sink> {
    if let Some(At { span, .. }) = typed.get(MOST_SINKS) {
        source.problem(
            span.clone(),
            format!("there are at most {MOST_SINKS} [[notify]]"),
            Some("remove some of them".to_owned()),
        );
    }
    let mut sinks: Vec<Sink> = Vec::new();
    let mut names: Vec<&str> = Vec::new();
    for at in typed.iter().take(MOST_SINKS) {
        if let Some(name) = &at.value.name {
            if names.contains(&name.value.as_str()) {
                let hint = Some("give each its own name: logs and metrics show it".to_owned());
                source.problem(name.span.clone(), format!("two [[notify]] are named `{}`", name.value), hint);
            }
            names.push(&name.value);
        }
        sinks.extend(sink(source, at, base));
    }
    sinks
}

fn sink(source: &mut SourceFile, typed: &At<NotifyFile>, base: &Path) -> Option<Sink> {
    let At { value: file, span } = typed;
    let name = name(source, file.name.as_ref(), span);
    let level = word(&file.level).unwrap_or(AnnouncementLevel::Warning);
    let services = file.services.as_ref().map(|list| list.0.iter().map(|at| at.value.clone()).collect());
    let kinds = file.kinds.as_ref().map(|list| list.0.iter().map(|at| at.value.0).collect());
    let mut at = Typed { source, file, span, base };
    let (door, proxy) = (at.door(), at.proxy());
    Some(Sink { name: name?, door: door?, proxy: proxy?, level, services, kinds })
}

fn name(source: &mut SourceFile, typed: Option<&At<String>>, span: &Range<usize>) -> Option<String> {
    let Some(At { value, span }) = typed else {
        source.missing(span.clone(), "this [[notify]] has no `name`", "write name = \"ops\"");
        return None;
    };
    if !is_plain_name(value) {
        source.problem(span.clone(), format!("invalid name `{value}`"), Some(PLAIN_NAME.to_owned()));
        return None;
    }
    Some(value.clone())
}

/// A receiver as it is in the file, and where its problems go.
struct Typed<'t> {
    source: &'t mut SourceFile,
    file: &'t NotifyFile,
    span: &'t Range<usize>,
    base: &'t Path,
}

impl<'t> Typed<'t> {
    fn door(&mut self) -> Option<NotifyChannel> {
        let Some(kind) = &self.file.kind else {
            let hint = "write kind = \"webhook\", \"slack\", \"pagerduty\" or \"email\"";
            self.source.missing(self.span.clone(), "this [[notify]] has no `kind`", hint);
            return None;
        };
        let kind = kind.value.0;
        self.refuse_keys_of_others(kind);
        match kind {
            NotifyKind::Webhook => self.webhook(),
            NotifyKind::Slack => self.slack(),
            NotifyKind::PagerDuty => self.pagerduty(),
            NotifyKind::Email => self.email(),
        }
    }

    fn refuse_keys_of_others(&mut self, kind: NotifyKind) {
        use NotifyKind::{Email, PagerDuty, Slack, Webhook};
        let NotifyFile { url, proxy, url_file, secret_file, routing_key_file, smtp, .. } = self.file;
        let NotifyFile { username, password_file, from, to, .. } = self.file;
        let span = |at: &Option<At<String>>| at.as_ref().map(|at| at.span.clone());
        for (key, at, kinds) in [
            ("url", span(url), &[Webhook, Slack, PagerDuty][..]),
            ("proxy", span(proxy), &[Webhook, Slack, PagerDuty]),
            ("url_file", span(url_file), &[Webhook, Slack, PagerDuty]),
            ("secret_file", span(secret_file), &[Webhook]),
            ("routing_key_file", span(routing_key_file), &[PagerDuty]),
            ("smtp", span(smtp), &[Email]),
            ("username", span(username), &[Email]),
            ("password_file", span(password_file), &[Email]),
            ("from", span(from), &[Email]),
            ("to", to.as_ref().map(|at| at.span.clone()), &[Email]),
        ] {
            if let Some(span) = at.filter(|_| !kinds.contains(&kind)) {
                let kinds: Vec<&str> = kinds.iter().map(|kind| kind.name()).collect();
                let hint = format!("remove it: it applies only to {}", kinds.join(", "));
                self.source.problem(span, format!("`{key}` has no effect with kind = \"{}\"", kind.name()), Some(hint));
            }
        }
    }

    /// The way to the receiver.
    fn proxy(&mut self) -> Option<NoticeProxy> {
        let Some(at) = &self.file.proxy else { return Some(NoticeProxy::FromEnvironment) };
        let At { value, span } = at;
        if value == "none" {
            return Some(NoticeProxy::None);
        }
        // A password in it would be in the file; the message does not repeat it.
        let problem = match Url::parse(value) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => "the proxy is not http or https",
            Ok(url) if url.host().is_none() => "the proxy's URL has no host",
            Ok(url) if url.password().is_some() && !self.source.is_from_environment(at) => {
                "the proxy's URL has a password"
            }
            Ok(url) => return Some(NoticeProxy::At(Secret::new(url))),
            Err(_) => "the proxy is not a URL",
        };
        let hint = "write proxy = \"http://proxy.example.com:3128\", proxy = \"none\", or take it from the environment: \"${PROXY_URL}\"";
        self.source.problem(span.clone(), problem, Some(hint.to_owned()));
        None
    }

    fn missing<T>(&mut self, message: &str, hint: &str) -> Option<T> {
        self.source.missing(self.span.clone(), message, hint);
        None
    }

    fn webhook(&mut self) -> Option<NotifyChannel> {
        let url = self.url(None);
        const HOW: &str = "create one: printf 'whsec_%s\\n' \"$(openssl rand -base64 32)\" > hook.secret";
        let keys = match &self.file.secret_file {
            None => self.missing(
                "the webhook has no `secret_file`: its receiver could not tell real messages from forged ones",
                HOW,
            ),
            Some(at) => self.secret(at).and_then(|text| signing_keys(self.source, &at.span, &text, HOW)),
        };
        Some(NotifyChannel::Webhook { url: url?, keys: Secret::new(keys?) })
    }

    fn slack(&mut self) -> Option<NotifyChannel> {
        let literal = self.file.url.as_ref().filter(|at| !self.source.is_from_environment(at));
        if literal.is_some() {
            let hint = "put it in a file and write url_file = \"slack.url\", or take it from the environment: \"${SLACK_URL}\"".to_owned();
            // The whole table is marked, because the line itself should not be shown.
            self.source.problem(self.span.clone(), "Slack's `url` is a secret: anyone who has it can post", Some(hint));
        }
        if literal.is_some() && self.file.url_file.is_none() {
            return None;
        }
        Some(NotifyChannel::Slack { url: self.url(None)? })
    }

    fn pagerduty(&mut self) -> Option<NotifyChannel> {
        let url = self.url(Some(PAGERDUTY));
        let routing_key = match &self.file.routing_key_file {
            None => {
                let hint =
                    "put the integration key (Events API v2) in a file and write routing_key_file = \"pagerduty.key\"";
                self.missing("PagerDuty needs a `routing_key_file`", hint)
            }
            Some(at) => self.secret(at),
        };
        Some(NotifyChannel::PagerDuty { url: url?, routing_key: Secret::new(routing_key?) })
    }

    fn url(&mut self, default: Option<&str>) -> Option<Secret<Url>> {
        let (text, span) = match (&self.file.url, &self.file.url_file, default) {
            (Some(_), Some(at), _) => {
                self.source.problem(
                    at.span.clone(),
                    "`url` and `url_file` cannot be used together",
                    Some("keep one of them".to_owned()),
                );
                return None;
            }
            (Some(at), None, _) => (at.value.clone(), at.span.clone()),
            (None, Some(at), _) => (self.secret(at)?, at.span.clone()),
            (None, None, Some(default)) => (default.to_owned(), self.span.clone()),
            (None, None, None) => {
                let hint = "write url = \"https://hooks.example.com/cutover\", or url_file = \"hook.url\"";
                return self.missing("this [[notify]] has no `url`", hint);
            }
        };
        // What PagerDuty and Slack are sent contains a credential, so it must not be sent unencrypted.
        let is_signed = self.file.secret_file.is_some();
        // The message does not repeat the text, because it may be a secret.
        let problem = match Url::parse(&text) {
            Ok(url) if !matches!(url.scheme(), "https" | "http") => "the URL is not http or https".to_owned(),
            Ok(url) if url.host().is_none() => "the URL has no host".to_owned(),
            Ok(url) if literal(&url).is_some_and(is_forbidden) => {
                "link-local addresses are never called: cloud platforms serve credentials there".to_owned()
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                "a user name and password in a URL are not sent".to_owned()
            }
            Ok(url) if url.fragment().is_some() => "a fragment (after #) is not sent".to_owned(),
            Ok(url) if url.scheme() == "http" && !is_signed && !is_local(url.host_str().unwrap_or_default()) => {
                "this would send a secret unencrypted: use https, or http to this machine only".to_owned()
            }
            Ok(url) => return Some(Secret::new(url)),
            Err(error) => format!("invalid URL: {}", url_in_words(error)),
        };
        self.source.problem(span, problem, Some("write \"https://hooks.example.com/cutover\"".to_owned()));
        None
    }

    fn email(&mut self) -> Option<NotifyChannel> {
        let server = self.smtp();
        let from = match &self.file.from {
            None => self.missing("the email has no sender", "write from = \"cutover@example.com\""),
            Some(at) => mailbox(self.source, at),
        };
        let to: Vec<Mailbox> = match &self.file.to {
            None => self.missing("the email has no recipient", "write to = [\"ops@example.com\"]").unwrap_or_default(),
            Some(At { value, span }) => {
                if value.0.is_empty() || value.0.len() > MOST_RECEIVERS {
                    let message = format!("an email has 1 to {MOST_RECEIVERS} recipients");
                    let hint =
                        Some("write to = [\"ops@example.com\"]; longer lists belong to the mail server".to_owned());
                    self.source.problem(span.clone(), message, hint);
                }
                value.0.iter().filter_map(|at| mailbox(self.source, at)).collect()
            }
        };
        let login = self.login(server.as_ref());
        let (host, port, security) = server?;
        Some(NotifyChannel::Email(EmailChannel { host, port, security, login, from: from?, to }))
    }

    fn smtp(&mut self) -> Option<(String, u16, SmtpSecurity)> {
        const WAYS: &str =
            "write \"smtps://mail.example.com:465\", \"starttls://mail.example.com:587\", or \"smtp://127.0.0.1:25\"";
        let Some(At { value, span }) = &self.file.smtp else {
            return self.missing("the email has no server", WAYS);
        };
        let kinds = [
            ("smtps", SmtpSecurity::Tls, 465),
            ("starttls", SmtpSecurity::StartTls, 587),
            ("smtp", SmtpSecurity::Clear, 25),
        ];
        let read = Url::parse(value).ok().and_then(|url| {
            let (_, security, port) = *kinds.iter().find(|(scheme, ..)| *scheme == url.scheme())?;
            let bare = matches!(url.path(), "" | "/") && url.query().is_none() && url.fragment().is_none();
            let host = url.host_str().filter(|host| bare && url.username().is_empty() && !host.is_empty())?;
            // Only in a URL does a literal address have brackets.
            let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
            Some((host, url.port().unwrap_or(port), security))
        });
        if read.is_none() {
            self.source.problem(span.clone(), "invalid mail server", Some(WAYS.to_owned()));
        }
        read
    }

    fn login(&mut self, server: Option<&(String, u16, SmtpSecurity)>) -> Option<(String, Secret<String>)> {
        let NotifyFile { username, password_file, .. } = self.file;
        match (username, password_file) {
            (None, None) => None,
            (Some(user), Some(file)) => {
                if let Some((host, _, SmtpSecurity::Clear)) = server
                    && !is_local(host)
                {
                    let hint = "write starttls:// or smtps://".to_owned();
                    self.source.problem(file.span.clone(), "this would send a password unencrypted", Some(hint));
                }
                Some((user.value.clone(), Secret::new(self.secret(file)?)))
            }
            (Some(at), None) | (None, Some(at)) => {
                let hint = Some("write both or neither".to_owned());
                self.source.problem(at.span.clone(), "`username` and `password_file` go together", hint);
                None
            }
        }
    }

    /// The contents of a file, without surrounding spaces.
    fn secret(&mut self, at: &At<String>) -> Option<String> {
        secret(self.source, at, &self.base.join(&at.value))
    }
}

/// The contents of the file that `at` names, at `path`, without surrounding spaces.
pub fn secret(source: &mut SourceFile, at: &At<String>, path: &Path) -> Option<String> {
    let read = || match std::fs::metadata(path) {
        Err(error) => Err(why_unreadable(&error)),
        Ok(about) if !about.is_file() => Err("it is not a file".to_owned()),
        Ok(about) if about.len() > LARGEST_SECRET => Err(format!("it is over {LARGEST_SECRET} bytes")),
        Ok(_) => std::fs::read_to_string(path).map_err(|error| why_unreadable(&error)),
    };
    let is_absent = !path.exists();
    let message = match read() {
        Ok(text) if text.trim().is_empty() => "it is empty".to_owned(),
        Ok(text) => return Some(text.trim().to_owned()),
        Err(why) => why,
    };
    let message = format!("cannot use `{}`: {message}", at.value);
    let hint = Some("put the secret, and nothing else, in this file".to_owned());
    match is_absent {
        true => source.absent_secret(at.span.clone(), message, hint),
        false => source.problem(at.span.clone(), message, hint),
    }
    None
}

/// The keys of a signature, from a text with a secret on each line.
pub fn signing_keys(source: &mut SourceFile, span: &Range<usize>, text: &str, hint: &str) -> Option<Vec<Vec<u8>>> {
    let keys: Option<Vec<Vec<u8>>> = text.lines().map(|line| key(line.trim())).collect();
    if keys.is_none() {
        let (least, most) = KEY_BYTES.into_inner();
        let message = format!("a webhook's secret is `whsec_` and {least} to {most} bytes in base64");
        source.problem(span.clone(), message, Some(hint.to_owned()));
    }
    keys
}

fn key(line: &str) -> Option<Vec<u8>> {
    let key = BASE64_STANDARD.decode(line.strip_prefix("whsec_")?).ok()?;
    KEY_BYTES.contains(&key.len()).then_some(key)
}

/// Why a text is no URL. Nothing of the text is in it: it may be a secret.
pub fn url_in_words(error: url::ParseError) -> &'static str {
    match error {
        url::ParseError::RelativeUrlWithoutBase => "it has no scheme",
        url::ParseError::EmptyHost => "it has no host",
        url::ParseError::InvalidPort => "its port is not a number from 1 to 65535",
        _ => "its host is not valid",
    }
}

pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(address) => Some(address.into()),
        Host::Ipv6(address) => Some(address.into()),
        Host::Domain(_) => None,
    }
}

fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn mailbox(source: &mut SourceFile, at: &At<String>) -> Option<Mailbox> {
    let read = at.value.parse().ok();
    if read.is_none() {
        let hint = "write \"ops@example.com\" or \"Ops <ops@example.com>\"".to_owned();
        source.problem(at.span.clone(), format!("invalid email address `{}`", at.value), Some(hint));
    }
    read
}
