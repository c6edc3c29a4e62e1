//! Names that rules hold: valid, because they can only be created by parsing.

use std::fmt;

use crate::traffic::head::NameMask;

/// The name of a header field, in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FieldName(Box<str>);

impl FieldName {
    /// Reads a name in any case.
    ///
    /// # Errors
    /// It is not a token (RFC 9110 5.1).
    pub fn parse(text: &str) -> Result<FieldName, NotAToken> {
        is_token(text).then(|| FieldName(text.to_ascii_lowercase().into())).ok_or(NotAToken)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    #[inline]
    pub(crate) fn mask(&self) -> NameMask {
        NameMask::of(&self.0)
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A request method. Case matters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MethodName(Box<str>);

impl MethodName {
    /// Reads a method as it is sent.
    ///
    /// # Errors
    /// It is not a token (RFC 9110 9.1).
    pub fn parse(text: &str) -> Result<MethodName, NotAToken> {
        is_token(text).then(|| MethodName(text.into())).ok_or(NotAToken)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MethodName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that cannot be the name of a header, a cookie or a method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("only letters, digits and the characters ! # $ % & ' * + - . ^ _ ` | ~ are allowed")]
pub struct NotAToken;

/// RFC 9110 5.6.2.
pub fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_tokens_and_only_fields_lose_their_case() {
        assert_eq!(FieldName::parse("X-Tier").unwrap().as_str(), "x-tier");
        assert_eq!(MethodName::parse("Purge").unwrap().as_str(), "Purge");
        for text in ["", "a b", "a:", "é", "a\0", "(a)"] {
            assert_eq!(FieldName::parse(text), Err(NotAToken), "{text}");
            assert_eq!(MethodName::parse(text), Err(NotAToken), "{text}");
        }
    }
}
