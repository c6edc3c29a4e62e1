//! `[[service.NAME.health]]`.

use std::ops::Range;

use http::{HeaderName, HeaderValue, Method};
use url::Url;

use crate::check::notify::literal;
use crate::check::{one_of, positive, store, whole};
use crate::file::{At, HealthFile, HttpFile, Number};
use crate::notify::is_forbidden;
use crate::read::SourceFile;
use judgement::rollout::RuntimeOverrides;
use judgement::time::Millis;
use judgement::traffic::Environment;
use memory::snapshot::health_check::{HealthCheck, HealthProbe, HttpProbe};
use memory::snapshot::secret_url::SecretUrl;

/// More than this of one service is a mistake.
const MOST_CHECKS: usize = 32;
/// Oftener is no check but a load.
const SHORTEST_INTERVAL: Millis = Millis(100);
const LONGEST_INTERVAL: Millis = Millis::seconds(3600);
/// A round must come to an end.
const LONGEST_TIMEOUT: Millis = Millis::seconds(60);
const MOST_RETRIES: u64 = 10;
const MOST_ROUNDS: u64 = 100;
const MOST_HEADERS: usize = 32;
/// A method that changes nothing: a check comes every few seconds.
const METHODS: [(&str, Method); 3] = [("GET", Method::GET), ("HEAD", Method::HEAD), ("OPTIONS", Method::OPTIONS)];

/// `over`: what is switched off at run time.
pub fn checks(source: &mut SourceFile, typed: &[At<HealthFile>], over: &RuntimeOverrides) -> Vec<HealthCheck> {
    let mut checks: Vec<HealthCheck> = Vec::new();
    if let Some(at) = typed.get(MOST_CHECKS) {
        source.problem(at.span.clone(), format!("a service has at most {MOST_CHECKS} health checks"), None);
    }
    for typed in typed.iter().take(MOST_CHECKS) {
        let Some(check) = check(source, typed, over) else { continue };
        if checks.iter().any(|other| other.name == check.name) {
            let span = typed.value.name.as_ref().map_or(&typed.span, |name| &name.span).clone();
            let hint = Some("give it a `name` of its own: it is shown and switched off by that".to_owned());
            source.problem(span, format!("two health checks are called `{}`", check.name), hint);
        }
        checks.push(check);
    }
    checks
}

fn check(source: &mut SourceFile, typed: &At<HealthFile>, over: &RuntimeOverrides) -> Option<HealthCheck> {
    let At { value: file, span } = typed;
    let environments = [("blue", Environment::Blue), ("green", Environment::Green)];
    let environment = file.environment.as_ref().and_then(|at| one_of(source, at, &environments));
    let interval = within(source, file.interval.as_ref(), SHORTEST_INTERVAL, LONGEST_INTERVAL);
    let timeout = within(source, file.timeout.as_ref(), Millis(1), LONGEST_TIMEOUT);
    let retries = whole(source, file.retries.as_ref(), 0..=MOST_RETRIES, 3) as u32;
    let fall = whole(source, file.fall.as_ref(), 1..=MOST_ROUNDS, 2) as u32;
    let rise = whole(source, file.rise.as_ref(), 1..=MOST_ROUNDS, 2) as u32;
    let OnDown { eject, rollback, webhook } = on_down(source, file);
    let probe = probe(source, file, span);
    let name = match &file.name {
        None => probe.as_ref().map_or("http", HealthProbe::kind).to_owned(),
        Some(at) => {
            let plain = at.value.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
            if at.value.is_empty() || at.value.len() > 64 || !plain {
                let hint = Some("letters, digits, `-`, `_` and `.`, at most 64 of them".to_owned());
                source.problem(at.span.clone(), format!("`{}` is not a name for a check", at.value), hint);
            }
            at.value.clone()
        }
    };
    let on = !over.overlay.health_off.contains(&name);
    let probe = probe?;
    Some(HealthCheck { name, environment, probe, interval, timeout, retries, fall, rise, eject, rollback, webhook, on })
}

fn probe(source: &mut SourceFile, file: &HealthFile, span: &Range<usize>) -> Option<HealthProbe> {
    let (http_at, sql_at, redis_at) = (file.http.as_ref(), file.sql.as_ref(), file.redis.as_ref());
    let asked = [http_at.map(|at| &at.span), sql_at.map(|at| &at.span), redis_at.map(|at| &at.span)];
    if let Some(second) = asked.into_iter().flatten().nth(1) {
        let hint = Some("write a [[….health]] for each".to_owned());
        source.problem(second.clone(), "a health check asks one thing: `http`, `sql` or `redis`", hint);
        return None;
    }
    match (http_at, sql_at, redis_at) {
        (Some(at), ..) => Some(HealthProbe::Http(http(source, &at.value)?)),
        (_, Some(at), _) => Some(HealthProbe::Sql(store::sql(source, at)?)),
        (.., Some(at)) => Some(HealthProbe::Redis(store::redis(source, at)?)),
        _ => {
            let hint = "write http = { path = \"/healthz\" }, sql = { url_file = \"pg.url\" } or redis = { url_file = \"redis.url\" }";
            source.missing(span.clone(), "the health check asks nothing", hint);
            None
        }
    }
}

/// A length of ten seconds, or of what is typed.
fn within(source: &mut SourceFile, typed: Option<&At<String>>, shortest: Millis, longest: Millis) -> Millis {
    let length = positive(source, typed, Millis::seconds(10));
    if let (Some(at), false) = (typed, length == Millis::ZERO || (shortest..=longest).contains(&length)) {
        source.problem(at.span.clone(), format!("{length} is not between {shortest} and {longest}"), None);
    }
    length
}

struct OnDown {
    eject: bool,
    rollback: bool,
    webhook: Option<SecretUrl>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Act {
    Eject,
    Rollback,
    Webhook,
}

fn on_down(source: &mut SourceFile, file: &HealthFile) -> OnDown {
    let webhook = file.webhook.as_ref().and_then(|at| webhook(source, at));
    let Some(list) = &file.on_down else {
        if let Some(at) = &file.webhook {
            let hint = Some("write on_down = [\"eject\", \"webhook\"]".to_owned());
            source.problem(at.span.clone(), "nobody tells this webhook: `on_down` does not name it", hint);
        }
        return OnDown { eject: true, rollback: false, webhook };
    };
    let words = [("eject", Act::Eject), ("rollback", Act::Rollback), ("webhook", Act::Webhook)];
    let chosen: Vec<(Act, &At<String>)> =
        list.0.iter().filter_map(|at| Some((one_of(source, at, &words)?, at))).collect();
    let named = chosen.iter().find(|(act, _)| *act == Act::Webhook);
    match (named, &file.webhook) {
        (Some((_, at)), None) => {
            let hint = Some("write webhook = \"https://hooks.example.com/health\"".to_owned());
            source.problem(at.span.clone(), "there is no `webhook` to tell", hint);
        }
        (None, Some(at)) => {
            let hint = Some("add \"webhook\" to `on_down`".to_owned());
            source.problem(at.span.clone(), "nobody tells this webhook: `on_down` does not name it", hint);
        }
        _ => {}
    }
    let does = |wanted| chosen.iter().any(|(act, _)| *act == wanted);
    OnDown { eject: does(Act::Eject), rollback: does(Act::Rollback), webhook }
}

/// A URL that may be told; its text is in no message, for it may be a secret.
fn webhook(source: &mut SourceFile, typed: &At<String>) -> Option<SecretUrl> {
    let problem = match Url::parse(&typed.value) {
        Ok(url) if !matches!(url.scheme(), "https" | "http") => "this is no URL of http or https".to_owned(),
        Ok(url) if literal(&url).is_some_and(is_forbidden) => "nothing is sent to link-local addresses".to_owned(),
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "a user and a password in a URL are not sent".to_owned()
        }
        Ok(_) => return Some(SecretUrl::new(typed.value.as_str())),
        Err(error) => format!("this is no URL: {error}"),
    };
    source.problem(typed.span.clone(), problem, Some("write \"https://hooks.example.com/health\"".to_owned()));
    None
}

fn http(source: &mut SourceFile, file: &HttpFile) -> Option<HttpProbe> {
    let path = file.path.as_ref().map_or("/", |at| &at.value);
    if let Some(at) = &file.path {
        let plain = path.bytes().all(|byte| byte.is_ascii_graphic()) && !path.contains('#');
        if !path.starts_with('/') || !plain || path.parse::<http::uri::PathAndQuery>().is_err() {
            let hint = Some("write a path such as \"/healthz\", with a query if need be".to_owned());
            source.problem(at.span.clone(), format!("`{path}` is not a path to ask for"), hint);
            return None;
        }
    }
    let words = METHODS.each_ref().map(|(word, method)| (*word, method));
    let method = match &file.method {
        None => Method::GET,
        Some(at) => one_of(source, at, &words)?.clone(),
    };
    if let (Some(at), true) = (&file.body, method == Method::HEAD) {
        source.problem(at.span.clone(), "an answer to HEAD has no body", Some("leave `body` out".to_owned()));
    }
    if let Some(at) = file.body.as_ref().filter(|at| at.value.is_empty()) {
        source.problem(at.span.clone(), "every body holds nothing", Some("leave `body` out".to_owned()));
    }
    Some(HttpProbe {
        method,
        path: path.to_owned(),
        headers: headers(source, file),
        status: file.status.as_ref().map(|at| status(source, at)).unwrap_or_default(),
        body: file.body.as_ref().map(|at| at.value.clone()),
    })
}

fn headers(source: &mut SourceFile, file: &HttpFile) -> Vec<(HeaderName, HeaderValue)> {
    let mut all = Vec::new();
    for (name, At { value, span }) in &file.headers {
        if file.headers.len() > MOST_HEADERS {
            source.problem(span.clone(), format!("a check sends at most {MOST_HEADERS} headers"), None);
            return all;
        }
        let parsed = HeaderName::from_bytes(name.to_ascii_lowercase().as_bytes());
        let (Ok(header), Ok(mut given)) = (parsed, HeaderValue::from_str(value)) else {
            source.problem(span.clone(), format!("`{name}` is not a header that can be sent so"), None);
            continue;
        };
        if OURS.contains(&header.as_str()) {
            let hint = Some("the host is that of the origin's url".to_owned());
            source.problem(span.clone(), format!("`{name}` is the proxy's own business"), hint);
        }
        given.set_sensitive(true);
        all.push((header, given));
    }
    all
}

/// What frames a message or belongs to one connection.
const OURS: [&str; 8] =
    ["connection", "content-length", "expect", "host", "keep-alive", "te", "transfer-encoding", "upgrade"];

fn status(source: &mut SourceFile, typed: &At<Vec<Number>>) -> Vec<u16> {
    if typed.value.is_empty() {
        let hint = Some("leave `status` out for 200 to 399".to_owned());
        source.problem(typed.span.clone(), "no status is good", hint);
    }
    let mut all = Vec::new();
    for Number(number) in &typed.value {
        if number.fract() != 0.0 || !(200.0..=599.0).contains(number) {
            source.problem(typed.span.clone(), format!("{number} is not a status from 200 to 599"), None);
        }
        all.push(*number as u16);
    }
    all
}
