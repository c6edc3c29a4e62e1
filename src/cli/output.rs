//! Results on stdout. A reader that has seen enough, such as `head`, is not an error; a full disk is.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

use crate::cli::log;
use crate::cli::obeyed::shown;
use judgement::printable::visible_json;

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
