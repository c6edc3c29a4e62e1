//! `[service.NAME.blue]` and `green`: where requests go, and how origins are reached.

use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::path::Path;

use crate::OwnListeners;
use crate::check::tls::{certificates, identity};
use crate::check::{whole, word};
use crate::file::values::{self, OriginUrl};
use crate::file::{At, EnvironmentFile, Http2Choice};
use crate::read::{SourceFile, written};
use judgement::traffic::Environment;
use memory::snapshot::{
    ClientIdentity, OriginHttp2, OriginLimit, OriginSettings, OriginTarget, OriginTimeouts, SentHost,
};

/// What an environment is checked against, besides its own table.
pub struct Place<'a> {
    pub service: &'a str,
    pub service_span: &'a Range<usize>,
    pub timeouts: OriginTimeouts,
    /// Of the service, or of its preset.
    pub host: Option<&'a SentHost>,
    /// See [`OriginSettings::service_host`].
    pub service_host: Option<&'a str>,
    /// The addresses that this process listens on.
    pub listeners: Option<&'a OwnListeners>,
}

pub fn check(
    source: &mut SourceFile,
    environment: Environment,
    typed: Option<&At<EnvironmentFile>>,
    place: &Place<'_>,
) -> Option<OriginSettings> {
    let Some(At { value: file, span }) = typed else {
        let service = place.service;
        let message = format!("service `{service}` has no {environment} environment");
        let hint = format!("add [service.{}.{environment}] with url = \"https://…\"", written(service));
        source.missing(place.service_span.clone(), message, &hint);
        return None;
    };
    let urls = urls(source, environment, file, span)?;
    for at in &urls {
        if let Some(Err(why)) = place.listeners.map(|own| own.differ_from(&at.value.target)) {
            source.problem(at.span.clone(), why, Some("name the site behind Cutover".to_owned()));
        }
    }
    let targets: Vec<OriginTarget> = urls.iter().map(|at| at.value.target.clone()).collect();
    let base = Path::new(&source.name).parent().unwrap_or(Path::new("")).to_owned();
    let authorities = file.ca_file.as_ref().map_or(Some(Vec::new()), |at| certificates(source, at, &base));
    let identity = client_identity(source, file, span, &base);
    let clear = !targets.iter().any(|target| target.tls);
    for (key, typed) in [("ca_file", &file.ca_file), ("client_cert_file", &file.client_cert_file)] {
        if let (Some(at), true) = (typed, clear) {
            let hint = Some("remove it, or write https:// in `url`".to_owned());
            source.problem(at.span.clone(), format!("`{key}` has no effect without an https origin"), hint);
        }
    }
    let (authorities, identity) = (authorities?, identity?);
    let h2 = match word(&file.h2) {
        None | Some(Http2Choice::Auto) => OriginHttp2::Auto,
        Some(Http2Choice::Only) => OriginHttp2::Only,
        Some(Http2Choice::Never) => OriginHttp2::Never,
    };
    let limit = limit(source, environment, file, place.service);
    let host = file.host.as_ref().map(|at| &at.value.0).or(place.host).cloned();
    let service_host = place.service_host.map(str::to_owned);
    let timeouts = place.timeouts;
    Some(OriginSettings { targets, timeouts, h2, host, service_host, authorities, identity, limit })
}

/// How many requests wait, if the file does not say.
const QUEUE: u64 = 100;

fn limit(
    source: &mut SourceFile,
    environment: Environment,
    file: &EnvironmentFile,
    service: &str,
) -> Option<OriginLimit> {
    if let (Some(at), None) = (&file.queue, &file.max_connections) {
        let hint = Some("add max_connections = 50, or remove it".to_owned());
        source.problem(at.span.clone(), "`queue` has no effect without `max_connections`", hint);
    }
    let connections = file.max_connections.as_ref()?.value.0 as usize;
    let queue = whole(&file.queue, QUEUE) as usize;
    Some(OriginLimit { service: service.to_owned(), environment, connections, queue })
}

fn urls<'t>(
    source: &mut SourceFile,
    environment: Environment,
    file: &'t EnvironmentFile,
    span: &Range<usize>,
) -> Option<Vec<&'t At<OriginUrl>>> {
    match (&file.url, &file.urls) {
        (Some(url), None) => Some(vec![url]),
        (None, Some(urls)) if !urls.value.is_empty() => Some(urls.value.iter().collect()),
        (Some(_), Some(urls)) => {
            let hint = "move the single `url` into `urls`".to_owned();
            source.problem(urls.span.clone(), "`url` and `urls` cannot be used together", Some(hint));
            None
        }
        _ => {
            source.missing(span.clone(), format!("{environment} has no `url`"), "write url = \"https://…\"");
            None
        }
    }
}

impl OwnListeners {
    /// # Errors
    /// Requests to the origin would arrive at one of these listeners.
    pub fn differ_from(&self, target: &OriginTarget) -> Result<(), String> {
        if let Some(own) = self.proxy.iter().find(|own| is_same(own, target)) {
            return Err(format!("this origin is Cutover's own listener {own}: requests would go round in circles"));
        }
        if is_same(&self.admin, target) {
            let admin = self.admin;
            return Err(format!(
                "this origin is Cutover's own listener {admin}, which serves the admin API and not a site"
            ));
        }
        Ok(())
    }
}

/// Whether requests to the origin arrive at the listener. Names other than localhost are not looked up.
fn is_same(listener: &SocketAddr, target: &OriginTarget) -> bool {
    if listener.port() == 0 || listener.port() != target.port {
        return false;
    }
    let same =
        |ip: IpAddr| ip == listener.ip() || listener.ip().is_unspecified() && (ip.is_loopback() || ip.is_unspecified());
    match target.host.parse::<IpAddr>() {
        Ok(ip) => same(ip.to_canonical()),
        Err(_) if target.host == "localhost" => listener.ip().is_loopback() || listener.ip().is_unspecified(),
        Err(_) => false,
    }
}

fn client_identity(
    source: &mut SourceFile,
    file: &EnvironmentFile,
    span: &Range<usize>,
    base: &Path,
) -> Option<Option<ClientIdentity>> {
    match (&file.client_cert_file, &file.client_key_file) {
        (None, None) => Some(None),
        (Some(cert), Some(key)) => identity(source, cert, key, base).map(Some),
        (Some(at), None) | (None, Some(at)) => {
            let hint = "write client_cert_file = \"us.pem\" and client_key_file = \"us.key\"";
            let key = source.key_of(&at.span);
            source.missing_in(span, key, "`client_cert_file` and `client_key_file` go together", hint);
            None
        }
    }
}

/// A URL that does not come from a file.
///
/// # Errors
/// What is wrong with it.
pub fn permalink(url: &str) -> Result<OriginTarget, String> {
    values::origin(url).map_err(|why| why.message)
}
