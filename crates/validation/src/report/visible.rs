//! Makes texts from an origin safe to show. Until then they are hostile: markup, control
//! characters that a terminal obeys, marks that reverse the direction of a line, and megabytes of it.

use std::borrow::Cow;
use std::fmt::{self, Write};

use askama::filters::Escaper;

/// The escaper of every template: markup becomes text, and control characters become visible.
#[derive(Clone, Copy, Debug, Default)]
pub struct HtmlEscaper;

impl Escaper for HtmlEscaper {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        askama::filters::Html.write_escaped_str(&mut dest, &visible(text))
    }
}

/// The text with each control character replaced by its name: `[U+001B]` for an escape, `[U+202E]` for
/// a mark that reverses the line. Line ends and tabs stay.
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

fn is_obeyed(c: char) -> bool {
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

/// The same on one line.
pub fn line(text: &str) -> String {
    visible(text).replace('\n', " ↵ ").replace('\t', " ")
}

/// The first `most` bytes, whole characters only.
pub fn start(text: &str, most: usize) -> &str {
    text.get(..text.floor_char_boundary(most)).unwrap_or(text)
}

/// A text of which the page shows as much as fits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CutText {
    pub text: String,
    /// Bytes that are not shown.
    pub left_out: u64,
}

impl CutText {
    /// The note after a text that was cut.
    pub fn note(&self) -> Option<String> {
        let left = super::numbers::bytes(self.left_out);
        (self.left_out > 0).then(|| format!("{left} more omitted."))
    }
}

/// The space that is left in a page for texts whose length an origin chooses.
#[derive(Debug)]
pub struct PageBudget(usize);

impl PageBudget {
    pub const fn of(bytes: usize) -> PageBudget {
        PageBudget(bytes)
    }

    /// As much of the text as fits, at most `most` bytes.
    pub fn take(&mut self, text: &str, most: usize) -> CutText {
        let mut kept = start(text, most);
        while self.0 < weight(kept) {
            // Markup is longer when escaped; halving ends soon for any text.
            kept = start(kept, kept.len() / 2);
        }
        self.0 -= weight(kept);
        CutText { text: kept.to_owned(), left_out: (text.len() - kept.len()) as u64 }
    }

    /// Takes this many bytes if they fit; returns whether they did.
    pub fn fits(&mut self, bytes: usize) -> bool {
        let fits = bytes <= self.0;
        self.0 -= if fits { bytes } else { 0 };
        fits
    }
}

/// The size of a text in the page.
fn weight(text: &str) -> usize {
    let of = |c: char| match c {
        '<' | '>' | '&' | '"' | '\'' => 5,
        c if is_obeyed(c) => 8,
        c => c.len_utf8(),
    };
    text.chars().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_obeyed_is_seen_instead() {
        assert_eq!(visible("plain\n\tשלום"), "plain\n\tשלום");
        assert_eq!(visible("a\0b\x1b[31mc\rd\x7f"), "a[U+0000]b[U+001B][31mc[U+000D]d[U+007F]");
        assert_eq!(visible("\u{9b}31m \u{202e}gpj.exe \u{ffff}"), "[U+009B]31m [U+202E]gpj.exe [U+FFFF]");
        assert_eq!(line("a\nb\tc"), "a ↵ b c");
    }

    #[test]
    fn the_escaper_lets_no_markup_through() {
        let mut out = String::new();
        HtmlEscaper.write_escaped_str(&mut out, "</style><script>'\"&\0").unwrap();
        assert_eq!(out, "&#60;/style&#62;&#60;script&#62;&#39;&#34;&#38;[U+0000]");
    }

    #[test]
    fn a_text_is_cut_between_characters_and_says_by_how_much() {
        assert_eq!(start("aé", 2), "a");
        let mut budget = PageBudget::of(100);
        let shown = budget.take(&"é".repeat(40), 61);
        assert_eq!((shown.text.chars().count(), shown.left_out), (30, 20));
        assert_eq!(shown.note().unwrap(), "20 B more omitted.");
        // 40 bytes are left, and a `<` weighs five.
        assert_eq!(budget.take(&"<".repeat(100), 100).text.len(), 6);
        assert!(budget.fits(10) && !budget.fits(1));
        assert_eq!(budget.take("abc", 100), CutText { text: String::new(), left_out: 3 });
    }
}
