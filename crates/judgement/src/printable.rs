//! Texts of people and of origins, made safe to show. Until then they may hold what a terminal obeys (C0 and C1 control
//! characters), what reverses the direction of a line, and what ends a line where nobody sees it.

use std::borrow::Cow;

/// Whether a character is obeyed instead of shown. Line ends and tabs are not: what is shown as one line replaces them
/// itself.
pub fn is_obeyed(c: char) -> bool {
    match c {
        '\n' | '\t' => false,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => true,
        // Explicit directions; right-to-left letters need none.
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}' => true,
        '\u{2028}' | '\u{2029}' => true,
        // Not characters, and not allowed in XML.
        '\u{fffe}' | '\u{ffff}' => true,
        _ => false,
    }
}

/// The text with each character that is obeyed replaced by its name: `[U+001B]` for an escape, `[U+202E]` for a mark
/// that reverses the line. Line ends and tabs stay.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_obeyed(c) {
            // Unicode has symbols for some of them, but most fonts do not.
            out.push_str(&format!("[U+{:04X}]", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// JSON with each character that is obeyed escaped: it means the same. Such characters can only be within its strings.
pub fn visible_json(json: &str) -> Cow<'_, str> {
    if !json.chars().any(is_obeyed) {
        return Cow::Borrowed(json);
    }
    let mut out = String::with_capacity(json.len() + 16);
    for c in json.chars() {
        if is_obeyed(c) {
            out.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

/// The text without them.
pub fn without_obeyed(text: &str) -> String {
    text.chars().filter(|c| !is_obeyed(*c)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_obeyed_is_seen_instead() {
        assert_eq!(visible("plain\n\tשלום"), "plain\n\tשלום");
        assert_eq!(visible("a\0b\x1b[31mc\rd\x7f"), "a[U+0000]b[U+001B][31mc[U+000D]d[U+007F]");
        assert_eq!(visible("\u{9b}31m \u{202e}gpj.exe \u{ffff}"), "[U+009B]31m [U+202E]gpj.exe [U+FFFF]");
    }

    #[test]
    fn json_means_the_same() {
        let text = "a\u{9b}31m\u{2028}\u{202e}é";
        let json = format!("{{\n\t\"why\":\"{text}\"\n}}");
        let shown = visible_json(&json);
        assert!(!shown.chars().any(is_obeyed), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["why"], text);
    }

    #[test]
    fn a_text_can_lose_them() {
        assert_eq!(without_obeyed("sale \u{9b}31m\u{202e}é\u{2028}"), "sale 31mé");
    }
}
