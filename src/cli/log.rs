//! Logs: to stderr, in words or JSON, by `CUTOVER_LOG`.

use std::io::{IsTerminal, Write};

use tracing_subscriber::EnvFilter;

use crate::cli::obeyed::shown;

/// Stderr, where nothing that a line says is obeyed by a terminal but our own colours.
struct CleanStderr {
    colour: bool,
}

impl CleanStderr {
    fn new() -> CleanStderr {
        CleanStderr { colour: colour_on_stderr() }
    }
}

impl Write for CleanStderr {
    /// The whole of a line.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        std::io::stderr().lock().write_all(shown(&String::from_utf8_lossy(line), self.colour).as_bytes())?;
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}

/// Starts logging. What rustls, hyper and h2 log is meant for their developers, and clients could trigger it
/// endlessly; Cutover itself logs whatever concerns a user.
pub fn start(json: bool, quiet: bool) {
    let default = if quiet { "off" } else { "warn,cutover=info,rustls=off,hyper=off,h2=off" };
    let filter = EnvFilter::try_from_env("CUTOVER_LOG").unwrap_or_else(|_| EnvFilter::new(default));
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_writer(CleanStderr::new).with_target(false);
    if json {
        lines.json().init();
    } else {
        lines.with_ansi(colour_on_stderr()).init();
    }
}

pub fn colour_on_stderr() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stderr().is_terminal()
}

pub fn colour_on_stdout() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::io::stdout().is_terminal()
}
