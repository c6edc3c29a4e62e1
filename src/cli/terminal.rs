//! What standard output can show: lines as wide as the terminal, and colour where it helps.

use std::io::{IsTerminal, Write};

use console::{measure_text_width, truncate_str};

use crate::cli::log;
use crate::cli::obeyed::shown;

/// What a text is about, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Heading,
    Good,
    Warning,
    Bad,
}

/// Standard output as it is now. Checked before every redraw, because a window can be resized.
#[derive(Clone, Copy, Debug)]
pub struct Terminal {
    /// `None` if it is not a terminal, so that lines have no limit.
    width: Option<usize>,
    colour: bool,
}

impl Terminal {
    pub fn stdout() -> Terminal {
        let is_terminal = std::io::stdout().is_terminal();
        let size = is_terminal.then(|| console::Term::stdout().size_checked()).flatten();
        Terminal { width: size.map(|(_, columns)| usize::from(columns).max(20)), colour: log::colour_on_stdout() }
    }

    #[cfg(test)]
    pub fn of_width(width: usize) -> Terminal {
        Terminal { width: Some(width), colour: false }
    }

    pub fn width(self) -> Option<usize> {
        self.width
    }

    /// Whether lines can be redrawn.
    pub fn is_live(self) -> bool {
        self.width.is_some() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
    }

    pub fn paint(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Plain => return text.to_owned(),
            Tone::Heading => "1",
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "31",
        };
        if self.colour && !text.is_empty() { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }

    /// A text, wrapped and painted.
    pub fn tell(self, tone: Tone, text: &str, indent: usize) -> String {
        let wrapped = self.wrap(text, indent);
        wrapped.lines().map(|line| self.paint(tone, line)).collect::<Vec<_>>().join("\n")
    }

    /// One line, cut to the width.
    pub fn cut(self, line: &str) -> String {
        self.width.map_or_else(|| line.to_owned(), |width| truncate_str(line, width, "…").into_owned())
    }

    /// A text in lines as wide as the terminal, with all but the first indented. Without a terminal it is one line.
    pub fn wrap(self, text: &str, indent: usize) -> String {
        let Some(width) = self.width else { return text.to_owned() };
        let words = text.trim_start_matches(' ');
        let mut lines = vec![" ".repeat(text.len() - words.len())];
        for word in words.split(' ') {
            let Some(line) = lines.last_mut() else { break };
            if line.trim().is_empty() || measure_text_width(line) + 1 + measure_text_width(word) <= width {
                if !line.trim().is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            } else {
                lines.push(format!("{}{word}", " ".repeat(indent)));
            }
        }
        // A word longer than a line is left to the terminal to wrap.
        lines.join("\n")
    }
}

/// Lines at the bottom of a terminal that are redrawn.
#[derive(Debug, Default)]
pub struct LiveBlock {
    /// As last drawn: how many rows they take depends on the current width.
    drawn: Vec<usize>,
}

impl LiveBlock {
    /// Replaces what was drawn before.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn draw(&mut self, terminal: Terminal, lines: &[String]) -> std::io::Result<()> {
        let mut text = self.wipe(terminal);
        self.drawn.clear();
        for line in lines {
            let line = terminal.cut(&shown(line, terminal.colour));
            self.drawn.push(measure_text_width(&line));
            text.push_str(&line);
            text.push('\n');
        }
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Clears what was drawn.
    ///
    /// # Errors
    /// Standard output is closed.
    pub fn clear(&mut self, terminal: Terminal) -> std::io::Result<()> {
        let text = self.wipe(terminal);
        self.drawn.clear();
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(text.as_bytes())?;
        stdout.flush()
    }

    /// Moves up to the first row of the block and clears everything below. If the window has become narrower the lines
    /// have wrapped, so a line may take several rows.
    fn wipe(&self, terminal: Terminal) -> String {
        let width = terminal.width.unwrap_or(usize::MAX);
        let rows: usize = self.drawn.iter().map(|line| line.div_ceil(width).max(1)).sum();
        if rows == 0 { String::new() } else { format!("\r\x1b[{rows}A\x1b[0J") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_wrapped_at_spaces_and_a_line_is_cut() {
        let terminal = Terminal::of_width(20);
        assert_eq!(
            terminal.wrap("shop: frozen by ann until tomorrow: the sale", 2),
            "shop: frozen by ann\n  until tomorrow:\n  the sale"
        );
        assert_eq!(terminal.wrap("  shop: frozen by ann", 4), "  shop: frozen by\n    ann");
        assert_eq!(terminal.cut("123456789012345678901"), "1234567890123456789…");
        let endless = Terminal { width: None, colour: false };
        assert_eq!(endless.wrap("a b", 2), "a b");
    }

    #[test]
    fn a_block_is_cleared_by_the_rows_that_it_takes_now() {
        let block = LiveBlock { drawn: vec![30, 0] };
        assert_eq!(block.wipe(Terminal::of_width(40)), "\r\x1b[2A\x1b[0J");
        assert_eq!(block.wipe(Terminal::of_width(20)), "\r\x1b[3A\x1b[0J");
    }
}
