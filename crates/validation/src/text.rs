//! Texts cut to a length.

/// The mark at the end of a text that was cut.
pub const CUT: char = '…';

/// The first `most` characters, and `…` if there are more.
pub fn truncated(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}{CUT}", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}
