//! Results on stdout. A reader that has seen enough, such as `head`, is not an error; a full disk is.

use std::fmt::Display;
use std::io::Write;

/// Prints a line.
///
/// # Errors
/// Any error of stdout; `main` ignores a reader that has gone away.
pub fn line(text: impl Display) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
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
