//! Requests, responses and findings as the page shows them: cut to what there is room for, JSON laid out.

use super::json_layout;
use super::visible::{CutText, PageBudget};
use wire::{Finding, Message};

/// Of a body that matters: more than a screen or two is read in the JSON report.
pub const BODY: usize = 16 << 10;
/// Of a body that stands beside one that matters.
pub const SIDE_BODY: usize = 4 << 10;
/// Origins that send more headers are wrong, but their report must be read too.
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
/// What the page writes around a row of a table or an item of a list, in bytes, about: many small things are long too.
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

pub fn told(message: &Message, most: usize, room: &mut PageBudget) -> ShownMessage {
    let start = super::visible::start(&message.body, most);
    let kept = start.replace("\r\n", "\n");
    // Spaces in front of its lines may make it a good deal longer.
    let CutText { text: body, left_out } = match json_layout::json(&kept) {
        Some(laid_out) => room.take(&laid_out, most * 2),
        None => room.take(&kept, most),
    };
    let is_whole =
        left_out == 0 && start.len() == message.body.len() && message.body_bytes <= message.body.len() as u64;
    let size = super::numbers::bytes(message.body_bytes);
    let about_body = match (message.body_bytes, is_whole) {
        (0, _) => "no body".to_owned(),
        (_, true) => size,
        (_, false) if body.is_empty() => format!("{size}, left out here"),
        (_, false) => format!("{size}, of which this is the beginning"),
    };
    let headers = message.headers.iter().take(MOST_HEADERS).map_while(|(name, value)| {
        room.fits(MARKUP / 4).then(|| (room.take(name, NAME).text, room.take(value, HEADER).text))
    });
    let headers = headers.collect();
    ShownMessage { line: room.take(&message.line, LINE).text, headers, body, about_body }
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

/// The first `most` findings, and a sentence for the others.
pub fn rows(findings: &[Finding], most: usize, room: &mut PageBudget) -> (Vec<FindingRow>, String) {
    let mut rows = Vec::new();
    for finding in findings.iter().take(most) {
        if !room.fits(MARKUP) {
            break;
        }
        rows.push(FindingRow {
            what: room.take(&finding.what, NAME).text,
            expected: room.take(&finding.expected, VALUE),
            found: room.take(&finding.found, VALUE),
            diff: finding.diff.as_ref().map_or_else(Vec::new, |diff| lines(diff, room)),
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

fn lines(diff: &str, room: &mut PageBudget) -> Vec<DiffLine> {
    let shown = room.take(diff, DIFF);
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
        shown.text.lines().take(MOST_DIFF).take_while(|_| room.fits(MARKUP / 10)).map(line).collect();
    let of_lines = shown.text.lines().count() > lines.len();
    let note = shown.note().or(of_lines.then(|| "More of it is in the JSON report.".to_owned()));
    lines.extend(note.map(|note| DiffLine { class: "place", text: note }));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_cut_and_says_so() {
        let mut room = PageBudget::of(1 << 20);
        let message = |body: &str, bytes| Message { body: body.to_owned(), body_bytes: bytes, ..Message::default() };
        let mut about = |body: &str, bytes| told(&message(body, bytes), 100, &mut room).about_body;
        assert_eq!(about("", 0), "no body");
        assert_eq!(about("hello\r\n", 7), "7 B");
        assert_eq!(about("hello", 5_000), "4.88 KiB, of which this is the beginning");
        assert_eq!(about(&"x".repeat(1 << 20), 1 << 20), "1 MiB, of which this is the beginning");
        assert_eq!(told(&message("{\"a\":1}", 7), 100, &mut room).body, "{\n  \"a\": 1\n}");
        assert_eq!(told(&message("hello", 5), 100, &mut PageBudget::of(0)).about_body, "5 B, left out here");
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
