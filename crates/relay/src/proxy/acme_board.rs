//! What the workers and the client of a CA tell each other: answers to the CA's challenges, and the names that clients ask for.
//!
//! Its locks are taken for a challenge, and for a name without a certificate, never by another request.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::server::ClientHello;
use tokio::sync::mpsc;

use judgement::traffic::host::HostPattern;

/// Where a CA asks over HTTP (RFC 8555 8.3).
const PATH: &str = "/.well-known/acme-challenge/";
/// The protocol by which a CA asks over TLS (RFC 8737).
const PROTOCOL: &[u8] = b"acme-tls/1";
/// Of a token, and of an answer in a file: a CA's have less than a hundred.
const MAX_TOKEN: usize = 128;
const MAX_ANSWER: u64 = 1024;
/// Names that wait to be ordered; a client that asks for one more is not heard.
const ASKED: usize = 64;

/// The open challenges, and the names that a client may ask for.
#[derive(Debug)]
pub struct AcmeBoard {
    /// By token.
    over_http: RwLock<HashMap<String, Arc<str>>>,
    /// By name.
    over_tls: RwLock<HashMap<String, Arc<ServerConfig>>>,
    on_demand: Vec<HostPattern>,
    asked: mpsc::Sender<String>,
}

impl AcmeBoard {
    /// Also returns the names that clients ask for, of those that match `on_demand`.
    pub fn new(on_demand: Vec<HostPattern>) -> (AcmeBoard, mpsc::Receiver<String>) {
        let (asked, names) = mpsc::channel(ASKED);
        let (over_http, over_tls) = (RwLock::default(), RwLock::default());
        (AcmeBoard { over_http, over_tls, on_demand, asked }, names)
    }

    pub fn open_http(&self, token: &str, answer: &str) {
        self.over_http.write().insert(token.to_owned(), answer.into());
    }

    /// `handshake`: with the certificate that the CA wants to see.
    pub fn open_tls(&self, name: &str, handshake: Arc<ServerConfig>) {
        self.over_tls.write().insert(name.to_owned(), handshake);
    }

    /// Ends every challenge.
    pub fn close(&self) {
        self.over_http.write().clear();
        self.over_tls.write().clear();
    }

    /// The handshake of a name's open challenge.
    pub(super) fn handshake(&self, name: &str) -> Option<Arc<ServerConfig>> {
        self.over_tls.read().get(name).cloned()
    }

    /// A client has asked for a name without a certificate.
    pub(super) fn ask_for(&self, name: &str) {
        if self.on_demand.iter().any(|allowed| allowed.matches(name)) {
            // If there is no room, the client asks again.
            let _ = self.asked.try_send(name.to_owned());
        }
    }
}

/// Whether this is a CA's question, and no client's.
pub(super) fn is_challenge(hello: &ClientHello<'_>) -> bool {
    let mut offered = hello.alpn().into_iter().flatten();
    offered.next() == Some(PROTOCOL) && offered.next().is_none()
}

/// The name that a client asks for, as certificates have it.
pub(super) fn name_of(hello: &ClientHello<'_>) -> Option<String> {
    hello.server_name().map(|name| name.trim_end_matches('.').to_ascii_lowercase())
}

/// Where answers to a CA's questions over HTTP are found.
#[derive(Clone, Debug, Default)]
pub struct ChallengeAnswers {
    /// Cutover's own.
    pub board: Option<Arc<AcmeBoard>>,
    /// Those of other programs, in `.well-known/acme-challenge` below it.
    pub folder: Option<PathBuf>,
}

impl ChallengeAnswers {
    /// The token that a request asks for.
    #[inline]
    pub(super) fn token(path: &str) -> Option<&str> {
        let token = path.strip_prefix(PATH)?;
        let is_plain = token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (is_plain && (1..=MAX_TOKEN).contains(&token.len())).then_some(token)
    }

    pub(super) async fn find(&self, token: &str) -> Option<Arc<str>> {
        let own = self.board.as_ref().and_then(|board| board.over_http.read().get(token).cloned());
        if own.is_some() {
            return own;
        }
        let path = self.folder.as_ref()?.join(PATH.trim_start_matches('/')).join(token);
        // A disk may hang, and a worker may not.
        tokio::task::spawn_blocking(move || read(path)).await.ok().flatten()
    }
}

fn read(path: PathBuf) -> Option<Arc<str>> {
    let about = std::fs::metadata(&path).ok()?;
    if !about.is_file() || about.len() > MAX_ANSWER {
        return None;
    }
    std::fs::read_to_string(path).ok().map(Arc::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_plain_segment() {
        let token = ChallengeAnswers::token;
        assert_eq!(token("/.well-known/acme-challenge/aB-_9"), Some("aB-_9"));
        for path in ["", "/", "..", "a/b", "a.b", "%2e", "a?"].map(|rest| format!("{PATH}{rest}")) {
            assert_eq!(token(&path), None, "{path}");
        }
        assert_eq!(token(&format!("{PATH}{}", "a".repeat(MAX_TOKEN + 1))), None);
        assert_eq!(token("/acme-challenge/a"), None);
    }

    #[test]
    fn names_outside_the_allowed_ones_are_not_asked_for() {
        let (board, mut asked) = AcmeBoard::new(vec![HostPattern::parse("*.shops.test").unwrap()]);
        for name in ["shops.test", "evil.test", "a.shops.test.evil.test"] {
            board.ask_for(name);
        }
        board.ask_for("a.shops.test");
        assert_eq!(asked.try_recv().ok().as_deref(), Some("a.shops.test"));
        assert!(asked.try_recv().is_err());
        (0..1000).for_each(|_| board.ask_for("a.shops.test"));
        assert_eq!(asked.len(), ASKED, "bounded");
    }
}
