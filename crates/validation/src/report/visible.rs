//! Makes texts from an origin safe to show. Until then they are hostile: markup, control
//! characters that a terminal obeys, marks that reverse the direction of a line, and megabytes of it.

use std::fmt::{self, Write};

use askama::filters::Escaper;

use judgement::printable::is_obeyed;
pub use judgement::printable::visible;

/// The escaper of every template: markup becomes text, and control characters become visible.
#[derive(Clone, Copy, Debug, Default)]
pub struct HtmlEscaper;

impl Escaper for HtmlEscaper {
    fn write_escaped_str<W: Write>(&self, mut dest: W, text: &str) -> fmt::Result {
        askama::filters::Html.write_escaped_str(&mut dest, &visible(text))
    }
}

/// Visible, on one line.
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
    fn a_line_has_no_line_ends() {
        assert_eq!(line("a\nb\tc\u{9b}"), "a ↵ b c[U+009B]");
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
