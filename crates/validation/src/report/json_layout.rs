//! Indents a JSON text and changes nothing else: the order of keys, repeated keys and the digits of
//! numbers stay as the origin sent them, which parsing and writing it again would not keep. A text that was cut in the
//! middle is indented as far as it goes.

/// Deeper nesting is not readable, and indentation would be most of the text.
const DEEPEST: usize = 40;

/// The longest list that stays on one line, in characters.
const LONGEST_LINE: usize = 60;

/// The indented text; `None`: it is not a JSON object or list.
pub fn json(text: &str) -> Option<String> {
    let text = text.trim();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let mut out = String::with_capacity(text.len() * 2);
    let mut depth = 0usize;
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '"' => string(&mut out, &mut rest),
            '{' | '[' => {
                out.push(c);
                while rest.next_if(|c| c.is_ascii_whitespace()).is_some() {}
                if let Some(end) = rest.next_if(|next| matches!((c, next), ('{', '}') | ('[', ']'))) {
                    out.push(end);
                } else if let Some(items) = short_list(c, rest.clone()) {
                    out.push_str(&items);
                    // Up to its end, which is in `items` too.
                    rest.by_ref().find(|c| *c == ']');
                } else {
                    depth += 1;
                    new_line(&mut out, depth)?;
                }
            }
            '}' | ']' => {
                depth = depth.checked_sub(1)?;
                new_line(&mut out, depth)?;
                out.push(c);
            }
            ',' => {
                out.push(c);
                new_line(&mut out, depth)?;
            }
            ':' => out.push_str(": "),
            c if c.is_ascii_whitespace() => {}
            // Numbers, true, false and null.
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.') => out.push(c),
            _ => return None,
        }
    }
    Some(out)
}

/// The rest of a list of a few numbers, for one line.
fn short_list(open: char, rest: std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    let mut items = String::new();
    for c in rest.filter(|c| !c.is_ascii_whitespace()).take(if open == '[' { LONGEST_LINE } else { 0 }) {
        match c {
            ']' => return Some(items + "]"),
            ',' => items.push_str(", "),
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '+' | '.') => items.push(c),
            _ => return None,
        }
    }
    None
}

/// From after its opening quote to its closing quote.
fn string(out: &mut String, rest: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    out.push('"');
    while let Some(c) = rest.next() {
        out.push(c);
        match c {
            '"' => return,
            '\\' => out.extend(rest.next()),
            _ => {}
        }
    }
}

fn new_line(out: &mut String, depth: usize) -> Option<()> {
    if depth > DEEPEST {
        return None;
    }
    out.push('\n');
    (0..depth).for_each(|_| out.push_str("  "));
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_laid_out_as_it_was_sent() {
        let text = r#"{"b":1.0, "a":[1,{"x":"a,{\"b"}],"b":12345678901234567890,"e":{ },"n":null}"#;
        let wanted = "{\n  \"b\": 1.0,\n  \"a\": [\n    1,\n    {\n      \"x\": \"a,{\\\"b\"\n    }\n  ],\n  \"b\": \
                      12345678901234567890,\n  \"e\": {},\n  \"n\": null\n}";
        assert_eq!(json(text).unwrap(), wanted);
    }

    #[test]
    fn a_short_list_of_numbers_stays_on_its_line() {
        assert_eq!(
            json("{\"a\":[3, 1\n,4.5],\"b\":[1,\"]\"]}").unwrap(),
            "{\n  \"a\": [3, 1, 4.5],\n  \"b\": [\n    1,\n    \"]\"\n  ]\n}"
        );
    }

    #[test]
    fn what_was_cut_is_laid_out_as_far_as_it_goes() {
        assert_eq!(json("{\"a\":[1,\"b").unwrap(), "{\n  \"a\": [\n    1,\n    \"b");
    }

    #[test]
    fn what_is_no_json_is_left_alone() {
        for text in ["", "<p>", "hello", "{<a>}", "]", "{}}", "7", &"[".repeat(100_000)] {
            assert_eq!(json(text), None, "{}", super::super::visible::start(text, 20));
        }
    }
}
