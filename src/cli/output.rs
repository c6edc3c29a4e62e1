//! Results on stdout. A reader that has seen enough, such as `head`, is not an error; a full disk is.

use std::borrow::Cow;
use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use crate::cli::log;
use judgement::printable::{visible, visible_json};

/// Prints a line.
///
/// # Errors
/// Any error of stdout; `main` ignores a reader that has gone away.
pub fn line(text: impl Display) -> anyhow::Result<()> {
    print(&shown(&text.to_string(), log::colour_on_stdout()))
}

/// Prints JSON on several lines.
///
/// # Errors
/// Any error of stdout, and a value that is not JSON.
pub fn json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&visible_json(&serde_json::to_string_pretty(value)?))
}

/// Prints JSON on one line.
///
/// # Errors
/// As [`json`].
pub fn json_line(value: &impl Serialize) -> anyhow::Result<()> {
    print(&visible_json(&serde_json::to_string(value)?))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Prints a line on stderr.
pub fn error_line(text: impl Display) {
    eprintln!("{}", shown(&text.to_string(), log::colour_on_stderr()));
}

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

/// Whether an error only means that nobody is reading any more.
pub fn is_reader_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// `println!` that returns its error.
macro_rules! say {
    ($($text:tt)*) => {
        crate::cli::output::line(format_args!($($text)*))?
    };
}
pub(crate) use say;

/// `eprintln!` for what may hold the texts of others.
macro_rules! complain {
    ($($text:tt)*) => {
        crate::cli::output::error_line(format_args!($($text)*))
    };
}
pub(crate) use complain;

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
