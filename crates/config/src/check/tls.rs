//! Certificates and keys: that the files exist, contain what they should, and match.

use std::path::Path;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::check::files::why_unreadable;
use crate::file::{At, MainFile};
use crate::read::SourceFile;
use memory::snapshot::ClientIdentity;

/// The certificates of a PEM file, in DER; problems are noted.
pub fn certificates(source: &mut SourceFile, typed: &At<String>, base: &Path) -> Option<Vec<Vec<u8>>> {
    let read =
        CertificateDer::pem_file_iter(base.join(&typed.value)).and_then(|all| all.collect::<Result<Vec<_>, _>>());
    let why = match read {
        Ok(all) if all.iter().any(|one| X509Certificate::from_der(one).is_err()) => {
            "it contains something that is not a certificate".to_owned()
        }
        Ok(all) if !all.is_empty() => return Some(all.into_iter().map(|one| one.to_vec()).collect()),
        Ok(_) => "it contains no certificate".to_owned(),
        Err(e) => in_words(&e),
    };
    let hint = Some("name a PEM file, with a path relative to this file".to_owned());
    source.problem(typed.span.clone(), format!("cannot use `{}`: {why}", typed.value), hint);
    None
}

/// A certificate with its chain and its private key; problems are noted.
pub fn identity(source: &mut SourceFile, cert: &At<String>, key: &At<String>, base: &Path) -> Option<ClientIdentity> {
    // A pipeline has neither, or the certificate alone.
    let is_absent = !base.join(&key.value).exists();
    let absent = format!("cannot use `{}`: there is no such file", key.value);
    if is_absent && !base.join(&cert.value).exists() && source.takes_absent_secrets() {
        source.absent_secret(key.span.clone(), absent, None);
        return None;
    }
    let chain = certificates(source, cert, base);
    let read = PrivateKeyDer::from_pem_file(base.join(&key.value)).map_err(|error| match error {
        rustls::pki_types::pem::Error::NoItemsFound => "it contains no private key".to_owned(),
        error => in_words(&error),
    });
    let read = read.and_then(|der| match ring::sign::any_supported_type(&der) {
        Ok(signing) => Ok((der, signing)),
        Err(_) => Err("it is not a private key for TLS".to_owned()),
    });
    match (chain, read) {
        (Some(chain), Ok((der, signing))) if belongs(&signing, &chain) => {
            Some(ClientIdentity { chain, key: der.secret_der().to_vec() })
        }
        (None, Ok(_)) => None,
        (_, Err(why)) => {
            let hint = Some("name a PEM file with the private key, with a path relative to this file".to_owned());
            match is_absent {
                true => source.absent_secret(key.span.clone(), absent, hint),
                false => source.problem(key.span.clone(), format!("cannot use `{}`: {why}", key.value), hint),
            }
            None
        }
        (Some(_), Ok(_)) => {
            let message = format!("`{}` is not the key of the certificate in `{}`", key.value, cert.value);
            let hint = "put the certificate first in its file, and its chain after it".to_owned();
            source.problem(key.span.clone(), message, Some(hint));
            None
        }
    }
}

fn belongs(key: &Arc<dyn SigningKey>, chain: &[Vec<u8>]) -> bool {
    let chain = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
    CertifiedKey::new(chain, key.clone()).keys_match().is_ok()
}

/// Checks the files of every TLS listener. `base`: the folder that paths are relative to.
pub fn check_files(source: &mut SourceFile, file: &MainFile, base: &Path) {
    let tls = file.proxy.iter().flat_map(|at| &at.value.tls);
    let of_listeners = tls.flat_map(|at| {
        let more = at.value.certificate.iter().map(|at| (&at.value.cert_file, &at.value.key_file));
        std::iter::once((&at.value.cert_file, &at.value.key_file)).chain(more)
    });
    let of_admin = file.admin.iter().map(|at| (&at.value.cert_file, &at.value.key_file));
    for pair in of_listeners.chain(of_admin) {
        if let (Some(cert), Some(key)) = pair {
            identity(source, cert, key, base);
        }
    }
}

/// Why a PEM file cannot be read, in words.
pub fn in_words(error: &rustls::pki_types::pem::Error) -> String {
    match error {
        rustls::pki_types::pem::Error::Io(e) => why_unreadable(e),
        rustls::pki_types::pem::Error::NoItemsFound => "it contains nothing of the kind".to_owned(),
        rustls::pki_types::pem::Error::MissingSectionEnd { .. } => "one of its sections has no END line".to_owned(),
        _ => "it is not PEM".to_owned(),
    }
}
