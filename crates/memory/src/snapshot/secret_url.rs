//! The URLs of databases and webhooks, whose passwords are never shown.

use std::fmt;

use url::Url;

/// What replaces a hidden part.
const HIDDEN: &str = "***";

/// A URL that may contain a password. Its Debug output shows nothing, and it can redact itself from other messages.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretUrl")
    }
}

impl SecretUrl {
    pub fn new(url: impl Into<String>) -> SecretUrl {
        SecretUrl(url.into())
    }

    /// The URL itself, only for code that connects.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it contains a password, in either of the places where drivers look for one.
    pub fn has_password(&self) -> bool {
        !self.passwords().is_empty()
    }

    /// A text with the URL and its password removed, both as written and as decoded.
    pub fn scrub(&self, text: &str) -> String {
        let mut clean = text.replace(&self.0, HIDDEN);
        for password in self.passwords() {
            clean = clean.replace(&password, HIDDEN);
        }
        clean
    }

    fn passwords(&self) -> Vec<String> {
        let Ok(url) = Url::parse(&self.0) else { return Vec::new() };
        let mut all = Vec::new();
        if let Some(written) = url.password() {
            all.push(percent_encoding::percent_decode_str(written).decode_utf8_lossy().into_owned());
            all.push(written.to_owned());
        }
        let named = url.query_pairs().filter(|(key, _)| matches!(&**key, "password" | "pass"));
        all.extend(named.map(|(_, value)| value.into_owned()));
        all.retain(|password| !password.is_empty());
        // The longer one may contain the shorter one.
        all.sort_by_key(|password| std::cmp::Reverse(password.len()));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_the_url_nor_its_password_is_left_in_a_text() {
        let secret = SecretUrl::new("postgres://shop:p%40ss@db/shop?password=other");
        assert_eq!(format!("{secret:?}"), "SecretUrl");
        let text = "postgres://shop:p%40ss@db/shop?password=other: p@ss p%40ss other shop";
        assert_eq!(secret.scrub(text), "***: *** *** *** shop");
        assert!(secret.has_password());
        for plain in ["postgres://shop@db/shop", "redis://db", "sqlite:shop.db", "redis://:@db"] {
            assert!(!SecretUrl::new(plain).has_password(), "{plain}");
            assert_eq!(SecretUrl::new(plain).scrub("db is down"), "db is down");
        }
    }
}
