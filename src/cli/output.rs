//! Results on stdout. A reader that has seen enough, as `head` has, is no error; a disk that is full is.

use std::fmt::Display;
use std::io::Write;

/// Prints a line.
///
/// # Errors
/// Whatever stdout says; `main` is silent about a reader that has gone.
pub fn line(text: impl Display) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{text}")?;
    Ok(stdout.flush()?)
}

/// Whether an error is only that nobody reads any more.
pub fn is_reader_gone(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|e| e.kind() == std::io::ErrorKind::BrokenPipe)
}

/// `println!` that gives its error up.
macro_rules! say {
    ($($text:tt)*) => {
        crate::cli::output::line(format_args!($($text)*))?
    };
}
pub(crate) use say;
