//! `[[service.NAME.health]]`.

use std::collections::BTreeMap;
use std::ops::Range;

use http::{HeaderName, HeaderValue, Method};
use url::Url;

use crate::check::notify::{literal, url_in_words};
use crate::check::{PLAIN_NAME, is_plain_name, length, store, whole, word};
use crate::file::{At, HealthAction, HealthFile, HttpFile, ProbeMethod};
use crate::notify::is_forbidden;
use crate::read::SourceFile;
use judgement::rollout::RuntimeOverrides;
use judgement::time::Millis;
use memory::snapshot::health_check::{HealthCheck, HealthProbe, HttpProbe};
use memory::snapshot::secret_url::SecretUrl;

/// More checks than this in one service are a mistake.
const MOST_CHECKS: usize = 32;
const MOST_HEADERS: usize = 32;
/// What a URL for a webhook looks like.
const WEBHOOK: &str = "write \"https://hooks.example.com/health\"";

/// `over`: the checks that are switched off at run time.
pub fn checks(source: &mut SourceFile, typed: &[At<HealthFile>], over: &RuntimeOverrides) -> Vec<HealthCheck> {
    let mut checks: Vec<HealthCheck> = Vec::new();
    if let Some(at) = typed.get(MOST_CHECKS) {
        source.problem(at.span.clone(), format!("a service has at most {MOST_CHECKS} health checks"), few());
    }
    for typed in typed.iter().take(MOST_CHECKS) {
        let Some(check) = check(source, typed, over) else { continue };
        if checks.iter().any(|other| other.name == check.name) {
            let span = typed.value.name.as_ref().map_or(&typed.span, |name| &name.span).clone();
            let hint = Some("give it its own `name`: it is shown and switched off by that name".to_owned());
            source.problem(span, format!("two health checks are named `{}`", check.name), hint);
        }
        checks.push(check);
    }
    checks
}

fn check(source: &mut SourceFile, typed: &At<HealthFile>, over: &RuntimeOverrides) -> Option<HealthCheck> {
    let At { value: file, span } = typed;
    let OnDown { eject, rollback, webhook } = on_down(source, file);
    let probe = probe(source, file, span);
    let name = match &file.name {
        None => probe.as_ref().map_or("http", HealthProbe::kind).to_owned(),
        Some(at) => {
            if !is_plain_name(&at.value) {
                let message = format!("invalid name `{}` for a health check", at.value);
                source.problem(at.span.clone(), message, Some(PLAIN_NAME.to_owned()));
            }
            at.value.clone()
        }
    };
    Some(HealthCheck {
        on: !over.overlay.health_off.contains(&name),
        name,
        environment: word(&file.environment),
        probe: probe?,
        interval: length(&file.interval, Millis::seconds(10)),
        timeout: length(&file.timeout, Millis::seconds(10)),
        retries: whole(&file.retries, 3) as u32,
        fall: whole(&file.fall, 2) as u32,
        rise: whole(&file.rise, 2) as u32,
        eject,
        rollback,
        webhook,
    })
}

fn probe(source: &mut SourceFile, file: &HealthFile, span: &Range<usize>) -> Option<HealthProbe> {
    let (http_at, sql_at, redis_at) = (file.http.as_ref(), file.sql.as_ref(), file.redis.as_ref());
    let asked = [http_at.map(|at| &at.span), sql_at.map(|at| &at.span), redis_at.map(|at| &at.span)];
    if let Some(second) = asked.into_iter().flatten().nth(1) {
        let hint = Some("write one [[service.NAME.health]] for each".to_owned());
        source.problem(second.clone(), "a health check has one of `http`, `sql` and `redis`", hint);
        return None;
    }
    match (http_at, sql_at, redis_at) {
        (Some(at), ..) => Some(HealthProbe::Http(http(source, &at.value)?)),
        (_, Some(at), _) => Some(HealthProbe::Sql(store::sql(source, at)?)),
        (.., Some(at)) => Some(HealthProbe::Redis(store::redis(source, at)?)),
        _ => {
            let hint = "write http = { path = \"/healthz\" }, sql = { url_file = \"pg.url\" } or redis = { url_file = \"redis.url\" }";
            source.missing(span.clone(), "the health check has no `http`, `sql` or `redis`", hint);
            None
        }
    }
}

struct OnDown {
    eject: bool,
    rollback: bool,
    webhook: Option<SecretUrl>,
}

fn on_down(source: &mut SourceFile, file: &HealthFile) -> OnDown {
    let webhook = file.webhook.as_ref().and_then(|at| webhook(source, at));
    let Some(list) = &file.on_down else {
        if let Some(at) = &file.webhook {
            let hint = Some("write on_down = [\"eject\", \"webhook\"]".to_owned());
            source.problem(at.span.clone(), "the webhook is never called: `on_down` does not list it", hint);
        }
        return OnDown { eject: true, rollback: false, webhook };
    };
    let does = |wanted| list.0.iter().find(|at| at.value.0 == wanted);
    match (does(HealthAction::Webhook), &file.webhook) {
        (Some(at), None) => {
            let hint = Some("write webhook = \"https://hooks.example.com/health\"".to_owned());
            source.problem(at.span.clone(), "there is no `webhook` to call", hint);
        }
        (None, Some(at)) => {
            let hint = Some("add \"webhook\" to `on_down`".to_owned());
            source.problem(at.span.clone(), "the webhook is never called: `on_down` does not list it", hint);
        }
        _ => {}
    }
    let (eject, rollback) = (does(HealthAction::Eject).is_some(), does(HealthAction::Rollback).is_some());
    OnDown { eject, rollback, webhook }
}

fn webhook(source: &mut SourceFile, typed: &At<String>) -> Option<SecretUrl> {
    callable(source, &typed.span, &typed.value, WEBHOOK).map(|_| SecretUrl::new(typed.value.as_str()))
}

/// A URL that may be called; its text is `text`, at `span`. No message repeats it, because it may be a secret.
pub fn callable(source: &mut SourceFile, span: &Range<usize>, text: &str, hint: &str) -> Option<Url> {
    let problem = match Url::parse(text) {
        Ok(url) if !matches!(url.scheme(), "https" | "http") => "the URL is not http or https".to_owned(),
        Ok(url) if literal(&url).is_some_and(is_forbidden) => {
            "link-local addresses are never called: cloud platforms serve credentials there".to_owned()
        }
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "a user name and password in a URL are not sent".to_owned()
        }
        Ok(url) => return Some(url),
        Err(error) => format!("invalid URL: {}", url_in_words(error)),
    };
    source.problem(span.clone(), problem, Some(hint.to_owned()));
    None
}

fn http(source: &mut SourceFile, file: &HttpFile) -> Option<HttpProbe> {
    let path = file.path.as_ref().map_or("/", |at| &at.value);
    if let Some(at) = &file.path {
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains('#');
        if !path.starts_with('/') || !plain || path.parse::<http::uri::PathAndQuery>().is_err() {
            let hint = Some("write a path such as \"/healthz\", with a query if needed".to_owned());
            source.problem(at.span.clone(), format!("invalid path `{path}`"), hint);
            return None;
        }
    }
    let method = match word(&file.method) {
        None | Some(ProbeMethod::Get) => Method::GET,
        Some(ProbeMethod::Head) => Method::HEAD,
        Some(ProbeMethod::Options) => Method::OPTIONS,
    };
    if let (Some(at), true) = (&file.body, method == Method::HEAD) {
        source.problem(at.span.clone(), "a response to HEAD has no body", Some("remove `body`, or use GET".to_owned()));
    }
    if let Some(at) = file.body.as_ref().filter(|at| at.value.is_empty()) {
        source.problem(at.span.clone(), "`body` is empty: every response would do", Some("remove `body`".to_owned()));
    }
    Some(HttpProbe {
        method,
        path: path.to_owned(),
        headers: headers(source, &file.headers),
        status: file.status.iter().flat_map(|list| &list.0).map(|at| at.value.0 as u16).collect(),
        body: file.body.as_ref().map(|at| at.value.clone()),
    })
}

/// The headers of our own requests.
pub fn headers(source: &mut SourceFile, typed: &BTreeMap<String, At<String>>) -> Vec<(HeaderName, HeaderValue)> {
    let mut all = Vec::new();
    for (name, At { value, span }) in typed {
        if typed.len() > MOST_HEADERS {
            source.problem(span.clone(), format!("a request has at most {MOST_HEADERS} headers"), few());
            return all;
        }
        let parsed = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
        let (Ok(header), Ok(mut given)) = (parsed, HeaderValue::from_str(value)) else {
            let (place, what) = match HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes()) {
                Ok(_) => (span.clone(), format!("invalid value for the header `{name}`")),
                Err(_) => (source.key_of(span), format!("invalid header name `{name}`")),
            };
            let hint = Some("use visible ASCII; a name has letters, digits and `-`, without spaces".to_owned());
            source.problem(place, what, hint);
            continue;
        };
        if OURS.contains(&header.as_str()) {
            let hint = match header == http::header::HOST {
                true => "remove it, and use the key `host` of the service or the environment",
                false => "remove it",
            };
            let message = format!("`{name}` is set by the proxy, and cannot be set");
            source.problem(source.key_of(span), message, Some(hint.to_owned()));
        }
        given.set_sensitive(true);
        all.push((header, given));
    }
    all
}

/// The way out of too many of something.
fn few() -> Option<String> {
    Some("remove some of them".to_owned())
}

/// Headers that frame a message or belong to one connection.
const OURS: [&str; 8] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "transfer-encoding", "upgrade"];
