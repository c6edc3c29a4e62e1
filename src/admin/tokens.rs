//! Tokens: their format, their owners, and the one that is created if none is configured.
//!
//! A token is 256 random bits, so its SHA-256 needs no salt and no slow hash. Only hashes are configured; the one token
//! that is kept on disk is the local one, in a file that only its owner may read.

use std::fmt;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use config::admin::{AdminAccess, Role, Token};

/// A prefix by which people and secret scanners recognise a token.
pub const PREFIX: &str = "cut_";
/// 32 bytes in base64url without padding.
const LETTERS: usize = 43;
/// The name of the local token.
pub const LOCAL: &str = "local";

/// A token's text. It is shown only when explicitly requested.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenText(String);

impl fmt::Debug for TokenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenText")
    }
}

impl TokenText {
    /// # Errors
    /// The system has no random bits.
    pub fn make() -> anyhow::Result<TokenText> {
        let mut bits = [0; 32];
        getrandom::fill(&mut bits)
            .map_err(|error| anyhow::anyhow!("cannot create a token: no random numbers: {error}"))?;
        Ok(TokenText(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(bits))))
    }

    /// Reads a token's text, ignoring white space around it.
    pub fn parse(text: &str) -> Option<TokenText> {
        let text = text.trim();
        let letters = text.strip_prefix(PREFIX)?;
        let plain = letters.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        (letters.len() == LETTERS && plain).then(|| TokenText(text.to_owned()))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn sha256(&self) -> [u8; 32] {
        Sha256::digest(self.0.as_bytes()).into()
    }
}

/// In hexadecimal digits, as in the main file.
pub fn hex(digest: &[u8; 32]) -> String {
    judgement::hex::text(digest)
}

/// The owner of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenLookup {
    /// The index among the tokens.
    As(usize),
    Expired,
    Nobody,
}

/// All tokens that the API accepts.
#[derive(Clone, Debug)]
pub struct Keyring(Vec<Token>);

impl Keyring {
    pub fn new(tokens: Vec<Token>) -> Keyring {
        Keyring(tokens)
    }

    /// The owner of a token, at a time of day in seconds since 1970. It takes the same time whoever owns it, and
    /// however close a guess is.
    pub fn know(&self, text: &str, wall: u64) -> TokenLookup {
        let given: [u8; 32] = Sha256::digest(text.as_bytes()).into();
        let mut place = u32::MAX;
        for (at, token) in self.0.iter().enumerate() {
            place = u32::conditional_select(&place, &(at as u32), token.sha256.ct_eq(&given));
        }
        match self.0.get(place as usize) {
            None => TokenLookup::Nobody,
            Some(token) if token.expires.is_some_and(|end| wall >= end) => TokenLookup::Expired,
            Some(_) => TokenLookup::As(place as usize),
        }
    }

    pub fn get(&self, place: usize) -> Option<&Token> {
        self.0.get(place)
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The token created on this host.
#[derive(Clone, Debug)]
pub struct LocalToken {
    pub secret: TokenText,
    pub path: PathBuf,
    /// It is new, and must be shown.
    pub made: bool,
    /// It is in the file; otherwise only this process knows it.
    pub stored: bool,
}

/// The configured tokens, or the local one if there are none.
///
/// # Errors
/// The listener is not on loopback, or the file with the token cannot be trusted.
pub fn first_run(
    access: &AdminAccess,
    listen: SocketAddr,
    state: &Path,
) -> anyhow::Result<(Keyring, Option<LocalToken>)> {
    if !access.tokens.is_empty() {
        return Ok((Keyring::new(access.tokens.clone()), None));
    }
    if !listen.ip().is_loopback() {
        anyhow::bail!("the admin API would listen on {listen} without tokens; create one with `cutover token new`");
    }
    let path = beside(state);
    let local = match read(&path)? {
        Some(secret) => LocalToken { secret, path, made: false, stored: true },
        None => {
            let secret = TokenText::make()?;
            let stored = write(&path, &secret);
            if let Err(error) = &stored {
                // A full disk is no reason not to serve. The token is then valid until the process exits.
                tracing::error!(%error, path = %path.display(), "cannot write the token of the admin API");
            }
            LocalToken { secret, path, made: true, stored: stored.is_ok() }
        }
    };
    let token = Token { name: LOCAL.to_owned(), role: Role::Admin, sha256: local.secret.sha256(), expires: None };
    Ok((Keyring::new(vec![token]), Some(local)))
}

/// Where the local token is kept, for the command line on the same host.
pub fn beside(state: &Path) -> PathBuf {
    sidecar::journal::beside(state, ".token")
}

/// The stored token, if there is one.
///
/// # Errors
/// Others can read the file, or it contains no token.
pub fn read(path: &Path) -> anyhow::Result<Option<TokenText>> {
    let open = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK).open(path);
    let file = match open {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => anyhow::bail!("cannot read the token file {}: {error}", path.display()),
    };
    let mode = file.metadata()?.mode();
    if mode & 0o077 != 0 {
        anyhow::bail!(
            "the token file {} can be read by others (its mode is {:03o}); delete it, and the next start creates a new one",
            path.display(),
            mode & 0o777
        );
    }
    let mut text = String::new();
    file.take(256).read_to_string(&mut text)?;
    match TokenText::parse(&text) {
        Some(secret) => Ok(Some(secret)),
        None => anyhow::bail!("{} contains no token; delete it, and the next start creates one", path.display()),
    }
}

fn write(path: &Path, secret: &TokenText) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = writeln!(file, "{}", secret.text()).and_then(|()| file.sync_all());
    if written.is_err() {
        // A partial token would prevent the next start.
        let _ = std::fs::remove_file(path);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, secret: &TokenText, expires: Option<u64>) -> Token {
        Token { name: name.into(), role: Role::Viewer, sha256: secret.sha256(), expires }
    }

    #[test]
    fn a_token_is_known_by_its_hash_until_it_expires() {
        let secrets: Vec<TokenText> = (0..3).map(|_| TokenText::make().unwrap()).collect();
        let keyring = Keyring::new(vec![
            token("a", &secrets[0], None),
            token("b", &secrets[1], Some(1000)),
            token("c", &secrets[2], None),
        ]);
        let known = |text: &str, wall| keyring.know(text, wall);
        assert_eq!(known(secrets[0].text(), 0), TokenLookup::As(0));
        assert_eq!(known(secrets[2].text(), u64::MAX), TokenLookup::As(2));
        assert_eq!(
            (known(secrets[1].text(), 999), known(secrets[1].text(), 1000)),
            (TokenLookup::As(1), TokenLookup::Expired)
        );
        for text in ["", "cut_", &hex(&secrets[0].sha256()), &secrets[0].text()[..46]] {
            assert_eq!(known(text, 0), TokenLookup::Nobody);
        }
        assert_eq!(Keyring::new(vec![]).know("", 0), TokenLookup::Nobody);
        let shown = format!("{:?} {keyring:?}", secrets[0]);
        assert!(!shown.contains("cut_") && !shown.contains(&hex(&secrets[0].sha256())), "{shown}");
    }

    #[test]
    fn tokens_look_like_tokens() {
        let secret = TokenText::make().unwrap();
        assert_eq!(
            (secret.text().len(), TokenText::parse(&format!(" {}\n", secret.text()))),
            (47, Some(secret.clone()))
        );
        assert_ne!(TokenText::make().unwrap(), secret);
        for text in ["", "cut_", "cut_short", &"x".repeat(47), &format!("{}x", secret.text())] {
            assert_eq!(TokenText::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_first_run_makes_a_token_that_nobody_else_may_read() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("cutover.db");
        let here: SocketAddr = "127.0.0.1:9700".parse().unwrap();
        let run = || first_run(&AdminAccess::default(), here, &state);
        let (keyring, made) = run().unwrap();
        let made = made.unwrap();
        assert!(made.made && keyring.know(made.secret.text(), 0) == TokenLookup::As(0));
        assert_eq!(made.path, dir.path().join("cutover.db.token"));
        assert_eq!(std::fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
        let (_, again) = run().unwrap();
        assert!(again.is_some_and(|again| !again.made && again.secret == made.secret), "the same from then on");

        std::fs::set_permissions(&made.path, std::fs::Permissions::from_mode(0o640)).unwrap();
        assert!(run().unwrap_err().to_string().contains("can be read by others (its mode is 640)"));
        std::fs::remove_file(&made.path).unwrap();
        assert!(run().unwrap().1.unwrap().made);
        std::fs::write(&made.path, "nothing").unwrap();
        assert!(run().unwrap_err().to_string().contains("contains no token"));
        let away = first_run(&AdminAccess::default(), "0.0.0.0:9700".parse().unwrap(), &state);
        assert!(away.unwrap_err().to_string().contains("without tokens"));
        // If it cannot be stored, it is valid for this run.
        let nowhere = first_run(&AdminAccess::default(), here, &dir.path().join("none/cutover.db"));
        assert!(nowhere.unwrap().1.unwrap().made);
    }
}
