//! `[admin]` and `[[admin.token]]`: who may use the API, and protection against opening it by mistake.

use std::net::SocketAddr;
use std::path::Path;

use crate::admin::{AdminAccess, Token};
use crate::check::word;
use crate::file::{AdminFile, At, TokenFile};
use crate::read::SourceFile;
use crate::{CertificateFiles, ProxyProtocol, TlsListener};

/// The longest name: people read it in every journal entry.
const LONGEST_NAME: usize = 64;
/// Names that the journal uses for actors without a token.
const TAKEN: [&str; 5] = ["file", "guard", "plan", "local", "unknown"];
/// More than people, pipelines and dashboards need. Every request is compared with all of them.
const MOST_TOKENS: usize = 100;

/// Checks who may use the API, and how. `base`: the folder that paths are relative to.
pub fn check(source: &mut SourceFile, file: &AdminFile, listen: SocketAddr, base: &Path) -> AdminAccess {
    let tokens = tokens(source, &file.token);
    let access = AdminAccess {
        tls: tls(source, file, listen, base),
        hosts: file.hosts.iter().flat_map(|list| &list.0).filter_map(|at| host(source, at)).collect(),
        insecure: file.insecure.unwrap_or(false),
        open_metrics: file.open_metrics.unwrap_or(false),
        tokens,
    };
    let Some(at) = file.listen.as_ref().filter(|_| !listen.ip().is_loopback()) else { return access };
    if file.token.is_empty() {
        let hint = "run `cutover token new`, and paste the lines that it prints".to_owned();
        let message = "outside loopback the admin listener needs tokens: anyone who reaches it could steer traffic";
        source.problem(at.span.clone(), message, Some(hint));
    }
    if file.cert_file.is_none() && file.key_file.is_none() && !access.insecure {
        let hint = "add cert_file and key_file, or insecure = true if a proxy in front of it terminates TLS";
        let message = "outside loopback the admin listener needs TLS: tokens could be read in transit";
        source.problem(at.span.clone(), message, Some(hint.to_owned()));
    }
    access
}

fn tls(source: &mut SourceFile, file: &AdminFile, listen: SocketAddr, base: &Path) -> Option<TlsListener> {
    match (&file.cert_file, &file.key_file) {
        (None, None) => None,
        (Some(cert), Some(key)) => {
            let certificates = vec![CertificateFiles { cert: base.join(&cert.value), key: base.join(&key.value) }];
            Some(TlsListener { listen, proxy_protocol: ProxyProtocol::Off, http2: false, certificates, acme: false })
        }
        (Some(at), None) | (None, Some(at)) => {
            let hint = "write cert_file = \"admin.pem\" and key_file = \"admin.key\"".to_owned();
            let key = source.key_of(&at.span);
            source.problem(key, "`cert_file` and `key_file` go together", Some(hint));
            None
        }
    }
}

fn host(source: &mut SourceFile, typed: &At<String>) -> Option<String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    if typed.value.is_empty() || !typed.value.bytes().all(plain) {
        let hint = "write a host name as in a browser's address bar: \"cutover.internal\"".to_owned();
        source.problem(typed.span.clone(), format!("invalid host {:?}", typed.value), Some(hint));
        return None;
    }
    Some(typed.value.to_ascii_lowercase())
}

fn tokens(source: &mut SourceFile, typed: &[At<TokenFile>]) -> Vec<Token> {
    if let Some(at) = typed.get(MOST_TOKENS) {
        source.problem(
            at.span.clone(),
            format!("there are at most {MOST_TOKENS} tokens"),
            Some("remove some of them".to_owned()),
        );
    }
    let mut tokens: Vec<Token> = Vec::new();
    for at in typed.iter().take(MOST_TOKENS) {
        let At { value: file, span } = at;
        let Some(token) = token(source, at) else { continue };
        if let Some(other) = tokens.iter().find(|other| other.name == token.name || other.sha256 == token.sha256) {
            let (span, what) = match other.name == token.name {
                true => {
                    (file.name.as_ref().map_or(span, |at| &at.span), format!("two tokens are named `{}`", token.name))
                }
                false => (
                    file.sha256.as_ref().map_or(span, |at| &at.span),
                    format!("this is also the token of `{}`", other.name),
                ),
            };
            let hint = "the journal identifies people by their tokens: each needs its own name and secret";
            source.problem(span.clone(), what, Some(hint.to_owned()));
        }
        tokens.push(token);
    }
    tokens
}

fn token(source: &mut SourceFile, At { value: file, span }: &At<TokenFile>) -> Option<Token> {
    let missing = |source: &mut SourceFile, key: &str| {
        source.missing(
            span.clone(),
            format!("the token has no `{key}`"),
            "paste all the lines that `cutover token new` prints",
        );
    };
    let name = match &file.name {
        Some(at) => name(source, at),
        None => {
            missing(source, "name");
            None
        }
    };
    let role = word(&file.role);
    if role.is_none() {
        missing(source, "role");
    }
    let sha256 = match &file.sha256 {
        Some(at) => digest(source, at),
        None => {
            missing(source, "sha256");
            None
        }
    };
    let expires = file.expires.as_ref().map(|at| at.value.0);
    if let Some(at) = file.expires.as_ref().filter(|at| at.value.0 <= memory::clock::wall_millis() / 1000) {
        let message = "this day is past: the token is refused";
        source.warning(at.span.clone(), message, "remove the token, or write a later day");
    }
    Some(Token { name: name?, role: role?, sha256: sha256?, expires })
}

fn name(source: &mut SourceFile, at: &At<String>) -> Option<String> {
    if let Err(hint) = token_name(&at.value) {
        source.problem(at.span.clone(), format!("invalid token name {:?}", at.value), Some(hint));
        return None;
    }
    Some(at.value.clone())
}

/// # Errors
/// The name cannot be used; the error says which can.
pub fn token_name(name: &str) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(&byte);
    let taken = TAKEN.contains(&name);
    if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) || taken {
        return Err(format!("use up to {LONGEST_NAME} letters, digits and -_.@; {} are reserved", TAKEN.join(", ")));
    }
    Ok(())
}

fn digest(source: &mut SourceFile, at: &At<String>) -> Option<[u8; 32]> {
    let text = at.value.as_str();
    let mut bytes = [0; 32];
    let digits =
        |place: usize| text.get(place * 2..place * 2 + 2).filter(|pair| pair.bytes().all(|b| b.is_ascii_hexdigit()));
    let whole = text.len() == 64
        && bytes.iter_mut().enumerate().all(|(place, byte)| {
            let read = digits(place).and_then(|pair| u8::from_str_radix(pair, 16).ok());
            read.map(|read| *byte = read).is_some()
        });
    if whole {
        return Some(bytes);
    }
    // The pasted text is not repeated, because it may be the secret.
    if text.contains("cut_") {
        source.conceal(&at.span);
        let message = "this is the token itself, which must not be in a file";
        source.problem(at.span.clone(), message, Some(PLAIN.to_owned()));
    } else {
        let hint = "write 64 hexadecimal digits, as `cutover token new` prints them".to_owned();
        source.problem(at.span.clone(), "invalid SHA-256 of a token", Some(hint));
    }
    None
}

const PLAIN: &str = "create another with `cutover token new` and paste its sha256: this one has been exposed";
