//! `[service.NAME.blue]` and `green`: where requests go, and how an origin is spoken to.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::Uri;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::check::one_of;
use crate::file::{At, EnvironmentFile};
use crate::read::SourceFile;
use judgement::traffic::Environment;
use memory::snapshot::{ClientIdentity, OriginHttp2, OriginSettings, OriginTarget, OriginTimeouts};

pub fn check(
    source: &mut SourceFile,
    service: &str,
    environment: Environment,
    typed: Option<&At<EnvironmentFile>>,
    service_span: &Range<usize>,
    timeouts: OriginTimeouts,
) -> Option<OriginSettings> {
    let hint = "write `url = \"https://…\"`";
    let Some(At { value: file, span }) = typed else {
        let message = format!("service `{service}` has no {environment} environment");
        source.missing(service_span.clone(), message, &format!("add [service.{service}.{environment}] and {hint}"));
        return None;
    };
    let urls: Vec<&At<String>> = match (&file.url, &file.urls) {
        (Some(url), None) => vec![url],
        (None, Some(urls)) if !urls.value.is_empty() => urls.value.iter().collect(),
        (Some(_), Some(urls)) => {
            source.problem(urls.span.clone(), "an environment has `url` or `urls`, not both", None);
            return None;
        }
        _ => {
            source.missing(span.clone(), format!("{environment} has no url"), hint);
            return None;
        }
    };
    let count = urls.len();
    let targets: Vec<OriginTarget> = urls.into_iter().filter_map(|at| target(source, at)).collect();
    let whole = targets.len() == count;
    let words = [("auto", OriginHttp2::Auto), ("only", OriginHttp2::Only), ("never", OriginHttp2::Never)];
    let h2 = file.h2.as_ref().map_or(Some(OriginHttp2::Auto), |at| one_of(source, at, &words));
    let authorities = file.ca_file.as_ref().map_or(Some(Vec::new()), |at| certificates(source, at));
    let identity = identity(source, file, span);
    let clear = whole && !targets.iter().any(|target| target.tls);
    for (key, typed) in [("ca_file", &file.ca_file), ("client_cert_file", &file.client_cert_file)] {
        if let (Some(at), true) = (typed, clear) {
            source.problem(at.span.clone(), format!("a `{key}` is of no use without https"), None);
        }
    }
    let (h2, authorities, identity) = (h2?, authorities?, identity?);
    whole.then_some(OriginSettings { targets, timeouts, h2, authorities, identity })
}

/// The certificates of a PEM file, in DER; problems are noted.
fn certificates(source: &mut SourceFile, typed: &At<String>) -> Option<Vec<Vec<u8>>> {
    let path = beside(source, &typed.value);
    let read = CertificateDer::pem_file_iter(path).and_then(|all| all.collect::<Result<Vec<_>, _>>());
    let why = match read {
        Ok(all) if all.iter().any(|one| X509Certificate::from_der(one).is_err()) => {
            "it holds what is no certificate".to_owned()
        }
        Ok(all) if !all.is_empty() => return Some(all.into_iter().map(|one| one.to_vec()).collect()),
        Ok(_) => "there is no certificate in it".to_owned(),
        Err(e) => in_words(&e),
    };
    let hint = Some("name a PEM file, relative to this one".to_owned());
    source.problem(typed.span.clone(), format!("`{}` cannot be used: {why}", typed.value), hint);
    None
}

fn identity(source: &mut SourceFile, file: &EnvironmentFile, span: &Range<usize>) -> Option<Option<ClientIdentity>> {
    let (cert, key) = match (&file.client_cert_file, &file.client_key_file) {
        (None, None) => return Some(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => {
            let hint = "write client_cert_file = \"us.pem\" and client_key_file = \"us.key\"";
            source.missing(span.clone(), "a client certificate has a file and a key file", hint);
            return None;
        }
    };
    let chain = certificates(source, cert);
    let read = PrivateKeyDer::from_pem_file(beside(source, &key.value)).map_err(|e| in_words(&e));
    let read = read.and_then(|der| match ring::sign::any_supported_type(&der) {
        Ok(signing) => Ok((der, signing)),
        Err(_) => Err("it is not a key for TLS".to_owned()),
    });
    match (chain, read) {
        (Some(chain), Ok((der, signing))) if belongs(&signing, &chain) => {
            Some(Some(ClientIdentity { chain, key: der.secret_der().to_vec() }))
        }
        (None, Ok(_)) => None,
        (_, Err(why)) => {
            source.problem(key.span.clone(), format!("`{}` cannot be used: {why}", key.value), None);
            None
        }
        (Some(_), Ok(_)) => {
            let message = format!("`{}` is not the key of the certificate in `{}`", key.value, cert.value);
            source.problem(
                key.span.clone(),
                message,
                Some("the certificate itself comes first in its file".to_owned()),
            );
            None
        }
    }
}

fn belongs(key: &Arc<dyn SigningKey>, chain: &[Vec<u8>]) -> bool {
    let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    CertifiedKey::new(chain, key.clone()).keys_match().is_ok()
}

/// A path that is relative to the file it stands in.
pub(super) fn beside(source: &SourceFile, path: &str) -> PathBuf {
    Path::new(&source.name).parent().unwrap_or(Path::new("")).join(path)
}

/// A URL that comes from elsewhere than a file.
///
/// # Errors
/// What is wrong with it.
pub fn permalink(url: &str) -> Result<OriginTarget, String> {
    let mut source = SourceFile::new("", url);
    let target = target(&mut source, &At { value: url.to_owned(), span: 0..0 });
    let why = || source.problems.iter().map(|problem| problem.message.clone()).collect::<Vec<_>>().join("; ");
    target.ok_or_else(why)
}

/// Why a PEM file cannot be read, in words.
pub fn in_words(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(e) => format!("cannot read it: {e}"),
        rustls::pki_types::pem::Error::NoItemsFound => "there is nothing of the kind in it".to_owned(),
        rustls::pki_types::pem::Error::MissingSectionEnd { .. } => "a section of it has no end".to_owned(),
        _ => "it is not PEM".to_owned(),
    }
}

fn target(source: &mut SourceFile, typed: &At<String>) -> Option<OriginTarget> {
    let At { value: text, span } = typed;
    let mut refuse = |why: &str| {
        let hint = "write \"https://next--shop.netlify.app\", with a base path if need be".to_owned();
        source.problem(span.clone(), format!("`{text}` is not an origin: {why}"), Some(hint));
        None
    };
    let Ok(uri) = text.parse::<Uri>() else { return refuse("it is not a URL") };
    let tls = match uri.scheme_str() {
        Some("https") => true,
        Some("http") => false,
        Some(_) => return refuse("its scheme is not http or https"),
        None => return refuse("it does not begin with http:// or https://"),
    };
    if uri.query().is_some() || text.contains('#') {
        return refuse("it has a query or a fragment");
    }
    let Some(authority) = uri.authority() else { return refuse("it has no host") };
    if authority.as_str().contains('@') {
        return refuse("it has a user name or password");
    }
    let host = authority.host().trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host.contains('*') {
        return refuse("it has no host");
    }
    let default_port = if tls { 443 } else { 80 };
    let names_a_port = authority.as_str().len() > authority.host().len();
    let port = match authority.port_u16() {
        Some(0) => return refuse("its port is not a number from 1 to 65535"),
        None if names_a_port => return refuse("its port is not a number from 1 to 65535"),
        port => port.unwrap_or(default_port),
    };
    let base_path = uri.path().trim_end_matches('/').to_owned();
    let authority =
        if port == default_port { authority.host().to_owned() } else { format!("{}:{port}", authority.host()) };
    Some(OriginTarget { tls, host: host.to_ascii_lowercase(), port, authority, base_path })
}
