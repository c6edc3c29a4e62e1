//! Field lines that have been written already: looking at them, and changing them where they stand.
//!
//! Most heads are changed while they are copied, and never come here. What a file's edits say comes after everything else,
//! so it is done to the text.

use std::ops::Range;

use http1::encode;

use memory::snapshot::HeaderEdit;

/// Carries out edits in their order on the lines from `start` on, to the end of `out`.
pub(super) fn edit(out: &mut Vec<u8>, start: usize, edits: &[HeaderEdit]) {
    for edit in edits {
        match edit {
            HeaderEdit::Remove(name) => remove(out, start, name.as_str()),
            HeaderEdit::Set(name, value) => {
                remove(out, start, name.as_str());
                encode::field(out, name.as_str(), value.as_bytes());
            }
            HeaderEdit::Add(name, value) => encode::field(out, name.as_str(), value.as_bytes()),
        }
    }
}

/// Removes every line of this name, in any case, from `start` on.
pub(super) fn remove(out: &mut Vec<u8>, start: usize, name: &str) {
    remove_all(out, start, |own| own.eq_ignore_ascii_case(name.as_bytes()));
}

/// Removes every line whose name is one of these, from `start` on.
pub(super) fn remove_all(out: &mut Vec<u8>, start: usize, is_one: impl Fn(&[u8]) -> bool) {
    let (mut read, mut kept) = (start, start);
    while let Some(line) = out.get(read..).map(line_length).filter(|length| *length > 0) {
        let end = read + line;
        if out.get(read..end).is_some_and(|line| !is_one(name_of(line))) {
            if kept < read {
                out.copy_within(read..end, kept);
            }
            kept += line;
        }
        read = end;
    }
    out.truncate(kept);
}

/// The names and values of these lines, in their order.
pub(super) fn lines(mut fields: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    std::iter::from_fn(move || {
        let (line, rest) = fields.split_at_checked(line_length(fields)).filter(|(line, _)| !line.is_empty())?;
        fields = rest;
        let (name, value) = split(line)?;
        Some((line.get(name)?, line.get(value)?))
    })
}

/// The values of all lines of this name.
pub(super) fn values<'a>(fields: &'a [u8], name: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    lines(fields).filter(move |(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// Where the name of a line stands in it, and its value without white space around it. `None` for the blank line.
pub(super) fn split(line: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let colon = memchr::memchr(b':', line)?;
    let value = line.get(colon + 1..)?;
    let start = line.len() - value.trim_ascii_start().len();
    Some((0..colon, start..start + value.trim_ascii().len()))
}

/// Of the first line, its end included.
pub(super) fn line_length(text: &[u8]) -> usize {
    memchr::memchr(b'\n', text).map_or(text.len(), |at| at + 1)
}

fn name_of(line: &[u8]) -> &[u8] {
    memchr::memchr(b':', line).and_then(|colon| line.get(..colon)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn edited(edits: &[HeaderEdit]) -> String {
        let mut out = b"GET / HTTP/1.1\r\nHost: a\r\nX-A: 1\r\nx-b:2 \r\nX-a: 3\r\nX-Ab: 4\r\n".to_vec();
        edit(&mut out, 16, edits);
        out.escape_ascii().to_string().replace("\\r\\n", "|")
    }

    #[test]
    fn lines_are_edited_in_order() {
        let name = |text| HeaderName::from_static(text);
        let value = |text| HeaderValue::from_static(text);
        let line = "GET / HTTP/1.1|Host: a|";
        assert_eq!(edited(&[]), format!("{line}X-A: 1|x-b:2 |X-a: 3|X-Ab: 4|"));
        assert_eq!(edited(&[HeaderEdit::Remove(name("x-a"))]), format!("{line}x-b:2 |X-Ab: 4|"));
        assert_eq!(edited(&[HeaderEdit::Remove(name("x-none"))]), format!("{line}X-A: 1|x-b:2 |X-a: 3|X-Ab: 4|"));
        let set = HeaderEdit::Set(name("x-a"), value("new"));
        assert_eq!(edited(std::slice::from_ref(&set)), format!("{line}x-b:2 |X-Ab: 4|x-a: new|"));
        let add = HeaderEdit::Add(name("x-a"), value("more"));
        assert_eq!(edited(&[set.clone(), add.clone()]), format!("{line}x-b:2 |X-Ab: 4|x-a: new|x-a: more|"));
        assert_eq!(edited(&[add, set]), format!("{line}x-b:2 |X-Ab: 4|x-a: new|"));
        assert_eq!(edited(&[HeaderEdit::Remove(name("x-ab"))]), format!("{line}X-A: 1|x-b:2 |X-a: 3|"));
    }

    #[test]
    fn values_are_found_in_any_case_and_without_white_space() {
        let text = b"X-A: 1\r\nx-a:\t2 \r\nX-B:\r\n\r\n";
        assert_eq!(values(text, b"X-a").collect::<Vec<_>>(), [b"1", b"2"]);
        assert_eq!(values(text, b"x-b").collect::<Vec<_>>(), [b""]);
        assert_eq!(lines(text).count(), 3);
    }
}
