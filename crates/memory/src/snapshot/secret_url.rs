//! The URLs of databases and webhooks: nobody is shown the passwords in them.

use std::fmt;

use url::Url;

/// What stands where something is hidden.
const HIDDEN: &str = "***";

/// A URL that may hold a password. Its Debug shows nothing, and it can take itself out of other people's words.
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

    /// For whoever connects, and nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether it holds a password, in either of the places where drivers look for one.
    pub fn has_password(&self) -> bool {
        !self.passwords().is_empty()
    }

    /// A text without the URL and its password, as it is written and as it is meant.
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
        // The longer one may hold the shorter one.
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
