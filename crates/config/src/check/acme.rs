//! `[acme]`: certificates that Cutover gets by itself.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use url::Url;

use crate::acme::{AcmeChallenge, AcmeSettings, ExternalAccount, FIRST_RETRY, LETS_ENCRYPT};
use crate::check::{notify, tls};
use crate::file::values::HostName;
use crate::file::{AcmeFile, At, EabFile, MainFile, OneOrMany, ProxyFile, TlsFile};
use crate::notify::Secret;
use crate::read::SourceFile;
use judgement::traffic::host::HostPattern;

/// Whether a listener has certificates from `[acme]`.
pub fn is_for(listener: &TlsFile, is_there: bool) -> bool {
    listener.acme.as_ref().map_or(is_there && listener.cert_file.is_none(), |at| at.value)
}

/// Checks `[acme]`, and that somebody uses it. `state`: the journal, beside which the certificates are kept.
pub fn check(source: &mut SourceFile, file: &MainFile, base: &Path, state: &Path) -> Option<AcmeSettings> {
    let default = ProxyFile::default();
    let proxy = file.proxy.as_ref().map_or(&default, |at| &at.value);
    let Some(At { value: acme, span }) = &file.acme else {
        for at in proxy.tls.iter().filter_map(|listener| listener.value.acme.as_ref()).filter(|at| at.value) {
            let hint = "add the table [acme], or name a cert_file and a key_file".to_owned();
            source.problem(at.span.clone(), "there is no [acme] to get certificates from", Some(hint));
        }
        return None;
    };
    if !proxy.tls.iter().any(|listener| is_for(&listener.value, true)) {
        let hint = "add [[proxy.tls]] with listen = \"0.0.0.0:443\", or acme = true to one that has a cert_file";
        source.missing(span.clone(), "no TLS listener takes certificates from [acme]", hint);
    }
    let directory = directory(source, acme);
    let challenges = challenges(source, acme, proxy);
    let names = acme.names.as_ref().map(|at| names(source, at));
    let on_demand = acme.on_demand.as_ref().map(|at| on_demand(source, &at.value.allow, at)).unwrap_or_default();
    let eab = acme.eab.as_ref().and_then(|at| external_account(source, at, base));
    let email = acme.email.as_ref().and_then(|at| email(source, at));
    let roots = acme.directory_ca_file.as_ref().map(|at| tls::certificates(source, at, base).unwrap_or_default());
    let directory = directory?;
    let folder = folder(state, &directory);
    Some(AcmeSettings {
        email,
        directory,
        directory_roots: roots,
        names,
        challenges,
        eab,
        on_demand,
        folder,
        first_retry: FIRST_RETRY,
    })
}

/// A folder for each CA, so that a trial with one leaves nothing for another.
fn folder(state: &Path, directory: &Url) -> PathBuf {
    let name = format!("{}{}", directory.host_str().unwrap_or_default(), directory.path());
    let port = directory.port().map(|port| format!("-{port}")).unwrap_or_default();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' };
    let name: String = name.trim_end_matches('/').chars().map(plain).collect();
    let mut beside = state.as_os_str().to_owned();
    beside.push(".acme");
    PathBuf::from(beside).join(format!("{name}{port}"))
}

fn directory(source: &mut SourceFile, acme: &AcmeFile) -> Option<Url> {
    let typed = acme.directory.as_ref();
    let problem = match Url::parse(typed.map_or(LETS_ENCRYPT, |at| at.value.trim())) {
        Ok(url) if url.scheme() != "https" => "an ACME directory has an https URL (RFC 8555 6.1)",
        Ok(url) if !url.username().is_empty() || url.password().is_some() => {
            "a user name and password in a URL are not sent"
        }
        Ok(url) => return Some(url),
        Err(_) => "invalid URL",
    };
    let hint = format!("write directory = \"{LETS_ENCRYPT}\", or leave it out");
    source.problem(typed.map_or(0..0, |at| at.span.clone()), problem, Some(hint));
    None
}

/// The ways that the file names, or those for which there are listeners.
fn challenges(source: &mut SourceFile, acme: &AcmeFile, proxy: &ProxyFile) -> Vec<AcmeChallenge> {
    let has_plain = proxy.listen.as_ref().is_some_and(|at| !at.value.0.is_empty());
    let Some(At { value: typed, span }) = &acme.challenge else {
        return match has_plain {
            true => vec![AcmeChallenge::Http, AcmeChallenge::TlsAlpn],
            false => vec![AcmeChallenge::TlsAlpn],
        };
    };
    let mut all: Vec<AcmeChallenge> = Vec::new();
    for way in typed.0.iter().map(|at| at.value.0) {
        if !all.contains(&way) {
            all.push(way);
        }
    }
    if all.contains(&AcmeChallenge::Http) && !has_plain {
        let hint = "write listen = [\"0.0.0.0:80\"] in [proxy], or challenge = \"tls-alpn-01\"".to_owned();
        source.problem(span.clone(), "\"http-01\" needs a plain listener, and there is none", Some(hint));
    }
    all
}

/// Whether a CA can give a certificate for a name without being shown a record in the DNS: it has a dot, and is no address.
pub fn is_certifiable(name: &str) -> bool {
    let labels = name.split('.');
    let is_label = |label: &str| {
        let fits = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        fits && (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-')
    };
    let is_address = name.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    name.len() <= 253 && !is_address && labels.clone().count() > 1 && { labels }.all(is_label)
}

fn names(source: &mut SourceFile, typed: &At<OneOrMany<HostName>>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for at in &typed.value.0 {
        // A single value has the place of the whole.
        let span = if at.span.is_empty() { &typed.span } else { &at.span };
        match at.value.pattern.clone() {
            HostPattern::Under(_) => {
                let message = format!("`{}` cannot be checked over HTTP or TLS", at.value.text);
                let hint = "name each host, or allow it with on_demand = { allow = [\"*.example.com\"] }, \
                            or bring the certificate with cert_file";
                source.problem(span.clone(), message, Some(hint.to_owned()));
            }
            HostPattern::Exact(name) if !is_certifiable(&name) => {
                let message = format!("`{name}` is not a name that a CA can check");
                source.problem(span.clone(), message, Some("write names = [\"shop.example.com\"]".to_owned()));
            }
            HostPattern::Exact(name) if all.contains(&name) => {}
            HostPattern::Exact(name) => all.push(name),
        }
    }
    all
}

fn on_demand(
    source: &mut SourceFile,
    allow: &Option<At<OneOrMany<HostName>>>,
    table: &At<crate::file::OnDemandFile>,
) -> Vec<HostPattern> {
    let Some(allow) = allow else {
        let hint = "write on_demand = { allow = [\"*.shops.example.com\"] }";
        source.missing(table.span.clone(), "`on_demand` does not say which names are allowed", hint);
        return Vec::new();
    };
    allow.value.0.iter().map(|at| at.value.pattern.clone()).collect()
}

fn external_account(source: &mut SourceFile, at: &At<EabFile>, base: &Path) -> Option<ExternalAccount> {
    let (Some(kid), Some(file)) = (&at.value.kid, &at.value.hmac_file) else {
        let hint = "write eab = { kid = \"...\", hmac_file = \"eab.key\" }";
        source.missing(at.span.clone(), "`eab` needs `kid` and `hmac_file`", hint);
        return None;
    };
    let text = notify::secret(source, file, &base.join(&file.value))?;
    let Ok(key) = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')) else {
        let message = format!("`{}` does not contain a key in base64url", file.value);
        let hint = "put the key (HMAC) that the CA gave out, and nothing else, in this file".to_owned();
        source.problem(file.span.clone(), message, Some(hint));
        return None;
    };
    Some(ExternalAccount { kid: kid.value.clone(), key: Secret::new(key) })
}

fn email(source: &mut SourceFile, at: &At<String>) -> Option<String> {
    let text = at.value.trim().trim_start_matches("mailto:");
    if text.parse::<lettre::Address>().is_err() {
        let hint = "write email = \"ops@example.com\"".to_owned();
        source.problem(at.span.clone(), format!("`{}` is not an email address", at.value), Some(hint));
        return None;
    }
    Some(text.to_owned())
}
