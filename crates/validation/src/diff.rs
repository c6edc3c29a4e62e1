//! Two texts compared line by line, in the unified format.

use std::time::Duration;

use similar::TextDiff;

use crate::text::CUT;

/// Finding the best diff of two texts that have nothing in common takes long, and it says nothing.
const PATIENCE: Duration = Duration::from_millis(100);
/// In bytes, of either text. Longer texts get no diff.
const LONGEST_TEXT: usize = 1 << 20;
/// In bytes.
const LONGEST_DIFF: usize = 16 << 10;
/// Lines around what differs.
const CONTEXT: usize = 3;

/// `None`: they are equal, too long, or single lines that need no diff.
pub fn unified(old: &str, new: &str, names: [&str; 2]) -> Option<String> {
    if old == new || old.len().max(new.len()) > LONGEST_TEXT || !(old.contains('\n') || new.contains('\n')) {
        return None;
    }
    let diff = TextDiff::configure().timeout(PATIENCE).diff_lines(old, new);
    let [old_name, new_name] = names;
    let mut unified = diff.unified_diff();
    let text = unified.context_radius(CONTEXT).header(old_name, new_name).missing_newline_hint(false).to_string();
    if text.len() <= LONGEST_DIFF {
        return Some(text);
    }
    let end = text.floor_char_boundary(LONGEST_DIFF);
    Some(format!("{}{CUT}\n", text.get(..end).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_diff_shows_what_differs_and_has_a_bound() {
        let told = unified("a\nb\nc\n", "a\nx\nc\n", ["expected", "found"]).unwrap();
        assert_eq!(told, "--- expected\n+++ found\n@@ -1,3 +1,3 @@\n a\n-b\n+x\n c\n");
        assert_eq!(unified("a", "b", ["", ""]), None);
        assert_eq!(unified("a\n", "a\n", ["", ""]), None);
        let (old, new) = ("a\n".repeat(50_000), "b\n".repeat(50_000));
        let told = unified(&old, &new, ["", ""]).unwrap();
        assert!(told.len() < LONGEST_DIFF + 10 && told.ends_with("…\n"));
    }
}
