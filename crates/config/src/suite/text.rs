//! Texts that contain `${name}`.

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};

/// Everything except RFC 3986's unreserved characters.
pub const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Characters that a path or query cannot contain, whatever they mean there.
pub const NO_PATH: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'`');

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'t> {
    Text(&'t str),
    Name(&'t str),
}

/// The names and the text between them; `$${` stands for `${`. A `${` without an end is plain text.
pub fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut all = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(escaped) = before.strip_suffix('$') {
            all.push(Piece::Text(escaped));
            all.push(Piece::Text("${"));
            rest = after;
            continue;
        }
        let Some((name, behind)) = after.split_once('}') else { break };
        all.push(Piece::Text(before));
        all.push(Piece::Name(name));
        rest = behind;
    }
    all.push(Piece::Text(rest));
    all.retain(|piece| *piece != Piece::Text(""));
    all
}

/// A query appended to a path that may already have one: `&page=2`. `encoded` percent-encodes the pairs.
pub fn with_query<E>(
    path: String,
    query: &[(String, String)],
    encoded: impl Fn(&str) -> Result<String, E>,
) -> Result<String, E> {
    query.iter().try_fold(path, |path, (name, value)| {
        let joint = if path.contains('?') { '&' } else { '?' };
        Ok(format!("{path}{joint}{}={}", utf8_percent_encode(name, UNRESERVED), encoded(value)?))
    })
}

/// A text that is taken literally.
pub fn literal(text: &str) -> String {
    text.replace("${", "$${")
}
