//! What a terminal would obey in a text of others, such as a reason or the answer of an origin, is shown instead.

use std::borrow::Cow;

use judgement::printable::visible;

/// What a terminal would obey is visible instead, except for the colours that Cutover sets itself, where it does.
pub fn shown(text: &str, colour: bool) -> Cow<'_, str> {
    if !colour {
        return visible(text);
    }
    let mut parts = text.split('\x1b');
    let mut out = visible(parts.next().unwrap_or("")).into_owned();
    for part in parts {
        out.push_str(if is_colour(part) { "\x1b" } else { "[U+001B]" });
        out.push_str(&visible(part));
    }
    Cow::Owned(out)
}

/// Whether this, after an escape, sets a colour: `[31m`.
fn is_colour(text: &str) -> bool {
    let codes = text.strip_prefix('[').and_then(|rest| rest.split_once('m'));
    codes.is_some_and(|(codes, _)| codes.bytes().all(|byte| byte.is_ascii_digit() || byte == b';'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_obeys_nothing_but_our_colours() {
        let text = "\x1b[31mred\x1b[0m \x1b]0;title\x07 \u{9b}31m \u{202e}x \x1b[2J";
        let plain = "[U+001B][31mred[U+001B][0m [U+001B]]0;title[U+0007] [U+009B]31m [U+202E]x [U+001B][2J";
        assert_eq!(shown(text, false), plain);
        let coloured = "\x1b[31mred\x1b[0m [U+001B]]0;title[U+0007] [U+009B]31m [U+202E]x [U+001B][2J";
        assert_eq!(shown(text, true), coloured);
        assert_eq!(shown("a\x1b", true), "a[U+001B]");
    }
}
