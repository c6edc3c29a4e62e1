//! Requests, responses and findings as the page shows them: cut to the space that is left, JSON indented.

use super::json_layout;
use super::visible::{CutText, PageBudget};
use wire::{Finding, Message};

/// Of a body that matters; the JSON report has the rest.
pub const BODY: usize = 16 << 10;
/// Of a body beside one that matters.
pub const SIDE_BODY: usize = 4 << 10;
/// Headers of one message that are shown.
const MOST_HEADERS: usize = 60;
const HEADER: usize = 1_000;
const LINE: usize = 2_000;
/// Of a value in a table.
const VALUE: usize = 2_000;
const DIFF: usize = 16 << 10;
const MOST_DIFF: usize = 400;
/// A name, as the suite or a schema gives it.
pub const NAME: usize = 300;
/// A sentence.
pub const SENTENCE: usize = 2_000;
/// Approximate bytes of markup around a row of a table or an item of a list.
pub const MARKUP: usize = 300;

/// A request or a response.
#[derive(Clone, Debug)]
pub struct ShownMessage {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// `1.2 KiB`, and what is left out.
    pub about_body: String,
}

pub fn shown_message(message: &Message, most: usize, budget: &mut PageBudget) -> ShownMessage {
    let start = super::visible::start(&message.body, most);
    let kept = start.replace("\r\n", "\n");
    // Indentation may make it a good deal longer.
    let CutText { text: body, left_out } = match json_layout::json(&kept) {
        Some(laid_out) => budget.take(&laid_out, most * 2),
        None => budget.take(&kept, most),
    };
    let is_whole =
        left_out == 0 && start.len() == message.body.len() && message.body_bytes <= message.body.len() as u64;
    let size = super::numbers::bytes(message.body_bytes);
    let about_body = match (message.body_bytes, is_whole) {
        (0, _) => "no body".to_owned(),
        (_, true) => size,
        (_, false) if body.is_empty() => format!("{size}, omitted"),
        (_, false) => format!("{size}, truncated"),
    };
    let headers = message.headers.iter().take(MOST_HEADERS).map_while(|(name, value)| {
        budget.fits(MARKUP / 4).then(|| (budget.take(name, NAME).text, budget.take(value, HEADER).text))
    });
    let headers = headers.collect();
    ShownMessage { line: budget.take(&message.line, LINE).text, headers, body, about_body }
}

/// A finding, in a row of a table.
#[derive(Clone, Debug)]
pub struct FindingRow {
    pub what: String,
    pub expected: CutText,
    pub found: CutText,
    pub diff: Vec<DiffLine>,
}

#[derive(Clone, Debug)]
pub struct DiffLine {
    /// `add`, `take`, `place` or nothing.
    pub class: &'static str,
    pub text: String,
}

/// The first `most` findings, and a note about the others.
pub fn rows(findings: &[Finding], most: usize, budget: &mut PageBudget) -> (Vec<FindingRow>, String) {
    let mut rows = Vec::new();
    for finding in findings.iter().take(most) {
        if !budget.fits(MARKUP) {
            break;
        }
        rows.push(FindingRow {
            what: budget.take(&finding.what, NAME).text,
            expected: budget.take(&finding.expected, VALUE),
            found: budget.take(&finding.found, VALUE),
            diff: finding.diff.as_ref().map_or_else(Vec::new, |diff| lines(diff, budget)),
        });
    }
    let more = more(findings.len() as u64, rows.len() as u64);
    (rows, more)
}

/// `… and 12 more.`
pub fn more(all: u64, shown: u64) -> String {
    let left = all.saturating_sub(shown);
    if left == 0 { String::new() } else { format!("… and {} more, in the JSON report.", super::numbers::count(left)) }
}

fn lines(diff: &str, budget: &mut PageBudget) -> Vec<DiffLine> {
    let shown = budget.take(diff, DIFF);
    let line = |text: &str| DiffLine {
        class: match text.as_bytes() {
            [b'+', b'+', b'+', ..] | [b'-', b'-', b'-', ..] | [b'@', b'@', ..] => "place",
            [b'+', ..] => "add",
            [b'-', ..] => "take",
            _ => "",
        },
        text: text.to_owned(),
    };
    let mut lines: Vec<DiffLine> =
        shown.text.lines().take(MOST_DIFF).take_while(|_| budget.fits(MARKUP / 10)).map(line).collect();
    let of_lines = shown.text.lines().count() > lines.len();
    let note = shown.note().or(of_lines.then(|| "The rest is in the JSON report.".to_owned()));
    lines.extend(note.map(|note| DiffLine { class: "place", text: note }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_and_says_so() {
        let mut budget = PageBudget::of(1 << 20);
        let message = |body: &str, bytes| Message { body: body.to_owned(), body_bytes: bytes, ..Message::default() };
        let mut about = |body: &str, bytes| shown_message(&message(body, bytes), 100, &mut budget).about_body;
        assert_eq!(about("", 0), "no body");
        assert_eq!(about("hello\r\n", 7), "7 B");
        assert_eq!(about("hello", 5_000), "4.88 KiB, truncated");
        assert_eq!(about(&"x".repeat(1 << 20), 1 << 20), "1 MiB, truncated");
        assert_eq!(shown_message(&message("{\"a\":1}", 7), 100, &mut budget).body, "{\n  \"a\": 1\n}");
        assert_eq!(shown_message(&message("hello", 5), 100, &mut PageBudget::of(0)).about_body, "5 B, omitted");
    }

    #[test]
    fn lines_of_a_diff_are_told_apart() {
        let classes: Vec<&str> = lines("--- expected\n+++ found\n@@ -1 +1 @@\n-a\n+b\n c", &mut PageBudget::of(1_000))
            .into_iter()
            .map(|line| line.class)
            .collect();
        assert_eq!(classes, ["place", "place", "place", "take", "add", ""]);
    }
}
